"""A small API behind the real endpoint, and a client for it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import httpx2
import orjson
import strawberry
from starlette.applications import Starlette
from starlette.requests import HTTPConnection
from starlette.routing import Route

from app.auth.tokens import Role, Viewer, issue_token, verifier_from
from app.errors import ExpectedError, NotFound
from app.graphql.errors import TYPED_ERRORS, UnauthenticatedError
from app.graphql.http import GraphQLEndpoint, Schema
from app.graphql.limits import DocumentLimits
from app.settings import Settings

SECRET = "a secret of the tests that has more than 32 bytes"
MAX_BYTES = 10_000


@dataclass
class Context:
    viewer: Viewer | ExpectedError


Info = strawberry.Info[Context, None]

# The mutations that were let through, by subject.
written: list[str] = []


@strawberry.type
class Query:
    @strawberry.field
    def who(self, info: Info) -> str:
        assert isinstance(info.context.viewer, Viewer)
        return f"{info.context.viewer.subject} {info.context.viewer.role}"

    @strawberry.field
    def echo(self, text: str | None = None, number: int = 0) -> str:
        return f"{text} {number}"

    @strawberry.field
    def missing(self) -> int | None:
        raise NotFound("There is no such thing.")

    @strawberry.field
    def broken(self) -> int:
        raise ZeroDivisionError("inside")


@strawberry.type
class Written:
    ok: bool


@strawberry.type
class Mutation:
    @strawberry.mutation
    def write(self, info: Info) -> Annotated[Written | UnauthenticatedError, strawberry.union("WriteResult")]:
        if isinstance(info.context.viewer, ExpectedError):
            raise info.context.viewer
        written.append(info.context.viewer.subject)
        return Written(ok=True)


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def ticks(self) -> AsyncIterator[int]:
        yield 1


async def make_context(request: HTTPConnection, viewer: Viewer | ExpectedError) -> Context:
    if request.headers.get("x-break-the-context"):
        raise RuntimeError("inside")
    return Context(viewer)


ENDPOINT = GraphQLEndpoint(
    schema=Schema(Query, Mutation, Subscription, extensions=[DocumentLimits], exception_handlers=TYPED_ERRORS),
    verifier=verifier_from(Settings(auth_secret=SECRET)),
    make_context=make_context,
    max_request_bytes=MAX_BYTES,
)


def token(lifetime: timedelta = timedelta(minutes=5), issued: timedelta = timedelta(0)) -> str:
    return issue_token(
        SECRET,
        subject="ann",
        role=Role.CLIENT_SUCCESS,
        lifetime=lifetime,
        now=datetime.now(UTC) + issued,
        issuer="client-health",
        audience="client-health",
    )


TOKEN = token(timedelta(hours=1))
MUTATION = "mutation { write { __typename ... on Written { ok } ... on Error { code message } } }"
GRAPHQL_RESPONSE = "application/graphql-response+json"


def client(endpoint: GraphQLEndpoint = ENDPOINT) -> httpx2.AsyncClient:
    app = Starlette(routes=[Route("/graphql", endpoint)])
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://server")


async def send(
    content: Any,
    *,
    authorization: str | None = f"Bearer {TOKEN}",
    content_type: str | None = "application/json",
    method: str = "POST",
    **headers: str,
) -> httpx2.Response:
    chosen = {name.replace("_", "-"): value for name, value in headers.items()}
    if authorization is not None:
        chosen["Authorization"] = authorization
    if content_type is not None:
        chosen["Content-Type"] = content_type
    body = orjson.dumps(content) if isinstance(content, dict) else content
    async with client() as http:
        return await http.request(method, "/graphql", content=body, headers=chosen)


def codes(response: httpx2.Response) -> list[str]:
    """Return the codes of an answer that holds errors and no data, each with a sentence."""
    answer = response.json()
    assert answer.keys() == {"errors"}
    assert all(error["message"] for error in answer["errors"])
    return [error["extensions"]["code"] for error in answer["errors"]]
