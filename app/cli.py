"""The commands that an operator types."""

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from pydantic_core import ErrorDetails
from rich.console import Console
from sqlalchemy.exc import SQLAlchemyError

from app import commands, supervisor
from app.auth.tokens import Role, issue_token, parse_lifetime
from app.database import Database
from app.delivery.channels import allowed_hosts_of, read_channels
from app.embedded import embedded_secret, embedded_servers
from app.errors import ExpectedError, InvalidInput
from app.logs import configure_logging
from app.migrate import upgrade
from app.runs.service import LeaseLostError
from app.settings import Settings, get_settings

cli = typer.Typer(
    help="Client health scores, usage, peer benchmarks and alerts over GraphQL.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
alerts = typer.Typer(help="What reaches people.", no_args_is_help=True)
cli.add_typer(alerts, name="alerts")
write_keys = typer.Typer(help="The keys that events and facts are sent with.", no_args_is_help=True)
cli.add_typer(write_keys, name="write-key")
console = Console(stderr=True)

# PostgreSQL's code for a table that does not exist.
UNDEFINED_TABLE = "42P01"

DataDir = Annotated[
    Path | None, typer.Option(help="Where the private servers keep their data, when DATABASE_URL is not set.")
]


@contextmanager
def service_settings(data_dir: Path | None) -> Iterator[Settings]:
    """Yield settings with both servers: those of the environment, or private ones that run at least as long."""
    settings = get_settings()
    if settings.database_url is not None and settings.redis_url is not None:
        yield settings
        return
    with embedded_servers(data_dir or settings.data_dir, say=console.print) as servers:
        found = {"database_url": servers.database_url, "redis_url": servers.redis_url}
        yield settings.model_copy(update={name: url for name, url in found.items() if getattr(settings, name) is None})


@contextmanager
def migrated_settings(data_dir: Path | None) -> Iterator[Settings]:
    """Yield settings like `service_settings`; private servers are brought to the latest tables first."""
    with service_settings(data_dir) as settings:
        if get_settings().database_url is None and settings.database_url is not None:
            upgrade(settings.database_url)
        yield settings


def with_database(settings: Settings, work: Callable[[Database], Coroutine[Any, Any, int]]) -> int:
    """Run `work` on an open database and return what it returns, an exit code mostly."""

    async def run() -> int:
        if settings.database_url is None:
            raise InvalidInput("DATABASE_URL", "DATABASE_URL is not set.")
        database = Database(settings.database_url, pool_size=4)
        try:
            return await work(database)
        finally:
            await database.close()

    return asyncio.run(run())


def require_servers() -> None:
    """Raise InvalidInput unless both servers are named by the settings."""
    settings = get_settings()
    for name in ("database_url", "redis_url"):
        if getattr(settings, name) is None:
            raise InvalidInput(name.upper(), f"{name.upper()} is not set.")


def require_channels(settings: Settings) -> None:
    """Raise InvalidInput when a channel that alerts shall be delivered on is not configured as it has to be."""
    read_channels(settings.alert_channels, allowed_hosts_of(settings.alert_allowed_hosts))


@cli.command()
def up(
    port: Annotated[int, typer.Option(help="The port of the web server.", min=1, max=65535)] = 8000,
    data_dir: DataDir = None,
    demo: Annotated[bool, typer.Option(help="Load the demo portfolio if there is no client yet.")] = True,
) -> None:
    """Run the whole service on this machine, with private servers where none are configured."""
    require_channels(get_settings())
    supervisor.up(port, data_dir or get_settings().data_dir, demo=demo)


@cli.command()
def web(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port to listen on.", min=1, max=65535)] = 8000,
) -> None:
    """Serve the GraphQL API; needs DATABASE_URL, REDIS_URL and a way to check tokens."""
    # Imported here, since the other commands start in half the time without the web server and the API.
    from app.server import server  # noqa: PLC0415

    settings = get_settings()
    require_channels(settings)
    configure_logging(settings.log_level)
    try:
        serving = server(settings, host=host, port=port)
    except ValueError as error:
        raise InvalidInput("settings", str(error)) from error
    with suppress(KeyboardInterrupt):
        serving.run()
    if not serving.started:
        # It has said why, and 3 is what uvicorn itself ends with.
        raise typer.Exit(3)


@cli.command()
def worker(
    threads: Annotated[int, typer.Option(help="How many runs are carried out at the same time.", min=1, max=64)] = 4,
) -> None:
    """Carry out runs and deliver alerts; needs DATABASE_URL and REDIS_URL."""
    require_servers()
    require_channels(get_settings())
    command = ["-m", "dramatiq", "workers.actors", "--processes", "1", "--threads", str(threads)]
    # A child that is killed while it starts is noticed after this many milliseconds, instead of after half a minute.
    command += ["--worker-fork-timeout", "5000"]
    os.execv(sys.executable, [sys.executable, *command])  # noqa: S606 - the arguments are composed right here.


@cli.command()
def scheduler() -> None:
    """Take the daily slots and send again what was lost; needs DATABASE_URL and REDIS_URL. Any number may run."""
    require_servers()
    require_channels(get_settings())
    os.execv(sys.executable, [sys.executable, "-m", "workers.scheduler"])  # noqa: S606 - the same.


@cli.command()
def migrate(data_dir: DataDir = None) -> None:
    """Bring the database to the latest tables; safe to run from several machines at once."""
    with service_settings(data_dir) as settings:
        if settings.database_url is not None:
            upgrade(settings.database_url)


@cli.command(name="import")
def import_(
    path: Annotated[Path, typer.Argument(help="A folder, or a .zip of one, with CSV or JSON Lines files.")],
    data_dir: DataDir = None,
) -> None:
    """Import files; exits with 3 when rows were rejected and 2 when a file could not be read."""
    with migrated_settings(data_dir) as settings:
        # Whoever finishes an interrupted import may stand in another folder.
        absolute = path.resolve()
        raise typer.Exit(
            with_database(settings, lambda database: commands.import_files(database, settings, absolute, console))
        )


@cli.command()
def recalculate(
    client: Annotated[str | None, typer.Option(help="One client by its external id; without it all of them.")] = None,
    as_of: Annotated[
        str | None, typer.Option(help="The scoring day, as in 2026-01-31; without it today, as of now.")
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Calculate health scores here and now; exits with 3 when single clients failed."""
    day = None if as_of is None else day_of("as_of", as_of)
    with migrated_settings(data_dir) as settings:
        raise typer.Exit(
            with_database(settings, lambda database: commands.recalculate(database, settings, client, day, console))
        )


@cli.command()
def record_metrics(
    day: Annotated[
        str | None, typer.Option("--date", help="The UTC day, as in 2026-01-31; without it the last whole day.")
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Record one day's metrics here and now; recording a day again replaces it."""
    wanted = None if day is None else day_of("date", day)
    with migrated_settings(data_dir) as settings:
        raise typer.Exit(
            with_database(settings, lambda database: commands.record_metrics(database, settings, wanted, console))
        )


@cli.command()
def erase(
    client: Annotated[str, typer.Option(help="The client by its external id.")],
    member: Annotated[
        str | None, typer.Option(help="One member of it by its external id; without it the whole client.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask whether that is wanted.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Erase a client or one of its members, here and now: facts and names go for ever, and figures stay."""
    if not yes:
        whom = f"the client {client!r}" if member is None else f"the member {member!r} of the client {client!r}"
        typer.confirm(f"Erase {whom}? This cannot be undone.", abort=True, err=True)
    with migrated_settings(data_dir) as settings:
        raise typer.Exit(
            with_database(settings, lambda database: commands.erase(database, settings, client, member, console))
        )


@cli.command()
def demo(data_dir: DataDir = None) -> None:
    """Load the demo portfolio, if there is no client yet, and calculate its history."""
    with migrated_settings(data_dir) as settings:
        if not with_database(settings, lambda database: commands.load_demo(database, console)):
            console.print("There are clients already; nothing was loaded.")


@cli.command()
def token(
    role: Annotated[Role, typer.Option(help="What the token allows.")],
    subject: Annotated[str, typer.Option(help="Who the token is for; it appears in the audit trail.")],
    expires: Annotated[str, typer.Option(help="How long the token is valid: 90s, 15m, 12h or 30d.")] = "12h",
    data_dir: DataDir = None,
) -> None:
    """Print a bearer token, signed with AUTH_SECRET or the secret of the private servers."""
    settings = get_settings()
    if settings.oidc_issuer is not None:
        raise InvalidInput("OIDC_ISSUER", "Tokens come from the OIDC issuer; this command is for AUTH_SECRET.")
    try:
        lifetime = parse_lifetime(expires)
        issued = issue_token(
            settings.auth_secret or embedded_secret(data_dir or settings.data_dir),
            subject=subject,
            role=role,
            lifetime=lifetime,
            now=datetime.now(UTC),
            issuer=settings.auth_issuer,
            audience=settings.auth_audience,
            role_claim=settings.auth_role_claim,
        )
    except ValueError as error:
        raise InvalidInput("token", str(error)) from error
    typer.echo(issued)


@cli.command()
def sign_in(
    role: Annotated[Role, typer.Option(help="What the person may do.")],
    subject: Annotated[str, typer.Option(help="Who the person is; it appears in the audit trail.")],
    url: Annotated[
        str | None, typer.Option(help="Where the dashboard is served; without it PUBLIC_URL, or port 8000 here.")
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Print an address that signs one person in to the dashboard, once and within ten minutes."""
    with migrated_settings(data_dir) as settings:
        at = url or settings.public_url or "http://127.0.0.1:8000"
        raise typer.Exit(with_database(settings, lambda database: _print_address(database, at, subject, role)))


async def _print_address(database: Database, url: str, subject: str, role: Role) -> int:
    typer.echo(await commands.sign_in_address(database, url, subject=subject, role=role))
    return 0


@cli.command()
def schema() -> None:
    """Print the schema of the API."""
    from app.graphql.schema import schema as api  # noqa: PLC0415

    typer.echo(api.as_str())


@alerts.command(name="test")
def send_sample(
    channel: Annotated[str, typer.Argument(help="The channel's name in the file that ALERT_CHANNELS names.")],
    to: Annotated[str | None, typer.Option(help="The address to write to, for a channel of owners.")] = None,
) -> None:
    """Send a sample on a channel and say what happened; exits with 1 when it did not arrive."""
    raise typer.Exit(asyncio.run(commands.send_sample(get_settings(), channel, to, console)))


@alerts.command(name="replay")
def replay_alerts(
    days: Annotated[int, typer.Option(help="How many UTC days up to today.", min=1, max=730)] = 90,
    drop_points: Annotated[
        int | None, typer.Option(help="Try this instead of ALERT_DROP_POINTS.", min=0, max=100)
    ] = None,
    again_points: Annotated[
        int | None, typer.Option(help="Try this instead of ALERT_AGAIN_POINTS.", min=0, max=100)
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Count the alerts that the stored scores would have raised, by day and by client; nothing is raised or sent."""
    with migrated_settings(data_dir) as settings:
        tried = {"alert_drop_points": drop_points, "alert_again_points": again_points}
        chosen = settings.model_copy(update={name: value for name, value in tried.items() if value is not None})
        raise typer.Exit(
            with_database(settings, lambda database: commands.replay_alerts(database, chosen, days, console))
        )


@write_keys.command(name="create")
def create_write_key(
    name: Annotated[str, typer.Argument(help="What the key is called, after its sender for example.")],
    data_dir: DataDir = None,
) -> None:
    """Make a write key and print it, this one time."""
    with migrated_settings(data_dir) as settings:
        raise typer.Exit(with_database(settings, lambda database: commands.create_write_key(database, name, console)))


@write_keys.command(name="list")
def list_write_keys(data_dir: DataDir = None) -> None:
    """Print the names of all write keys, and when each was last used."""
    with migrated_settings(data_dir) as settings:
        raise typer.Exit(with_database(settings, commands.list_write_keys))


@write_keys.command(name="revoke")
def revoke_write_key(
    name: Annotated[str, typer.Argument(help="What the key is called.")], data_dir: DataDir = None
) -> None:
    """Have a write key refused from now on; web processes that know it take up to 10 seconds."""
    with migrated_settings(data_dir) as settings:
        raise typer.Exit(with_database(settings, lambda database: commands.revoke_write_key(database, name, console)))


def day_of(field: str, text: str) -> date:
    """Return the day that ISO text names. Raises InvalidInput naming `field`."""
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise InvalidInput(field, f"{text!r} is not a date; write it as in 2026-01-31.") from error


def main() -> None:
    """Run the command line; what the person can mend is one sentence on standard error and exit status 2."""
    try:
        # Whoever sits before a progress bar wants to read of problems only; the servers set their own level.
        configure_logging("warning")
        cli()
    except ExpectedError as error:
        sys.exit(_refuse(error.message))
    except ValidationError as error:
        sys.exit(_refuse("; ".join(map(_setting_problem, error.errors()))))
    except LeaseLostError:
        sys.exit(_refuse("The work was taken over by another process, because this one had stood still."))
    except (SQLAlchemyError, OSError) as error:
        sys.exit(_refuse(_outage(error)))


def _outage(error: SQLAlchemyError | OSError) -> str:
    """Return one sentence about what the database or the queue said, without the statement that it said it of."""
    cause = getattr(error, "orig", None) or error
    if getattr(cause, "sqlstate", None) == UNDEFINED_TABLE:
        return "The database has no tables yet, or old ones: run client-health migrate."
    said = str(cause).splitlines() or [type(cause).__name__]
    return f"The database or the queue does not answer as it should: {said[0]}"


def _setting_problem(error: ErrorDetails) -> str:
    name, problem = ".".join(map(str, error["loc"])).upper(), error["msg"].removeprefix("Value error, ")
    return f"{name}: {problem}" if name else problem


def _refuse(message: str) -> int:
    console.print(f"client-health: {message}", style="red", markup=False, highlight=False)
    return 2


if __name__ == "__main__":
    main()
