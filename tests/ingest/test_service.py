"""What an import stores, counts, refuses and leaves alone."""

import asyncio
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from app.database import Database
from tests.ingest.helpers import counts, load, rows, versions, write

CLIENTS = "external_id,name\nA,Acme\nB,Beta\n"


def at(text: str) -> datetime:
    """Return the UTC time written as `2025-03-31` or `2025-03-31T10:00`."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


async def test_every_kind_of_file_is_stored_with_its_values(database: Database, tmp_path: Path) -> None:
    folder = write(
        tmp_path / "data",
        clients_csv="external_id,name,size,industry,status,engagement_model,owner,customer_since,churned_at,renewal_date,"
        "annual_value,alerts_enabled\n"
        "A,Ärger AG,smb,Mining,trial,high_touch,csm@example.com,2024-01-15,,2025-12-31,1200.5,false\n"
        "B,Beta,,,,,,,,,,\n",
        members_csv="client,external_id,created_at,deactivated_at\nA,m1,2025-01-01T09:00:00+01:00,2025-06-01\n",
        logins_csv="client,member,at,duration_minutes\nA,m1,2025-02-01T10:00:00Z,12.5\n",
        cases_csv="client,external_id,opened_at,closed_at,sla_due_at\nA,k1,2025-02-01,2025-02-02,2025-02-03\n",
        campaigns_csv="client,external_id,name,kind,assigned,completed,closed_at\nA,c1,Q1,attestation,10,9,2025-03-01\n",
        campaign_responses_csv="client,campaign,member,at\nA,c1,m1,2025-02-20T08:00:00Z\n",
        features_csv="key,name,category\nf1,Reports,reporting\n",
        client_features_csv="client,feature,enabled,first_used_at,last_used_at\nA,f1,true,2025-02-01,2025-02-05\n",
        tickets_csv="client,external_id,opened_at,closed_at,priority\nA,t1,2025-02-01,2025-02-02,P1\n",
    )
    report = await load(database, folder)
    assert report.exit_code == 0
    assert [(file.file, counts(file)) for file in report.files] == [
        ("clients.csv", (2, 2, 0, 0, 0)),
        *(
            (f"{name}.csv", (1, 1, 0, 0, 0))
            for name in (
                "members",
                "logins",
                "cases",
                "campaigns",
                "campaign_responses",
                "features",
                "client_features",
                "tickets",
            )
        ),
    ]
    assert await rows(
        database,
        "SELECT name, name_key, size, industry, status, engagement_model, owner, customer_since, churned_at,"
        " renewal_date, annual_value, alerts_enabled FROM clients ORDER BY external_id",
    ) == [
        (
            "Ärger AG",
            "ärger ag",
            "SMB",
            "OTHER",
            "TRIAL",
            "HIGH_TOUCH",
            "csm@example.com",
            date(2024, 1, 15),
            None,
            date(2025, 12, 31),
            Decimal("1200.50"),
            False,
        ),
        ("Beta", "beta", None, "OTHER", "ACTIVE", "PLG", None, None, None, None, None, False),
    ]
    assert await rows(database, "SELECT external_id, created_at, created_at_inferred, deactivated_at FROM members") == [
        ("m1", at("2025-01-01T08:00"), False, at("2025-06-01"))
    ]
    assert await rows(
        database,
        "SELECT c.external_id, m.external_id, l.at, duration_minutes FROM logins l"
        " JOIN clients c ON c.id = l.client_id JOIN members m ON m.id = member_id",
    ) == [("A", "m1", at("2025-02-01T10:00"), Decimal("12.5"))]
    assert await rows(database, "SELECT external_id, opened_at, closed_at, sla_due_at FROM cases") == [
        ("k1", at("2025-02-01"), at("2025-02-02"), at("2025-02-03"))
    ]
    assert await rows(database, "SELECT external_id, name, kind, assigned, completed, closed_at FROM campaigns") == [
        ("c1", "Q1", "ATTESTATION", 10, 9, at("2025-03-01"))
    ]
    assert await rows(
        database,
        "SELECT k.external_id, m.external_id, at FROM campaign_responses r"
        " JOIN campaigns k ON k.id = campaign_id JOIN members m ON m.id = member_id",
    ) == [("c1", "m1", at("2025-02-20T08:00"))]
    assert await rows(database, "SELECT key, name, category FROM features") == [("f1", "Reports", "REPORTING")]
    assert await rows(database, "SELECT enabled, first_used_at, last_used_at FROM client_features") == [
        (True, at("2025-02-01"), at("2025-02-05"))
    ]
    assert await rows(database, "SELECT external_id, opened_at, closed_at, priority FROM tickets") == [
        ("t1", at("2025-02-01"), at("2025-02-02"), "P1")
    ]
    assert await rows(database, "SELECT sum(clients) FROM portfolio_counts") == [(2,)]

    before = await versions(database)
    again = await load(database, folder)
    assert [file.unchanged for file in again.files] == [2, 1, 1, 1, 1, 1, 1, 1, 1]
    assert all(file.unchanged == file.read for file in again.files)
    assert await versions(database) == before


async def test_what_a_later_file_leaves_out_stays(database: Database, tmp_path: Path) -> None:
    await load(
        database,
        write(
            tmp_path / "first",
            clients_csv="external_id,name,size,owner,engagement_model\nA,Acme,SMB,me,HIGH_TOUCH\nB,Beta,SMB,you,PLG\n",
            campaigns_csv="client,external_id,name,assigned,completed\nA,c1,Spring,10,4\n",
        ),
    )
    report = await load(
        database,
        write(
            tmp_path / "second",
            clients_csv="name,external_id,owner\n,A,\nBeta GmbH,B,\n",
            campaigns_jsonl='{"client": "A", "external_id": "c1", "name": null, "completed": 10}\n',
        ),
    )
    assert [counts(file) for file in report.files] == [(2, 0, 1, 1, 0), (1, 0, 1, 0, 0)]
    assert await rows(
        database, "SELECT name, name_key, size, owner, alerts_enabled FROM clients ORDER BY external_id"
    ) == [("Acme", "acme", "SMB", "me", True), ("Beta GmbH", "beta gmbh", "SMB", "you", False)]
    assert await rows(database, "SELECT name, assigned, completed FROM campaigns") == [("Spring", 10, 10)]


async def test_an_import_leaves_the_health_columns_and_the_alert_setting_alone(
    database: Database, tmp_path: Path
) -> None:
    await load(database, write(tmp_path / "first", clients_csv=CLIENTS))
    async with database.begin() as session:
        connection = await session.connection()
        await connection.exec_driver_sql(
            "UPDATE clients SET score = 71, light = 'AMBER', alerts_enabled = true, last_activity_at = '2025-01-01Z'"
            " WHERE external_id = 'A'"
        )
    await load(
        database,
        write(
            tmp_path / "second",
            clients_csv="external_id,name,engagement_model\nA,Acme Ltd,PLG\n",
            logins_csv="client,member,at\nA,m,2025-06-01\n",
        ),
    )
    assert await rows(
        database, "SELECT name, score, light, alerts_enabled, last_activity_at FROM clients WHERE external_id = 'A'"
    ) == [("Acme Ltd", 71, "AMBER", True, at("2025-01-01"))]


@pytest.mark.parametrize(
    ("row", "status"),
    [
        ("X,New,,2025-06-30", "CHURNED"),
        ("X,New,,2025-07-02", "ACTIVE"),
        ("X,New,ACTIVE,2025-06-30", "ACTIVE"),
        ("X,New,CHURNED,", "CHURNED"),
        ("T,,,2025-06-30", "CHURNED"),
        ("T,,,2025-07-02", "TRIAL"),
        ("T,,active,", "ACTIVE"),
    ],
)
async def test_a_client_whose_churn_is_past_has_churned_unless_its_status_is_given(
    database: Database, tmp_path: Path, row: str, status: str
) -> None:
    await load(database, write(tmp_path / "first", clients_csv="external_id,name,status\nT,Trial,TRIAL\n"))
    await load(database, write(tmp_path / "second", clients_csv=f"external_id,name,status,churned_at\n{row}\n"))
    assert await rows(database, f"SELECT status FROM clients WHERE external_id = '{row[0]}'") == [(status,)]


async def test_logins_create_their_members_from_the_earliest_login(database: Database, tmp_path: Path) -> None:
    members = "SELECT external_id, created_at, created_at_inferred FROM members ORDER BY external_id"
    write(
        tmp_path,
        clients_csv=CLIENTS,
        members_csv="client,external_id,created_at\nA,known,2025-05-01\nA,undated,\n",
        logins_csv="client,member,at\nA,m,2025-03-05\nA,m,2025-03-02\nA,m,2025-03-09\nA,known,2025-01-01\n"
        "A,undated,2025-01-01\n",
    )
    report = await load(database, tmp_path, chunk_rows=2)
    assert counts(report.files[2]) == (5, 5, 0, 0, 0)
    known, undated = ("known", at("2025-05-01"), False), ("undated", None, False)
    assert await rows(database, members) == [known, ("m", at("2025-03-02"), True), undated]
    # A later file may bring an earlier login.
    write(tmp_path, logins_csv="client,member,at\nA,m,2025-02-01\nA,m,2025-04-01\n")
    await load(database, tmp_path)
    assert await rows(database, members) == [known, ("m", at("2025-02-01"), True), undated]
    # A file of members knows better, and then logins no longer decide.
    write(tmp_path, members_csv="client,external_id,created_at\nA,m,2024-12-01\n")
    write(tmp_path, logins_csv="client,member,at\nA,m,2024-01-01\n")
    await load(database, tmp_path)
    assert await rows(database, members) == [known, ("m", at("2024-12-01"), False), undated]


async def test_a_members_file_without_the_creation_keeps_what_was_inferred(database: Database, tmp_path: Path) -> None:
    await load(database, write(tmp_path / "a", clients_csv=CLIENTS, logins_csv="client,member,at\nA,m,2025-03-05\n"))
    await load(database, write(tmp_path / "b", members_csv="client,external_id,deactivated_at\nA,m,2025-06-01\n"))
    assert await rows(database, "SELECT created_at, created_at_inferred, deactivated_at FROM members") == [
        (at("2025-03-05"), True, at("2025-06-01"))
    ]


async def test_a_members_file_that_confirms_the_inferred_creation_makes_it_certain(
    database: Database, tmp_path: Path
) -> None:
    await load(database, write(tmp_path / "a", clients_csv=CLIENTS, logins_csv="client,member,at\nA,m,2025-03-05\n"))
    report = await load(database, write(tmp_path / "b", members_csv="client,external_id,created_at\nA,m,2025-03-05\n"))
    assert counts(report.files[0]) == (1, 0, 1, 0, 0)
    assert await rows(database, "SELECT created_at, created_at_inferred FROM members") == [(at("2025-03-05"), False)]


async def test_the_members_of_a_large_client_are_found_by_their_whole_key(database: Database, tmp_path: Path) -> None:
    # Into empty tables, so that the statements are planned before anybody knows how large they become.
    members = "".join(f"A,m{number}\n" for number in range(3_000))
    logins = "".join(f"A,m{number},2025-02-01\n" for number in range(3_000))
    folder = write(
        tmp_path / "data",
        clients_csv=CLIENTS,
        members_csv=f"client,external_id\n{members}",
        logins_csv=f"client,member,at\n{logins}",
    )
    report = await load(database, folder, chunk_rows=1_000)
    assert [file.new for file in report.files] == [2, 3_000, 3_000]
    # Its connections tell what they have read when they end.
    await database.engine.dispose()
    read = (
        "SELECT sum(idx_tup_read)::bigint FROM pg_stat_user_indexes WHERE relname = 'members' HAVING sum(idx_scan) > 0"
    )
    async with asyncio.timeout(20):
        while not (found := await rows(database, read)):  # noqa: ASYNC110 - The statistics tell nobody of their coming.
            await asyncio.sleep(0.02)
    # Every row is looked up a few times. By the client alone there would be millions.
    assert found[0][0] < 50_000
