"""Digests: what waits on a channel, gathered once a day into one message for each owner."""

from datetime import datetime
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from app.database import fetch
from app.delivery import queries
from app.delivery.channels import Channel
from app.delivery.rules import last_digest

log = structlog.get_logger(__name__)


async def gather(session: AsyncSession, channel: Channel, *, now: datetime, zone: ZoneInfo) -> int:
    """Gather what waits on the channel if its time of day has come, once a day; return how many digests there are new.

    What is green again by then is left out, and so is what tells of a client that was switched off or snoozed. Alerts
    that come later wait for the next day's. A digest whose time was missed is made up for as soon as somebody looks.
    """
    moment = last_digest(now, channel.digest_at, zone)
    if not await fetch(session, queries.BEGIN_DIGEST, channel=channel.name, moment=moment):
        return 0
    reason = "The client was green again before the digest left."
    await session.execute(queries.DISCARD_RESOLVED, {"channel": channel.name, "reason": reason})
    reason = "Alerts were off or snoozed when the digest left."
    await session.execute(queries.DISCARD_QUIET, {"channel": channel.name, "reason": reason})
    digests = int((await fetch(session, queries.GATHER, channel=channel.name))[0].digests)
    if digests:
        log.info("digests_gathered", channel=channel.name, digests=digests)
    return digests
