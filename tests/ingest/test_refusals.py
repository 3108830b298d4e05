"""What an import refuses, survives and reports."""

import asyncio
import csv
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.database import Database
from app.errors import InvalidInput
from app.ingest.service import ImportProgress, import_path
from tests.ingest.helpers import NOW, counts, load, rows, versions, write

CLIENTS = "external_id,name\nA,Acme\nB,Beta\n"


def at(text: str) -> datetime:
    """Return the UTC time written as `2025-03-31` or `2025-03-31T10:00`."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


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
