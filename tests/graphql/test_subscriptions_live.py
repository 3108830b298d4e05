"""What subscribers share: one look for all, nothing lost, nothing twice, and servers that come and go meanwhile."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from datetime import date, timedelta
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import insert, text
from structlog.testing import capture_logs

from app.database import Database
from app.embedded import Servers, embedded_servers, restart_dead
from app.graphql import live
from app.graphql.live import AlertInbox, Hub, Interrupted, RunInbox
from app.migrate import upgrade
from app.runs import service
from app.settings import Settings
from app.tables import metadata
from tests.conftest import TEST_SECRET
from tests.factories import add_client
from tests.graphql.conftest import recorded_statements
from tests.graphql.live import (
    ALERT_RAISED,
    PATIENCE,
    RUN_PROGRESS,
    advance,
    alert_row,
    change,
    claimed,
    finish,
    new_run,
    raise_alerts,
    running_web,
    until,
)

EVERY = timedelta(milliseconds=50)


@pytest.fixture
async def hub(database: Database) -> AsyncIterator[Hub]:
    """A hub without a server."""
    opened = Hub(database.read, every=EVERY)
    yield opened
    await opened.close()


async def taken(inbox: AlertInbox) -> str:
    """Return the message of the next alert."""
    async with asyncio.timeout(PATIENCE):
        message: str = (await inbox.take()).alert.message
    return message


async def state(inbox: RunInbox) -> tuple[str, int]:
    """Return the next status and progress of a run."""
    async with asyncio.timeout(PATIENCE):
        row = await inbox.take()
    return row.status, row.done


async def test_an_alert_is_told_once_and_only_to_those_who_were_there(hub: Hub, database: Database) -> None:
    client = await add_client(database, "Acme")
    await raise_alerts(database, client, 0)
    with hub.alerts() as first:
        await until(lambda: not first.fresh)
        await raise_alerts(database, client, 1)
        assert await taken(first) == "alert 1"
        # The new one is written before the second subscriber comes, and looked at after that.
        await raise_alerts(database, client, 2)
        with hub.alerts() as second:
            await until(lambda: not second.fresh)
            await raise_alerts(database, client, 3)
            assert await taken(second) == "alert 3"
        assert [await taken(first), await taken(first)] == ["alert 2", "alert 3"]
        # Every look sees all of them again.
        await asyncio.sleep(4 * EVERY.total_seconds())
        await raise_alerts(database, client, 4)
        assert await taken(first) == "alert 4"
    await until(lambda: hub.idle)
    await raise_alerts(database, client, 5)
    with hub.alerts() as third:
        await until(lambda: not third.fresh)
        await raise_alerts(database, client, 6)
        assert await taken(third) == "alert 6"


async def test_an_alert_that_is_committed_late_is_not_lost(hub: Hub, database: Database) -> None:
    client = await add_client(database, "Acme")
    with hub.alerts() as inbox:
        await until(lambda: not inbox.fresh)
        async with database.begin() as session:
            await session.execute(insert(metadata.tables["alerts"]), alert_row(client, 1))
            # Others overtake it, and several looks pass.
            await raise_alerts(database, client, 2)
            assert await taken(inbox) == "alert 2"
            await asyncio.sleep(3 * EVERY.total_seconds())
        assert await taken(inbox) == "alert 1"


@pytest.mark.parametrize(("seconds", "told"), [(55, ["alert 1", "alert 2"]), (65, ["alert 2"])])
async def test_a_transaction_may_take_a_minute_from_writing_an_alert_to_its_commit(
    settings: Settings, database: Database, seconds: int, told: list[str]
) -> None:
    client = await add_client(database, "Acme")
    # Whoever owns a run keeps it for as long as it takes, whatever its lease.
    quick = settings.model_copy(update={"live_poll_ms": 50, "run_lease_seconds": 2})
    async with running_web(quick) as web, web.introduced() as talk:
        await talk.subscribe("alert", ALERT_RAISED)
        await until(lambda: web.live.settled == 1)
        async with database.begin() as session:
            await session.execute(insert(metadata.tables["alerts"]), alert_row(client, 1))
            # As if so much time had passed since, which none of the looks meanwhile has seen.
            written = text("UPDATE alerts SET created_at = clock_timestamp() - make_interval(secs => :seconds)")
            await session.execute(written, {"seconds": seconds})
        await raise_alerts(database, client, 2)
        assert [(await talk.next_data("alert"))["alertRaised"]["message"] for _ in told] == told


async def more_than(statements: list[str], number: int) -> None:
    """Wait until more statements than that have been sent."""
    await until(lambda: len(statements) > number)


async def test_what_was_told_is_read_once(hub: Hub, database_url: str, database: Database) -> None:
    client = await add_client(database, "Acme")
    with hub.alerts() as inbox:
        await until(lambda: not inbox.fresh)
        with recorded_statements(database_url) as statements:
            for number in (1, 2):
                await raise_alerts(database, client, number)
                assert await taken(inbox) == f"alert {number}"
                await more_than(statements, len(statements) + 2)
    # Every look finds both again, by their ids.
    assert len([statement for statement in statements if "a.message" in statement]) == 2


async def test_hundreds_of_subscribers_cost_one_look(database_url: str, database: Database) -> None:
    key, _ = await new_run(database)
    other, _ = await new_run(database, day=date(2026, 1, 1))
    client = await add_client(database, "Acme")
    hub = Hub(database.read, every=timedelta(milliseconds=300))
    with ExitStack() as subscribed:
        runs = [subscribed.enter_context(hub.run(number)) for number in [key, other] * 150]
        listeners = [subscribed.enter_context(hub.alerts()) for _ in range(300)]
        assert [await state(inbox) for inbox in runs] == [("QUEUED", 0)] * 300
        claim = await claimed(database, key)
        assert [await state(inbox) for inbox in runs[::2]] == [("RUNNING", 0)] * 150
        with recorded_statements(database_url) as statements:
            await raise_alerts(database, client, 1)
            await advance(database, claim, 5)
            assert [await state(inbox) for inbox in runs[::2]] == [("RUNNING", 5)] * 150
            assert [await taken(inbox) for inbox in listeners] == ["alert 1"] * 300
            asked = [statement for statement in statements if statement.startswith("SELECT")]
        # A few looks: runs, alerts, and the alert's client. Each subscriber for itself would make hundreds.
        assert 3 <= len(asked) < 50, asked
    await until(lambda: hub.idle)
    await hub.close()


async def test_nothing_is_asked_while_nobody_subscribes(hub: Hub, database_url: str, database: Database) -> None:
    key, _ = await new_run(database)
    with hub.run(key) as inbox:
        await state(inbox)
    await until(lambda: hub.idle)
    with recorded_statements(database_url) as statements:
        await asyncio.sleep(5 * EVERY.total_seconds())
    assert statements == []


async def test_a_slow_subscriber_gets_the_latest_state_and_holds_up_nobody(hub: Hub, database: Database) -> None:
    key, _ = await new_run(database)
    with hub.run(key) as slow, hub.run(key) as fast:
        claim = await claimed(database, key)
        while await state(fast) != ("RUNNING", 0):
            pass
        for done in range(1, 6):
            await advance(database, claim, 1)
            assert await state(fast) == ("RUNNING", done)
        assert await state(slow) == ("RUNNING", 5)
        await finish(database, claim)
        assert await state(fast) == await state(slow) == ("SUCCEEDED", 5)


async def test_alerts_wait_up_to_a_limit_and_then_the_subscription_ends(
    hub: Hub, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "MAX_WAITING", 3)
    client = await add_client(database, "Acme")
    with hub.alerts() as slow, hub.alerts() as fast:
        await until(lambda: not slow.fresh and not fast.fresh)
        await raise_alerts(database, client, 1, 2, 3)
        assert [await taken(fast) for _ in range(3)] == ["alert 1", "alert 2", "alert 3"]
        await raise_alerts(database, client, 4)
        assert await taken(fast) == "alert 4"
        with pytest.raises(Interrupted, match="subscribe again"):
            await taken(slow)


async def test_lost_connections_are_made_again(
    settings: Settings, database: Database, admin: asyncpg.Connection
) -> None:
    key, run = await new_run(database)
    client = await add_client(database, "Acme")
    claim = await claimed(database, key)
    name = database.engine.url.database
    async with running_web(settings.model_copy(update={"live_poll_ms": 50})) as web, web.introduced() as talk:
        await talk.subscribe("run", RUN_PROGRESS, id=run)
        await talk.next_data("run")
        await talk.subscribe("alert", ALERT_RAISED)
        await until(lambda: web.live.settled == 2)
        for number in range(1, 4):
            await advance(database, claim, 1)
            await raise_alerts(database, client, number)
            await admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name)
            # The test's own connections are among them.
            await database.close()
            told = {message["id"]: message["payload"]["data"] for message in [await talk.receive() for _ in range(2)]}
            assert told["run"]["runProgress"]["done"] == number
            assert told["alert"]["alertRaised"]["message"] == f"alert {number}"


@pytest.fixture
def own_servers() -> Iterator[Servers]:
    """Servers that the test may kill."""
    with tempfile.TemporaryDirectory(prefix="client-health-") as folder:
        Path(folder).chmod(0o755)  # Root's servers run as another account, which must be able to enter it.
        with embedded_servers(Path(folder)) as servers:
            yield servers


def kill(servers: Servers, name: str) -> None:
    """Kill one of the servers, which has no time to say goodbye."""
    (process,) = [one.child.process for one in servers.services if one.child.name == name]
    process.kill()
    process.wait()


async def test_both_servers_may_be_killed_meanwhile(own_servers: Servers) -> None:
    await asyncio.to_thread(upgrade, own_servers.database_url)
    database = Database(own_servers.database_url)
    key, run = await new_run(database)
    client = await add_client(database, "Acme")
    settings = Settings(
        database_url=own_servers.database_url,
        redis_url=own_servers.redis_url,
        auth_secret=TEST_SECRET,
        live_poll_ms=50,
    )
    async with running_web(settings) as web, web.introduced() as talk:
        with capture_logs() as logs:
            await talk.subscribe("run", RUN_PROGRESS, id=run)
            await talk.next_data("run")
            await talk.subscribe("alert", ALERT_RAISED)
            await until(lambda: web.live.settled == 2)
            kill(own_servers, "valkey")
            claim = await claimed(database, key)
            assert (await talk.next_data("run"))["runProgress"]["status"] == "RUNNING"
            assert logs == []
            kill(own_servers, "postgres")
            await until(lambda: any(log["event"] == "live_updates_interrupted" for log in logs))
            await talk.subscribe("late", RUN_PROGRESS, id=run)
            message = await talk.receive()
            assert [error["extensions"]["code"] for error in message["payload"]["errors"]] == ["UNAVAILABLE"]
            assert await talk.receive() == {"id": "late", "type": "complete"}
            await database.close()
            await asyncio.to_thread(restart_dead, own_servers)
            await until(lambda: any(log["event"] == "live_updates_resumed" for log in logs))
            await raise_alerts(database, client, 1)
            assert (await talk.next_data("alert"))["alertRaised"]["message"] == "alert 1"
            await finish(database, claim)
            assert (await talk.next_data("run"))["runProgress"]["status"] == "SUCCEEDED"
            assert await talk.receive() == {"id": "run", "type": "complete"}
        # The outage is one line, however often it was tried.
        assert [log["event"] for log in logs].count("live_updates_interrupted") == 1
    await database.close()


async def test_what_an_event_shows_was_read_for_it(settings: Settings, database: Database) -> None:
    client = await add_client(database, "Acme")
    key, run = await new_run(database)
    query = "subscription ($id: ID!) { runProgress(id: $id) { done failed errors { message } } }"
    async with running_web(settings.model_copy(update={"live_poll_ms": 50})) as web, web.introduced() as talk:
        await talk.subscribe("run", query, id=run)
        assert await talk.next_data("run") == {"runProgress": {"done": 0, "failed": 0, "errors": []}}
        claim = await claimed(database, key)
        await talk.next_data("run")
        async with database.begin() as session:
            await service.advance(session, claim, done=0, position=client, failures={client: "bad"})
        assert await talk.next_data("run") == {"runProgress": {"done": 0, "failed": 1, "errors": [{"message": "bad"}]}}
        await talk.send(type="complete", id="run")
        await until(lambda: web.live.idle)
        await talk.subscribe("alert", ALERT_RAISED)
        await until(lambda: web.live.settled == 1)
        for name in ("Before", "After"):
            await change(database, "UPDATE clients SET name = :name", name=name)
            await raise_alerts(database, client, 1)
            assert (await talk.next_data("alert"))["alertRaised"]["client"]["name"] == name


async def test_everything_ends_with_the_hub(database: Database) -> None:
    key, _ = await new_run(database)
    hub = Hub(database.read, every=EVERY)
    with hub.run(key) as run, hub.alerts() as alerts:
        await state(run)
        await hub.close()
        with pytest.raises(Interrupted, match="about to stop"):
            await state(run)
        with pytest.raises(Interrupted, match="about to stop"):
            await taken(alerts)
    assert hub.idle
    with pytest.raises(Interrupted, match="about to stop"), hub.run(key):
        pass
