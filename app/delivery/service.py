"""Deliveries of alerts: queued with them, held back, released and discarded, each in the caller's transaction.

Sending them is the courier's.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import orjson
import structlog
from sqlalchemy import Row, TextClause
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from app import jobs
from app.audit import service as audit
from app.audit.models import AuditAction
from app.database import fetch
from app.delivery import queries
from app.delivery.channels import Channel
from app.delivery.models import DeliveryStatus
from app.delivery.rules import MAX_ATTEMPTS
from app.errors import NotFound

# For as long a delivery is attempted, and no alert about a moment longer ago than that goes out by itself.
RECENT = timedelta(days=3)
# A nudge that nobody needed costs a small message and a look at the channel, and one too few a wait.
NUDGE_AFTER = timedelta(seconds=1)
# Nobody is told of what has been due for longer.
TOO_LONG = timedelta(days=7)

log = structlog.get_logger(__name__)


async def queue(session: AsyncSession, alert_ids: Sequence[int], *, held: bool) -> int:
    """Write a delivery of each alert for every configured channel that takes it, and return how many are new.

    To be called once the client's current row has the risk that the alert tells of. What is held waits for `release`
    or `discard`. An alert that was raised more than three days after the moment that it is about waits for the digest
    of whichever channel when a daily slot was caught up that late, and else goes to nobody.
    """
    return await _count(session, queries.QUEUE, alert_ids=list(alert_ids), held=held, recent=RECENT)


async def release(session: AsyncSession, alert_ids: Sequence[int]) -> int:
    """Let the held deliveries of the alerts leave, at once or with the next digest, and return how many they are."""
    return await _count(session, queries.RELEASE, alert_ids=list(alert_ids))


async def discard(session: AsyncSession, alert_ids: Sequence[int], *, reason: str) -> int:
    """Have the held deliveries of the alerts never leave, for a reason to be read, and return how many they are."""
    return await _count(session, queries.DISCARD, alert_ids=list(alert_ids), reason=reason)


async def erase(session: AsyncSession, alert_ids: Sequence[int]) -> None:
    """Delete the deliveries of the alerts with their attempts, and what is written down of digests that list them."""
    found = await fetch(session, queries.LOCK_OF_ALERTS, alert_ids=list(alert_ids))
    ids = {"ids": [row.id for row in found]}
    await session.execute(queries.DELETE_ATTEMPTS, ids)
    await session.execute(queries.DELETE_DELIVERIES, ids)
    digests = sorted({row.digest_id for row in found if row.digest_id is not None})
    reason = "The clients that it told of were erased."
    await session.execute(queries.UNWRITE_DIGESTS, {"ids": digests, "reason": reason})


async def tell_held(session: AsyncSession, run_id: int, *, alerts: int, clients: int) -> int:
    """Tell the operators, once a run, that the run's alerts are held, and return how many channels that takes.

    Those are the channels that take all alerts; while none of them is enabled, every other enabled one that is not for
    owners. That nobody can be told is logged as an error. `alerts` are the held ones of the `clients` that were scored.
    """
    details = orjson.dumps({"alerts": alerts, "clients": clients}).decode()
    told = await fetch(session, queries.TELL_HELD, run_id=run_id, details=details)
    enabled = len([row for row in told if row.enabled])
    if not enabled:
        log.error("held_alerts_untold", run_id=run_id, alerts=alerts, clients_scored=clients)
    return enabled


async def _count(session: AsyncSession, statement: TextClause, **values: object) -> int:
    return int((await session.execute(statement, values)).rowcount)  # type: ignore[attr-defined]


async def mirror(session: AsyncSession, channels: Sequence[Channel]) -> None:
    """Write down what may be known of the configured channels, and that there are no others.

    What is due on a channel that is no longer configured waits for a week for its return. What that takes away or
    changes is logged: whoever has started with another file than the others does it for all of them.
    """
    rows = [
        {
            "name": channel.name,
            "kind": channel.kind,
            "mode": channel.mode,
            "engagement_models": channel.engagement_models,
            "risks": channel.risks,
            "to_owner": channel.to_owner,
            "digest_at": channel.digest_at,
            "fingerprint": channel.fingerprint().hex(),
        }
        for channel in channels
    ]
    given = orjson.dumps(rows).decode()
    await session.execute(queries.LOCK_CHANNELS)
    if replaced := await fetch(session, queries.REPLACED, channels=given):
        removed = [row.name for row in replaced if row.removed]
        log.warning("channels_replaced", removed=removed, changed=[row.name for row in replaced if not row.removed])
    await session.execute(queries.MIRROR, {"channels": given})
    await session.execute(queries.FORGET, {"names": [channel.name for channel in channels]})


async def nudge(session: AsyncSession, *, after: timedelta = NUDGE_AFTER) -> list[str]:
    """Have a message sent for each channel on which something is due and whose last message is older than `after`."""
    names = sorted(row.name for row in await fetch(session, queries.NUDGE, after=after))
    for name in names:
        jobs.enqueue(session, jobs.DELIVER, name)
    return names


async def give_up(session: AsyncSession) -> int:
    """Mark deliveries as failed that have no attempt left or that nobody could send for a week; return how many."""
    reasons = {
        "used_up": f"None of the {MAX_ATTEMPTS} attempts came to an end; the log has the details.",
        "unknown": "It was not sent within a week, since ALERT_CHANNELS names its channel no longer.",
        "disabled": "It was not sent within a week, since its receiver has disabled the channel and nobody enabled it.",
        "untouched": "It was not sent within a week, since no worker or scheduler was running that knows its channel.",
    }
    found = [
        *await fetch(session, queries.GIVE_UP_LATE, **reasons, attempts=MAX_ATTEMPTS, too_long=TOO_LONG),
        *await fetch(session, queries.GIVE_UP_USED_UP, **reasons, attempts=MAX_ATTEMPTS),
    ]
    if found:
        log.error("deliveries_given_up", deliveries=len(found))
        await session.execute(queries.END_MEMBERS, {"ids": [row.id for row in found]})
    return len(found)


async def forget(session: AsyncSession, *, before: datetime, limit: int) -> int:
    """Delete deliveries that ended before a moment, with their attempts, at most `limit`; return how many."""
    return len(await fetch(session, queries.FORGET_DELIVERIES, before=before, limit=limit))


async def enable(session: AsyncSession, name: str, *, actor: str, now: datetime, request_id: str | None) -> Row[Any]:
    """Enable a channel that its receiver had disabled, and return it; one that is enabled stays as it is.

    Raises NotFound for a channel that is not configured.
    """
    found = await fetch(session, queries.LOCK_CHANNEL, name=name)
    if not found or not found[0].configured:
        raise NotFound("There is no channel with this name.")
    if found[0].disabled_at is None:
        return found[0]
    await session.execute(queries.ENABLE, {"name": name})
    audit.record(
        session,
        AuditAction.CHANNEL_ENABLED,
        actor=actor,
        now=now,
        request_id=request_id,
        changes={"channel": [None, name], "disabled_reason": [found[0].disabled_reason, None]},
    )
    return (await fetch(session, queries.LOCK_CHANNEL, name=name))[0]


async def channels(connection: AsyncConnection) -> Sequence[Row[Any]]:
    """Return every channel that is or was configured, by name."""
    return await fetch(connection, queries.CHANNELS)


@dataclass(frozen=True, slots=True)
class Filter:
    """What a delivery must match; None is no condition, and an empty list matches nothing."""

    statuses: Sequence[DeliveryStatus] | None = None
    channel: str | None = None
    alert_id: int | None = None


async def page(connection: AsyncConnection, wanted: Filter, first: int, before: int | None) -> Sequence[Row[Any]]:
    """Return up to `first` + 1 deliveries older than the delivery `before`, newest first."""
    if wanted.channel is not None and wanted.statuses is None:
        wanted = replace(wanted, statuses=list(DeliveryStatus))
    conditions = {name: value for name, value in asdict(wanted).items() if value is not None}
    values = {"before": 2**63 - 1 if before is None else before, "limit": first + 1}
    return await fetch(connection, queries.page(list(conditions)), **conditions, **values)


async def attempts_by_ids(connection: AsyncConnection, ids: Sequence[int]) -> Mapping[int, list[Row[Any]]]:
    """Return the attempts of each delivery that has any, the first one first."""
    found: dict[int, list[Row[Any]]] = defaultdict(list)
    for row in await fetch(connection, queries.ATTEMPTS, ids=list(ids)):
        found[row.delivery_id].append(row)
    return found
