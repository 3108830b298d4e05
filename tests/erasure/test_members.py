"""Erasing a member of a client: its rows and its name go, and its client goes on."""

import pytest
from sqlalchemy import text

from app.database import Database
from app.erasure import service
from app.errors import InvalidInput, NotFound
from app.runs import service as runs
from app.runs.execution import execute
from app.settings import Settings
from tests.erasure.helpers import NOW, add_busy_client, add_event, row_counts, tables_naming
from tests.factories import add_client, add_member, add_rows, rows_of


async def ask(database: Database, client_id: int, member: str) -> int:
    """Ask for the erasure of a member and return the run's id."""
    async with database.begin() as session:
        return await service.request(session, client_id, member, requested_by="anna", now=NOW, request_id="r-1")


async def test_nothing_names_an_erased_member_and_its_client_goes_on(database: Database, settings: Settings) -> None:
    client = await add_busy_client(database)
    other = await add_busy_client(database, "zen-1", "Zen Ltd")
    # The same person may be a member of another client, which is not what was asked for.
    await add_event(database, "elsewhere", "zen-1", "acme-1-ann")
    before, of_other = await row_counts(database, client), await row_counts(database, other)
    row = await rows_of(database, "SELECT * FROM clients ORDER BY id")
    metrics = await rows_of(database, "SELECT * FROM daily_metrics ORDER BY client_id")
    run_id = await ask(database, client, "acme-1-ann")
    assert await execute(database, run_id, settings)
    assert await tables_naming(database, "acme-1-ann") == ["events.member", "events_20260330.member"]
    assert await rows_of(database, "SELECT message_id FROM events WHERE member = 'acme-1-ann'") == [("elsewhere",)]
    gone = {"logins": 3, "campaign_responses": 1, "members": 1, "audit_events": -2, "runs": -1}
    assert await row_counts(database, client) == {table: count - gone.get(table, 0) for table, count in before.items()}
    assert await row_counts(database, other) == of_other
    assert await rows_of(database, "SELECT * FROM clients ORDER BY id") == row
    assert await rows_of(database, "SELECT * FROM daily_metrics ORDER BY client_id") == metrics
    run = await runs.by_id(database, run_id)
    # Logins, a response, two days of events and a rejected row.
    assert (run.status, run.total, run.done) == ("SUCCEEDED", 7, 7)
    trail = "SELECT actor, action, client_id, run_id, changes FROM audit_events ORDER BY id"
    assert await rows_of(database, trail) == [
        ("anna", "RUN_REQUESTED", client, run_id, {"kind": [None, "ERASE"]}),
        ("anna", "MEMBER_ERASED", client, run_id, {}),
    ]


async def test_what_comes_while_a_member_is_erased_goes_with_it(database: Database, settings: Settings) -> None:
    """A login that is stored after the logins were deleted, and before the member is."""
    client = await add_busy_client(database)
    run_id = await ask(database, client, "acme-1-ann")
    async with database.begin() as session:
        await session.execute(
            text(
                "CREATE FUNCTION come() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO logins "
                "(client_id, member_id, at) SELECT client_id, id, now() FROM members WHERE external_id = old.member; "
                "RETURN NULL; END $$"
            )
        )
        await session.execute(
            text("CREATE TRIGGER come AFTER DELETE ON events_20260330 FOR EACH ROW EXECUTE FUNCTION come()")
        )
    assert await execute(database, run_id, settings)
    assert await tables_naming(database, "acme-1-ann") == []
    assert await rows_of(database, "SELECT count(*) FROM logins") == [(3,)]


@pytest.mark.parametrize("member", ["acme-1-eve", "zen-1-ann", ""])
async def test_a_member_that_the_client_does_not_have_is_refused_and_nothing_happens(
    database: Database, member: str
) -> None:
    client = await add_busy_client(database)
    await add_busy_client(database, "zen-1", "Zen Ltd")
    before = await row_counts(database, client)
    with pytest.raises(NotFound, match="no member"):
        await ask(database, client, member)
    with pytest.raises(InvalidInput) as refused:
        await ask(database, client, "acme-1-ann\0")
    assert refused.value.field == "memberExternalId"
    assert await row_counts(database, client) == before
    assert await rows_of(database, "SELECT id FROM runs WHERE kind = 'ERASE'") == []


async def test_two_erasures_of_a_member_both_end_well(database: Database, settings: Settings) -> None:
    client = await add_busy_client(database)
    run_id = await ask(database, client, "acme-1-ann")
    assert await ask(database, client, "acme-1-ann") == run_id
    other = await ask(database, client, "acme-1-bob")
    assert other != run_id
    assert await execute(database, other, settings)
    assert await execute(database, run_id, settings)
    assert await rows_of(database, "SELECT id FROM members") == []
    assert await tables_naming(database, "acme-1-ann", "acme-1-bob") == []


async def test_rejected_rows_that_name_a_member_go_however_they_are_written(
    database: Database, settings: Settings
) -> None:
    client = await add_client(database)
    await add_member(database, client, external_id="17")
    (upload,) = await add_rows(
        database, "uploads", [{"started_at": NOW, "kind": "logins", "format": "JSONL", "unknown_columns": []}]
    )
    naming = ('{"member": 17, "at": "x"}', '{"at": "x", "member": 17}', '["acme", "17"]', '{"member": "17"}')
    others = ('{"member": 170}', '["acme", "170", "2026-01-17"]', '{"member": 1.17, "at": 17.5}')
    rows = [{"upload_id": upload, "line": line, "content": content} for line, content in enumerate((*naming, *others))]
    await add_rows(database, "rejected_rows", [row | {"reason": "at is not a time"} for row in rows])
    assert await execute(database, await ask(database, client, "17"), settings)
    assert await rows_of(database, "SELECT content FROM rejected_rows ORDER BY line") == [(one,) for one in others]
