"""Erasing finds whoever rejected rows name, however they were written: each row is sent and rejected for real."""

import json

import pytest

from app.database import Database
from app.erasure import service
from app.runs.execution import execute
from app.settings import Settings
from app.uploads.models import UploadFormat
from tests.erasure.helpers import NOW
from tests.factories import add_client, add_member, rows_of
from tests.uploads.test_importing import upload

CSV, JSONL = UploadFormat.CSV, UploadFormat.JSONL
NAMES = ["acme-1", "Acmé + Söhne (1)", 'The "A\\B" \u00a0Club', "17", "東京.*"]


async def rejected(database: Database, settings: Settings, kind: str, lines: list[str], form: UploadFormat) -> None:
    """Send lines of which none can be used. The first of JSON Lines is an object, or none would be read at all."""
    start = "client,external_id,created_at" if kind == "members" else "external_id,name,customer_since"
    content = "\n".join([start if form is CSV else '{"priority": 1}', *lines, ""])
    assert await execute(database, await upload(database, kind, content.encode(), form=form), settings)
    ((number,),) = await rows_of(database, "SELECT rejected FROM uploads ORDER BY id DESC LIMIT 1")
    assert number == len(lines) + (form is JSONL)


async def erase(database: Database, settings: Settings, client: int, member: str | None) -> None:
    async with database.begin() as session:
        run_id = await service.request(session, client, member, requested_by="anna", now=NOW)
    assert await execute(database, run_id, settings)


async def contents(database: Database) -> list[str]:
    """Return what is left, without the object that JSON Lines begin with."""
    rows = await rows_of(database, "SELECT content FROM rejected_rows ORDER BY upload_id, line")
    return [content for (content,) in rows if content != '{"priority": "1"}']


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("whose", ["id", "name", "member"])
async def test_rejected_rows_go_however_they_write_a_name(
    database: Database, settings: Settings, name: str, whose: str
) -> None:
    client = await add_client(database, name if whose == "name" else "A", external_id=name if whose == "id" else "a-0")
    await add_member(database, client, external_id=name if whose == "member" else "m-0")
    odd = "\u00a0\t\u3000"
    csv = [
        # Padded as Excel and people do, and in a row with too many cells.
        f"nobody,{quoted(f' {name}  ')},never",
        f"nobody,{quoted(odd.join(['', name, '']))},never",
        f"{quoted(name)},m,never,more",
        # No CSV: what follows a quote that is closed.
        f'"m" x,{quoted(name)},never',
        f'"m" x,never,{quoted(name)}',
    ]
    if '"' not in name:
        csv += [f'"m" x,{name} ,never', f'{name},"m" x', f'"m" x,{name}']
    objects = [
        {"client": name, "external_id": "x"},
        {"client": f"\t{name} ", "external_id": "x"},
        {"external_id": name},
    ]
    jsonl = []
    for one in objects:
        for ascii_only in (True, False):
            written = json.dumps(one, ensure_ascii=ascii_only)
            # An object that cannot be used, one that is cut off, one with a comma too many, and one in a list.
            jsonl += [written.replace("}", ', "created_at": "never"}'), written[:-1], f"{written},", f"[{written}]"]
    if name == "17":
        jsonl += ['{"client": 17, "external_id": 17, "created_at": 17}', '{"client":17,', '{"client" : 17}}', "[17]"]
    await rejected(database, settings, "members", csv, CSV)
    await rejected(database, settings, "members", jsonl, JSONL)
    assert len(await contents(database)) == len(csv) + len(jsonl)
    await erase(database, settings, client, name if whose == "member" else None)
    assert await contents(database) == []


async def test_rejected_rows_that_name_others_stay(database: Database, settings: Settings) -> None:
    """Names that begin, end or go on with one that goes, and numbers that hold its digits."""
    client = await add_client(database, "Acme", external_id="17")
    await add_member(database, client, external_id="ann")
    csv = ["Acme Corp,x,never", "New Acme,17-b,never", "170,x,2026-13-17", '"m" x,Acme Corp,17.5', "acme,ANN,1.17"]
    jsonl = [
        '{"client": "Acme Corp", "external_id": "x-17", "created_at": "17:30"}',
        '{"client": "Acme Corp", "external_id": 170,',
        '{"client": "My Acme Corp and Acme", "created_at": 17.5',
    ]
    await rejected(database, settings, "members", csv, CSV)
    await rejected(database, settings, "members", jsonl, JSONL)
    before = await contents(database)
    await erase(database, settings, client, None)
    assert await contents(database) == before


async def test_a_client_that_was_sent_with_its_name_alone_is_forgotten_although_the_erasure_broke_off(
    database: Database, settings: Settings
) -> None:
    """The client has lost its name by then; the run still knows it."""
    client = await add_client(database, "Acme Corp", external_id="acme-1")
    await rejected(database, settings, "clients", [",Acme Corp,2020-01-01", ",Zen Ltd,2020-01-01"], CSV)
    async with database.begin() as session:
        await service.request(session, client, requested_by="anna", now=NOW)
        await service._begin(session, client, None)
    await erase(database, settings, client, None)
    assert await contents(database) == ['["", "Zen Ltd", "2020-01-01"]']
    assert await rows_of(database, "SELECT count(*) FROM runs WHERE kind = 'ERASE'") == [(1,)]
