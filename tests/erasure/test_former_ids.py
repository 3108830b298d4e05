"""Erasing whoever went by other ids before: aliases lead to the messages of these, and go last."""

from datetime import date

import pytest
from sqlalchemy import text

from app.database import Database
from app.erasure import service
from app.events.partitions import ensure
from app.runs import service as runs
from app.runs.execution import execute
from app.settings import Settings
from tests.erasure.helpers import DAY, NOON, NOW, add_event, tables_naming
from tests.events.sending import alias, send, track
from tests.factories import add_client, add_member, add_rows, rows_of

LEFT = "SELECT message_id FROM events ORDER BY 1"


async def add_alias(database: Database, day: date, previous: str, member: str, client: str | None = "acme-1") -> None:
    """Add the message that an id became another one, as it is remembered."""
    async with database.begin() as session:
        await ensure(session, [day])
    row = {"day": day, "message_id": f"{previous} is {member}", "at": NOON, "received_at": NOON, "type": "ALIAS"}
    await add_rows(database, "events", [row | {"name": previous, "client": client, "member": member}])


async def add_renamed(database: Database) -> int:
    """Add a client with the member `ann`, who was `web-1`, then `web-2` and `old-ann`, and messages of each of these.

    Each alias is of a later day than what it leads to, but for the first.
    """
    client = await add_client(database, "Acme Corp", external_id="acme-1")
    await add_member(database, client, external_id="ann")
    await add_alias(database, DAY, "web-1", "web-2", None)
    await add_alias(database, date(2026, 3, 28), "web-2", "old-ann", None)
    await add_alias(database, date(2026, 3, 31), "old-ann", "ann")
    for member in ("web-1", "web-2", "old-ann"):
        await add_event(database, f"earlier of {member}", None, member)
        await add_event(database, f"of {member}", "acme-1" if member == "old-ann" else None, member)
    # Others: those that a member of another client replaced, and one whom nobody says anything of.
    await add_client(database, "Zen Ltd", external_id="zen-1")
    await add_alias(database, DAY, "other", "ann", "zen-1")
    await add_event(database, "of other", None, "other")
    await add_event(database, "of old-ann elsewhere", "zen-1", "old-ann")
    await add_event(database, "of web-17", None, "web-17")
    return client


OTHERS = [("of old-ann elsewhere",), ("of other",), ("of web-17",), ("other is ann",)]


async def ask(database: Database, client: int, member: str | None) -> int:
    async with database.begin() as session:
        return await service.request(session, client, member, requested_by="anna", now=NOW)


@pytest.mark.parametrize("member", ["ann", None])
async def test_messages_of_every_id_that_became_a_member_go(
    database: Database, settings: Settings, member: str | None
) -> None:
    client = await add_renamed(database)
    run_id = await ask(database, client, member)
    assert await execute(database, run_id, settings)
    assert await rows_of(database, LEFT) == OTHERS
    assert await tables_naming(database, "web-2") == []
    run = await runs.by_id(database, run_id)
    # Four days, three aliases, and the member of the client.
    pieces = 7 if member else 8
    assert (run.status, run.done, run.total) == ("SUCCEEDED", pieces, pieces)


async def test_rejected_rows_of_a_former_id_go(database: Database, settings: Settings) -> None:
    client = await add_renamed(database)
    (upload,) = await add_rows(
        database, "uploads", [{"started_at": NOW, "kind": "logins", "format": "CSV", "unknown_columns": []}]
    )
    row = {"upload_id": upload, "reason": "at is missing"}
    contents = ('["acme-1", "web-1", ""]', '["acme-1", "web-17", ""]')
    await add_rows(
        database, "rejected_rows", [row | {"line": n, "content": content} for n, content in enumerate(contents)]
    )
    assert await execute(database, await ask(database, client, "ann"), settings)
    assert await rows_of(database, "SELECT line FROM rejected_rows") == [(1,)]


@pytest.mark.parametrize("member", ["ann", None])
@pytest.mark.parametrize("broken", ["of web-1", "of old-ann", "web-2 is old-ann", "web-1 is web-2", "old-ann is ann"])
async def test_whoever_goes_on_still_finds_every_former_id(
    database: Database, settings: Settings, member: str | None, broken: str
) -> None:
    """Broken off before any of the messages is deleted, those that lead from one id to another included."""
    client = await add_renamed(database)
    run_id = await ask(database, client, member)
    async with database.begin() as session:
        await session.execute(
            text(
                "CREATE FUNCTION break_off() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF old.message_id = "
                f"'{broken}' THEN RAISE EXCEPTION 'broken off'; END IF; RETURN old; END $$"
            )
        )
        await session.execute(
            text("CREATE TRIGGER broken BEFORE DELETE ON events FOR EACH ROW EXECUTE FUNCTION break_off()")
        )
    with pytest.raises(Exception, match="broken off"):
        await execute(database, run_id, settings)
    aliases = "SELECT count(*) FROM events WHERE type = 'ALIAS' AND (client IS NULL OR client = 'acme-1')"
    assert await rows_of(database, aliases) == [(3,)]
    async with database.begin() as session:
        await session.execute(text("DROP TRIGGER broken ON events"))
    assert await execute(database, run_id, settings)
    assert await rows_of(database, LEFT) == OTHERS


async def test_whoever_events_told_of_under_two_ids_goes_with_both(database: Database, settings: Settings) -> None:
    client = await add_client(database, external_id="acme")
    await send(
        database,
        track("Exported", userId="web-1", context={}),
        track("Logged In", userId="web-2"),
        alias("web-1", "web-2"),
        alias("web-2", "user-1"),
        track("Logged In", userId="bob"),
    )
    assert await tables_naming(database, "web-1", "web-2") != []
    assert await execute(database, await ask(database, client, "user-1"), settings)
    assert await tables_naming(database, "web-1", "web-2", "user-1") == []
    assert await rows_of(database, "SELECT member FROM events") == [("bob",)]
    assert await rows_of(database, "SELECT external_id FROM members") == [("bob",)]
