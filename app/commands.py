"""What the long commands do, with their progress bars and reports."""

import asyncio
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from uuid import uuid4

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from app.alerts import replay
from app.auth import write_keys
from app.auth.sessions import issue_code
from app.auth.tokens import Role
from app.clients import service as clients
from app.database import Database
from app.delivery import messages
from app.delivery.channels import allowed_hosts_of, read_channels
from app.delivery.courier import route_of, send_message
from app.delivery.models import AttemptOutcome
from app.delivery.rules import message_name
from app.demo.service import load_if_empty
from app.erasure import service as erasure
from app.errors import Conflict, ExpectedError, InvalidInput
from app.health import requests
from app.ingest import runs as imports
from app.ingest.service import ImportProgress, ImportReport
from app.runs import service as runs
from app.runs.execution import execute, thresholds_of
from app.runs.models import RunStatus
from app.settings import Settings
from app.usage import recording

COMMAND_LINE = "command line"
EXIT_FAILED, EXIT_SOME_FAILED = 1, 3
_WATCH_SECONDS = 0.5
# Clients that the report of a replay names.
_NOISIEST = 10


async def import_files(database: Database, settings: Settings, path: Path, console: Console) -> int:
    """Import the files of `path` as a run, with a bar for each, print the report, and return the exit status.

    Raises Conflict while the same path is being imported elsewhere.
    """
    async with database.begin() as session:
        run_id = await imports.request(session, path, requested_by=COMMAND_LINE, now=datetime.now(UTC))
        run = await runs.claim(session, run_id, timedelta(seconds=settings.run_lease_seconds))
    if run is None:
        raise Conflict(f"{path} is being imported already, as run {run_id}.")
    try:
        report = await _import_with_bars(database, run, console)
    except BaseException as error:
        reason = error.message if isinstance(error, ExpectedError) else "It was interrupted; import again to finish it."
        async with database.begin() as session:
            await runs.fail(session, run, reason)
        raise
    _print_report(report, console)
    return report.exit_code


async def _import_with_bars(database: Database, run: runs.Claim, console: Console) -> ImportReport:
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.fields[rows]:,} rows, {task.fields[rate]:,.0f} rows/s"),
        TimeRemainingColumn(),
        console=console,
    ) as bars:
        tasks: dict[str, TaskID] = {}

        def show(progress: ImportProgress) -> None:
            if progress.file not in tasks:
                tasks[progress.file] = bars.add_task(progress.file, total=progress.bytes_total, rows=0, rate=0)
            task = tasks[progress.file]
            elapsed = bars.tasks[task].elapsed or 0
            rate = progress.rows / elapsed if elapsed else 0
            bars.update(task, completed=progress.bytes_read, rows=progress.rows, rate=rate)

        return await imports.import_claimed(database, run, show)


def _print_report(report: ImportReport, console: Console) -> None:
    table = Table("file", "read", "new", "changed", "unchanged", "rejected")
    for file in report.files:
        numbers = (file.read, file.new, file.changed, file.unchanged, file.rejected)
        table.add_row(file.file, *(f"{number:,}" for number in numbers))
    console.print(table)
    for file in report.files:
        if file.unknown_columns:
            names = ", ".join(file.unknown_columns)
            console.print(f"{file.file}: unknown columns, ignored: {names}", markup=False)
        if file.unreadable is not None:
            console.print(f"{file.file}: could not be read: {file.unreadable}", style="red", markup=False)
    if report.ignored:
        console.print(f"Ignored, because their names are not known: {', '.join(report.ignored)}", markup=False)
    if report.rejected_path is not None:
        console.print(f"Rejected rows, with reasons: {report.rejected_path}", markup=False)
    if report.rejected_problem is not None:
        console.print(f"The rejected rows could not be written: {report.rejected_problem}", style="red", markup=False)


async def recalculate(
    database: Database, settings: Settings, external_id: str | None, day: date | None, console: Console
) -> int:
    """Calculate one client's health, or everybody's, with a bar; return the exit status.

    A run of the same kind that a worker is busy with is watched instead of being done twice.
    """
    now = datetime.now(UTC)
    async with database.begin() as session:
        if external_id is None:
            run_id = await requests.recalculate_all(session, requested_by=COMMAND_LINE, now=now, day=day)
        else:
            client_id = await clients.id_of(session, external_id)
            run_id = await requests.recalculate_one(session, client_id, requested_by=COMMAND_LINE, now=now, day=day)
    return await _carry_out(database, settings, run_id, "Calculating health", console)


async def record_metrics(database: Database, settings: Settings, day: date | None, console: Console) -> int:
    """Record a day's metrics, by default of the last whole one, with a bar; return the exit status."""
    async with database.begin() as session:
        run_id = await recording.record_metrics(session, requested_by=COMMAND_LINE, now=datetime.now(UTC), day=day)
    return await _carry_out(database, settings, run_id, "Recording metrics", console)


async def erase(database: Database, settings: Settings, external_id: str, member: str | None, console: Console) -> int:
    """Erase a client, or one of its members, with a bar; return the exit status. Raises NotFound."""
    async with database.begin() as session:
        client_id = await erasure.client_of(session, external_id)
        run_id = await erasure.request(session, client_id, member, requested_by=COMMAND_LINE, now=datetime.now(UTC))
    return await _carry_out(database, settings, run_id, "Erasing", console, noun="piece")


async def _carry_out(
    database: Database, settings: Settings, run_id: int, title: str, console: Console, *, noun: str = "client"
) -> int:
    """Carry the run out, or watch whoever does; print what came of it, and return the exit status."""
    with Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=console
    ) as bars:
        task = bars.add_task(title, total=None)

        def show(done: int, failed: int, total: int) -> None:
            bars.update(task, completed=done + failed, total=total)

        while not await execute(database, run_id, settings, show):
            row = await runs.by_id(database, run_id)
            if row.finished_at is not None:
                break
            show(row.done, row.failed, row.total)
            await asyncio.sleep(_WATCH_SECONDS)
    row = await runs.by_id(database, run_id)
    if row.status == RunStatus.FAILED:
        console.print(f"It failed: {row.reason}", style="red", markup=False)
        return EXIT_FAILED
    console.print(f"{_number(row.done, noun)} done, {row.failed:,} failed.")
    return EXIT_SOME_FAILED if row.failed else 0


async def replay_alerts(database: Database, settings: Settings, days: int, console: Console) -> int:
    """Count what the settings' thresholds would have raised, with a bar; print it on standard output.

    Returns the exit status.
    """
    async with database.begin() as session:
        run_id = await replay.request(
            session,
            days=days,
            thresholds=thresholds_of(settings),
            requested_by=COMMAND_LINE,
            now=datetime.now(UTC),
        )
    status = await _carry_out(database, settings, run_id, "Replaying alerts", console)
    if status == 0:
        async with database.read() as connection:
            found = await replay.report(connection, run_id)
            noisiest = await replay.noisiest(connection, run_id, _NOISIEST)
        _print_replay(found, [(row.name, row.alerts) for row in noisiest])
    return status


def _print_replay(found: replay.Replay, noisiest: list[tuple[str, int]]) -> None:
    console = Console()
    tried = found.thresholds
    console.print(
        f"With drops of more than {tried.drop_points} points, and more than {tried.again_points} for another alert: "
        f"{_number(found.alerts, 'alert')} in {_number(found.days, 'day')} up to {found.last_day}, "
        f"{found.alerts / found.days:.1f} a day.",
        soft_wrap=True,
        highlight=False,
    )
    if found.held:
        console.print(f"{found.held:,} of them would be held.", highlight=False)
    if found.alerts:
        by_day = Table("day", "clients with a score", "alerts", "", title="Days with alerts")
        for day in found.by_day:
            if day.alerts:
                by_day.add_row(f"{day.day}", f"{day.scored:,}", f"{day.alerts:,}", "held" if day.held else "")
        console.print(by_day)
        by_client = Table("client", "alerts", title="Clients with most alerts")
        for name, alerts in noisiest:
            by_client.add_row(Text(name), f"{alerts:,}")
        console.print(by_client)


def _number(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


async def load_demo(database: Database, console: Console) -> bool:
    """Load the demo portfolio if there is no client yet, with a bar for every step; return whether it was loaded."""
    with Progress(console=console) as bars:
        tasks: dict[str, TaskID] = {}

        def tell(step: str, done: int, total: int) -> None:
            if step not in tasks:
                tasks[step] = bars.add_task(step, total=total)
            bars.update(tasks[step], completed=done, total=total)

        return await load_if_empty(database, now=datetime.now(UTC), progress=tell)


async def sign_in_address(database: Database, url: str, *, subject: str, role: Role) -> str:
    """Return the address that signs `subject` in to the dashboard at `url`, once and within ten minutes."""
    async with database.begin() as session:
        code = await issue_code(session, subject=subject, role=role, now=datetime.now(UTC))
    return f"{url.rstrip('/')}/sign-in?code={code}"


async def send_sample(settings: Settings, name: str, recipient: str | None, console: Console) -> int:
    """Send a made-up alert on a channel, print what came of it, and return the exit status.

    Raises InvalidInput for a channel that is not configured, and unless there is a recipient exactly where one is
    needed.
    """
    hosts = allowed_hosts_of(settings.alert_allowed_hosts)
    channels = read_channels(settings.alert_channels, hosts)
    if name not in channels:
        raise InvalidInput(
            "channel", f"There is no channel {name!r}; there are: {', '.join(sorted(channels)) or 'none'}."
        )
    channel = channels[name]
    if channel.to_owner != (recipient is not None):
        problem = "writes to owners: give an address with --to" if channel.to_owner else "goes where its url leads"
        raise InvalidInput("to", f"The channel {name} {problem}.")
    now, message = datetime.now(UTC), message_name(uuid4())
    body = messages.body_of(messages.SAMPLE, now, messages.sample_data(now, settings.public_url or ""))
    # A receiver that does not answer is waited for, and a mail server at each step of the dialogue.
    with console.status(Text(f"Sending the sample {message} on the channel {name}, and waiting for an answer.")):
        outcome = await send_message(route_of(channel), message, recipient or "", body, now=now, allowed_hosts=hosts)
    if outcome.answer:
        # A receiver must not be able to write to the operator's terminal what it likes.
        text = "".join(char if char.isprintable() else "\ufffd" for char in outcome.answer.decode(errors="replace"))
        console.print(f"It answered: {text}", markup=False, highlight=False)
    if outcome.outcome is AttemptOutcome.DELIVERED:
        status = f" with the status {outcome.http_status}" if outcome.http_status else ""
        console.print(f"The sample {message} was accepted{status}.", markup=False, highlight=False)
        return 0
    console.print(f"The sample {message} did not arrive. {outcome.problem}", style="red", markup=False, highlight=False)
    return EXIT_FAILED


async def create_write_key(database: Database, name: str, console: Console) -> int:
    """Make a write key and print it: to standard output, so that it can be piped to where it is kept."""
    async with database.begin() as session:
        key = await write_keys.create(session, name, datetime.now(UTC))
    sys.stdout.write(f"{key}\n")
    console.print("It is not shown again: only its hash is kept.", highlight=False)
    return 0


async def list_write_keys(database: Database) -> int:
    """Print all write keys, without the keys."""
    async with database.read() as connection:
        found = await write_keys.every(connection)
    table = Table("name", "created", "last used", "revoked")
    for row in found:
        moments = (row.created_at, row.last_used_at, row.revoked_at)
        table.add_row(Text(row.name), *("" if at is None else f"{at:%Y-%m-%d %H:%M} UTC" for at in moments))
    Console().print(table)
    return 0


async def revoke_write_key(database: Database, name: str, console: Console) -> int:
    """Revoke a write key."""
    async with database.begin() as session:
        await write_keys.revoke(session, name, datetime.now(UTC))
    console.print(f"The write key {name!r} is revoked.", markup=False, highlight=False)
    return 0
