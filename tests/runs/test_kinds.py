"""Runs that record metrics and runs that switch alerts: what is accepted, what it does, and what is on record."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import text

from app.activity import service as activity
from app.clients import switching
from app.clients.service import Filter
from app.database import Database
from app.errors import InvalidInput
from app.runs import service, sweeping
from app.runs.execution import execute
from app.settings import Settings
from app.usage import recording
from tests.factories import add_client, add_login, rows_of, utc

NOW = datetime(2026, 3, 31, 14, 30, tzinfo=UTC)
YESTERDAY = date(2026, 3, 30)
NOON = utc("2026-03-30T12:00")


@pytest.fixture
def small(settings: Settings) -> Settings:
    """Settings for batches of three clients without a pause."""
    return settings.model_copy(update={"recalculation_batch_size": 3, "recalculation_pause_ms": 0})


async def accept_metrics(database: Database, day: date | None = None, now: datetime = NOW) -> int:
    async with database.begin() as session:
        return await recording.record_metrics(session, requested_by="anna", now=now, day=day, request_id="r-1")


async def accept_switch(database: Database, wanted: Filter, *, enabled: bool) -> int:
    async with database.begin() as session:
        return await switching.set_alerts(
            session, wanted, enabled=enabled, requested_by="anna", now=NOW, request_id="r-1"
        )


async def outcome(database: Database, run_id: int) -> tuple[str, int | None, int, int]:
    """Return status, total, done and failed."""
    run = await service.by_id(database, run_id)
    return run.status, run.total, run.done, run.failed


async def recorded(database: Database) -> list[tuple[Any, ...]]:
    return await rows_of(database, "SELECT client_id, day, logins FROM daily_metrics ORDER BY 1, 2")


async def test_a_run_records_the_last_whole_day_of_every_client(database: Database, small: Settings) -> None:
    clients = [await add_client(database) for _ in range(7)]
    for count, client in enumerate(clients):
        for number in range(count):
            await add_login(database, client, NOON + timedelta(minutes=number))
    # Today's logins belong to a day that is not over.
    await add_login(database, clients[0], NOW)
    run_id = await accept_metrics(database)
    seen: list[tuple[int, int, int]] = []
    assert await execute(database, run_id, small, lambda *progress: seen.append(progress))
    assert seen == [(3, 0, 7), (6, 0, 7), (7, 0, 7)]
    assert await outcome(database, run_id) == ("SUCCEEDED", 7, 7, 0)
    assert await recorded(database) == [(client, YESTERDAY, count) for count, client in enumerate(clients)]
    stored = await rows_of(database, "SELECT kind, client_id, day, as_of, requested_by, request_id FROM runs")
    assert stored == [("RECORD_METRICS", None, YESTERDAY, None, "anna", "r-1")]


async def test_recording_a_day_again_replaces_it(database: Database, small: Settings) -> None:
    client = await add_client(database)
    await add_login(database, client, NOON)
    assert await execute(database, await accept_metrics(database), small)
    await add_login(database, client, NOON + timedelta(hours=1))
    assert await execute(database, await accept_metrics(database), small)
    assert await recorded(database) == [(client, YESTERDAY, 2)]
    assert await rows_of(database, "SELECT count(*) FROM runs") == [(2,)]


async def test_an_interrupted_recording_is_continued(database: Database, small: Settings) -> None:
    clients = [await add_client(database) for _ in range(5)]
    run_id = await accept_metrics(database)

    def interrupt(*_progress: int) -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await execute(database, run_id, small, interrupt)
    assert [row[0] for row in await recorded(database)] == clients[:3]
    assert await outcome(database, run_id) == ("QUEUED", 5, 3, 0)
    assert await execute(database, run_id, small)
    assert [row[0] for row in await recorded(database)] == clients
    assert await outcome(database, run_id) == ("SUCCEEDED", 5, 5, 0)


async def test_a_day_is_recorded_by_one_run_at_a_time(database: Database) -> None:
    first = await accept_metrics(database)
    assert await accept_metrics(database, YESTERDAY) == first
    assert await accept_metrics(database, YESTERDAY - timedelta(days=1)) != first
    # After midnight the last whole day is another one.
    assert await accept_metrics(database, now=NOW + timedelta(days=1)) != first


@pytest.mark.parametrize("day", [date(1970, 1, 1), YESTERDAY])
async def test_the_first_and_the_last_day_that_can_be_recorded(database: Database, small: Settings, day: date) -> None:
    run_id = await accept_metrics(database, day)
    assert await rows_of(database, "SELECT day FROM runs") == [(day,)]
    assert await execute(database, run_id, small)
    assert await outcome(database, run_id) == ("SUCCEEDED", 0, 0, 0)


@pytest.mark.parametrize("day", [NOW.date(), NOW.date() + timedelta(days=1), date(1969, 12, 31), date.min, date.max])
async def test_a_day_that_is_not_over_or_too_long_ago_is_refused(database: Database, day: date) -> None:
    with pytest.raises(InvalidInput) as raised:
        await accept_metrics(database, day)
    assert raised.value.field == "date"
    assert str(raised.value) == f"Metrics can be recorded from 1970-01-01 to 2026-03-30, not for {day}."
    assert await rows_of(database, "SELECT id FROM runs UNION ALL SELECT id FROM audit_events") == []


async def switched_on(database: Database) -> list[int]:
    return [row[0] for row in await rows_of(database, "SELECT id FROM clients WHERE alerts_enabled ORDER BY 1")]


async def test_a_switch_changes_who_matches_and_records_each_change(database: Database, small: Settings) -> None:
    mine = [await add_client(database, owner="me", alerts_enabled=number == 2) for number in range(5)]
    await add_client(database, owner="you")
    await add_client(database, owner="me", status="CHURNED", churned_at=utc("2026-01-01"))
    run_id = await accept_switch(database, Filter(owner="me"), enabled=True)
    assert await switched_on(database) == [mine[2]]
    seen: list[tuple[int, int, int]] = []
    assert await execute(database, run_id, small, lambda *progress: seen.append(progress))
    assert seen == [(3, 0, 5), (5, 0, 5)]
    assert await outcome(database, run_id) == ("SUCCEEDED", 5, 5, 0)
    assert await switched_on(database) == mine
    events = await rows_of(
        database,
        "SELECT actor, action, client_id, run_id, request_id, changes FROM audit_events "
        "WHERE action <> 'RUN_REQUESTED' ORDER BY client_id",
    )
    # The one that was on already has not been changed by anybody.
    changes = {"alerts_enabled": [False, True]}
    changed = [client for client in mine if client != mine[2]]
    assert events == [("anna", "ALERTS_CHANGED", client, run_id, "r-1", changes) for client in changed]
    for client in mine:
        async with database.read() as connection:
            found = await activity.recent(connection, client, 10, None, datetime.now(UTC))
        assert [(row.kind, row.label, row.first) for row in found] == (
            [("ALERTS_CHANGED", "anna", 1)] if client in changed else []
        )


async def test_a_switch_finds_everybody_though_it_changes_what_it_looks_for(
    database: Database, small: Settings
) -> None:
    clients = [await add_client(database) for _ in range(10)]
    run_id = await accept_switch(database, Filter(alerts_enabled=False), enabled=True)
    seen: list[int] = []

    def interrupt(done: int, _failed: int, _total: int) -> None:
        seen.append(done)
        if len(seen) == 2:
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await execute(database, run_id, small, interrupt)
    assert await switched_on(database) == clients[:6]
    assert await outcome(database, run_id) == ("QUEUED", 10, 6, 0)
    assert await execute(database, run_id, small)
    assert await switched_on(database) == clients
    assert await outcome(database, run_id) == ("SUCCEEDED", 10, 10, 0)
    audited = "SELECT client_id FROM audit_events WHERE action = 'ALERTS_CHANGED' ORDER BY 1"
    assert [row[0] for row in await rows_of(database, audited)] == clients


async def test_switching_off_and_what_is_so_already(database: Database, small: Settings) -> None:
    clients = [await add_client(database, alerts_enabled=True) for _ in range(4)]
    for expected in (len(clients), 0):
        before = await rows_of(database, "SELECT xmin::text, id FROM clients ORDER BY 2")
        run_id = await accept_switch(database, Filter(), enabled=False)
        assert await execute(database, run_id, small)
        assert await outcome(database, run_id) == ("SUCCEEDED", 4, 4, 0)
        after = await rows_of(database, "SELECT xmin::text, id FROM clients ORDER BY 2")
        assert sum(old != new for old, new in zip(before, after, strict=True)) == expected
        assert await switched_on(database) == []
    changes = await rows_of(database, "SELECT changes FROM audit_events WHERE action = 'ALERTS_CHANGED'")
    assert changes == [({"alerts_enabled": [True, False]},)] * 4


async def test_of_two_switches_the_later_one_counts(database: Database, small: Settings) -> None:
    clients = [await add_client(database) for _ in range(4)]
    on = await accept_switch(database, Filter(), enabled=True)
    off = await accept_switch(database, Filter(), enabled=False)

    async def swept(after: timedelta = timedelta(0)) -> list[int]:
        async with database.begin() as session:
            return await sweeping.resend(session, after=after, limit=100)

    # Whichever message comes first: before the older one is begun, while it is carried out, and when it is given back.
    assert not await execute(database, off, small)
    async with database.begin() as session:
        claimed = await service.claim(session, on, timedelta(minutes=1))
        assert claimed is not None
    assert not await execute(database, off, small)
    assert await swept() == []
    async with database.begin() as session:
        await service.release(session, claimed, excused=True)

    def interrupt(*_progress: int) -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await execute(database, on, small, interrupt)
    assert not await execute(database, off, small)
    assert await swept() == [on]
    assert await execute(database, on, small)
    assert await switched_on(database) == clients
    refused = await rows_of(database, "SELECT status, attempt, fruitless_attempts FROM runs WHERE id = :id", id=off)
    assert refused == [("QUEUED", 0, 0)]
    # The message that was refused is lost, and the next sweep sends another.
    assert await swept() == [off]
    assert await execute(database, off, small)
    assert await switched_on(database) == []
    assert await outcome(database, off) == ("SUCCEEDED", 4, 4, 0)


async def test_a_switch_waits_for_none_that_was_given_up_and_for_no_other_work(
    database: Database, small: Settings
) -> None:
    client = await add_client(database)
    await accept_metrics(database)
    poison = await accept_switch(database, Filter(), enabled=True)
    off = await accept_switch(database, Filter(), enabled=False)
    async with database.begin() as session:
        await session.execute(text("UPDATE runs SET fruitless_attempts = 3 WHERE id = :id"), {"id": poison})
        assert await sweeping.give_up(session, max_attempts=3) == [poison]
    assert await execute(database, off, small)
    on = await accept_switch(database, Filter(), enabled=True)
    assert await execute(database, on, small)
    assert await switched_on(database) == [client]


async def test_a_switch_that_another_has_followed_is_accepted_once_more(database: Database, small: Settings) -> None:
    clients = [await add_client(database) for _ in range(2)]
    runs = [await accept_switch(database, Filter(), enabled=enabled) for enabled in (True, False, True)]
    assert runs == sorted(set(runs))
    # The newest one is the same until it is finished.
    before = await rows_of(database, "SELECT r.id, a.id FROM runs r JOIN audit_events a ON a.run_id = r.id ORDER BY 1")
    assert await accept_switch(database, Filter(), enabled=True) == runs[2]
    again = await rows_of(database, "SELECT r.id, a.id FROM runs r JOIN audit_events a ON a.run_id = r.id ORDER BY 1")
    assert again == before
    for run_id, expected in zip(runs, (clients, [], clients), strict=True):
        assert await execute(database, run_id, small)
        assert await switched_on(database) == expected
    assert await accept_switch(database, Filter(), enabled=True) > runs[2]


async def test_switches_that_are_asked_for_at_once_are_accepted_one_after_the_other(
    database: Database, small: Settings
) -> None:
    client = await add_client(database)
    asked = await asyncio.gather(*(accept_switch(database, Filter(), enabled=number < 3) for number in range(5)))
    stored = await rows_of(database, "SELECT id, CAST(parameters->>'enabled' AS boolean) FROM runs ORDER BY 1")
    assert {run_id for run_id, _ in stored} == set(asked)
    # No two that follow each other are the same.
    assert all(one != other for (_, one), (_, other) in pairwise(stored))
    for run_id, enabled in stored:
        assert await execute(database, run_id, small)
        assert await switched_on(database) == ([client] if enabled else [])


async def test_every_condition_survives_the_way_through_the_run(database: Database, small: Settings) -> None:
    values: dict[str, Any] = {
        "size": "SMB",
        "industry": "FINANCIAL",
        "engagement_model": "PLG",
        "owner": "me",
        "renewal_date": date(2026, 5, 1),
        "light": "RED",
        "risk": "HIGH",
        "trend": "DECLINING",
        "score": 30,
    }
    others: dict[str, Any] = {
        "size": "ENTERPRISE",
        "industry": "OTHER",
        "engagement_model": "HIGH_TOUCH",
        "owner": None,
        "renewal_date": date(2026, 5, 2),
        "light": "AMBER",
        "risk": "LOW",
        "trend": "STABLE",
    }
    wanted = await add_client(database, "Ängström", **values)
    for name, other in others.items():
        await add_client(database, "Ängström", **(values | {name: other}))
    await add_client(database, "Angstrom", **values)
    filter_ = switching.filter_of(
        {
            "sizes": ["SMB"],
            "industries": ["FINANCIAL", "TECHNOLOGY"],
            "engagement_model": "PLG",
            "owner": "me",
            "renewal_before": "2026-05-02",
            "lights": ["RED"],
            "risks": ["HIGH"],
            "trends": ["DECLINING"],
            "search": "ÄNG",
            "alerts_enabled": False,
        }
    )
    run_id = await accept_switch(database, filter_, enabled=True)
    assert await execute(database, run_id, small)
    assert await switched_on(database) == [wanted]
    assert await outcome(database, run_id) == ("SUCCEEDED", 1, 1, 0)


async def test_a_filter_that_matches_nobody_is_a_run_without_work(database: Database, small: Settings) -> None:
    await add_client(database)
    for wanted in (Filter(owner="nobody"), Filter(lights=[])):
        run_id = await accept_switch(database, wanted, enabled=True)
        assert await execute(database, run_id, small)
        assert await outcome(database, run_id) == ("SUCCEEDED", 0, 0, 0)
    assert await switched_on(database) == []
