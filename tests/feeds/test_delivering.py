"""Which feeds an import delivers, and of which clients."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from app.database import Database
from app.ingest.formats import KINDS
from app.ingest.service import begin, store
from tests.factories import add_client, rows_of, utc
from tests.ingest.helpers import load, write

CLIENTS = "external_id,name\nA,Acme\nB,Beta\n"
DELIVERED = (
    "SELECT external_id, kind, last_received_at, last_event_at FROM client_feeds "
    "JOIN clients ON clients.id = client_id ORDER BY 1, 2"
)
# What stands in these tests for the moment at which a file's rows were stored.
STORED = "when they were stored"
VERSIONS = "SELECT ctid::text FROM feed_days UNION ALL SELECT ctid::text FROM client_feeds ORDER BY 1"
DAYS = "SELECT kind, day, first_received_at, last_received_at, last_event_at FROM feed_days ORDER BY 1, 2"


async def told(database: Database, begun: datetime, statement: str) -> list[tuple[Any, ...]]:
    """Return rows in which STORED stands for every moment since `begun`, and for the day of that."""
    end = datetime.now(UTC)
    days = {begun.date(), end.date()}

    def shown(value: Any) -> Any:
        is_moment = isinstance(value, datetime)
        return STORED if (begun <= value <= end if is_moment else value in days) else value

    return [tuple(map(shown, row)) for row in await rows_of(database, statement)]


async def test_every_kind_of_fact_is_a_delivery_of_its_feed(database: Database, tmp_path: Path) -> None:
    begun = datetime.now(UTC)
    await load(
        database,
        write(
            tmp_path / "in",
            clients_csv=CLIENTS,
            members_csv="client,external_id\nB,m1\n",
            logins_csv="client,member,at\nA,m1,2025-06-01T10:00\nA,m2,2025-06-03T10:00\nA,m1,2025-06-02T10:00\n",
            cases_csv="client,external_id,opened_at,closed_at\nA,1,2025-06-01,2025-06-02\nA,2,2025-06-04,\nB,1,,\n",
            campaigns_csv="client,external_id,closed_at\nA,1,2025-06-05\nB,1,2099-12-31\n",
            campaign_responses_csv="client,campaign,member,at\nA,1,m1,2025-06-06\n",
            features_csv="key\nreports\n",
            client_features_csv="client,feature,first_used_at,last_used_at\nA,reports,2025-06-01,2025-06-07\n",
            tickets_csv="client,external_id,opened_at,closed_at\nB,1,2025-06-01,2025-06-08\n",
        ),
    )
    assert await told(database, begun, DELIVERED) == [
        ("A", "CAMPAIGNS", STORED, utc("2025-06-06")),
        ("A", "CASES", STORED, utc("2025-06-04")),
        ("A", "FEATURES", STORED, utc("2025-06-07")),
        ("A", "LOGINS", STORED, utc("2025-06-03T10:00")),
        # The campaign closes a long time from now.
        ("B", "CAMPAIGNS", STORED, STORED),
        ("B", "CASES", STORED, None),
        ("B", "TICKETS", STORED, utc("2025-06-08")),
    ]
    assert await told(database, begun, DAYS) == [
        (kind, STORED, STORED, STORED, latest)
        for kind, latest in [
            ("CAMPAIGNS", STORED),
            ("CASES", utc("2025-06-04")),
            ("FEATURES", utc("2025-06-07")),
            ("LOGINS", utc("2025-06-03T10:00")),
            ("TICKETS", utc("2025-06-08")),
        ]
    ]


async def test_what_is_no_fact_is_no_delivery(database: Database, tmp_path: Path) -> None:
    files = {"clients_csv": CLIENTS, "members_csv": "client,external_id\nA,m1\n", "features_csv": "key\nreports\n"}
    await load(database, write(tmp_path / "in", **files))
    assert await rows_of(database, DELIVERED) == []
    assert await rows_of(database, DAYS) == []


async def test_rejected_rows_are_no_delivery(database: Database, tmp_path: Path) -> None:
    cases = "client,external_id,opened_at,closed_at\nA,1,2025-06-02,2025-06-01\nZ,1,2025-06-01,\nA,2,2025-06-03T25,\n"
    report = await load(database, write(tmp_path / "in", clients_csv=CLIENTS, cases_csv=cases))
    assert [(file.kind, file.rejected) for file in report.files] == [("clients", 0), ("cases", 3)]
    assert await rows_of(database, DELIVERED) == []
    assert await rows_of(database, DAYS) == []
    # The row beside them counts, and with it only what it says.
    begun, more = datetime.now(UTC), cases + "B,1,2025-05-01,\n"
    await load(database, write(tmp_path / "in", clients_csv=CLIENTS, cases_csv=more))
    assert await told(database, begun, DELIVERED) == [("B", "CASES", STORED, utc("2025-05-01"))]
    assert await told(database, begun, DAYS) == [("CASES", STORED, STORED, STORED, utc("2025-05-01"))]


async def test_a_key_that_comes_again_counts_with_its_latest_moment(database: Database, tmp_path: Path) -> None:
    begun, cases = datetime.now(UTC), "client,external_id,opened_at\nA,1,2025-06-03\nA,1,2025-06-01\nA,2,\n"
    await load(database, write(tmp_path / "in", clients_csv=CLIENTS, cases_csv=cases))
    assert await told(database, begun, DELIVERED) == [("A", "CASES", STORED, utc("2025-06-03"))]


async def test_importing_again_is_a_delivery_even_where_nothing_changed(database: Database, tmp_path: Path) -> None:
    folder = write(tmp_path / "in", clients_csv=CLIENTS, cases_csv="client,external_id,opened_at\nA,1,2025-06-01\n")
    await load(database, folder)
    async with database.begin() as session:
        await session.execute(text("UPDATE client_feeds SET last_received_at = '2025-07-01'"))
        await session.execute(
            text(
                "UPDATE feed_days SET day = '2025-07-01', first_received_at = '2025-07-01', "
                "last_received_at = '2025-07-01'"
            )
        )
    begun = datetime.now(UTC)
    report = await load(database, folder)
    assert [file.unchanged for file in report.files] == [2, 1]
    opened, earlier = utc("2025-06-01"), utc("2025-07-01")
    assert await told(database, begun, DELIVERED) == [("A", "CASES", STORED, opened)]
    assert await told(database, begun, DAYS) == [
        ("CASES", earlier.date(), earlier, earlier, opened),
        ("CASES", STORED, STORED, STORED, opened),
    ]


async def test_facts_that_cannot_be_stored_are_no_delivery(database: Database, tmp_path: Path) -> None:
    async with database.begin() as session:
        await session.execute(text("ALTER TABLE cases ADD CONSTRAINT ck_cases_never CHECK (false)"))
    files = {"clients_csv": CLIENTS, "cases_csv": "client,external_id\nA,1\n"}
    with pytest.raises(Exception, match="ck_cases_never"):
        await load(database, write(tmp_path / "in", **files))
    assert await rows_of(database, DELIVERED) == []
    assert await rows_of(database, DAYS) == []


async def deliver(database: Database, now: datetime, *opened: str) -> None:
    """Store a case of the client A, the next of B and so on, received at `now`; where given, they were opened then."""
    rows = [
        (number, (chr(ord("A") + number), "1", utc(at) if at else None, None, None)) for number, at in enumerate(opened)
    ]
    async with database.begin() as session:
        await begin(session)
        for outcome in await store(session, KINDS["cases"], rows, now=now, received_at=now):
            assert outcome.rejected == []


async def add_clients(database: Database) -> None:
    """Add the clients A and B."""
    for name in "AB":
        await add_client(database, external_id=name)


async def test_a_day_has_its_first_and_last_delivery_and_the_latest_moment(database: Database) -> None:
    await add_clients(database)
    noon = utc("2025-07-01T12:00")
    await deliver(database, noon, "2025-06-30T10:00", "")
    # What a slower process received earlier comes later.
    await deliver(database, noon - timedelta(hours=3), "2025-06-20T10:00")
    await deliver(database, noon + timedelta(hours=2), "", "2025-07-01T13:00")
    # Every day is a UTC day.
    eve = datetime.fromisoformat("2025-07-02T00:30:00+02:00")
    await deliver(database, eve, "2025-06-10T10:00")
    await deliver(database, utc("2025-07-02"), "2025-06-10T10:00")
    latest = utc("2025-07-01T13:00")
    assert await rows_of(database, DAYS) == [
        ("CASES", noon.date(), noon - timedelta(hours=3), eve, latest),
        ("CASES", noon.date() + timedelta(days=1), utc("2025-07-02"), utc("2025-07-02"), utc("2025-06-10T10:00")),
    ]
    assert await rows_of(database, DELIVERED) == [
        ("A", "CASES", utc("2025-07-02"), utc("2025-06-30T10:00")),
        ("B", "CASES", noon + timedelta(hours=2), latest),
    ]


async def test_nothing_is_written_that_would_say_nothing_new(database: Database) -> None:
    await add_clients(database)
    noon, opened = utc("2025-07-01T12:00"), utc("2025-06-30T10:00")
    await deliver(database, noon, "2025-06-30T10:00")
    versions = await rows_of(database, VERSIONS)
    await deliver(database, noon, "2025-06-30T10:00")
    await deliver(database, noon, "")
    assert await rows_of(database, VERSIONS) == versions
    # A client's row is right to the minute.
    await deliver(database, noon + timedelta(seconds=59), "2025-06-30T10:00")
    assert await rows_of(database, DELIVERED) == [("A", "CASES", noon, opened)]
    await deliver(database, noon + timedelta(seconds=60), "2025-06-30T10:00")
    assert await rows_of(database, DELIVERED) == [("A", "CASES", noon + timedelta(seconds=60), opened)]
    # A later moment is written at once.
    await deliver(database, noon + timedelta(seconds=61), "2025-06-30T11:00")
    assert await rows_of(database, DELIVERED) == [
        ("A", "CASES", noon + timedelta(seconds=61), opened + timedelta(hours=1))
    ]
