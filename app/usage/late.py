"""Facts that came late: the days that they are of were recorded without them, and are recorded again."""

import asyncio
from collections import defaultdict
from datetime import date

import structlog

from app.database import Database, fetch
from app.runs.batches import Pace
from app.usage import queries, service

log = structlog.get_logger(__name__)


async def record_again(database: Database, pace: Pace) -> int:
    """Record the days again of which facts have come since, and return how many days of clients these were.

    Each batch is one transaction, in which the days are forgotten too: whatever is interrupted is done by the next
    run, and doing it twice changes nothing. What comes while this goes on may be left to the next run.
    """
    days, day, client_id = 0, date.min, 0
    while True:
        async with database.begin() as session:
            await service.keep_facts_out(session)
            values = {"day": day, "client_id": client_id, "size": pace.batch_size}
            found = await fetch(session, queries.TAKE_LATE_DAYS, **values)
            groups: dict[tuple[date, bool], list[int]] = defaultdict(list)
            for row in (row for row in found if row.recorded):
                groups[row.day, row.adoption].append(row.client_id)
            for (late_day, adoption), client_ids in sorted(groups.items()):
                await service.record_clients(session, client_ids, late_day, adoption=adoption)
                days += len(client_ids)
        if len(found) < pace.batch_size:
            break
        day, client_id = max((row.day, row.client_id) for row in found)
        await asyncio.sleep(pace.pause.total_seconds())
    if days:
        log.info("late_days_recorded", days=days)
    return days
