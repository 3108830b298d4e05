"""Sessions: how a code becomes one, which requests it counts for, and how it ends."""

import asyncio
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from http.cookies import SimpleCookie
from time import monotonic
from typing import Any, cast

import pytest
from sqlalchemy import text
from starlette.requests import Request
from structlog.testing import capture_logs

from app.auth.sessions import CODE_LIFETIME, Sessions
from app.auth.tokens import Role
from app.dashboard.signing_in import session_endpoint
from app.database import Database
from app.errors import InvalidInput
from app.settings import Settings
from tests.dashboard.people import COOKIE, OWN_PAGES, STRANGE_PAGES, SUBJECT, ask, code_for, enter, sign_in
from tests.graphql.conftest import Api, running_api, token_of

VIEWER = "{ viewer { subject role } }"
# A mutation that writes: a run, and a message to the workers.
RECALCULATE = "mutation { recalculateAllHealth { __typename ... on Error { code } } }"
FORBIDDEN = {"message": "A session can be used from the dashboard's own pages only.", "code": "FORBIDDEN"}
ENDED = {"message": "The session has ended; sign in again.", "code": "UNAUTHENTICATED"}
USED = "This sign-in address has been used already, or is too old; get a new one."


def refusal(body: dict[str, Any]) -> dict[str, str]:
    """Return the only error of an answer without data."""
    assert body.keys() == {"errors"}
    (error,) = body["errors"]
    return {"message": error["message"], "code": error["extensions"]["code"]}


async def execute(database: Database, statement: str, **values: Any) -> None:
    """Change the tests' database by hand."""
    async with database.begin() as session:
        await session.execute(text(statement), values)


@pytest.mark.parametrize("role", Role)
async def test_a_code_becomes_a_session_that_asks_for_its_person(api: Api, database: Database, role: Role) -> None:
    code = await code_for(database, role)
    with capture_logs() as logs:
        answer = await enter(api, code)
    assert (answer.status_code, answer.content) == (204, b"")
    assert [{**entry, "log_level": None} for entry in logs] == [
        {"event": "signed_in", "log_level": None, "subject": SUBJECT, "role": role, "by": "code"}
    ]
    (cookie,) = SimpleCookie(answer.headers["set-cookie"]).values()
    assert cookie.key == COOKIE
    assert re.fullmatch(r"[\w-]{43}", cookie.value)
    assert {name: value for name, value in cookie.items() if value} == {
        "httponly": True,
        "max-age": "43200",
        "path": "/",
        "samesite": "strict",
    }
    assert (await ask(api, VIEWER)).json() == {"data": {"viewer": {"subject": SUBJECT, "role": role}}}
    # The database alone lets nobody in: it holds neither the token nor, from now on, any code.
    rows = await api.rows()
    assert rows["sign_in_codes"] == []
    assert cookie.value not in str(rows)
    assert cookie.value.encode().hex() not in str(rows)


async def test_a_code_works_once_however_many_try(api: Api, database: Database) -> None:
    code = await code_for(database)
    assert code not in str(await api.rows())
    statuses = [answer.status_code for answer in await asyncio.gather(*(enter(api, code) for _ in range(5)))]
    assert sorted(statuses) == [204, 401, 401, 401, 401]
    rows = await api.rows()
    assert len(rows["sessions"]) == 1
    answer = await enter(api, code)
    assert refusal(answer.json()) == {"message": USED, "code": "UNAUTHENTICATED"}
    assert "set-cookie" not in answer.headers
    assert await api.rows() == rows


async def test_looking_at_the_address_does_not_use_the_code_up(api: Api, database: Database) -> None:
    code = await code_for(database)
    before = await api.rows()
    api.statements.clear()
    for _ in range(2):
        answer = await api.http.get("/sign-in", params={"code": code})
        assert (answer.status_code, answer.headers.get("set-cookie")) == (200, None)
        assert code not in answer.text
    assert await api.rows() == before
    assert api.statements == []
    assert (await enter(api, code)).status_code == 204


async def test_a_code_lives_for_ten_minutes(api: Api, database: Database) -> None:
    late = await code_for(database, age=CODE_LIFETIME + timedelta(seconds=1))
    # Issuing a code clears away what has expired: this one is issued as long ago.
    in_time = await code_for(database, age=CODE_LIFETIME - timedelta(minutes=1))
    before = await api.rows()
    assert (await enter(api, late)).status_code == 401
    assert await api.rows() == before
    assert (await enter(api, in_time)).status_code == 204


@pytest.mark.parametrize("headers", STRANGE_PAGES)
async def test_a_strange_page_can_neither_sign_in_nor_out(
    api: Api, database: Database, headers: Mapping[str, str]
) -> None:
    await sign_in(api, database)
    code = await code_for(database)
    before = await api.rows()
    api.statements.clear()
    for answer in (
        await api.http.post("/session", json={"code": code}, headers=headers),
        await api.http.delete("/session", headers=headers),
    ):
        assert answer.status_code == 403
        assert refusal(answer.json()) == FORBIDDEN
        assert "set-cookie" not in answer.headers
    assert api.statements == []
    assert await api.rows() == before


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b'"code"',
        b"{}",
        b'{"code": ""}',
        b'{"code": 7}',
        b'{"code": null}',
        b'{"code": "' + b"a" * 1000 + b'"}',
    ],
)
async def test_what_holds_no_code_is_refused(api: Api, body: bytes) -> None:
    before = await api.rows()
    answer = await api.http.post("/session", content=body, headers=OWN_PAGES[0])
    assert answer.status_code == 400
    assert refusal(answer.json())["code"] == "INVALID_INPUT"
    assert api.statements == []
    assert await api.rows() == before


async def test_who_leaves_in_the_middle_of_a_code_is_not_missed() -> None:
    """A stranger's broken connection is no fault of this service, and nothing for its log."""
    messages = iter([{"type": "http.request", "body": b'{"co', "more_body": True}, {"type": "http.disconnect"}])

    async def receive() -> Any:
        return next(messages)

    scope = {"type": "http", "method": "POST", "path": "/session", "headers": [(b"sec-fetch-site", b"same-origin")]}
    sessions = Sessions(cast("Database", None), "http://api", timedelta(hours=1))
    with capture_logs() as logs:
        answer = await session_endpoint(sessions)(Request({**scope, "scheme": "http", "query_string": b""}, receive))
    assert (answer.headers.get("set-cookie"), logs) == (None, [])


@pytest.mark.parametrize("code", ["nonsense", "a" * 43, "ä\u0000\ud7ff", "' OR true --"])
async def test_a_code_that_nobody_issued_is_refused(api: Api, code: str) -> None:
    before = await api.rows()
    assert refusal((await enter(api, code)).json()) == {"message": USED, "code": "UNAUTHENTICATED"}
    assert await api.rows() == before


@pytest.mark.parametrize("headers", OWN_PAGES)
async def test_the_dashboards_own_pages_may_ask_and_change(
    api: Api, database: Database, headers: Mapping[str, str]
) -> None:
    await sign_in(api, database)
    assert (await ask(api, VIEWER, headers)).json() == {
        "data": {"viewer": {"subject": SUBJECT, "role": "PLATFORM_ADMIN"}}
    }
    assert (await ask(api, RECALCULATE, headers)).json() == {"data": {"recalculateAllHealth": {"__typename": "Run"}}}
    async with database.read() as connection:
        rows = (await connection.exec_driver_sql("SELECT kind, requested_by FROM runs")).all()
    assert [tuple(row) for row in rows] == [("RECALCULATE_ALL", SUBJECT)]
    answer = await ask(api, VIEWER, headers, "/graphql/stream")
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert SUBJECT in answer.text


@pytest.mark.parametrize("headers", STRANGE_PAGES)
async def test_a_strange_page_with_the_cookie_gets_and_changes_nothing(
    api: Api, database: Database, headers: Mapping[str, str]
) -> None:
    await sign_in(api, database)
    before = await api.rows()
    api.statements.clear()
    assert refusal((await ask(api, VIEWER, headers)).json()) == FORBIDDEN
    assert (await ask(api, RECALCULATE, headers)).json() == {
        "data": {"recalculateAllHealth": {"__typename": "ForbiddenError", "code": "FORBIDDEN"}}
    }
    for operation in (VIEWER, RECALCULATE, "subscription { alertRaised { id } }"):
        answer = await ask(api, operation, headers, "/graphql/stream")
        assert answer.status_code == 403
        assert refusal(answer.json()) == FORBIDDEN
    # Not even the session was looked up.
    assert api.statements == []
    assert await api.rows() == before


async def test_a_session_is_no_more_than_its_role(api: Api, database: Database) -> None:
    await sign_in(api, database, Role.CLIENT_SUCCESS)
    before = await api.rows()
    assert (await ask(api, RECALCULATE)).json() == {
        "data": {"recalculateAllHealth": {"__typename": "ForbiddenError", "code": "FORBIDDEN"}}
    }
    assert await api.rows() == before


@pytest.mark.parametrize("token", ["", "nonsense", "a" * 43, "%00", '"\\351"'])
async def test_a_cookie_that_nobody_was_given_is_refused(api: Api, token: str) -> None:
    before = await api.rows()
    for path in ("/graphql", "/graphql/stream"):
        answer = await ask(api, VIEWER, {"Cookie": f"{COOKIE}={token}", "Sec-Fetch-Site": "same-origin"}, path)
        assert refusal(answer.json()) == ENDED
    assert await api.rows() == before


@pytest.mark.parametrize("others", ["a=b; {}", 'a="b; {}', "=; ;; {}", "{};{}x=b", f"{COOKIE}=older; {{}}"])
async def test_the_cookie_is_found_among_others(api: Api, database: Database, others: str) -> None:
    token = (await enter(api, await code_for(database))).cookies[COOKIE]
    cookie = others.format(f"{COOKIE}={token}", COOKIE)
    answer = await ask(api, VIEWER, {"Cookie": cookie, **OWN_PAGES[0]})
    assert answer.json()["data"]["viewer"]["subject"] == SUBJECT


async def test_no_cookie_holds_the_process_up(api: Api) -> None:
    """A value in quotes with this many backslashes takes the parser of Python's library minutes."""
    value = '"' + "\\" * 1_000_000 + '"'
    cookie = {"Cookie": f"{COOKIE}={value}", **OWN_PAGES[0]}
    started = monotonic()
    for path in ("/graphql", "/graphql/stream"):
        assert refusal((await ask(api, VIEWER, cookie, path)).json()) == ENDED
    assert (await api.http.delete("/session", headers=cookie)).status_code == 204
    assert monotonic() - started < 2


async def test_a_session_lasts_as_long_as_the_setting_says(settings: Settings, database: Database) -> None:
    async with running_api(settings.model_copy(update={"session_hours": 1})) as api:
        answer = await enter(api, await code_for(database))
        assert "Max-Age=3600;" in answer.headers["set-cookie"]
        async with database.read() as connection:
            (expires_at,) = (await connection.exec_driver_sql("SELECT expires_at FROM sessions")).one()
        assert timedelta(minutes=59) < expires_at - datetime.now(UTC) <= timedelta(hours=1)
        await execute(database, "UPDATE sessions SET expires_at = now()")
        rows = await api.rows()
        assert refusal((await ask(api, VIEWER)).json()) == ENDED
        assert (await ask(api, RECALCULATE)).json()["data"]["recalculateAllHealth"]["code"] == "UNAUTHENTICATED"
        assert await api.rows() == rows


async def test_signing_in_clears_away_what_has_expired(api: Api, database: Database) -> None:
    for _ in range(2):
        await sign_in(api, database)
    await execute(database, "UPDATE sessions SET expires_at = now() - interval '1 hour'")
    await code_for(database, age=timedelta(hours=1))
    await sign_in(api, database)
    rows = await api.rows()
    assert (len(rows["sessions"]), len(rows["sign_in_codes"])) == (1, 0)


@pytest.mark.parametrize("headers", OWN_PAGES)
async def test_signing_out_ends_the_session_and_no_other(
    api: Api, database: Database, headers: Mapping[str, str]
) -> None:
    await sign_in(api, database)
    others = (await api.rows())["sessions"]
    stolen = (await enter(api, await code_for(database))).cookies[COOKIE]
    answer = await api.http.delete("/session", headers=headers)
    assert (answer.status_code, answer.content) == (204, b"")
    assert re.match(rf'{COOKIE}="";.*Max-Age=0; Path=/;', answer.headers["set-cookie"])
    assert (await api.rows())["sessions"] == others
    answer = await ask(api, VIEWER, {"Cookie": f"{COOKIE}={stolen}", "Sec-Fetch-Site": "same-origin"})
    assert refusal(answer.json()) == ENDED
    # Nobody is signed out twice.
    assert (await api.http.delete("/session", headers=headers)).status_code == 204


async def test_no_cache_keeps_an_answer(api: Api, database: Database) -> None:
    entering = await enter(api, await code_for(database))
    gzip = {**OWN_PAGES[0], "Accept-Encoding": "gzip"}
    answers = [
        entering,
        await enter(api, "nonsense"),
        await ask(api, VIEWER),
        await ask(api, "{ __schema { types { name description } } }", gzip),
        await ask(api, "{ nothing }"),
        await ask(api, VIEWER, {}),
        await ask(api, VIEWER, {}, "/graphql/stream"),
        await ask(api, RECALCULATE),
        await api.http.delete("/session", headers=OWN_PAGES[0]),
    ]
    assert {answer.headers["cache-control"] for answer in answers} == {"no-store"}
    assert {answer.headers["x-content-type-options"] for answer in answers} == {"nosniff"}


async def test_a_token_goes_before_the_cookie(api: Api, database: Database) -> None:
    await sign_in(api, database)
    api.statements.clear()
    # From anywhere: a browser adds no token by itself.
    by_token = await ask(api, VIEWER, {"Authorization": f"Bearer {token_of(Role.CLIENT_SUCCESS)}"})
    assert by_token.json()["data"]["viewer"]["role"] == "CLIENT_SUCCESS"
    for authorization in ("", "Bearer", "Bearer nonsense"):
        answer = await ask(api, VIEWER, {**OWN_PAGES[0], "Authorization": authorization})
        assert refusal(answer.json())["code"] == "UNAUTHENTICATED"
    assert api.statements == []


async def test_over_https_the_cookies_are_for_this_host_and_https_only(settings: Settings, database: Database) -> None:
    secured = settings.model_copy(update={"public_url": "https://health.example.com"})
    async with running_api(secured) as api:
        answer = await enter(api, await code_for(database), Origin="https://health.example.com")
        (cookie,) = SimpleCookie(answer.headers["set-cookie"]).values()
        assert cookie.key == f"__Host-{COOKIE}"
        assert (cookie["secure"], cookie["path"], cookie["domain"]) == (True, "/", "")
        own = {"Cookie": f"{cookie.key}={cookie.value}", "Origin": "https://health.example.com"}
        assert (await ask(api, VIEWER, own)).json()["data"]["viewer"]["subject"] == SUBJECT
        before = await api.rows()
        for headers in (
            {**own, "Origin": "https://health.example.com.evil.example"},
            {**own, "Origin": "https://other.example.com"},
        ):
            assert refusal((await ask(api, VIEWER, headers)).json()) == FORBIDDEN
        # A cookie without the prefix may have been set by anybody in the domain.
        unprefixed = {**own, "Cookie": f"{COOKIE}={cookie.value}"}
        assert refusal((await ask(api, VIEWER, unprefixed)).json())["code"] == "UNAUTHENTICATED"
        assert await api.rows() == before
        answer = await api.http.delete("/session", headers=own)
        assert "; Secure" in answer.headers["set-cookie"]
        assert refusal((await ask(api, VIEWER, own)).json()) == ENDED


async def test_an_outage_of_the_database_is_called_one(settings: Settings) -> None:
    down = settings.model_copy(update={"database_url": "postgresql://nobody@127.0.0.1:1/nothing"})
    unavailable = {"message": "The database does not answer right now; try again shortly.", "code": "UNAVAILABLE"}
    cookie = {"Cookie": f"{COOKIE}=nonsense", **OWN_PAGES[0]}
    with capture_logs() as logs:
        async with running_api(down) as api:
            for answer in (
                await enter(api, "nonsense"),
                await api.http.delete("/session", headers=cookie),
                await ask(api, VIEWER, cookie, "/graphql/stream"),
            ):
                assert answer.status_code == 503
                assert refusal(answer.json()) == unavailable
            assert refusal((await ask(api, VIEWER, cookie)).json()) == unavailable
            body = (await ask(api, RECALCULATE, cookie)).json()
            assert body["data"]["recalculateAllHealth"] == {"__typename": "UnavailableError", "code": "UNAVAILABLE"}
    assert {entry["event"] for entry in logs} == {"started_without_database", "unavailable"}


@pytest.mark.parametrize("subject", ["", " ", "a\nb", "a\u0000b"])
async def test_no_code_is_issued_to_nobody(database: Database, subject: str) -> None:
    with pytest.raises(InvalidInput, match="printable"):
        await code_for(database, subject=subject)


async def test_long_answers_to_browsers_are_compressed(api: Api, database: Database) -> None:
    await sign_in(api, database)
    long = "{ __schema { types { name description } } }"
    plain = await ask(api, long, {**OWN_PAGES[0], "Accept-Encoding": "identity"})
    short = await ask(api, long, {**OWN_PAGES[0], "Accept-Encoding": "br, gzip;q=0.5"})
    assert "content-encoding" not in plain.headers
    assert (short.headers["content-encoding"], short.headers["vary"]) == ("gzip", "Accept-Encoding")
    assert short.json() == plain.json()
    assert int(short.headers["content-length"]) < len(plain.content) / 3
    assert "content-encoding" not in (await ask(api, VIEWER, {**OWN_PAGES[0], "Accept-Encoding": "gzip"})).headers
    by_token = {"Authorization": f"Bearer {token_of(Role.CLIENT_SUCCESS)}", "Accept-Encoding": "gzip"}
    assert "content-encoding" not in (await ask(api, long, by_token)).headers
