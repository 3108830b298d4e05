"""What operators watch: whether the service is ready, and its figures in Prometheus format."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from time import perf_counter
from typing import Any

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from redis.asyncio import Redis
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from app.database import Database, ReadConnection, fetch
from app.errors import is_outage
from app.feeds.rules import FeedStatus
from app.feeds.service import statuses
from app.intake import tracking
from app.migrate import latest_revision

log = structlog.get_logger(__name__)

# Callers choose operation names, so that only so many of them get a label of their own.
MAX_OPERATIONS = 100
CHECK_TIMEOUT_SECONDS = 3

_REGISTRY = CollectorRegistry()
# The code is that of the first error, or OK.
REQUESTS = Counter("client_health_requests", "GraphQL requests.", ["operation", "code"], registry=_REGISTRY)
SECONDS = Histogram(
    "client_health_request_seconds", "How long GraphQL requests took.", ["operation"], registry=_REGISTRY
)
_operations: set[str] = set()

RUNS = text(
    "SELECT kind, status, count(*) AS runs, "
    "coalesce(sum(extract(epoch FROM finished_at - started_at)), 0)::float8 AS seconds FROM runs GROUP BY 1, 2"
)
WAITING = text(
    "SELECT coalesce(extract(epoch FROM clock_timestamp() - min(requested_at) FILTER (WHERE status = 'QUEUED')), 0)"
    "::float8 AS queued, coalesce(extract(epoch FROM clock_timestamp() - min(requested_at)), 0)::float8 AS unfinished "
    "FROM runs WHERE status IN ('QUEUED', 'RUNNING')"
)
LIGHTS = text("SELECT light, sum(clients)::integer AS clients FROM portfolio_counts GROUP BY 1")
ALERTS = text("SELECT count(*) AS alerts, count(*) FILTER (WHERE held) AS held FROM alerts WHERE status <> 'RESOLVED'")
# What was held could not leave before it was released, which renews the alert.
DELIVERIES = text(
    "SELECT c.name, (c.disabled_at IS NOT NULL)::integer AS disabled, coalesce(extract(epoch FROM clock_timestamp() - "
    "(SELECT min(greatest(d.created_at, a.created_at)) FROM deliveries AS d LEFT JOIN alerts AS a ON a.id = d.alert_id "
    "WHERE d.channel = c.name AND d.status = 'PENDING')), 0)::float8 AS pending FROM channels AS c WHERE c.configured"
)
REVISION = text("SELECT version_num FROM alembic_version")


def observe(operation: str | None, code: str, started: float) -> None:
    """Count a request that began at `started` of perf_counter and was answered with that code."""
    name = operation or "anonymous"
    if name not in _operations:
        if len(_operations) >= MAX_OPERATIONS:
            name = "other"
        _operations.add(name)
    REQUESTS.labels(name, code).inc()
    SECONDS.labels(name).observe(perf_counter() - started)


async def readiness(database: Database, redis_url: str) -> Mapping[str, str]:
    """Return "ok", or what is wrong, for the database, the migrations and Redis, each by its name."""
    names = ("database", "migrations", "redis")
    checks = (_check_database(database), _check_migrations(database), _check_redis(redis_url))
    results = await asyncio.gather(
        *(asyncio.wait_for(check, CHECK_TIMEOUT_SECONDS) for check in checks), return_exceptions=True
    )
    found = {}
    for name, result in zip(names, results, strict=True):
        if isinstance(result, BaseException):
            log.warning("not_ready", part=name, error=repr(result))
            found[name] = "does not answer"
        else:
            found[name] = result
    return found


async def _check_database(database: Database) -> str:
    async with database.read() as connection:
        await fetch(connection, text("SELECT 1"))
    return "ok"


async def _check_migrations(database: Database) -> str:
    wanted = await asyncio.to_thread(latest_revision)
    try:
        async with database.read() as connection:
            found = await fetch(connection, REVISION)
    except ProgrammingError:
        # The database answers, and has no such table: it was never migrated.
        found = []
    revision = found[0].version_num if found else ""
    # A newer database is fine: the old version serves on while the new one migrates.
    state = f"at {revision}" if revision else "never migrated"
    return "ok" if revision >= wanted else f"{state}, but {wanted} is needed: run client-health migrate"


async def _check_redis(redis_url: str) -> str:
    async with Redis.from_url(redis_url, socket_timeout=1, socket_connect_timeout=1) as client:
        await client.ping()
    return "ok"


async def metrics(database: Database) -> tuple[bytes, str]:
    """Return the figures of this process, and of the database if it answers, and their media type."""
    registry = CollectorRegistry()
    up = Gauge("client_health_database_up", "Whether the database answered this very request.", registry=registry)
    figures = b""
    try:
        async with database.read() as connection:
            figures = generate_latest(await _database_figures(connection))
        up.set(1)
    except Exception as error:
        if not is_outage(error):
            raise
        # An outage is when operators look: this process's own figures must not be missing then.
        log.warning("metrics_without_database", error=repr(error))
    own = generate_latest(_REGISTRY) + generate_latest(tracking.REGISTRY)
    return own + generate_latest(registry) + figures, CONTENT_TYPE_LATEST


async def _database_figures(connection: ReadConnection) -> CollectorRegistry:
    registry = CollectorRegistry()
    runs = Gauge("client_health_runs", "Runs by kind and status.", ["kind", "status"], registry=registry)
    seconds = Gauge(
        "client_health_run_seconds", "Seconds that runs took together.", ["kind", "status"], registry=registry
    )
    queued = Gauge("client_health_queue_age_seconds", "Age of the oldest queued run.", registry=registry)
    oldest = Gauge("client_health_oldest_unfinished_run_seconds", "Age of the oldest run in work.", registry=registry)
    clients = Gauge("client_health_clients", "Listed clients by light.", ["light"], registry=registry)
    alerts = Gauge("client_health_unresolved_alerts", "Alerts that are open or acknowledged.", registry=registry)
    held = Gauge("client_health_held_alerts", "Unresolved alerts that nobody was told of yet.", registry=registry)
    pending = Gauge(
        "client_health_oldest_pending_delivery_seconds",
        "Age of the oldest delivery that has not arrived, from its release on if it was held.",
        ["channel"],
        registry=registry,
    )
    disabled = Gauge(
        "client_health_channel_disabled", "Whether its receiver is gone for good.", ["channel"], registry=registry
    )
    silent = Gauge(
        "client_health_feed_silent_seconds",
        "Time since a feed last delivered; absent before it ever did.",
        ["feed"],
        registry=registry,
    )
    stale = Gauge(
        "client_health_feed_stale", "Whether a feed is silent for longer than usual.", ["feed"], registry=registry
    )
    now = datetime.now(UTC)
    for feed in await statuses(connection, now):
        stale.labels(feed.kind).set(feed.status is FeedStatus.STALE)
        if feed.last_received_at is not None:
            silent.labels(feed.kind).set((now - feed.last_received_at).total_seconds())
    for row in await fetch(connection, DELIVERIES):
        pending.labels(row.name).set(row.pending)
        disabled.labels(row.name).set(row.disabled)
    for row in await fetch(connection, RUNS):
        runs.labels(row.kind, row.status).set(row.runs)
        seconds.labels(row.kind, row.status).set(row.seconds)
    waiting: Any = (await fetch(connection, WAITING))[0]
    queued.set(waiting.queued)
    oldest.set(waiting.unfinished)
    for row in await fetch(connection, LIGHTS):
        clients.labels(row.light or "UNSCORED").set(row.clients)
    unresolved: Any = (await fetch(connection, ALERTS))[0]
    alerts.set(unresolved.alerts)
    held.set(unresolved.held)
    return registry
