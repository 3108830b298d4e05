"""Claiming what is due on a channel under a lease, and recording what came of each attempt."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from app.alerts import service as alerts
from app.clients import service as clients
from app.database import fetch
from app.delivery import messages, queries, rules
from app.delivery.channels import Channel
from app.delivery.models import AttemptOutcome, ChannelKind, DeliveryKind
from app.delivery.outcomes import Outcome

# Longer than an attempt can take, with what is read and written around it.
LEASE = timedelta(seconds=30)
# The same where a mail server may take its time at each of a dozen steps. It is renewed while there are more of them.
APPRISE_LEASE = timedelta(minutes=3)
# Deliveries of one channel that are under way at the same time, in all workers together.
IN_FLIGHT = 8

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Claim:
    """A delivery as the attempt that owns it sees it."""

    id: int
    message_id: UUID
    kind: DeliveryKind
    channel: str
    recipient: str
    alert_id: int | None
    run_id: int | None
    details: dict[str, Any] | None
    body: str | None
    created_at: datetime
    attempt: int

    @property
    def name(self) -> str:
        """The id of the message, the same in every attempt."""
        return rules.message_name(self.message_id)


def lease_of(kind: ChannelKind) -> timedelta:
    """Return for how long a delivery on a channel of the kind is its worker's, and the least pause behind its death."""
    return APPRISE_LEASE if kind is ChannelKind.APPRISE else LEASE


async def claim(
    session: AsyncSession, channel: str, *, lease: timedelta = LEASE, in_flight: int = IN_FLIGHT
) -> Sequence[Claim]:
    """Take what is due on the channel, as far as `in_flight` allows, and record that its attempts have begun.

    Nothing is due on a channel that is disabled or not configured.
    """
    if not await fetch(session, queries.OPEN_CHANNEL, channel=channel):
        return []
    rows = await fetch(
        session,
        queries.CLAIM,
        channel=channel,
        lease=lease,
        delays=list(rules.DELAYS),
        attempts=rules.MAX_ATTEMPTS,
        in_flight=in_flight,
    )
    if rows:
        await session.execute(queries.BEGIN_ATTEMPTS, {"ids": [row.id for row in rows]})
    return [Claim(**{**row._mapping, "kind": DeliveryKind(row.kind)}) for row in rows]


async def renew(session: AsyncSession, delivery: Claim, lease: timedelta) -> None:
    """Have a delivery belong to its attempt for another `lease`, unless a later attempt has it already."""
    await session.execute(queries.RENEW, {"id": delivery.id, "attempt": delivery.attempt, "lease": lease})


async def body_of(session: AsyncSession, delivery: Claim, public_url: str) -> bytes:
    """Return what the delivery says, the same in every attempt: it is written down before it is first sent."""
    if delivery.body is None:
        body = await _compose(session, delivery, public_url)
        [fixed] = await fetch(session, queries.FIX_BODY, id=delivery.id, body=body.decode())
        return str(fixed.body).encode()
    return delivery.body.encode()


async def _compose(session: AsyncSession, delivery: Claim, public_url: str) -> bytes:
    details = delivery.details or {}
    match delivery.kind:
        case DeliveryKind.HELD:
            data = messages.held_data(delivery.run_id or 0, details, public_url)
            return messages.body_of(messages.HELD, delivery.created_at, data)
        case DeliveryKind.DIGEST:
            first = await fetch(session, queries.ALERTS_OF_DIGEST, id=delivery.id, limit=messages.MAX_LISTED)
            listed = await _alerts(session, [row.alert_id for row in first], public_url)
            count = first[0].alerts if first else 0
            data = messages.digest_data(details.get("owner"), count, listed, public_url)
            return messages.body_of(messages.DIGEST, delivery.created_at, data)
        case DeliveryKind.ALERT:
            [data] = await _alerts(session, [delivery.alert_id or 0], public_url)
            return messages.body_of(messages.RAISED, delivery.created_at, data)


async def _alerts(session: AsyncSession, alert_ids: Sequence[int], public_url: str) -> list[dict[str, Any]]:
    """Return what messages say of the alerts, the lowest score first."""
    found = await alerts.by_ids(session, alert_ids)
    causes = await alerts.causes_by_ids(session, alert_ids)
    owners = await clients.by_ids(session, list({row.client_id for row in found.values()}))
    rows = sorted(found.values(), key=lambda row: (row.score_after, row.id))
    return [
        messages.alert_data(
            {**owners[row.client_id]._mapping, **row._mapping},
            [
                {
                    "component": cause.component,
                    "pointsBefore": float(cause.points_before),
                    "pointsAfter": float(cause.points_after),
                    "change": float(cause.points_after - cause.points_before),
                    "explanation": cause.explanation,
                }
                for cause in causes.get(row.id, [])
            ],
            public_url,
        )
        for row in rows
    ]


async def record(session: AsyncSession, delivery: Claim, channel: Channel, outcome: Outcome, random: float) -> None:
    """Record how the attempt ended, and what becomes of the delivery: delivered, tried again, or failed for good.

    `random` is from 0 to 1. A receiver that is gone has its channel disabled; the delivery waits like all others.
    """
    # PostgreSQL's text holds no NUL, and an answer may be no text at all.
    answer = None if outcome.answer is None else outcome.answer.decode(errors="replace").replace("\0", "\ufffd")
    key = {"id": delivery.id, "attempt": delivery.attempt}
    values = {"outcome": outcome.outcome, "http_status": outcome.http_status, "problem": outcome.problem}
    await session.execute(queries.END_ATTEMPT, {**key, **values, "answer": answer})
    delay = rules.retry_delay(delivery.attempt, random, outcome.retry_after)
    if outcome.outcome is AttemptOutcome.DELIVERED:
        await session.execute(queries.DELIVERED, {"id": delivery.id})
    elif delay is not None:
        await session.execute(queries.RETRY, {**key, "delay": delay})
    else:
        reason = f"All {rules.MAX_ATTEMPTS} attempts failed. {outcome.problem}"
        await session.execute(queries.FAIL, {**key, "reason": reason})
    if delivery.kind is DeliveryKind.DIGEST:
        await session.execute(queries.END_MEMBERS, {"ids": [delivery.id]})
    if outcome.gone:
        gone = {"name": channel.name, "fingerprint": channel.fingerprint(), "reason": outcome.problem}
        await session.execute(queries.DISABLE, gone)
        log.warning("channel_disabled", channel=channel.name, reason=outcome.problem)
