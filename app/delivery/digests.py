"""Digests: what waits on a channel, gathered once a day into one message for each owner."""

from collections.abc import Iterable
from datetime import datetime
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from app.database import fetch
from app.delivery import queries
from app.delivery.channels import Channel
from app.delivery.rules import last_digest

log = structlog.get_logger(__name__)


async def gather(session: AsyncSession, channels: Iterable[Channel], *, now: datetime, zone: ZoneInfo) -> int:
    """Gather what waits on the channels whose time of day has come, once a day; return how many digests there are new.

    What is green again by then is left out. Alerts that come later wait for the next day's. A digest whose time was
    missed is made up for as soon as somebody looks.
    """
    gathered = 0
    for channel in sorted(channels, key=lambda channel: channel.name):
        moment = last_digest(now, channel.digest_at, zone)
        if not await fetch(session, queries.BEGIN_DIGEST, channel=channel.name, moment=moment):
            continue
        reason = "The client was green again before the digest left."
        await session.execute(queries.DISCARD_RESOLVED, {"channel": channel.name, "reason": reason})
        digests = await fetch(session, queries.ADD_DIGESTS, channel=channel.name)
        for digest in digests:
            await session.execute(queries.JOIN_DIGEST, {"channel": channel.name, **digest._mapping})
        if digests:
            log.info("digests_gathered", channel=channel.name, digests=len(digests))
        gathered += len(digests)
    return gathered
