"""The commands that an operator types: what they print and how they end. Each runs as a process of its own."""

import asyncio
import csv
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import jwt
import pytest

from app.settings import Settings
from tests.conftest import TEST_SECRET
from tests.ingest.helpers import write
from tests.machine import roomy_memory

ROOT = Path(__file__).parent.parent
COMMANDS = (
    "up",
    "web",
    "worker",
    "scheduler",
    "migrate",
    "import",
    "recalculate",
    "record-metrics",
    "erase",
    "demo",
    "token",
    "sign-in",
    "schema",
    "alerts",
    "write-key",
)

CLIENTS = "external_id,name,status,churned_at,customer_since\nA,Acme,,,\nB,Beta,,,\ngone,Gone,CHURNED,2025-06-01,\n"
MEMBERS = "client,external_id,created_at\nA,m1,2025-01-01\nA,m2,2025-01-01\nB,m1,2025-01-01\n"


@dataclass(frozen=True)
class Ended:
    """How a command ended and what it printed."""

    status: int
    output: str
    errors: str


async def run(*arguments: str | Path, **variables: str) -> Ended:
    """Run `client-health` with these environment variables and nothing else that it knows, to its end."""
    known = {name.upper() for name in Settings.model_fields}
    environment = {name: value for name, value in os.environ.items() if name.upper() not in known}
    # Wide enough that no line which the tests look for is broken.
    environment |= {"COLUMNS": "250", "NO_COLOR": "1"} | {name.upper(): value for name, value in variables.items()}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "app.cli", *map(str, arguments)),
        cwd=ROOT,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await asyncio.wait_for(process.communicate(), 60)
    ended = Ended(process.returncode or 0, output.decode(), errors.decode())
    for text in (ended.output, ended.errors):
        assert "Traceback" not in text, text
        assert "sqlalchemy.exc" not in text, text
    return ended


@pytest.fixture
def servers_of(settings: Settings) -> Mapping[str, str]:
    """The environment of a command that uses this test's servers."""
    assert settings.database_url is not None
    assert settings.redis_url is not None
    return {"database_url": settings.database_url, "redis_url": settings.redis_url, "auth_secret": TEST_SECRET}


async def fetch(servers_of: Mapping[str, str], query: str) -> list[tuple[object, ...]]:
    """Return the rows of a query on the test's database."""
    connection = await asyncpg.connect(servers_of["database_url"])
    try:
        return [tuple(row) for row in await connection.fetch(query)]
    finally:
        await connection.close()


async def test_help_names_every_command_and_every_option_of_each() -> None:
    everything, *each = await asyncio.gather(run("--help"), *(run(command, "--help") for command in COMMANDS))
    assert everything.status == 0
    assert re.findall(r"^│ ([a-z][a-z-]*) {2,}", everything.output, re.MULTILINE) == list(COMMANDS)
    options = {
        "up": {"--port", "--data-dir", "--demo", "--no-demo"},
        "web": {"--host", "--port"},
        "worker": {"--threads"},
        "scheduler": set(),
        "migrate": {"--data-dir"},
        "import": {"--data-dir"},
        "recalculate": {"--client", "--as-of", "--data-dir"},
        "record-metrics": {"--date", "--data-dir"},
        "erase": {"--client", "--member", "--yes", "--data-dir"},
        "demo": {"--data-dir"},
        "token": {"--role", "--subject", "--expires", "--data-dir"},
        "sign-in": {"--role", "--subject", "--url", "--data-dir"},
        "schema": set(),
        # Its own commands have the options.
        "alerts": set(),
        "write-key": set(),
    }
    for command, ended in zip(COMMANDS, each, strict=True):
        assert (ended.status, ended.errors) == (0, "")
        named = set(re.findall(r"(?<![\w-])--[a-z-]+", ended.output)) - {"--help"}
        # A sentence of the help may name an option of another command.
        assert named >= options[command], command
        assert set(re.findall(r"^│ +\*? *(--[a-z-]+)", ended.output, re.MULTILINE)) - {"--help"} <= options[command]


async def test_what_is_no_command_or_option_is_refused() -> None:
    for ended in await asyncio.gather(run(), run("frobnicate"), run("schema", "--loud"), run("import")):
        assert ended.status == 2
        assert ended.output + ended.errors != ""


async def test_an_import_prints_its_report_and_writes_what_it_rejected(
    servers_of: Mapping[str, str], tmp_path: Path
) -> None:
    folder = write(
        tmp_path / "export", clients_csv=CLIENTS, members_csv=MEMBERS, cases_csv="client,external_id,colour\nA,k1,red\n"
    )
    first = await run("import", folder, **servers_of)
    assert first.status == 0
    cells = [re.split(r"\s*[│┃]\s*", line.strip("│┃ ")) for line in first.errors.splitlines() if "│" in line]
    assert cells == [
        ["clients.csv", "3", "3", "0", "0", "0"],
        ["members.csv", "3", "3", "0", "0", "0"],
        ["cases.csv", "1", "1", "0", "0", "0"],
    ]
    assert "cases.csv: unknown columns, ignored: colour" in first.errors
    assert not (tmp_path / "export.rejected.csv").exists()

    write(folder, cases_csv="client,external_id,closed_at\nA,k1,2026-01-05\nnobody,k2,\nA,k3,tomorrow\n", odd_csv="a\n")
    second = await run("import", folder, **servers_of)
    assert second.status == 3
    assert re.search(r"cases\.csv\W+3\W+0\W+1\W+0\W+2\W", second.errors)
    assert "Ignored, because their names are not known: odd.csv" in second.errors
    assert f"Rejected rows, with reasons: {tmp_path / 'export.rejected.csv'}" in second.errors
    with (tmp_path / "export.rejected.csv").open(encoding="utf-8", newline="") as file:
        rejected = list(csv.DictReader(file))
    assert [(row["file"], row["line"]) for row in rejected] == [("cases.csv", "3"), ("cases.csv", "4")]
    assert rejected[0]["reason"] == 'client "nobody" is not known'
    assert await fetch(servers_of, "SELECT external_id, closed_at FROM cases") == [
        ("k1", datetime(2026, 1, 5, tzinfo=UTC))
    ]

    write(folder, cases_csv="external_id\nk9\n")
    third = await run("import", folder, **servers_of)
    assert third.status == 2
    assert re.search(r"cases\.csv: could not be read: .*client", third.errors)


async def test_an_import_of_nothing_is_one_sentence(servers_of: Mapping[str, str], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.zip").write_bytes(b"no archive")
    for path in (tmp_path / "missing", tmp_path / "empty", tmp_path / "file.zip"):
        ended = await run("import", path, **servers_of)
        assert (ended.status, ended.output) == (2, "")
        # The empty progress bar leaves an empty line behind.
        (sentence,) = filter(None, ended.errors.splitlines())
        assert sentence.startswith(f"client-health: {path} ")


@pytest.fixture
async def loaded(servers_of: Mapping[str, str], tmp_path: Path) -> Mapping[str, str]:
    """The environment of a command that finds two clients, and one that has left."""
    recent = f"{datetime.now(UTC) - timedelta(minutes=1):%Y-%m-%dT%H:%M:%SZ}"
    folder = write(
        tmp_path / "export",
        clients_csv=CLIENTS,
        members_csv=MEMBERS,
        logins_csv=f"client,member,at\nA,m1,{recent}\nB,m1,{recent}\n",
    )
    assert (await run("import", folder, **servers_of)).status == 0
    return servers_of


SCORES = """
    SELECT external_id, day::text, s.login_score FROM health_scores AS s JOIN clients ON id = client_id ORDER BY 2, 1
"""


async def test_recalculate_calculates_everybody_or_one_for_today_or_a_day(loaded: Mapping[str, str]) -> None:
    today = datetime.now(UTC).date()
    everybody = await run("recalculate", **loaded)
    assert (everybody.status, everybody.output) == (0, "")
    assert "2 clients done, 0 failed." in everybody.errors
    assert await fetch(loaded, SCORES) == [("A", str(today), 71), ("B", str(today), 100)]
    one = await run("recalculate", "--client", "A", "--as-of", "2025-03-31", **loaded)
    assert (one.status, one.output) == (0, "")
    assert "1 client done, 0 failed." in one.errors
    assert (await fetch(loaded, SCORES))[0] == ("A", "2025-03-31", 0)
    # The client that left is calculated as it was before it left.
    before = await run("recalculate", "--client", "gone", "--as-of", "2025-05-31", **loaded)
    assert before.status == 0
    assert ("gone", "2025-05-31", None) in await fetch(loaded, SCORES)
    runs = await fetch(
        loaded, "SELECT kind, status, total, done, failed, requested_by FROM runs WHERE kind <> 'IMPORT' ORDER BY id"
    )
    assert runs == [
        ("RECALCULATE_ALL", "SUCCEEDED", 2, 2, 0, "command line"),
        ("RECALCULATE_ONE", "SUCCEEDED", 1, 1, 0, "command line"),
        ("RECALCULATE_ONE", "SUCCEEDED", 1, 1, 0, "command line"),
    ]


async def test_a_client_that_cannot_be_calculated_fails_by_itself(loaded: Mapping[str, str]) -> None:
    await fetch(loaded, "ALTER TABLE campaigns DROP CONSTRAINT ck_campaigns_completed_within_assigned")
    await fetch(
        loaded,
        "INSERT INTO campaigns (client_id, external_id, kind, assigned, completed, closed_at) "
        "SELECT id, 'p', 'OTHER', 1, 2, now() - interval '1 minute' FROM clients WHERE external_id = 'A'",
    )
    ended = await run("recalculate", **loaded)
    assert ended.status == 3
    assert "1 client done, 1 failed." in ended.errors
    assert [row[0] for row in await fetch(loaded, SCORES)] == ["B"]


async def test_what_cannot_be_recalculated_is_one_sentence_and_leaves_no_run(loaded: Mapping[str, str]) -> None:
    tomorrow = str(datetime.now(UTC).date() + timedelta(days=1))
    refused = {
        ("--client", "nobody"): "There is no client with the external id 'nobody'.",
        ("--client", "gone"): "Gone is not scored for ",
        ("--client", "gone", "--as-of", "2025-06-01"): "Gone is not scored for 2025-06-01",
        ("--as-of", tomorrow): f"{tomorrow} has not begun yet",
        ("--as-of", "31.03.2025"): "'31.03.2025' is not a date; write it as in 2026-01-31.",
    }
    for arguments, sentence in refused.items():
        ended = await run("recalculate", *arguments, **loaded)
        assert (ended.status, ended.output) == (2, ""), arguments
        assert ended.errors.startswith(f"client-health: {sentence}"), ended.errors
        assert len(ended.errors.splitlines()) == 1
    assert await fetch(loaded, "SELECT FROM runs WHERE kind LIKE 'RECALCULATE%'") == []


@pytest.mark.parametrize("arguments", [("--as-of", "0001-01-01"), ("--client", "caf\udce9")])
async def test_the_oddest_arguments_are_refused_or_calculated(
    loaded: Mapping[str, str], arguments: tuple[str, ...]
) -> None:
    assert (await run("recalculate", *arguments, **loaded)).status in {0, 2}


RECORDED = """
    SELECT external_id, day::text, logins FROM daily_metrics JOIN clients ON id = client_id ORDER BY 2, 1
"""


async def test_record_metrics_records_the_last_whole_day_or_another(loaded: Mapping[str, str]) -> None:
    await fetch(
        loaded,
        "INSERT INTO logins (client_id, member_id, at) SELECT client_id, id, '2026-01-31T10:00Z' FROM members "
        "WHERE external_id = 'm1'",
    )
    day = await run("record-metrics", "--date", "2026-01-31", **loaded)
    assert (day.status, day.output) == (0, "")
    assert "2 clients done, 0 failed." in day.errors
    # The client that left in 2025 is not recorded any more.
    assert await fetch(loaded, RECORDED) == [("A", "2026-01-31", 1), ("B", "2026-01-31", 1)]
    before = datetime.now(UTC).date()
    assert (await run("record-metrics", **loaded)).status == 0
    days = {str(today - timedelta(days=1)) for today in (before, datetime.now(UTC).date())}
    assert {row[1] for row in await fetch(loaded, RECORDED)} - {"2026-01-31"} <= days
    assert len(await fetch(loaded, RECORDED)) == 4
    runs = await fetch(
        loaded, "SELECT status, total, done, failed, requested_by FROM runs WHERE kind = 'RECORD_METRICS'"
    )
    assert runs == [("SUCCEEDED", 2, 2, 0, "command line")] * 2


async def test_a_day_that_cannot_be_recorded_is_one_sentence_and_leaves_no_run(loaded: Mapping[str, str]) -> None:
    tomorrow = str(datetime.now(UTC).date() + timedelta(days=1))
    for day, sentence in {
        tomorrow: "Metrics can be recorded from 1970-01-01 to ",
        "1969-12-31": "Metrics can be recorded from 1970-01-01 to ",
        "31.01.2026": "'31.01.2026' is not a date; write it as in 2026-01-31.",
    }.items():
        ended = await run("record-metrics", "--date", day, **loaded)
        assert (ended.status, ended.output) == (2, ""), day
        assert ended.errors.startswith(f"client-health: {sentence}"), ended.errors
        assert len(ended.errors.splitlines()) == 1
    assert await fetch(loaded, "SELECT FROM runs WHERE kind = 'RECORD_METRICS'") == []


async def test_the_demo_portfolio_is_loaded_only_where_there_is_no_client(loaded: Mapping[str, str]) -> None:
    ended = await run("demo", **loaded)
    assert (ended.status, ended.output) == (0, "")
    assert "There are clients already; nothing was loaded." in ended.errors
    assert await fetch(loaded, "SELECT external_id FROM clients ORDER BY 1") == [("A",), ("B",), ("gone",)]


async def test_a_token_holds_the_role_the_subject_and_its_end() -> None:
    for role, expires, seconds in (("CLIENT_SUCCESS", "90s", 90), ("PLATFORM_ADMIN", "30d", 2_592_000)):
        ended = await run("token", "--role", role, "--subject", "ann", "--expires", expires, auth_secret=TEST_SECRET)
        assert (ended.status, ended.errors) == (0, "")
        claims = jwt.decode(ended.output.strip(), TEST_SECRET, algorithms=["HS256"], audience="client-health")
        assert (claims["role"], claims["sub"], claims["iss"]) == (role, "ann", "client-health")
        assert claims["exp"] - claims["iat"] == seconds


async def test_a_token_that_cannot_be_issued_is_one_sentence() -> None:
    for expires in ("0s", "tomorrow"):
        ended = await run(
            *("token", "--role", "CLIENT_SUCCESS", "--subject", "ann", f"--expires={expires}"), auth_secret=TEST_SECRET
        )
        assert (ended.status, ended.output) == (2, ""), expires
        assert ended.errors.startswith(f"client-health: '{expires}' is "), ended.errors
    empty = await run("token", "--role", "CLIENT_SUCCESS", "--subject", " ", auth_secret=TEST_SECRET)
    assert (empty.status, empty.output) == (2, "")
    unknown = await run("token", "--role", "ROOT", "--subject", "ann", auth_secret=TEST_SECRET)
    assert (unknown.status, unknown.output) == (2, "")
    assert "CLIENT_SUCCESS" in unknown.errors
    foreign = await run("token", "--role", "CLIENT_SUCCESS", "--subject", "ann", oidc_issuer="https://issuer.example")
    assert (foreign.status, foreign.output) == (2, "")
    assert foreign.errors.startswith("client-health: Tokens come from the OIDC issuer")


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every account may enter, as root's data must lie in one."""
    folder = Path(tempfile.mkdtemp(prefix="client-health-tests-", dir=roomy_memory()))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


async def test_without_a_secret_a_token_is_signed_with_that_of_the_data_folder(open_folder: Path) -> None:
    command = ("token", "--role", "CLIENT_SUCCESS", "--subject", "ann", "--data-dir", open_folder)
    first, second = await run(*command), await run(*command)
    secret = open_folder / "secret"
    assert os.stat(secret).st_mode & 0o777 == 0o600  # noqa: PTH116 - the test has nothing else to do meanwhile.
    for ended in (first, second):
        assert (ended.status, ended.errors) == (0, "")
        key = secret.read_text()
        assert jwt.decode(ended.output.strip(), key, algorithms=["HS256"], audience="client-health")["sub"] == "ann"


async def test_schema_prints_the_schema_that_is_kept_in_the_repository() -> None:
    ended = await run("schema")
    assert (ended.status, ended.errors) == (0, "")
    assert ended.output.strip() == (ROOT / "schema.graphql").read_text(encoding="utf-8").strip()


async def test_migrate_makes_the_tables_once(empty_database_url: str, redis_url: str) -> None:
    environment = {"database_url": empty_database_url, "redis_url": redis_url}
    before = [tuple(row) for row in await fetch(environment, "SELECT FROM pg_tables WHERE schemaname = 'public'")]
    assert before == []
    for _ in range(2):
        assert (await run("migrate", **environment)).status == 0
        assert await fetch(environment, "SELECT version FROM health_policies") == [(1,)]


MISSING = [
    (("web",), {}, "DATABASE_URL"),
    (("web",), {"database_url": "postgresql://localhost/x"}, "REDIS_URL"),
    (("web",), {"database_url": "postgresql://localhost/x", "redis_url": "redis://localhost"}, "AUTH_SECRET"),
    (("worker",), {}, "DATABASE_URL"),
    (("migrate",), {"database_url": "nonsense", "redis_url": "redis://localhost"}, "DATABASE_URL"),
    (("migrate",), {"database_url": "postgresql://127.0.0.1:1/x", "redis_url": "redis://localhost"}, "database"),
    (("recalculate",), {"database_url": "postgresql://127.0.0.1:1/x", "redis_url": "redis://localhost"}, "database"),
    (("web",), {"database_url": "postgresql://localhost/x", "redis_url": "x", "auth_secret": TEST_SECRET}, "REDIS_URL"),
    (("token", "--role", "CLIENT_SUCCESS", "--subject", "a"), {"auth_secret": "short"}, "AUTH_SECRET"),
    (("migrate",), {"database_pool_size": "0"}, "DATABASE_POOL_SIZE"),
    (("migrate",), {"log_level": "loud"}, "LOG_LEVEL"),
    (("migrate",), {"auth_secret": TEST_SECRET, "oidc_issuer": "https://issuer.example"}, "OIDC_ISSUER"),
]


@pytest.mark.parametrize(("command", "variables", "name"), MISSING)
async def test_a_setting_that_is_missing_or_wrong_is_named(
    command: tuple[str, ...], variables: Mapping[str, str], name: str
) -> None:
    ended = await run(*command, **variables)
    assert ended.status != 0
    assert ended.output == ""
    assert name in ended.errors
    # What is wrong with a secret is said without the secret.
    assert not any(value in ended.errors for value in variables.values() if len(value) >= 32)
