"""Runs: accepted once, claimed by one, fenced by the attempt, and finished whatever one client's facts are like."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Row, text

from app.audit.models import AuditAction
from app.database import Database, fetch
from app.errors import Conflict, InvalidInput, NotFound
from app.health import requests
from app.jobs import EXECUTE_RUN, Job
from app.runs import service
from app.runs.execution import execute
from app.runs.models import RunKind, RunStatus
from app.settings import Settings
from tests.factories import add_case, add_client, add_member

NOW = datetime(2026, 3, 31, 14, 30, tzinfo=UTC)
LEASE = timedelta(seconds=30)


async def rows(database: Database, query: str, **values: object) -> list[Row[Any]]:
    async with database.read() as connection:
        return list(await fetch(connection, text(query), **values))


async def accept_all(database: Database, day: date | None = None) -> int:
    async with database.begin() as session:
        return await requests.recalculate_all(session, requested_by="anna", now=NOW, day=day, request_id="r-1")


@asynccontextmanager
async def recording(url: str) -> AsyncIterator[tuple[Database, list[Job]]]:
    """Yield a database whose jobs end up in the list instead of a queue."""
    sent: list[Job] = []
    opened = Database(url, pool_size=3, send_jobs=sent.extend)
    yield opened, sent
    await opened.close()


async def test_an_accepted_run_is_recorded_audited_and_sent_after_the_commit(database_url: str) -> None:
    async with recording(database_url) as (database, sent):
        (before,) = await rows(database, "SELECT clock_timestamp() AS at")
        async with database.begin() as session:
            run_id = await requests.recalculate_all(session, requested_by="anna", now=NOW, request_id="r-1")
            assert sent == []
        (after,) = await rows(database, "SELECT clock_timestamp() AS at")
        assert sent == [Job(EXECUTE_RUN, (run_id,))]
        run = await service.by_id(database, run_id)
        assert (run.kind, run.status, run.total, run.done, run.failed) == ("RECALCULATE_ALL", "QUEUED", None, 0, 0)
        assert (run.requested_by, run.started_at, run.finished_at) == ("anna", None, None)
        assert before.at < run.requested_at < after.at
        (event,) = await rows(database, "SELECT * FROM audit_events")
        assert (event.actor, event.action, event.run_id) == ("anna", AuditAction.RUN_REQUESTED, run_id)
        assert (event.at, event.request_id, event.changes) == (NOW, "r-1", {"kind": [None, "RECALCULATE_ALL"]})


async def test_what_is_rolled_back_is_neither_written_nor_sent(database_url: str) -> None:
    async with recording(database_url) as (database, sent):

        async def change_my_mind() -> None:
            async with database.begin() as session:
                await requests.recalculate_all(session, requested_by="anna", now=NOW)
                raise RuntimeError("changed my mind")

        with pytest.raises(RuntimeError, match="changed my mind"):
            await change_my_mind()
        assert sent == []
        assert await rows(database, "SELECT id FROM runs UNION ALL SELECT id FROM audit_events") == []


async def test_asking_again_returns_the_unfinished_run_and_writes_nothing(database_url: str) -> None:
    async with recording(database_url) as (database, sent):
        first = await accept_all(database)
        assert await accept_all(database) == first
        assert len(sent) == 1
        assert len(await rows(database, "SELECT id FROM audit_events")) == 1


async def test_twenty_at_once_get_the_same_run(database: Database) -> None:
    assert len(set(await asyncio.gather(*(accept_all(database) for _ in range(20))))) == 1
    assert len(await rows(database, "SELECT id FROM runs")) == 1


async def test_a_finished_run_is_followed_by_a_new_one(database: Database, settings: Settings) -> None:
    first = await accept_all(database)
    assert await execute(database, first, settings)
    assert await accept_all(database) != first


async def test_other_days_and_other_clients_are_other_runs(database: Database) -> None:
    one, other = await add_client(database), await add_client(database)
    async with database.begin() as session:
        ids = [
            await requests.recalculate_one(session, one, requested_by="anna", now=NOW),
            await requests.recalculate_one(session, other, requested_by="anna", now=NOW),
            await requests.recalculate_one(session, one, requested_by="anna", now=NOW, day=date(2026, 3, 30)),
            await requests.recalculate_all(session, requested_by="anna", now=NOW),
        ]
    assert len(set(ids)) == 4


async def test_what_cannot_be_calculated_is_refused(database: Database) -> None:
    gone = await add_client(database, "Gone Ltd", status="CHURNED", churned_at=datetime(2026, 1, 1, tzinfo=UTC))
    refused: list[tuple[int, date | None, type[Exception], str]] = [
        (gone, None, Conflict, "Gone Ltd is not scored for 2026-03-31: it was not a client then."),
        (gone + 1, None, NotFound, "There is no client with this id."),
        (
            gone,
            date(2026, 4, 1),
            InvalidInput,
            "2026-04-01 has not begun yet; health can be calculated up to 2026-03-31.",
        ),
    ]
    for client_id, day, error, message in refused:
        with pytest.raises(error) as raised:
            async with database.begin() as session:
                await requests.recalculate_one(session, client_id, requested_by="anna", now=NOW, day=day)
        assert str(raised.value) == message
    assert await rows(database, "SELECT id FROM runs UNION ALL SELECT id FROM audit_events") == []


async def test_only_one_of_many_claims_a_run(database: Database) -> None:
    run_id = await accept_all(database)

    async def claim() -> service.Claim | None:
        async with database.begin() as session:
            return await service.claim(session, run_id, LEASE)

    claims = [claimed for claimed in await asyncio.gather(*(claim() for _ in range(10))) if claimed]
    assert [claimed.attempt for claimed in claims] == [1]


async def test_an_expired_lease_is_claimed_again_and_the_first_attempt_writes_nothing_more(database: Database) -> None:
    run_id = await accept_all(database)
    async with database.begin() as session:
        first = await service.claim(session, run_id, LEASE)
    assert first is not None
    async with database.begin() as session:
        await session.execute(text("UPDATE runs SET lease_until = clock_timestamp() - interval '1 second'"))
    # Even before anybody else has claimed it, what is done without a lease does not count.
    with pytest.raises(service.LeaseLostError):
        async with database.begin() as session:
            await service.advance(session, first, done=1, position=1)
    async with database.begin() as session:
        second = await service.claim(session, run_id, LEASE)
    assert second is not None
    assert second.attempt == 2
    with pytest.raises(service.LeaseLostError):
        async with database.begin() as session:
            await service.start(session, first, 5)
    with pytest.raises(service.LeaseLostError):
        async with database.begin() as session:
            await service.finish(session, first)
    async with database.begin() as session:
        await service.fail(session, first, "too late")
        await service.release(session, first)
    run = await service.by_id(database, run_id)
    assert (run.status, run.done, run.reason) == ("RUNNING", 0, None)


async def test_a_batch_of_a_lost_lease_is_rolled_back_with_its_scores(database: Database, settings: Settings) -> None:
    await add_client(database)
    run_id = await accept_all(database)
    # The lease is gone the moment that the run starts, as for a worker that was paused right after its claim.
    async with database.begin() as session:
        await session.execute(
            text(
                "CREATE FUNCTION expire() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
                "NEW.lease_until = clock_timestamp() - interval '1 second'; RETURN NEW; END $$"
            )
        )
        await session.execute(
            text(
                "CREATE TRIGGER expire BEFORE UPDATE ON runs FOR EACH ROW "
                "WHEN (NEW.total IS NOT NULL) EXECUTE FUNCTION expire()"
            )
        )
    assert not await execute(database, run_id, settings)
    assert await rows(database, "SELECT client_id FROM health_scores") == []
    assert (await rows(database, "SELECT scored_day FROM clients"))[0].scored_day is None


async def test_a_run_scores_batch_by_batch_and_reports_its_progress(database: Database, settings: Settings) -> None:
    for _ in range(7):
        await add_client(database)
    seen: list[tuple[int, int, int]] = []
    run_id = await accept_all(database)
    small = settings.model_copy(update={"recalculation_batch_size": 3, "recalculation_pause_ms": 0})
    assert await execute(database, run_id, small, lambda *progress: seen.append(progress))
    assert seen == [(3, 0, 7), (6, 0, 7), (7, 0, 7)]
    run = await service.by_id(database, run_id)
    assert (run.status, run.total, run.done, run.failed) == (RunStatus.SUCCEEDED, 7, 7, 0)
    scores = await rows(database, "SELECT day, as_of, score FROM health_scores")
    assert [(row.day, row.as_of, row.score) for row in scores] == [(NOW.date(), NOW, None)] * 7


async def test_the_next_attempt_continues_behind_the_last_batch(database: Database, settings: Settings) -> None:
    clients = [await add_client(database) for _ in range(4)]
    run_id = await accept_all(database)
    small = settings.model_copy(update={"recalculation_batch_size": 2, "recalculation_pause_ms": 0})

    def interrupt(done: int, _failed: int, _total: int) -> None:
        if done == 2:
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await execute(database, run_id, small, interrupt)
    run = await service.by_id(database, run_id)
    assert (run.status, run.done, run.total) == ("QUEUED", 2, 4)
    before = await rows(database, "SELECT client_id, calculated_at FROM health_scores ORDER BY 1")
    assert [row.client_id for row in before] == clients[:2]
    assert await execute(database, run_id, small)
    after = await rows(database, "SELECT client_id, calculated_at FROM health_scores ORDER BY 1")
    assert after[:2] == before
    assert [row.client_id for row in after] == clients
    assert (await service.by_id(database, run_id)).done == 4


async def test_a_finished_run_delivered_again_changes_nothing(database: Database, settings: Settings) -> None:
    await add_client(database)
    run_id = await accept_all(database)
    assert await execute(database, run_id, settings)
    before = await rows(database, "SELECT * FROM health_scores")
    assert not await execute(database, run_id, settings)
    assert await rows(database, "SELECT * FROM health_scores") == before


async def test_one_clients_contradictory_facts_do_not_stop_the_others(database: Database, settings: Settings) -> None:
    good, bad, other = [await add_client(database) for _ in range(3)]
    async with database.begin() as session:
        await session.execute(text("ALTER TABLE campaigns DROP CONSTRAINT ck_campaigns_completed_within_assigned"))
        await session.execute(
            text(
                "INSERT INTO campaigns (client_id, external_id, kind, assigned, completed, closed_at) "
                "VALUES (:client, 'c', 'OTHER', 10, 12, :at)"
            ),
            {"client": bad, "at": NOW},
        )
    run_id = await accept_all(database)
    assert await execute(database, run_id, settings)
    run = await service.by_id(database, run_id)
    assert (run.status, run.total, run.done, run.failed) == ("SUCCEEDED", 3, 2, 1)
    (error,) = await rows(database, "SELECT client_id, message FROM run_errors")
    assert (error.client_id, error.message) == (bad, "The facts contradict themselves: 12 of 10 is more than all.")
    scored = await rows(database, "SELECT client_id FROM health_scores ORDER BY 1")
    assert [row.client_id for row in scored] == [good, other]


async def test_an_unexpected_error_is_isolated_to_its_client(database: Database, settings: Settings) -> None:
    clients = [await add_client(database) for _ in range(9)]
    bad = clients[4]
    async with database.begin() as session:
        await session.execute(text(f"ALTER TABLE health_scores ADD CONSTRAINT ck_unlucky CHECK (client_id <> {bad})"))
    run_id = await accept_all(database)
    assert await execute(database, run_id, settings)
    run = await service.by_id(database, run_id)
    assert (run.status, run.total, run.done, run.failed) == ("SUCCEEDED", 9, 8, 1)
    (error,) = await rows(database, "SELECT client_id, message FROM run_errors")
    assert (error.client_id, error.message) == (bad, "An unexpected error; the log has the details.")
    scored = await rows(database, "SELECT client_id FROM health_scores ORDER BY 1")
    assert [row.client_id for row in scored] == [client for client in clients if client != bad]


async def test_two_calculations_at_once_agree(database: Database, settings: Settings) -> None:
    clients = [await add_client(database) for _ in range(40)]
    for client in clients:
        await add_member(database, client)
        await add_case(database, client, opened_at=NOW - timedelta(days=2), closed_at=NOW - timedelta(days=1))
    small = settings.model_copy(update={"recalculation_batch_size": 7, "recalculation_pause_ms": 0})
    async with database.begin() as session:
        everybody = await requests.recalculate_all(session, requested_by="anna", now=NOW)
        single = [
            await requests.recalculate_one(session, client, requested_by="anna", now=NOW) for client in clients[::3]
        ]
    results = await asyncio.gather(*(execute(database, run_id, small) for run_id in [everybody, *single]))
    assert all(results)
    scored = await rows(database, "SELECT client_id, count(*) AS n FROM health_scores GROUP BY 1 ORDER BY 1")
    assert [(row.client_id, row.n) for row in scored] == [(client, 1) for client in clients]


async def test_the_wrong_kind_of_claim_says_what_it_is(database: Database) -> None:
    async with database.begin() as session:
        run_id = await service.request(session, RunKind.RECALCULATE_ALL, requested_by="anna", now=NOW)
        assert await service.claim(session, run_id + 1, LEASE) is None
    with pytest.raises(NotFound):
        await service.by_id(database, run_id + 1)
