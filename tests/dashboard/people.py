"""People at their browsers, as far as HTTP shows them: a cookie, and the headers that a browser adds by itself."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import orjson

from app.auth.sessions import issue_code
from app.auth.tokens import Role
from app.database import Database
from tests.graphql.conftest import Api

COOKIE = "client-health-session"
SUBJECT = "anna@example.com"

# How a browser says that the page and the server are one; older ones, and all over plain HTTP, say it with Origin.
OWN_PAGES: list[Mapping[str, str]] = [
    {"Sec-Fetch-Site": "same-origin"},
    {"Sec-Fetch-Site": "same-origin", "Origin": "null"},
    {"Origin": "http://api"},
    {"Origin": "HTTP://API"},
]
# What comes from elsewhere, or does not say where it comes from.
STRANGE_PAGES: list[Mapping[str, str]] = [
    {},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "none"},
    {"Sec-Fetch-Site": ""},
    {"Sec-Fetch-Site": "cross-site", "Origin": "http://api"},
    {"Origin": "null"},
    {"Origin": ""},
    {"Origin": "https://api"},
    {"Origin": "http://api:8000"},
    {"Origin": "http://api.evil.example"},
    {"Origin": "http://evil.example"},
    {"Referer": "http://api/"},
]
OWN_PAGE = OWN_PAGES[0]


async def code_for(
    database: Database, role: Role = Role.PLATFORM_ADMIN, subject: str = SUBJECT, age: timedelta = timedelta(0)
) -> str:
    """Return a sign-in code that was issued `age` ago."""
    async with database.begin() as session:
        return await issue_code(session, subject=subject, role=role, now=datetime.now(UTC) - age)


async def enter(api: Api, code: str, **headers: str) -> httpx2.Response:
    """Send a code as the page does; a browser keeps the cookie of the answer."""
    return await api.http.post("/session", json={"code": code}, headers={**OWN_PAGE, **headers})


async def sign_in(api: Api, database: Database, role: Role = Role.PLATFORM_ADMIN) -> None:
    """Let the API's client be the browser of somebody who is signed in."""
    answer = await enter(api, await code_for(database, role))
    assert answer.status_code == 204, answer.text


async def ask(
    api: Api, query: str, headers: Mapping[str, str] = OWN_PAGE, path: str = "/graphql", **variables: Any
) -> httpx2.Response:
    """Send an operation from the browser, whose cookie goes along by itself."""
    content = orjson.dumps({"query": query, "variables": variables})
    return await api.http.post(path, content=content, headers={"Content-Type": "application/json", **headers})
