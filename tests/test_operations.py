"""What operators watch: whether a process answers, whether it can serve, and its figures."""

import asyncio
import shutil
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text

from app.auth.tokens import Role
from app.clients import switching
from app.clients.service import Filter
from app.database import Database
from app.embedded import Servers, data_folder, embedded_servers, restart_dead
from app.main import create_app
from app.migrate import downgrade, latest_revision, upgrade
from app.operations import MAX_OPERATIONS
from app.runs.execution import execute
from app.settings import Settings
from tests.conftest import TEST_SECRET
from tests.factories import add_client, add_rows, utc
from tests.graphql.conftest import token_of
from tests.machine import roomy_memory

NAME_QUERY = "query %s { runs(first: 1) { edges { cursor } } }"
READY = {"database": "ok", "migrations": "ok", "redis": "ok"}
SILENT = "does not answer"
Figures = dict[tuple[str, frozenset[tuple[str, str]]], float]


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[httpx2.AsyncClient]:
    """Yield a client of the application while it runs."""
    app = create_app(settings)
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://web") as http,
    ):
        yield http


@pytest.fixture
async def http(settings: Settings) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of the application on an empty database."""
    async with running(settings) as client:
        yield client


async def readiness(http: httpx2.AsyncClient) -> tuple[int, dict[str, str]]:
    response = await http.get("/readyz")
    parts: dict[str, str] = response.json()
    return response.status_code, parts


def bearer(role: Role = Role.CLIENT_SUCCESS) -> dict[str, str]:
    return {"Authorization": f"Bearer {token_of(role)}"}


async def figures(http: httpx2.AsyncClient) -> Figures:
    """Return every figure by its name and labels."""
    response = await http.get("/metrics", headers=bearer())
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain; version=")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }


def figure(found: Figures, name: str, **labels: str) -> float:
    """Return one figure, 0 if there is none."""
    return found.get((f"client_health_{name}", frozenset(labels.items())), 0)


async def test_whoever_asks_is_told_that_the_process_answers(http: httpx2.AsyncClient) -> None:
    response = await http.get("/healthz")
    assert (response.status_code, response.text) == (200, "ok\n")
    assert len(response.headers["x-request-id"]) == 32
    assert (await http.post("/healthz")).status_code == 405


async def test_whoever_asks_is_told_that_the_service_is_ready(http: httpx2.AsyncClient) -> None:
    assert await readiness(http) == (200, READY)


async def test_a_database_that_was_never_migrated_says_what_to_do(empty_database_url: str, redis_url: str) -> None:
    settings = Settings(database_url=empty_database_url, redis_url=redis_url, auth_secret=TEST_SECRET)
    problem = f"never migrated, but {latest_revision()} is needed: run client-health migrate"
    async with running(settings) as http:
        assert await readiness(http) == (503, READY | {"migrations": problem})
        # The migration helps without a restart.
        await asyncio.to_thread(upgrade, empty_database_url)
        assert await readiness(http) == (200, READY)
        await asyncio.to_thread(downgrade, empty_database_url, "base")
        assert await readiness(http) == (503, READY | {"migrations": problem})


async def test_an_older_database_is_not_ready_and_a_newer_one_is(
    database_url: str, database: Database, http: httpx2.AsyncClient
) -> None:
    await asyncio.to_thread(downgrade, database_url, "0001")
    status, parts = await readiness(http)
    assert (status, parts["database"], parts["redis"]) == (503, "ok", "ok")
    assert parts["migrations"] == f"at 0001, but {latest_revision()} is needed: run client-health migrate"
    async with database.begin() as session:
        await session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    assert await readiness(http) == (200, READY)


@pytest.fixture
def own_servers() -> Iterator[Servers]:
    """Two servers that the test may stop."""
    folder = Path(tempfile.mkdtemp(prefix="client-health-tests-", dir=roomy_memory()))
    folder.chmod(0o755)
    try:
        with embedded_servers(folder, durable=False) as running:
            upgrade(running.database_url)
            yield running
    finally:
        for used in {folder, data_folder(folder)}:
            shutil.rmtree(used)


def send(servers: Servers, number: int, signal_: signal.Signals) -> None:
    """Send PostgreSQL (0) or Valkey (1) a signal; a deadly one is waited for."""
    process = servers.services[number].child.process
    process.send_signal(signal_)
    if signal_ in {signal.SIGKILL, signal.SIGQUIT}:
        process.wait(20)


async def test_each_server_that_stops_is_named_and_its_return_is_noticed(own_servers: Servers) -> None:
    settings = Settings(database_url=own_servers.database_url, redis_url=own_servers.redis_url, auth_secret=TEST_SECRET)
    async with running(settings) as http:
        assert await readiness(http) == (200, READY)
        send(own_servers, 1, signal.SIGKILL)
        assert await readiness(http) == (503, READY | {"redis": SILENT})
        # PostgreSQL stops at once on this signal, and cuts every connection.
        send(own_servers, 0, signal.SIGQUIT)
        assert await readiness(http) == (503, {"database": SILENT, "migrations": SILENT, "redis": SILENT})
        assert (await http.get("/healthz")).status_code == 200
        assert len(restart_dead(own_servers)) == 2
        assert await readiness(http) == (200, READY)
        # One that hangs keeps nobody waiting for long.
        send(own_servers, 1, signal.SIGSTOP)
        started = time.monotonic()
        assert await readiness(http) == (503, READY | {"redis": SILENT})
        assert time.monotonic() - started < 5
        send(own_servers, 1, signal.SIGCONT)
        assert await readiness(http) == (200, READY)


async def test_the_service_starts_without_its_servers_and_is_not_ready() -> None:
    settings = Settings(
        database_url="postgresql://nobody@127.0.0.1:1/x", redis_url="redis://127.0.0.1:1/0", auth_secret=TEST_SECRET
    )
    async with running(settings) as http:
        assert await readiness(http) == (503, {"database": SILENT, "migrations": SILENT, "redis": SILENT})


async def test_figures_are_for_those_with_a_token(http: httpx2.AsyncClient) -> None:
    forged = f"Bearer {token_of(Role.PLATFORM_ADMIN, secret='another secret of thirty-two bytes and more')}"
    expired = f"Bearer {token_of(Role.PLATFORM_ADMIN, age=timedelta(hours=2))}"
    for headers in ({}, {"Authorization": "Bearer x"}, {"Authorization": forged}, {"Authorization": expired}):
        response = await http.get("/metrics", headers=headers)
        assert response.status_code == 401
        assert response.headers["www-authenticate"] == "Bearer"
        assert "client_health" not in response.text
    for role in Role:
        assert (await http.get("/metrics", headers=bearer(role))).status_code == 200


async def ask(http: httpx2.AsyncClient, name: str, headers: dict[str, str]) -> int:
    content = {"query": NAME_QUERY % name, "operationName": name}
    return (await http.post("/graphql", json=content, headers=headers)).status_code


async def test_requests_are_counted_by_their_operation_and_timed(http: httpx2.AsyncClient) -> None:
    # Other tests may have taken up the names that get a label of their own.
    before = await figures(http)
    known = {dict(labels).get("operation") for name, labels in before if name == "client_health_requests_total"}
    label = "Portfolio" if "Portfolio" in known or len(known) < MAX_OPERATIONS else "other"
    for _ in range(3):
        assert await ask(http, "Portfolio", bearer()) == 200
    # Who has no token does not choose the label.
    await ask(http, "Portfolio", {})
    after = await figures(http)

    def grown(name: str, **labels: str) -> float:
        return figure(after, name, **labels) - figure(before, name, **labels)

    assert grown("requests_total", operation=label, code="OK") == 3
    assert grown("requests_total", operation="anonymous", code="UNAUTHENTICATED") == 1
    assert grown("request_seconds_count", operation=label) == 3
    assert 0 < grown("request_seconds_sum", operation=label) < 3 * 15
    # What operators look at themselves is no request of the API.
    assert not any("healthz" in str(labels) or "metrics" in str(labels) for _, labels in after)


async def test_the_figures_of_the_process_are_there_without_the_database(settings: Settings) -> None:
    refused = settings.model_copy(update={"database_url": "postgresql://nobody@127.0.0.1:1/nothing"})
    async with running(refused) as http:
        found = await figures(http)
    assert found["client_health_database_up", frozenset()] == 0
    assert not any(name == "client_health_queue_age_seconds" for name, _ in found)


async def test_made_up_names_of_operations_do_not_fill_the_memory(http: httpx2.AsyncClient) -> None:
    before = figure(await figures(http), "requests_total", operation="other", code="OK")
    for number in range(MAX_OPERATIONS + 20):
        assert await ask(http, f"Made_up_{number}", bearer()) == 200
    found = await figures(http)
    operations = {dict(labels)["operation"] for name, labels in found if name == "client_health_requests_total"}
    assert len(operations) <= MAX_OPERATIONS + 1
    assert figure(found, "requests_total", operation="other", code="OK") >= before + 20


async def test_figures_show_runs_lights_and_alerts(
    database: Database, settings: Settings, http: httpx2.AsyncClient
) -> None:
    empty = await figures(http)
    assert figure(empty, "queue_age_seconds") == 0
    assert figure(empty, "oldest_unfinished_run_seconds") == 0
    assert ("client_health_unresolved_alerts", frozenset[tuple[str, str]]()) in empty
    now = utc("2026-03-31T14:30")
    clients = [await add_client(database, light=light) for light in ("GREEN", "GREEN", "AMBER", "RED", None, None)]
    await add_client(database, light="RED", status="CHURNED")
    for status in ("OPEN", "ACKNOWLEDGED", "RESOLVED"):
        row = {
            "client_id": clients[0],
            "day": now.date(),
            "kinds": ["SCORE_DROP"],
            "kind": "SCORE_DROP",
            "status": status,
            "message": "It fell.",
            "score_before": 90,
            "score_after": 80,
            "raised_at": now,
            # A held alert that is green again needs no decision any more.
            "held": status != "ACKNOWLEDGED",
        }
        await add_rows(database, "alerts", [row])

    async def switch(owner: str) -> int:
        async with database.begin() as session:
            wanted = Filter(owner=owner)
            run_id = await switching.set_alerts(
                session, wanted, enabled=True, requested_by="anna", now=now, request_id=None
            )
            await session.execute(
                text("UPDATE runs SET requested_at = clock_timestamp() - interval '90 seconds' WHERE id = :id"),
                {"id": run_id},
            )
        return run_id

    assert await execute(database, await switch("a"), settings)
    await switch("b")
    async with database.begin() as session:
        await session.execute(
            text("UPDATE runs SET started_at = finished_at - interval '2.5 seconds' WHERE status = 'SUCCEEDED'")
        )
    found = await figures(http)
    assert {light: figure(found, "clients", light=light) for light in ("GREEN", "AMBER", "RED", "UNSCORED")} == {
        "GREEN": 2,
        "AMBER": 1,
        "RED": 1,
        "UNSCORED": 2,
    }
    assert figure(found, "unresolved_alerts") == 2
    assert figure(found, "held_alerts") == 1
    assert figure(found, "runs", kind="SET_ALERTS", status="SUCCEEDED") == 1
    assert figure(found, "run_seconds", kind="SET_ALERTS", status="SUCCEEDED") == 2.5
    assert figure(found, "runs", kind="SET_ALERTS", status="QUEUED") == 1
    for name in ("queue_age_seconds", "oldest_unfinished_run_seconds"):
        assert 90 <= figure(found, name) < 90 + 60, name
    # A run in work waits no longer, and is unfinished all the same.
    async with database.begin() as session:
        await session.execute(text("UPDATE runs SET status = 'RUNNING' WHERE status = 'QUEUED'"))
    found = await figures(http)
    assert figure(found, "queue_age_seconds") == 0
    assert 90 <= figure(found, "oldest_unfinished_run_seconds") < 90 + 60
