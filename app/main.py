"""The web application: its routes, its middleware, and the resources that live as long as it does."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from time import perf_counter
from typing import Any
from uuid import uuid4

import structlog
from sqlalchemy.exc import SQLAlchemyError
from starlette.applications import Starlette
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import operations
from app.auth.oidc import issuer_from
from app.auth.sessions import Sessions
from app.auth.tokens import Viewer, verifier_from
from app.auth.write_keys import WriteKeys
from app.dashboard.routes import Dashboard
from app.database import Database
from app.errors import ExpectedError
from app.events.mapping import read_mapping
from app.graphql.context import Context
from app.graphql.http import GraphQLEndpoint, request_id, viewer_of
from app.graphql.live import Hub
from app.graphql.schema import schema
from app.graphql.sse import StreamEndpoint
from app.graphql.websocket import WebSocketEndpoint
from app.health.rules import Policy
from app.health.service import load_policies
from app.intake.imports import Imports
from app.intake.tracking import Tracking
from app.jobs import JobQueue
from app.processes import spare_collector
from app.settings import Settings

log = structlog.get_logger(__name__)


class RequestId:
    """Gives every request an id, which its log lines and its response carry, and counts those of the API."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        identifier, started = uuid4().hex, perf_counter()
        state = scope.setdefault("state", {})
        state["request_id"] = identifier

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), (b"x-request-id", identifier.encode())]
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=identifier):
            await self.app(scope, receive, send_with_id)
        if scope["path"] == "/graphql":
            operations.observe(state.get("operation"), state.get("code", "OK"), started)


async def healthz(_request: Request) -> PlainTextResponse:
    """Say that this process answers."""
    return PlainTextResponse("ok\n")


def create_app(settings: Settings) -> Starlette:
    """Return the application; it connects to its servers when it starts.

    Raises ValueError when a setting that the web process needs is missing, and InvalidInput when EVENT_MAPPING names a
    file that is wrong.
    """
    if settings.database_url is None or settings.redis_url is None:
        raise ValueError("set DATABASE_URL and REDIS_URL: the web process needs both")
    redis_url = settings.redis_url
    jobs = JobQueue(redis_url)
    database = Database(
        settings.database_url,
        pool_size=settings.database_pool_size,
        statement_timeout_seconds=settings.statement_timeout_seconds,
        idle_timeout_seconds=settings.statement_timeout_seconds,
        send_jobs=jobs.send,
    )
    policies: dict[int, Policy] = {}
    live = Hub(database.read, every=timedelta(milliseconds=settings.live_poll_ms))

    async def make_context(request: HTTPConnection, viewer: Viewer | ExpectedError) -> Context:
        return Context(
            database=database,
            settings=settings,
            now=datetime.now(UTC),
            request_id=request_id(request),
            viewer=viewer if isinstance(viewer, Viewer) else None,
            refusal=None if isinstance(viewer, Viewer) else viewer,
            known_policies=policies,
            live=live,
        )

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[dict[str, Any]]:
        try:
            async with database.read() as connection:
                policies.update(await load_policies(connection))
        except (SQLAlchemyError, OSError) as error:
            # The first request that needs them reads them; /readyz tells what is wrong until then.
            log.warning("started_without_database", error=repr(error))
        spare_collector()
        yield {}
        await live.close()
        await jobs.close()
        await database.close()

    verifier = verifier_from(settings)

    async def readyz(_request: Request) -> Response:
        parts = await operations.readiness(database, redis_url)
        ready = all(state == "ok" for state in parts.values())
        return JSONResponse(parts, status_code=200 if ready else 503)

    async def metrics(request: Request) -> Response:
        viewer = await viewer_of(request, verifier)
        if isinstance(viewer, ExpectedError):
            return PlainTextResponse(f"{viewer.message}\n", 401, headers={"WWW-Authenticate": "Bearer"})
        content, media_type = await operations.metrics(database)
        return Response(content, media_type=media_type)

    sessions = Sessions(database, settings.public_url, timedelta(hours=settings.session_hours))
    dashboard = Dashboard(sessions, issuer_from(settings, verifier))
    endpoint = GraphQLEndpoint(schema, verifier, make_context, settings.max_request_bytes, sessions=sessions)
    origins = frozenset(filter(None, settings.allowed_origins.split(",")))
    stream = StreamEndpoint(schema, verifier, make_context, settings.max_request_bytes, live.closing, sessions=sessions)
    retention = timedelta(days=settings.event_retention_days)
    keys = WriteKeys(database)
    tracking = Tracking(database, keys, read_mapping(settings.event_mapping), retention)
    imports = Imports(database, keys, verifier, live, settings.import_max_bytes)
    app = Starlette(
        routes=[
            Route("/graphql", endpoint),
            WebSocketRoute("/graphql", WebSocketEndpoint(endpoint, origins)),
            Route("/graphql/stream", stream),
            Route("/healthz", healthz, methods=["GET"]),
            Route("/readyz", readyz, methods=["GET"]),
            Route("/metrics", metrics, methods=["GET"]),
            *tracking.routes,
            *imports.routes,
            *dashboard.routes,
        ],
        exception_handlers={404: dashboard.not_found},
        lifespan=lifespan,
    )
    # A redirect would name the host that the caller claims to have asked.
    app.router.redirect_slashes = False
    app.add_middleware(RequestId)
    app.state.live = live
    return app
