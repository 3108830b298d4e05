"""What feeds there are, and when one of them has gone silent."""

from enum import StrEnum


class FeedKind(StrEnum):
    """The streams of facts that a score lives on."""

    LOGINS = "LOGINS"
    CASES = "CASES"
    CAMPAIGNS = "CAMPAIGNS"
    FEATURES = "FEATURES"
    TICKETS = "TICKETS"
