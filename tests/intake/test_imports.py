"""Rows over HTTP: what is stored, counted and rejected, and that it is what the import of files does."""

import csv
import gzip
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import httpx2
import pytest

from app.database import Database
from app.embedded import Servers
from app.runs.execution import execute
from app.settings import Settings
from tests.conftest import own_database
from tests.ingest.helpers import TABLES, load, rows, write
from tests.ingest.helpers import counts as file_counts
from tests.intake.importing import CLIENTS, JSONL, Imports, bearer, counts, running_imports

# Rows of every kind, some of which cannot be used.
FILES = {
    "clients": CLIENTS + "C,,\n,Nobody\n",
    "members": "client,external_id,created_at\nA,m1,2025-01-01\nnobody,m1,2025-01-01\nA,m2,someday\n",
    "logins": "client,member,at,duration_minutes\nA,m1,2025-02-01T10:00Z,12.5\nB,m9,2025-02-01,-1\nB,m9,2025-02-02,\n",
    "cases": 'client,external_id,opened_at,closed_at\nA,k1,2025-02-01,2025-02-02\nA,"k""2",2025-02-03,2025-02-02\n',
    "campaigns": "client,external_id,kind,assigned,completed,closed_at\nA,c1,attestation,10,9,2025-03-01\nA,c2,,1,2,\n",
    "campaign_responses": "client,campaign,member,at\nA,c1,m1,2025-02-20T08:00:00Z\nA,c7,m1,2025-02-20\n",
    "features": "key,name,category,weight\nf1,Reports,reporting,7\nf2,Ünïcode,,\n",
    "client_features": "client,feature,enabled,first_used_at\nA,f1,true,2025-02-01\nB,f1,maybe,\n",
    "tickets": "client,external_id,opened_at,priority\nA,t1,2025-02-01,P1\nnobody,t2,2025-02-01,P1\nA,t3\n",
}


@pytest.fixture
async def imports(settings: Settings, database: Database) -> AsyncIterator[Imports]:
    """A web server on an empty database."""
    async with running_imports(settings, database) as running:
        yield running


def as_json_lines(text: str) -> str:
    """Return the rows of a CSV text as JSON Lines."""
    header, *rows = csv.reader(io.StringIO(text))
    # A short row has no meaning in JSON: the columns that it lacks are left out.
    return "".join(f"{json.dumps(dict(zip(header, row, strict=False)))}\n" for row in rows)


async def contents(database: Database) -> dict[str, list[str]]:
    """Return every row of every table of facts."""
    return {table: sorted(map(str, await rows(database, f"SELECT * FROM {table}"))) for table in TABLES}


@pytest.fixture
async def other_database(servers: Servers, admin: asyncpg.Connection, template: str) -> AsyncIterator[Database]:
    """A second database with the latest tables and no rows."""
    async with own_database(servers, admin, template) as url:
        opened = Database(url, pool_size=2)
        yield opened
        await opened.close()


async def test_rows_are_accepted_and_imported_by_a_run(imports: Imports) -> None:
    accepted = await imports.taken("clients", CLIENTS + "C,\n")
    run_id = accepted["runId"]
    assert accepted == {
        "runId": run_id,
        "url": f"/v1/import/{run_id}",
        "kind": "clients",
        "status": "QUEUED",
        "read": 0,
        "new": 0,
        "changed": 0,
        "unchanged": 0,
        "rejected": 0,
        "rejectedRows": None,
        "unknownColumns": [],
        "reason": None,
        "requestedAt": accepted["requestedAt"],
        "startedAt": None,
        "finishedAt": None,
    }
    assert await imports.counted("clients", "upload_chunks") == {"clients": 0, "upload_chunks": 1}
    state = await imports.carry_out(accepted)
    assert {**state, "startedAt": None, "finishedAt": None} == {
        **accepted,
        "status": "SUCCEEDED",
        "read": 3,
        "new": 2,
        "rejected": 1,
        "rejectedRows": f"/v1/import/{run_id}/rejected",
    }
    assert accepted["requestedAt"] < state["startedAt"] < state["finishedAt"]
    assert await imports.rows("SELECT external_id, name FROM clients ORDER BY 1") == [("A", "Acme"), ("B", "Beta")]
    # What was sent is gone with the end of the run, and its report is kept.
    assert await imports.counted("uploads", "upload_chunks", "rejected_rows") == {
        "uploads": 1,
        "upload_chunks": 0,
        "rejected_rows": 1,
    }
    assert await imports.rows("SELECT kind, status, requested_by, total, done, failed, client_id FROM runs") == [
        ("IMPORT", "SUCCEEDED", "write key warehouse", 3, 2, 1, None)
    ]
    assert await imports.rows("SELECT actor, action, request_id IS NOT NULL FROM audit_events") == [
        ("write key warehouse", "RUN_REQUESTED", True)
    ]
    assert await imports.rows("SELECT last_used_at IS NOT NULL FROM write_keys") == [(True,)]
    # Delivered again, the run does nothing.
    ((key,),) = await imports.rows("SELECT id FROM runs")
    assert not await execute(imports.database, key, imports.settings)


async def test_the_run_can_be_watched_over_graphql(imports: Imports) -> None:
    accepted = await imports.taken("clients", CLIENTS, Authorization=bearer())
    await imports.carry_out(accepted)
    query = "{ runs(first: 1) { edges { node { id kind status total done failed requestedBy } } } }"
    answer = await imports.http.post("/graphql", json={"query": query}, headers={"Authorization": bearer()})
    assert answer.json()["data"]["runs"]["edges"][0]["node"] == {
        "id": accepted["runId"],
        "kind": "IMPORT",
        "status": "SUCCEEDED",
        "total": 2,
        "done": 2,
        "failed": 0,
        "requestedBy": "anna@example.com",
    }


@pytest.mark.parametrize("form", ["csv", "jsonl"])
async def test_every_kind_gives_what_the_import_of_a_file_gives(
    imports: Imports, other_database: Database, tmp_path: Path, form: str
) -> None:
    texts = FILES if form == "csv" else {name: as_json_lines(text) for name, text in FILES.items()}
    report = await load(
        other_database, write(tmp_path / "data", **{f"{name}_{form}": text for name, text in texts.items()})
    )
    assert report.rejected_path is not None
    expected = list(csv.reader(report.rejected_path.read_text().splitlines()))
    header, found = expected[0], []
    for file in report.files:
        state = await imports.imported(file.kind, texts[file.kind], **({} if form == "csv" else JSONL))
        assert (file.kind, counts(state)) == (file.kind, file_counts(file))
        assert state["unknownColumns"] == list(file.unknown_columns)
        answer = await imports.get(f"{state['url']}/rejected")
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        assert answer.headers["content-disposition"] == f'attachment; filename="{file.kind}.rejected.csv"'
        lines = list(csv.reader(answer.text.splitlines()))
        assert lines[0] == header == ["file", "line", "reason", "row"]
        found += lines[1:]
    assert found == expected[1:]
    # Every kind but the features has a row that could not be used.
    assert {row[0].partition(".")[0] for row in found} == FILES.keys() - {"features"}
    assert await contents(imports.database) == await contents(other_database)


async def test_sending_the_same_again_changes_nothing(imports: Imports) -> None:
    await imports.imported("clients", CLIENTS)
    before = await imports.rows("SELECT ctid::text, xmin::text FROM clients ORDER BY 1")
    state = await imports.imported("clients", CLIENTS + "C,Ceta\nB,Bet\n")
    assert counts(state) == (4, 1, 1, 2, 0)
    assert (await imports.rows("SELECT ctid::text, xmin::text FROM clients WHERE external_id = 'A'"))[0] in before


async def test_rows_may_be_packed(imports: Imports) -> None:
    once = await imports.imported("clients", gzip.compress(CLIENTS.encode()), Content_Encoding="gzip")
    assert counts(once) == (2, 2, 0, 0, 0)
    # Several members one after the other are one stream.
    parts = gzip.compress(CLIENTS.encode()) + gzip.compress(b"") + gzip.compress(b"C,Ceta\n")
    assert counts(await imports.imported("clients", parts, Content_Encoding="GZIP")) == (3, 1, 0, 2, 0)


@pytest.mark.parametrize(
    ("content_type", "content"),
    [
        ("text/csv; charset=UTF-8; header=present", CLIENTS),
        ('Text/CSV;charset="utf-8"', "\ufeff" + CLIENTS),
        ("application/jsonl", as_json_lines(CLIENTS)),
        ("application/x-ndjson; charset=utf-8", as_json_lines(CLIENTS)),
    ],
)
async def test_the_content_type_says_how_the_rows_are_written(
    imports: Imports, content_type: str, content: str
) -> None:
    state = await imports.imported("clients", content.encode(), **{"Content-Type": content_type})
    assert counts(state) == (2, 2, 0, 0, 0)


async def test_what_cannot_be_read_fails_and_keeps_what_was_read_before(imports: Imports) -> None:
    no_key = await imports.imported("members", "client,created_at\nA,2025-01-01\n")
    assert (no_key["status"], counts(no_key)) == ("FAILED", (0, 0, 0, 0, 0))
    assert no_key["reason"] == "The rows could not be read: its header has no column external_id"
    broken = await imports.imported("clients", CLIENTS + "x" * 1_000_002)
    assert (broken["status"], counts(broken)) == ("FAILED", (2, 2, 0, 0, 0))
    assert broken["reason"] == "The rows could not be read: line 4 is longer than 1000000 characters"
    assert await imports.rows("SELECT external_id FROM clients ORDER BY 1") == [("A",), ("B",)]
    assert await imports.counted("uploads", "upload_chunks") == {"uploads": 2, "upload_chunks": 0}


async def test_unknown_columns_are_named_once(imports: Imports) -> None:
    state = await imports.imported("features", "key,weight,colour\n")
    assert (state["unknownColumns"], counts(state)) == (["weight", "colour"], (0, 0, 0, 0, 0))


async def test_who_waits_gets_the_result(imports: Imports) -> None:
    async def waited(content: str) -> httpx2.Response:
        answer = await imports.post("clients?wait=30", content)
        assert answer.headers["location"] == answer.json()["url"]
        return answer

    async with imports.worker():
        complete, partial, unread = [await waited(text) for text in (CLIENTS, CLIENTS + ",x\n", "name\nx\n")]
    assert (complete.status_code, counts(complete.json())) == (200, (2, 2, 0, 0, 0))
    assert (partial.status_code, counts(partial.json())) == (422, (3, 0, 0, 2, 1))
    assert (unread.status_code, unread.json()["status"]) == (422, "FAILED")
    # Nobody carries this one out, and it is accepted all the same.
    answer = await imports.post("clients?wait=1", CLIENTS)
    assert (answer.status_code, answer.json()["status"]) == (202, "QUEUED")
    assert imports.web.live.idle


async def test_of_many_rejected_rows_the_first_are_kept(imports: Imports) -> None:
    content = "external_id,name\n" + "".join(f",{number}\n" for number in range(10_400)) + "A,Acme\n"
    state = await imports.imported("clients", content)
    assert (state["status"], counts(state)) == ("SUCCEEDED", (10_401, 1, 0, 0, 10_400))
    answer = await imports.get(state["rejectedRows"])
    lines = list(csv.reader(answer.text.splitlines()))[1:]
    reason = "external_id is missing: every row needs one"
    assert lines == [["clients.csv", str(n + 2), reason, json.dumps(["", str(n)])] for n in range(10_000)]


async def test_what_a_rejected_row_held_is_escaped_and_cut(imports: Imports) -> None:
    content = b"external_id,name\n,\xff\n,a\x00b\n," + b"x" * 5_000 + b"\n"
    state = await imports.imported("clients", content)
    assert counts(state) == (3, 0, 0, 0, 3)
    lines = list(csv.reader((await imports.get(state["rejectedRows"])).text.splitlines()))[1:]
    assert [line[3] for line in lines] == ['["", "\\udcff"]', '["", "a\\u0000b"]', '["", "' + "x" * 3_991 + "..."]
