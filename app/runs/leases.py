"""Keeping a run while work on it takes long: the lease is renewed beside the work, and the work ends with the lease."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from app.runs.service import Claim

Result = TypeVar("Result")

# Renewals of the lease in the time that it lasts.
BEATS = 3


async def under_lease(run: Claim, work: Coroutine[Any, Any, Result], renew: Callable[[], Awaitable[None]]) -> Result:
    """Return what the work returns, calling `renew` often enough meanwhile to keep the run's lease.

    Raises what `renew` raises, with the work cancelled: LeaseLostError when the run is no longer this attempt's.
    """

    async def beat() -> None:
        while True:
            await asyncio.sleep(run.lease.total_seconds() / BEATS)
            await renew()

    working, beating = asyncio.create_task(work), asyncio.create_task(beat())
    try:
        await asyncio.wait({working, beating}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            # Only a lost lease or a lost database ends the beat.
            await beating
        return await working
    finally:
        working.cancel()
        beating.cancel()
        await asyncio.gather(working, beating, return_exceptions=True)
