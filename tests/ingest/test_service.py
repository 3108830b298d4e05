"""What an import stores, counts, refuses and leaves alone."""

import asyncio
import csv
import zipfile
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from app.database import Database
from app.errors import InvalidInput
from app.ingest.service import ImportProgress, import_path
from tests.ingest.helpers import NOW, counts, load, rows, write

CLIENTS = "external_id,name\nA,Acme\nB,Beta\n"
TABLES = [
    "clients",
    "members",
    "logins",
    "cases",
    "campaigns",
    "campaign_responses",
    "features",
    "client_features",
    "tickets",
    "portfolio_counts",
]


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


async def versions(database: Database) -> dict[str, list[tuple[object, ...]]]:
    """Return the place and the writing transaction of every row: what changes when a row is written again."""
    return {table: await rows(database, f"SELECT ctid::text, xmin::text FROM {table} ORDER BY 1") for table in TABLES}


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


CLOSED_FIRST = "closed_at is before opened_at, as this row or the stored one gives them"
USED_BACKWARDS = "last_used_at is before first_used_at, as this row or the stored one gives them"
REFUSALS = {
    "clients_csv": (
        "external_id,name,size,status,engagement_model,annual_value,renewal_date,alerts_enabled",
        {
            "N,,,,,,,": "name is missing: a new client needs one",
            ",Nameless,,,,,,": "external_id is missing: every row needs one",
            "N,New,big,,,,,": 'size "big" is not one of ENTERPRISE, MIDMARKET, SMB',
            "N,New,,gone,,,,": 'status "gone" is not one of ACTIVE, TRIAL, CHURNED',
            "N,New,,,self,,,": 'engagement_model "self" is not one of HIGH_TOUCH, PLG',
            "N,New,,,,-1,,": 'annual_value "-1" is negative: it must be 0 or more',
            "N,New,,,,,1.1.2025,": 'renewal_date "1.1.2025" is not a date: write it as 2025-03-31',
            "N,New,,,,,,maybe": 'alerts_enabled "maybe" is not a boolean: write true or false',
            "N" * 401 + ",New,,,,,,": f'external_id "{"N" * 57}..." is longer than 400 characters',
        },
    ),
    "members_csv": (
        "client,external_id,created_at",
        {
            "Z,m9,": 'client "Z" is not known',
            ",m9,": "client is missing: every row needs one",
            "A,,": "external_id is missing: every row needs one",
            "A,m9,late": 'created_at "late" is not a time: write it as 2025-03-31T14:05:00Z',
        },
    ),
    "logins_csv": (
        "client,member,at,duration_minutes",
        {
            "Z,m,2025-01-01,": 'client "Z" is not known',
            "A,,2025-01-01,": "member is missing: every row needs one",
            "A,m9,,": "at is missing: every row needs one",
            "A,m9,2025-01-01,-1": 'duration_minutes "-1" is negative: it must be 0 or more',
            "A,m9,1900-01-01,": 'at "1900-01-01" is outside the years 1970 to 2200',
        },
    ),
    "cases_csv": (
        "client,external_id,opened_at,closed_at",
        {
            "Z,k9,,": 'client "Z" is not known',
            "A,k9,2025-02-02,2025-02-01": CLOSED_FIRST,
            "A,k1,,2025-01-01": CLOSED_FIRST,
            "A,k1,2025-03-01,": CLOSED_FIRST,
        },
    ),
    "campaigns_csv": (
        "client,external_id,kind,assigned,completed",
        {
            "Z,c9,,,": 'client "Z" is not known',
            "A,c9,poll,,": 'kind "poll" is not one of ATTESTATION, OTHER',
            "A,c9,,3,4": "completed (4) is more than assigned (3)",
            "A,c9,,,1": "completed (1) is more than assigned (0)",
            "A,c1,,,11": "completed (11) is more than assigned (10)",
            "A,c1,,3,": "completed (4) is more than assigned (3)",
            "A,c9,,2.5,": 'assigned "2.5" is not a whole number',
            "A,c9,,3000000000,": 'assigned "3000000000" is too large: at most 2147483647',
        },
    ),
    "campaign_responses_csv": (
        "client,campaign,member,at",
        {
            "Z,c1,m1,2025-01-01": 'client "Z" is not known',
            "A,c9,m1,2025-01-01": 'campaign "c9" is not known',
            "B,c1,m1,2025-01-01": 'campaign "c1" is not known',
            "A,c1,m9,2025-01-01": 'member "m9" is not known',
            "A,c1,m1,": "at is missing: every row needs one",
        },
    ),
    "features_csv": (
        "key,category",
        {
            "f9,EXTRA": 'category "EXTRA" is not one of CORE, ADVANCED, INTEGRATION, REPORTING',
            ",CORE": "key is missing: every row needs one",
        },
    ),
    "client_features_csv": (
        "client,feature,first_used_at,last_used_at",
        {
            "Z,f1,,": 'client "Z" is not known',
            "A,f9,,": 'feature "f9" is not known',
            "B,f1,2025-02-02,2025-02-01": USED_BACKWARDS,
            "A,f1,,2025-01-01": USED_BACKWARDS,
        },
    ),
    "tickets_csv": (
        "client,external_id,opened_at,closed_at",
        {
            "Z,t9,,": 'client "Z" is not known',
            "A,t9,2025-02-02,2025-02-01": CLOSED_FIRST,
            "A,t1,,2025-01-01": CLOSED_FIRST,
        },
    ),
}
STORED = {
    "clients_csv": CLIENTS,
    "members_csv": "client,external_id\nA,m1\n",
    "cases_csv": "client,external_id,opened_at,closed_at\nA,k1,2025-02-01,2025-02-02\n",
    "campaigns_csv": "client,external_id,assigned,completed\nA,c1,10,4\n",
    "features_csv": "key\nf1\n",
    "client_features_csv": "client,feature,first_used_at,last_used_at\nA,f1,2025-02-01,2025-02-02\n",
    "tickets_csv": "client,external_id,opened_at,closed_at\nA,t1,2025-02-01,2025-02-02\n",
}


async def test_every_refusal_names_its_reason_and_writes_nothing(database: Database, tmp_path: Path) -> None:
    await load(database, write(tmp_path / "stored", **STORED))
    before = await versions(database)
    folder = write(
        tmp_path / "bad", **{name: "\n".join((header, *reasons, "")) for name, (header, reasons) in REFUSALS.items()}
    )
    report = await load(database, folder)
    assert report.exit_code == 3
    for file, (_, reasons) in zip(report.files, REFUSALS.values(), strict=True):
        assert counts(file) == (len(reasons), 0, 0, 0, len(reasons)), file
    assert await versions(database) == before
    assert report.rejected_path == tmp_path / "bad.rejected.csv"
    with report.rejected_path.open(encoding="utf-8", newline="") as stream:
        header, *written = csv.reader(stream)
    assert header == ["file", "line", "reason", "row"]
    assert [(file, int(line), reason) for file, line, reason, _ in written] == [
        (name.replace("_csv", ".csv"), line, reason)
        for name, (_, reasons) in REFUSALS.items()
        for line, reason in enumerate(reasons.values(), 2)
    ]
    assert written[0][3] == '["N", "", "", "", "", "", "", ""]'


async def test_the_rest_goes_in_beside_rejected_rows(database: Database, tmp_path: Path) -> None:
    folder = write(
        tmp_path / "data",
        clients_csv="external_id,name,colour\nA,Acme,red\nB\nC,,\nD,Delta,blue\n",
        cases_csv="client,external_id\nC,k1\nA,k1\n",
    )
    report = await load(database, folder)
    assert report.exit_code == 3
    assert [counts(file) for file in report.files] == [(4, 2, 0, 0, 2), (2, 1, 0, 0, 1)]
    assert report.files[0].unknown_columns == ("colour",)
    assert await rows(database, "SELECT external_id FROM clients ORDER BY 1") == [("A",), ("D",)]
    # The next import, in which all is well, takes the report of this one away.
    write(folder, clients_csv=CLIENTS, cases_csv="client,external_id\nA,k1\n")
    report = await load(database, folder)
    assert (report.exit_code, report.rejected_path, report.rejected_problem) == (0, None, None)
    assert not (tmp_path / "data.rejected.csv").exists()


async def test_a_file_that_cannot_be_read_does_not_stop_the_others(database: Database, tmp_path: Path) -> None:
    folder = write(
        tmp_path / "data",
        clients_csv=CLIENTS,
        cases_csv="external_id\nk1\n",
        tickets_csv="client,external_id\nA,t1\nZ,t2\n",
    )
    report = await load(database, folder)
    assert report.exit_code == 2
    assert [file.unreadable for file in report.files] == [None, "its header has no column client", None]
    assert await rows(database, "SELECT external_id FROM tickets") == [("t1",)]


async def test_an_import_of_nothing_is_refused(database: Database, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput):
        await load(database, tmp_path)
    with pytest.raises(InvalidInput):
        await load(database, tmp_path / "missing")


async def test_a_report_that_cannot_be_written_costs_the_report_only(database: Database, tmp_path: Path) -> None:
    folder = write(tmp_path / "data", clients_csv="external_id,name\nA,Acme\nB,\n")
    (tmp_path / "data.rejected.csv").mkdir()
    report = await load(database, folder)
    assert (report.exit_code, counts(report.files[0])) == (3, (2, 1, 0, 0, 1))
    assert report.rejected_path is None
    assert "data.rejected.csv" in str(report.rejected_problem)


async def test_an_archive_is_imported_and_its_report_lies_beside_it(database: Database, tmp_path: Path) -> None:
    path = tmp_path / "export.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("export/clients.csv", "\ufeff" + CLIENTS)
        archive.writestr("export/cases.jsonl", '{"client": "A", "external_id": 7}\n{"client": "Z", "external_id": 8}\n')
    report = await load(database, path)
    assert [counts(file) for file in report.files] == [(2, 2, 0, 0, 0), (2, 1, 0, 0, 1)]
    assert report.rejected_path == tmp_path / "export.rejected.csv"
    assert await rows(database, "SELECT external_id FROM cases") == [("7",)]


@pytest.mark.parametrize("chunk_rows", [1, 2, 5_000])
async def test_a_key_that_comes_again_means_the_same_within_a_chunk_as_across_chunks(
    database: Database, tmp_path: Path, chunk_rows: int
) -> None:
    write(
        tmp_path,
        clients_csv="external_id,name\nN,\nN,New\nN,New\nN,Newer\n",
        cases_csv="client,external_id,opened_at,closed_at\n"
        "N,k,2025-01-05,\nN,k,,2025-01-01\nN,k,,2025-01-09\nN,k,2025-01-06,\nN,k,2025-01-06,2025-01-09\n",
    )
    report = await load(database, tmp_path, chunk_rows=chunk_rows)
    assert [counts(file) for file in report.files] == [(4, 1, 1, 1, 1), (5, 1, 2, 1, 1)]
    assert await rows(database, "SELECT name FROM clients") == [("Newer",)]
    assert await rows(database, "SELECT opened_at, closed_at FROM cases") == [(at("2025-01-06"), at("2025-01-09"))]
    assert await rows(database, "SELECT sum(clients) FROM portfolio_counts") == [(1,)]


async def test_progress_tells_rows_bytes_and_rejections_of_each_file(database: Database, tmp_path: Path) -> None:
    write(tmp_path, clients_csv="external_id,name\nA,Acme\nB,\nC,Cee\n", features_csv="key\nf1\n")
    told: list[ImportProgress] = []
    await import_path(database, tmp_path, now=NOW, progress=told.append, chunk_rows=2)
    assert [(step.file, step.rows, step.rejected) for step in told] == [
        ("clients.csv", 0, 0),
        ("clients.csv", 2, 1),
        ("clients.csv", 3, 1),
        ("features.csv", 0, 0),
        ("features.csv", 1, 0),
    ]
    assert told[0].bytes_read == 0
    assert (told[2].bytes_read, told[2].bytes_total) == (33, 33)


async def test_an_interrupted_import_is_completed_by_importing_again(database: Database, tmp_path: Path) -> None:
    names = [f"C{number:03}" for number in range(100)]
    write(tmp_path, clients_csv="external_id,name\n" + "".join(f"{name},{name}\n" for name in names))

    class Interruption(Exception):
        pass

    def interrupt(progress: ImportProgress) -> None:
        if progress.rows >= 40:
            raise Interruption

    with pytest.raises(Interruption):
        await import_path(database, tmp_path, now=NOW, progress=interrupt, chunk_rows=20)
    assert await rows(database, "SELECT count(*) FROM clients") == [(40,)]
    report = await load(database, tmp_path, chunk_rows=30)
    assert counts(report.files[0]) == (100, 60, 0, 40, 0)


async def test_two_imports_of_the_same_files_at_once_store_them_once(database: Database, tmp_path: Path) -> None:
    clients = [f"C{number}" for number in range(50)]
    write(
        tmp_path,
        clients_csv="external_id,name,size\n" + "".join(f"{name},{name},SMB\n" for name in clients),
        logins_csv="client,member,at\n"
        + "".join(f"C{number % 50},m{number % 70},2025-01-01T00:00:{number % 60:02}Z\n" for number in range(400)),
        cases_csv="client,external_id\n" + "".join(f"{name},k\n" for name in clients),
    )
    backwards = tmp_path / "backwards"
    backwards.mkdir()
    for file in ("clients.csv", "logins.csv", "cases.csv"):
        header, *lines = (tmp_path / file).read_text().splitlines()
        (backwards / file).write_text("\n".join((header, *reversed(lines))))
    reports = await asyncio.gather(*(load(database, path, chunk_rows=7) for path in (tmp_path, backwards, tmp_path)))
    assert [report.exit_code for report in reports] == [0, 0, 0]
    stored = len({(number % 50, number % 70, number % 60) for number in range(400)})
    for position, expected in enumerate((50, stored, 50)):
        assert sum(report.files[position].new for report in reports) == expected
    assert await rows(database, "SELECT count(*) FROM logins") == [(stored,)]
    assert await rows(database, "SELECT sum(clients) FROM portfolio_counts") == [(50,)]


async def test_an_import_and_a_recalculation_at_once_do_not_deadlock(database: Database, tmp_path: Path) -> None:
    scored = "".join(f"S{number},S,{'SMB' if number % 2 else 'ENTERPRISE'}\n" for number in range(20))
    sized = [f"C{number},C" for number in range(20)]
    header = "external_id,name,size\n"
    await load(database, write(tmp_path, clients_csv=header + scored + "".join(f"{row},MIDMARKET\n" for row in sized)))

    async def importing() -> None:
        # Each chunk changes clients and adds one, in an order of counts that is not the recalculation's.
        for step in range(60):
            size = ("SMB", "MIDMARKET")[step % 2]
            lines = "".join(f"{row},{size}\n" for row in sized)
            folder = write(tmp_path / str(step), clients_csv=f"{header}{lines}N{step},N,ENTERPRISE\n")
            assert (await load(database, folder)).exit_code == 0

    async def scoring() -> None:
        for step in range(120):
            async with database.begin() as session:
                connection = await session.connection()
                light = ("'GREEN'", "NULL")[step % 2]
                await connection.exec_driver_sql(f"UPDATE clients SET light = {light} WHERE external_id LIKE 'S%'")

    await asyncio.gather(importing(), scoring())
    assert await rows(database, "SELECT sum(clients) FROM portfolio_counts") == [(20 + 20 + 60,)]
