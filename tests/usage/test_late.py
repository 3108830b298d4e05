"""Facts that come after their day was recorded: which days they touch, and recording those again."""

import asyncio
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from app.database import AdvisoryLock, Database
from app.health.rules import end_of_day
from app.health.service import score_day
from app.ingest import service as ingest
from app.ingest.formats import KINDS
from app.runs import service as runs
from app.runs.batches import Pace
from app.runs.execution import execute
from app.runs.models import RunKind
from app.settings import Settings
from app.usage import service
from app.usage.late import record_again
from app.usage.queries import FIGURES
from tests.factories import add_client, add_client_feature, add_feature, add_login, add_rows, add_ticket, rows_of, utc
from tests.ingest.helpers import load, write

FIRST, LAST = date(2025, 3, 1), date(2025, 3, 9)
DAYS = [FIRST + timedelta(days=n) for n in range(9)]
PACE = Pace(batch_size=3, pause=timedelta(0))

EARLY = {
    "clients_csv": "external_id,name\nacme,Acme\nzen,Zen\n",
    "members_csv": "client,external_id\nacme,m-1\nacme,m-2\nzen,m-1\n",
    "features_csv": "key\nexports\naudits\n",
    "client_features_csv": "client,feature,enabled,first_used_at\nacme,exports,true,2025-03-07T08:00:00Z\n"
    "acme,audits,true,\nzen,exports,true,\n",
    "logins_csv": "client,member,at,duration_minutes\nacme,m-1,2025-03-02T08:00:00Z,20\n"
    "zen,m-1,2025-03-02T08:00:00Z,5\n",
    "cases_csv": "client,external_id,opened_at,closed_at,sla_due_at\nacme,K-1,2025-03-02T08:00:00Z,,\n"
    "acme,K-2,2025-03-01T08:00:00Z,2025-03-03T08:00:00Z,\n",
    "campaigns_csv": "client,external_id,assigned,completed,closed_at\nacme,C-1,4,1,2025-03-04T08:00:00Z\n",
    "tickets_csv": "client,external_id,opened_at,priority\nacme,T-1,2025-03-05T08:00:00Z,low\n",
}
# What each kind of file brings late, and the days of acme that this touches.
LATE: dict[str, tuple[str, list[int]]] = {
    "logins_csv": (
        "client,member,at,duration_minutes\nacme,m-2,2025-03-03T23:59:59.999999Z,30\nacme,m-1,2025-03-03T08:00:00Z,\n"
        "acme,m-1,2025-03-02T08:00:00Z,25\n",
        [2, 3],
    ),
    # One is closed, one moves to another day.
    "cases_csv": (
        "client,external_id,closed_at,sla_due_at\nacme,K-1,2025-03-06T08:00:00Z,2025-03-05T08:00:00Z\n"
        "acme,K-2,2025-03-04T00:00:00Z,\n",
        [1, 2, 3, 4, 6],
    ),
    "campaigns_csv": ("client,external_id,completed\nacme,C-1,3\n", [4]),
    "campaign_responses_csv": ("client,campaign,member,at\nacme,C-1,m-1,2025-03-03T08:00:00Z\n", [3]),
    # One feature was used five days sooner than was known, the other one at all.
    "client_features_csv": (
        "client,feature,first_used_at\nacme,exports,2025-03-02T08:00:00Z\nacme,audits,2025-03-08T00:00:00Z\n",
        [2, 3, 4, 5, 6, 8, 9],
    ),
    "tickets_csv": (
        "client,external_id,opened_at\nacme,T-2,2025-03-05T00:00:00Z\nacme,T-1,2025-03-04T23:59:59Z\n",
        [4, 5],
    ),
}


async def record_days(database: Database) -> None:
    """Record every day."""
    for day in DAYS:
        await service.record_day(database, day)


async def figures(database: Database) -> list[tuple[Any, ...]]:
    """Return every recorded day without when it was revised."""
    columns = ", ".join(FIGURES)
    statement = f"SELECT c.external_id, day, {columns} FROM daily_metrics JOIN clients AS c ON c.id = client_id"
    return await rows_of(database, f"{statement} ORDER BY 1, 2")


async def noted(database: Database) -> list[tuple[str, int, bool]]:
    """Return the days that are noted: the client, the day of the month, and whether adoption is due."""
    statement = "SELECT external_id, day, adoption FROM late_days JOIN clients ON id = client_id ORDER BY 1, 2"
    return [(client, day.day, adoption) for client, day, adoption in await rows_of(database, statement)]


async def revised(database: Database) -> list[tuple[str, int]]:
    """Return the days that say that they were revised."""
    statement = (
        "SELECT external_id, day FROM daily_metrics JOIN clients ON id = client_id "
        "WHERE revised_at IS NOT NULL ORDER BY 1, 2"
    )
    return [(client, day.day) for client, day in await rows_of(database, statement)]


async def test_facts_of_days_that_are_not_recorded_are_not_late(database: Database, tmp_path: Path) -> None:
    await load(database, write(tmp_path / "early", **EARLY))
    await load(database, write(tmp_path / "late", **{name: content for name, (content, _) in LATE.items()}))
    assert await noted(database) == []


@pytest.mark.parametrize("kind", LATE)
async def test_late_facts_of_each_kind_note_the_days_that_they_touch(
    database: Database, tmp_path: Path, kind: str
) -> None:
    await load(database, write(tmp_path / "early", **EARLY))
    await record_days(database)
    content, days = LATE[kind]
    before = await figures(database)
    report = await load(database, write(tmp_path / "late", **{kind: content}))
    assert (report.files[0].unchanged, report.files[0].rejected) == (0, 0)
    expected = [("acme", day, kind == "client_features_csv") for day in days]
    assert await noted(database) == expected
    assert await figures(database) == before
    # The same facts once more are not new, so that nothing is late after the days were recorded again.
    await record_again(database, PACE)
    await load(database, tmp_path / "late")
    assert await noted(database) == []


async def test_recorded_again_the_days_are_as_if_nothing_had_been_late(database: Database, tmp_path: Path) -> None:
    everything = {name: content for name, (content, _) in LATE.items()}
    await load(database, write(tmp_path / "early", **EARLY))
    await record_days(database)
    first = await figures(database)
    await load(database, write(tmp_path / "late", **everything))
    assert await record_again(database, PACE) == 8
    again = await figures(database)
    assert await noted(database) == []
    changed = [(new[0], new[1].day) for old, new in zip(first, again, strict=True) if old != new]
    assert await revised(database) == changed == [("acme", day) for day in (2, 3, 4, 5, 6, 8, 9)]
    # That is what a recording after all of it says.
    async with database.begin() as session:
        await session.execute(text("DELETE FROM daily_metrics"))
    await record_days(database)
    assert await figures(database) == again


async def test_a_late_login_leaves_the_adoption_of_its_day_as_it_was(database: Database, tmp_path: Path) -> None:
    """Which features were enabled then is not known any more: one that is enabled since must not count."""
    await load(database, write(tmp_path / "early", **EARLY))
    await record_days(database)
    acme = (await rows_of(database, "SELECT id FROM clients WHERE external_id = 'acme'"))[0][0]
    await add_client_feature(database, acme)
    before = await rows_of(database, "SELECT client_id, day, feature_adoption_rate FROM daily_metrics ORDER BY 1, 2")
    late = "client,member,at\nacme,m-2,2025-03-08T08:00:00Z\n"
    await load(database, write(tmp_path / "late", logins_csv=late))
    await record_again(database, PACE)
    after = await rows_of(database, "SELECT client_id, day, feature_adoption_rate FROM daily_metrics ORDER BY 1, 2")
    assert after == before
    assert await revised(database) == [("acme", 8)]
    # A late use has it measured, with the features that are enabled now.
    late = "client,feature,first_used_at\nacme,audits,2025-03-08T08:00:00Z\n"
    await load(database, write(tmp_path / "late", client_features_csv=late))
    assert await noted(database) == [("acme", 8, True), ("acme", 9, True)]
    await record_again(database, PACE)
    adoption = "SELECT day, feature_adoption_rate FROM daily_metrics WHERE client_id = :acme AND day >= :day ORDER BY 1"
    assert await rows_of(database, adoption, acme=acme, day=DAYS[-2]) == [(DAYS[-2], 200 / 3), (DAYS[-1], 200 / 3)]


async def test_a_day_stays_due_for_adoption_whatever_comes_after(database: Database, tmp_path: Path) -> None:
    await load(database, write(tmp_path / "early", **EARLY))
    await record_days(database)
    for kind in ("logins_csv", "client_features_csv", "logins_csv"):
        moment = f"2025-03-09T0{len(kind) % 10}:00:00Z"
        content = f"client,member,at\nacme,m-1,{moment}\n"
        if kind == "client_features_csv":
            content = f"client,feature,first_used_at\nacme,audits,{moment}\n"
        await load(database, write(tmp_path / kind, **{kind: content}))
    assert await noted(database) == [("acme", 9, True)]


async def test_a_day_is_recorded_again_for_a_client_that_has_left_since(database: Database, tmp_path: Path) -> None:
    await load(database, write(tmp_path / "early", **EARLY))
    await record_days(database)
    left = "external_id,status,churned_at\nacme,CHURNED,2025-03-10T00:00:00Z\n"
    late = "client,member,at\nacme,m-2,2025-03-09T08:00:00Z\nacme,m-2,2025-03-10T08:00:00Z\n"
    await load(database, write(tmp_path / "late", clients_csv=left, logins_csv=late))
    assert await record_again(database, PACE) == 1
    logins = "SELECT day, logins FROM daily_metrics WHERE logins > 0 AND day > '2025-03-02' ORDER BY 1"
    assert await rows_of(database, logins) == [(LAST, 1)]


async def test_a_batch_that_fails_forgets_nothing_and_the_next_run_completes_it(
    database: Database, tmp_path: Path
) -> None:
    await load(database, write(tmp_path / "early", **EARLY))
    await record_days(database)
    await load(database, write(tmp_path / "late", **{name: content for name, (content, _) in LATE.items()}))
    days = await noted(database)
    async with database.begin() as session:
        await session.execute(
            text("ALTER TABLE daily_metrics ADD CONSTRAINT broken CHECK (day <> '2025-03-05' OR revised_at IS NULL)")
        )
    with pytest.raises(Exception, match="broken"):
        await record_again(database, PACE)
    # The first batch of three days is done, and the second one is as it was.
    assert await noted(database) == days[3:]
    assert await revised(database) == [("acme", 2), ("acme", 3)]
    async with database.begin() as session:
        await session.execute(text("ALTER TABLE daily_metrics DROP CONSTRAINT broken"))
    assert await record_again(database, PACE) == 5
    assert await record_again(database, PACE) == 0
    assert await noted(database) == []


@pytest.mark.parametrize("kind", [RunKind.RECORD_METRICS, RunKind.RECALCULATE_ALL])
async def test_the_next_run_records_the_late_days_first(
    database: Database, settings: Settings, kind: RunKind, tmp_path: Path
) -> None:
    await load(database, write(tmp_path / "early", **EARLY))
    await record_days(database)
    await load(database, write(tmp_path / "late", logins_csv=LATE["logins_csv"][0]))
    day = LAST + timedelta(days=1)
    async with database.begin() as session:
        run_id = await runs.request(
            session, kind, requested_by="anna", now=end_of_day(day), day=day, as_of=end_of_day(day)
        )
    assert await execute(database, run_id, settings)
    run = await runs.by_id(database, run_id)
    assert (run.status, run.total, run.done, run.failed) == ("SUCCEEDED", 2, 2, 0)
    assert await noted(database) == []
    assert await revised(database) == [("acme", 2), ("acme", 3)]
    logins = "SELECT day, active_users, logins, session_minutes FROM daily_metrics WHERE logins > 0 AND client_id = "
    logins += "(SELECT id FROM clients WHERE external_id = 'acme') ORDER BY 1"
    assert await rows_of(database, logins) == [(DAYS[1], 1, 1, 25), (DAYS[2], 2, 2, 30)]


async def test_the_next_calculation_takes_late_facts_into_the_score_and_past_scores_stay(
    database: Database, settings: Settings
) -> None:
    """A login of five days ago lies in the window of today's score, and in that of yesterday's, which is history."""
    client = await add_client(database)
    await add_ticket(database, client, opened_at=utc("2024-01-01T08:00"))
    for _ in range(4):
        await add_rows(database, "members", [{"client_id": client, "external_id": str(_)}])
    feature = await add_feature(database)
    await add_client_feature(database, client, feature, first_used_at=utc("2025-01-01T08:00"))
    await score_day(database, end_of_day(DAYS[7]), end_of_day(DAYS[7]))
    await score_day(database, end_of_day(LAST), end_of_day(LAST))
    scores = "SELECT day, login_score, score FROM health_scores ORDER BY day"
    before = await rows_of(database, scores)
    assert [row[:2] for row in before] == [(DAYS[7], 0), (LAST, 0)]
    members = await rows_of(database, "SELECT id FROM members ORDER BY id")
    await add_login(database, client, utc("2025-03-04T08:00"), members[0][0])
    async with database.begin() as session:
        run_id = await runs.request(
            session,
            RunKind.RECALCULATE_ALL,
            requested_by="anna",
            now=end_of_day(LAST),
            day=LAST,
            as_of=end_of_day(LAST),
        )
    assert await execute(database, run_id, settings)
    after = await rows_of(database, scores)
    assert after[0] == before[0]
    # One of four members is active: 25 of 70 percent.
    assert after[1][:2] == (LAST, 36)
    assert after[1][2] > before[1][2]
    assert await rows_of(database, "SELECT scored_day, login_score FROM clients") == [(LAST, 36)]


async def test_facts_wait_while_late_days_are_recorded_and_are_noted_then(database: Database, tmp_path: Path) -> None:
    """What is stored after the recording has looked must not be forgotten with what it has looked at."""
    await load(database, write(tmp_path / "early", **EARLY))
    await record_days(database)
    late = write(tmp_path / "late", logins_csv="client,member,at\nacme,m-2,2025-03-05T08:00:00Z\n")
    async with database.begin() as session:
        await service.keep_facts_out(session)
        importing = asyncio.create_task(load(database, late))
        waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND objid = :lock"
        while (await rows_of(database, waiting, lock=AdvisoryLock.IMPORT % 2**32))[0][0] == 0:
            assert not importing.done()
            await asyncio.sleep(0.01)
        await service.record_clients(session, [1], LAST)
    await importing
    assert await noted(database) == [("acme", 5, False)]


async def test_a_late_use_that_an_event_tells_of_is_noted_as_one_of_a_file_is(
    database: Database, tmp_path: Path
) -> None:
    """The use of 7 March is known to have been the first one until an event tells of 5 March."""
    await load(database, write(tmp_path / "early", **EARLY))
    await record_days(database)
    uses = [
        (0, ("acme", "exports", utc("2025-03-05T08:00"), utc("2025-03-08T08:00"))),
        (1, ("zen", "exports", utc("2025-03-09T23:59:59"), utc("2025-03-09T23:59:59"))),
    ]
    async with database.begin() as session:
        received_at = await ingest.begin(session)
        await ingest.store(session, KINDS["feature_uses"], uses, now=received_at, received_at=received_at)
    assert await noted(database) == [("acme", 5, True), ("acme", 6, True), ("zen", 9, True)]
    # Told again, later uses and none at all change nothing about the first.
    async with database.begin() as session:
        await session.execute(text("DELETE FROM late_days"))
    later = [(0, ("acme", "exports", utc("2025-03-06T08:00"), utc("2025-03-09T08:00")))]
    async with database.begin() as session:
        received_at = await ingest.begin(session)
        await ingest.store(session, KINDS["feature_uses"], later, now=received_at, received_at=received_at)
    assert await noted(database) == []
