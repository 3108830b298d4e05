"""Imports as runs: accepted, watched while they go, and finished by a worker if whoever began them was killed."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncSession

from app.database import Database
from app.errors import InvalidInput
from app.ingest.service import EXIT_UNREADABLE, ImportProgress, ImportReport, import_path
from app.runs import service as runs
from app.runs.batches import Pace, Progress
from app.runs.leases import under_lease
from app.runs.models import RunKind
from app.runs.service import Claim


async def request(session: AsyncSession, path: Path, *, requested_by: str, now: datetime) -> int:
    """Accept the import of an absolute path of this machine and return the run's id."""
    parameters = {"path": str(path)}
    return await runs.request(session, RunKind.IMPORT, requested_by=requested_by, now=now, parameters=parameters)


async def import_run(database: Database, run: Claim, _pace: Pace, progress: Progress | None = None) -> None:
    """Import the run's path, as a worker does; without it on this machine the run fails and says so."""

    def tell(state: ImportProgress) -> None:
        if progress:
            progress(state.rows - state.rejected, state.rejected, state.rows)

    try:
        await import_claimed(database, run, tell)
    except InvalidInput as error:
        async with database.begin() as session:
            reason = f"{error.message.removesuffix('.')}. Import the files again where they are."
            await runs.fail(session, run, reason)


async def import_claimed(
    database: Database, run: Claim, progress: Callable[[ImportProgress], None] | None = None
) -> ImportReport:
    """Import the run's path, renewing its lease and counting its rows meanwhile, and return what became of it.

    Raises InvalidInput when there is nothing to import, and LeaseLostError when another attempt took over.
    """
    path = Path((run.parameters or {})["path"])
    rows: dict[str, tuple[int, int]] = {}
    told = [run.done, run.failed]

    def note(state: ImportProgress) -> None:
        rows[state.file] = (state.rows - state.rejected, state.rejected)
        if progress:
            progress(state)

    async def advance() -> None:
        done, failed = (sum(counts) for counts in zip(*rows.values(), strict=True)) if rows else (0, 0)
        # An earlier attempt may have counted more already; the counts never go back.
        new = (max(0, done - told[0]), max(0, failed - told[1]))
        async with database.begin() as session:
            await runs.progress(session, run, done=new[0], failed=new[1])
        told[0] += new[0]
        told[1] += new[1]

    importing = import_path(database, path, now=datetime.now(UTC), progress=note)
    report = await under_lease(run, importing, advance)
    await advance()
    async with database.begin() as session:
        if report.exit_code == EXIT_UNREADABLE:
            unread = "; ".join(f"{file.file}: {file.unreadable}" for file in report.files if file.unreadable)
            await runs.fail(session, run, f"Not every file could be read: {unread}")
        else:
            await runs.finish(session, run)
    return report
