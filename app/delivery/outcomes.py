"""What came of one attempt, however its message was sent."""

from dataclasses import dataclass
from datetime import timedelta

from app.delivery.models import AttemptOutcome


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended. Neither the answer nor the problem holds anything of the channel's URL or secrets."""

    outcome: AttemptOutcome
    http_status: int | None = None
    # The first 500 bytes of the answer.
    answer: bytes | None = None
    problem: str | None = None
    # How long the receiver asks to be left alone.
    retry_after: timedelta | None = None
    # Whether the receiver wants no further message, ever.
    gone: bool = False
