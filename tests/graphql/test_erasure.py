"""Erasing a client or a member by the API: who may, what is refused, and what is accepted."""

from typing import Any

import asyncpg
import pytest

from app.auth.tokens import Role
from tests.graphql.answers import opaque, typed_refusal
from tests.graphql.conftest import SUBJECT, Api

SELECTION = """{
    __typename
    ... on Run { id kind status requestedBy }
    ... on InvalidInputError { field }
    ... on Error { code message }
  }
"""
ERASE_CLIENT = "mutation Erase($id: ID!) { eraseClient(input: { clientId: $id }) " + SELECTION + "}"
ERASE_MEMBER = (
    "mutation Erase($id: ID!, $member: String!) { "
    "eraseMember(input: { clientId: $id, memberExternalId: $member }) " + SELECTION + "}"
)


async def fetch(api: Api, query: str) -> list[Any]:
    """Return the rows of a query on the API's database."""
    connection = await asyncpg.connect(api.settings.database_url)
    try:
        return [tuple(row) for row in await connection.fetch(query)]
    finally:
        await connection.close()


async def a_member(api: Api) -> tuple[int, str, str]:
    """Return a client's number and external id, and the external id of one of its members."""
    query = "SELECT c.id, c.external_id, m.external_id FROM members AS m JOIN clients AS c ON c.id = m.client_id "
    [(client, external_id, member)] = await fetch(api, f"{query} ORDER BY m.id LIMIT 1")
    return client, external_id, member


async def test_an_administrator_gets_a_run_that_knows_whom_it_erases(api: Api) -> None:
    client, external_id, member = await a_member(api)
    variables = {"id": opaque(["Client", client])}
    _, body = await api.ask(ERASE_MEMBER, {**variables, "member": member}, Role.PLATFORM_ADMIN)
    run = body["data"]["eraseMember"]
    assert (run["__typename"], run["kind"], run["status"], run["requestedBy"]) == ("Run", "ERASE", "QUEUED", SUBJECT)
    _, body = await api.ask(ERASE_CLIENT, variables, Role.PLATFORM_ADMIN)
    assert body["data"]["eraseClient"]["kind"] == "ERASE"
    assert body["data"]["eraseClient"]["id"] != run["id"]
    # The same once more, while it is unfinished, is the same run.
    _, again = await api.ask(ERASE_CLIENT, variables, Role.PLATFORM_ADMIN)
    assert again == body
    runs = "SELECT client_id, parameters::jsonb ->> 'client', parameters::jsonb ->> 'member' FROM runs "
    assert await fetch(api, f"{runs} WHERE kind = 'ERASE' ORDER BY id") == [
        (client, external_id, member),
        (client, external_id, None),
    ]


@pytest.mark.usefixtures("nothing_happens")
@pytest.mark.parametrize("role", [Role.CLIENT_SUCCESS, None])
async def test_nobody_else_erases_anything(api: Api, role: Role | None) -> None:
    client, _, member = await a_member(api)
    variables = {"id": opaque(["Client", client]), "member": member}
    code = "UNAUTHENTICATED" if role is None else "FORBIDDEN"
    assert typed_refusal(await api.ask(ERASE_MEMBER, variables, role), "eraseMember") == (code, None)
    assert typed_refusal(await api.ask(ERASE_CLIENT, variables, role), "eraseClient") == (code, None)


@pytest.mark.usefixtures("nothing_happens")
async def test_whom_nobody_knows_cannot_be_erased(api: Api) -> None:
    client, _, _ = await a_member(api)
    known, unknown = opaque(["Client", client]), opaque(["Client", 999_999_999])
    for id_, member, expected in (
        (unknown, None, ("NOT_FOUND", None)),
        (unknown, "m", ("NOT_FOUND", None)),
        (known, "nobody", ("NOT_FOUND", None)),
        (known, "", ("NOT_FOUND", None)),
        (known, "a\0b", ("INVALID_INPUT", "memberExternalId")),
        (opaque(["Alert", 1]), None, ("INVALID_INPUT", "clientId")),
    ):
        query, field = (ERASE_CLIENT, "eraseClient") if member is None else (ERASE_MEMBER, "eraseMember")
        answer = await api.ask(query, {"id": id_, "member": member}, Role.PLATFORM_ADMIN)
        assert typed_refusal(answer, field) == expected, (id_, member)
