"""Erasing a client: what goes, what stays, and that nothing is made of its missing facts afterwards."""

import re
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from app.clients import service as clients
from app.clients.service import Filter
from app.database import Database
from app.erasure import service
from app.errors import Conflict, NotFound
from app.health.requests import recalculate_one
from app.health.rules import end_of_day
from app.runs import service as runs
from app.runs.batches import Pace
from app.runs.execution import execute
from app.runs.models import RunKind
from app.settings import Settings
from app.usage.late import record_again
from tests.delivery.helpers import add_alert
from tests.erasure.helpers import DAY, NOON, NOW, add_busy_client, attempt_of, row_counts, tables_naming
from tests.events.sending import alias, send, track
from tests.factories import add_rows, rows_of
from tests.ingest.helpers import load, write

KEPT = "SELECT * FROM daily_metrics ORDER BY client_id, day"
SCORES = "SELECT * FROM health_scores ORDER BY client_id, day"


async def ask(database: Database, client_id: int) -> int:
    """Ask for the erasure of a client and return the run's id."""
    async with database.begin() as session:
        return await service.request(session, client_id, requested_by="anna", now=NOW, request_id="r-1")


async def erase(database: Database, settings: Settings, client_id: int) -> int:
    """Erase a client and return the run's id."""
    run_id = await ask(database, client_id)
    assert await execute(database, run_id, settings)
    return run_id


async def test_nothing_names_an_erased_client_and_its_figures_stay(database: Database, settings: Settings) -> None:
    client = await add_busy_client(database)
    other = await add_busy_client(database, "zen-1", "Zen Ltd")
    of_other = await row_counts(database, other)
    metrics, scores = await rows_of(database, KEPT), await rows_of(database, SCORES)
    assert len(await tables_naming(database, "acme-1", "Acme")) > 12
    run_id = await erase(database, settings, client)
    assert await tables_naming(database, "acme-1", "Acme") == []
    assert {table: count for table, count in (await row_counts(database, client)).items() if count} == {
        # That somebody asked for it, and that it was done.
        "audit_events": 2,
        "daily_metrics": 1,
        "health_scores": 1,
        "runs": 1,
    }
    assert (await rows_of(database, KEPT), await rows_of(database, SCORES)) == (metrics, scores)
    # The messages of another client are not touched, and neither is anything else of it.
    assert await row_counts(database, other) == of_other
    assert await rows_of(database, "SELECT message_id FROM events ORDER BY 1") == [
        ("earlier-zen-1-ann",),
        ("earlier-zen-1-bob",),
        ("zen-1-alone",),
        ("zen-1-ann",),
        ("zen-1-bob",),
    ]
    assert await rows_of(database, "SELECT count(*) FROM deliveries") == [(1,)]
    assert await rows_of(database, "SELECT count(*) FROM delivery_attempts") == [(1,)]
    run = await runs.by_id(database, run_id)
    assert (run.status, run.total, run.done, run.failed) == ("SUCCEEDED", run.done, run.done, 0)
    # 6 logins, 2 responses and members, 8 other rows, 2 days of events and 2 rejected rows.
    assert run.done == 6 + 2 + 2 + 8 + 2 + 2
    lines = "SELECT line FROM rejected_rows ORDER BY upload_id, line"
    assert await rows_of(database, lines) == [(2,), (0,), (1,), (2,)]


async def test_the_row_that_is_left_says_nothing_of_the_client(database: Database, settings: Settings) -> None:
    client = await add_busy_client(database)
    await erase(database, settings, client)
    row = await rows_of(
        database,
        "SELECT external_id, name, name_key, size, industry, status, engagement_model, owner, customer_since, "
        "churned_at, renewal_date, annual_value, alerts_enabled, alerts_snoozed_until, last_activity_at, "
        "traits_at, score FROM clients",
    )
    nothing = (None, None, None, None)
    expected = ("Erased client", "erased client", None, "OTHER", "CHURNED", "PLG", None)
    assert [columns[1:] for columns in row] == [(*expected, *nothing, False, None, None, None, 30)]
    assert re.fullmatch("erased:[0-9a-f]{32}", row[0][0])
    async with database.begin() as session:
        assert await clients.count_matching(session, Filter()) == 0
    assert await rows_of(database, "SELECT sum(clients) FROM portfolio_counts") == [(0,)]


async def test_the_trail_tells_who_erased_when_and_no_name(database: Database, settings: Settings) -> None:
    client = await add_busy_client(database)
    run_id = await erase(database, settings, client)
    trail = "SELECT actor, action, client_id, run_id, request_id, changes FROM audit_events ORDER BY id"
    assert await rows_of(database, trail) == [
        ("anna", "RUN_REQUESTED", client, run_id, "r-1", {"kind": [None, "ERASE"]}),
        ("anna", "CLIENT_ERASED", client, run_id, "r-1", {}),
    ]
    assert await rows_of(database, "SELECT parameters FROM runs WHERE kind = 'ERASE'") == [(None,)]
    times = "SELECT a.at BETWEEN r.started_at AND r.finished_at + interval '1 second' FROM audit_events AS a JOIN runs "
    times += "AS r ON r.id = a.run_id WHERE a.action = 'CLIENT_ERASED'"
    assert await rows_of(database, times) == [(True,)]


@pytest.mark.parametrize("kind", [RunKind.RECALCULATE_ALL, RunKind.RECORD_METRICS])
async def test_past_days_are_not_calculated_anew_from_nothing(
    database: Database, settings: Settings, kind: RunKind
) -> None:
    client = await add_busy_client(database)
    await erase(database, settings, client)
    metrics, scores = await rows_of(database, KEPT), await rows_of(database, SCORES)
    async with database.begin() as session:
        run_id = await runs.request(session, kind, requested_by="anna", now=NOW, day=DAY, as_of=end_of_day(DAY))
        with pytest.raises(Conflict):
            await recalculate_one(session, client, requested_by="anna", now=NOW, day=DAY)
    assert await execute(database, run_id, settings)
    assert (await runs.by_id(database, run_id)).done == 0
    assert (await rows_of(database, KEPT), await rows_of(database, SCORES)) == (metrics, scores)


async def test_what_comes_later_for_its_external_id_is_of_a_new_client(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    client = await add_busy_client(database)
    await erase(database, settings, client)
    new = "external_id,name\nacme-1,Acme again\n"
    report = await load(
        database, write(tmp_path / "new", clients_csv=new, logins_csv="client,member,at\nacme-1,ann,2026-03-31\n")
    )
    assert [(file.new, file.rejected) for file in report.files] == [(1, 0), (1, 0)]
    assert await rows_of(database, "SELECT client_id = :client FROM logins", client=client) == [(False,)]
    assert await rows_of(database, "SELECT name FROM clients ORDER BY id") == [("Erased client",), ("Acme again",)]


async def test_a_digest_forgets_an_erased_client_and_leaves_without_it(database: Database, settings: Settings) -> None:
    """Three digests: one has gone, one is to leave with others, and one has nobody left."""
    client, other = await add_busy_client(database), await add_busy_client(database, "zen-1", "Zen Ltd")
    digest = {"kind": "DIGEST", "channel": "ops", "next_attempt_at": NOON, "attempt": 1}
    said = {"body": '{"names": ["Acme Corp", "Zen Ltd"]}', "finished_at": None}
    gone, due, alone = await add_rows(
        database,
        "deliveries",
        [
            digest | said | {"status": "DELIVERED", "finished_at": NOON},
            digest | said | {"status": "PENDING"},
            digest | said | {"status": "PENDING"},
        ],
    )
    for number, holders in ((gone, (client, other)), (due, (client, other)), (alone, (client,))):
        for holder in holders:
            alert = await add_alert(database, holder, about=NOON)
            part = {"kind": "ALERT", "channel": "ops", "status": "WAITING", "next_attempt_at": NOON}
            await add_rows(database, "deliveries", [part | {"alert_id": alert, "digest_id": number}])
        await add_rows(database, "delivery_attempts", [attempt_of(number, "Acme Corp")])
    await erase(database, settings, client)
    assert await tables_naming(database, "acme-1", "Acme Corp") == []
    left = "SELECT id, status, body, reason, finished_at IS NOT NULL FROM deliveries WHERE kind = 'DIGEST' ORDER BY id"
    assert await rows_of(database, left) == [
        (gone, "DELIVERED", None, None, True),
        (due, "PENDING", None, None, False),
        (alone, "DISCARDED", None, "The clients that it told of were erased.", True),
    ]
    members = "SELECT digest_id FROM deliveries WHERE digest_id IS NOT NULL ORDER BY id"
    assert await rows_of(database, members) == [(gone,), (due,)]
    answers = (
        "SELECT delivery_id, http_status, answer FROM delivery_attempts WHERE delivery_id IN (:a, :b, :c) ORDER BY 1"
    )
    assert await rows_of(database, answers, a=gone, b=due, c=alone) == [
        (gone, 200, None),
        (due, 200, None),
        (alone, 200, None),
    ]


async def test_asking_twice_is_one_run_and_asking_again_finds_nothing_more(
    database: Database, settings: Settings
) -> None:
    client = await add_busy_client(database)
    assert await ask(database, client) == await ask(database, client)
    first = await erase(database, settings, client)
    row = "SELECT to_jsonb(clients) - 'external_id' FROM clients"
    before = await rows_of(database, row)
    second = await erase(database, settings, client)
    assert second != first
    assert await rows_of(database, row) == before
    # Only the two days of events are looked through again.
    assert (await runs.by_id(database, second)).done == 2


async def test_an_unknown_client_is_refused_and_nothing_happens(database: Database) -> None:
    client = await add_busy_client(database)
    counts = await row_counts(database, client)
    with pytest.raises(NotFound, match="no client"):
        await ask(database, client + 1)
    assert await row_counts(database, client) == counts
    assert await rows_of(database, "SELECT id FROM runs WHERE kind = 'ERASE'") == []
    assert await rows_of(database, "SELECT id FROM audit_events") == []


@pytest.mark.parametrize("table", ["logins", "tickets", "alerts", "events_20260330", "members"])
async def test_an_erasure_that_breaks_off_is_completed_by_its_next_attempt(
    database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch, table: str
) -> None:
    """Wherever it breaks off, with some of a table gone already where that has several rows."""
    monkeypatch.setattr(service, "ROWS", 2)
    client = await add_busy_client(database)
    metrics = await rows_of(database, KEPT)
    async with database.begin() as session:
        await session.execute(text("CREATE SEQUENCE deletions"))
        await session.execute(
            text(
                "CREATE FUNCTION break_off() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
                "IF nextval('deletions') = 3 OR TG_TABLE_NAME NOT IN ('logins', 'members') "
                "THEN RAISE EXCEPTION 'broken off'; END IF; RETURN old; END $$"
            )
        )
        await session.execute(
            text(f"CREATE TRIGGER broken BEFORE DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION break_off()")
        )
        if table == "members":
            await session.execute(text("SELECT setval('deletions', 2)"))
    run_id = await ask(database, client)
    with pytest.raises(Exception, match="broken off"):
        await execute(database, run_id, settings)
    left = await rows_of(database, f"SELECT count(*) FROM {table}")
    assert left == [({"logins": 4, "tickets": 1, "alerts": 1, "events_20260330": 3, "members": 2}[table],)]
    # What came late for the client is not recorded without what is gone already.
    assert await record_again(database, Pace(10, timedelta(0))) == 0
    assert await rows_of(database, KEPT) == metrics
    # Nobody finds the client any more, although not all of it is gone.
    assert await rows_of(database, "SELECT name, status FROM clients") == [("Erased client", "CHURNED")]
    assert [row.status for row in [await runs.by_id(database, run_id)]] == ["QUEUED"]
    assert await rows_of(database, "SELECT id FROM audit_events WHERE action = 'CLIENT_ERASED'") == []
    async with database.begin() as session:
        await session.execute(text(f"DROP TRIGGER broken ON {table}"))
    assert await execute(database, run_id, settings)
    assert await tables_naming(database, "acme-1", "Acme") == []
    assert await rows_of(database, KEPT) == metrics
    assert await rows_of(database, "SELECT count(*) FROM audit_events WHERE action = 'CLIENT_ERASED'") == [(1,)]
    run = await runs.by_id(database, run_id)
    assert (run.status, run.done, run.total) == ("SUCCEEDED", 22, 22)


async def test_events_that_name_only_a_member_are_not_of_a_client_that_is_being_erased(
    database: Database, settings: Settings
) -> None:
    """They come when the logins, responses and cases are gone already, and the members are not."""
    client = await add_busy_client(database)
    run_id = await ask(database, client)
    async with database.begin() as session:
        await session.execute(
            text(
                "CREATE FUNCTION break_off() RETURNS trigger LANGUAGE plpgsql AS "
                "$$ BEGIN RAISE EXCEPTION 'broken off'; END $$"
            )
        )
        await session.execute(
            text("CREATE TRIGGER broken BEFORE DELETE ON tickets FOR EACH ROW EXECUTE FUNCTION break_off()")
        )
    with pytest.raises(Exception, match="broken off"):
        await execute(database, run_id, settings)
    who = {"userId": "acme-1-ann", "context": {}}
    facts = [track("Logged In", NOON, **who), track("Case Opened", NOON, properties={"id": "acme-1-new"}, **who)]
    facts += [track("Campaign Responded", NOON, properties={"id": "acme-1-new"}, **who), track("Exported", NOON, **who)]
    assert await send(database, *facts, alias("acme-1-bob", "acme-1-eve", NOON), now=NOW) == 5
    whose = "SELECT DISTINCT client FROM events WHERE message_id IN ('m5', 'm6', 'm7', 'm8', 'm9')"
    assert await rows_of(database, whose) == [(None,)]
    members = "SELECT external_id FROM members ORDER BY 1"
    assert await rows_of(database, members) == [("acme-1-ann",), ("acme-1-bob",)]
    gone = ("campaign_responses", "logins", "cases", "campaigns")
    counts = await row_counts(database, client)
    assert [counts[table] for table in gone] == [0, 0, 0, 0]
    async with database.begin() as session:
        await session.execute(text("DROP TRIGGER broken ON tickets"))
    assert await execute(database, run_id, settings)
    assert await tables_naming(database, "acme-1", "Acme") == []
    left = {"audit_events": 2, "daily_metrics": 1, "health_scores": 1, "runs": 1}
    assert {table: count for table, count in (await row_counts(database, client)).items() if count} == left


async def test_an_erasure_that_was_given_up_is_completed_when_it_is_asked_for_again(
    database: Database, settings: Settings
) -> None:
    """Its names are gone from the client by then; the run that was given up still knows them."""
    client = await add_busy_client(database)
    run_id = await ask(database, client)
    async with database.begin() as session:
        await service._begin(session, client, None)
        await session.execute(text("UPDATE runs SET status = 'FAILED' WHERE id = :id"), {"id": run_id})
    assert await tables_naming(database, "acme-1") != []
    async with database.begin() as session:
        assert await service.client_of(session, "acme-1") == client
    await erase(database, settings, client)
    assert await tables_naming(database, "acme-1", "Acme") == []
    async with database.begin() as session:
        with pytest.raises(NotFound, match="acme-1"):
            await service.client_of(session, "acme-1")


async def test_late_days_of_a_client_that_was_erased_are_forgotten_and_change_nothing(
    database: Database, settings: Settings
) -> None:
    """An erasure of before may have left such a day, which is not to be looked at again and again."""
    client = await add_busy_client(database)
    other = await add_busy_client(database, "zen-1", "Zen Ltd")
    await erase(database, settings, client)
    kept = f"SELECT * FROM daily_metrics WHERE client_id = {client}"
    before = await rows_of(database, kept)
    await add_rows(database, "late_days", [{"client_id": client, "day": DAY, "noted_at": NOON}])
    assert await record_again(database, Pace(10, timedelta(0))) == 1
    assert await rows_of(database, kept) == before
    revised = "SELECT client_id FROM daily_metrics WHERE revised_at IS NOT NULL"
    assert await rows_of(database, revised) == [(other,)]
    assert await rows_of(database, "SELECT * FROM late_days") == []


async def test_no_other_client_can_have_the_id_of_an_erased_one(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    """Whoever knows the number of a client claims what could be made of it, before and after."""
    client = await add_busy_client(database)
    claims = write(tmp_path / "claims", clients_csv=f"external_id,name\nerased:{client},Back\n")
    report = await load(database, claims)
    assert [(file.new, file.rejected) for file in report.files] == [(1, 0)]
    await erase(database, settings, client)
    report = await load(database, claims)
    assert [(file.unchanged, file.rejected) for file in report.files] == [(1, 0)]
    assert await rows_of(database, "SELECT id = :client, name, status FROM clients ORDER BY id", client=client) == [
        (True, "Erased client", "CHURNED"),
        (False, "Back", "ACTIVE"),
    ]
