"""The yardsticks: endpoints written for one purpose each, with nothing between them and the driver.

`python -m benchmarks.handwritten --port PORT` serves the portfolio page, reading the same rows by the same statements
and returning the same JSON, and takes events as a simple server does: each is one INSERT. The most that a server in
Python could take is what it only parses and copies.
"""

import base64
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import asyncpg
import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from app.clients import queries
from app.health.rules import LABELS, Component, Policy, contributions, light_of

# A message that is sent again is known by its id, as it is to us.
EVENT = ("day", "message_id", "at", "received_at", "type", "name", "client", "member")
INSERT = (
    f"INSERT INTO simple_events ({', '.join(EVENT)}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING"
)
FIRST = 50
ORDER = "score_desc"

PAGE = queries.page(ORDER, [], after=False).text.replace(":limit", "$1").replace(":light_keys", "$2")
SUMMARY = queries.counts([]).text
CALCULATED_AT = queries.CALCULATED_AT.text
COLUMNS = ("login_score", "case_score", "campaign_score", "feature_score", "ticket_score")


def _opaque(value: list[Any]) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(value)).decode().rstrip("=")


def _time(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()


def _health(row: asyncpg.Record, policy: Policy) -> dict[str, Any] | None:
    if row["scored_day"] is None:
        return None
    scores = tuple(row[name] for name in COLUMNS)
    components = [
        {
            "key": key,
            "label": LABELS[key],
            "weight": weight,
            "score": score,
            "trafficLight": None if score is None else light_of(score, policy),
            "measured": row["tickets_tracked"] if key is Component.TICKET_VOLUME else score is not None,
            "contribution": contribution,
        }
        for key, weight, score, contribution in zip(
            Component, policy.weights, scores, contributions(scores, policy), strict=True
        )
    ]
    return {
        "score": row["score"],
        "trafficLight": row["light"],
        "trend": row["trend"],
        "trendDelta": row["trend_delta"],
        "riskLevel": row["risk"],
        "coverage": row["coverage"],
        "calculatedAt": _time(row["calculated_at"]),
        "components": components,
    }


def _edge(row: asyncpg.Record, policy: Policy) -> dict[str, Any]:
    node = {
        "id": _opaque(["Client", row["id"]]),
        "name": row["name"],
        "size": row["size"],
        "industry": row["industry"],
        "engagementModel": row["engagement_model"],
        "owner": row["owner"],
        "renewalDate": row["renewal_date"],
        "alertsEnabled": row["alerts_enabled"],
        "lastActivityAt": _time(row["last_activity_at"]),
        "health": _health(row, policy),
    }
    return {"cursor": _opaque([ORDER, row["key"], row["name_key"], row["id"]]), "node": node}


async def portfolio(request: Request) -> Response:
    """Return the first page of the portfolio with its summary, as GraphQL does."""
    policy = Policy()
    async with request.state.pool.acquire() as connection:
        rows = await connection.fetch(PAGE, FIRST + 1, queries.LIGHT_KEYS)
        lights = dict(await connection.fetch(SUMMARY))
        calculated_at = await connection.fetchval(CALCULATED_AT)
    edges = [_edge(row, policy) for row in rows[:FIRST]]
    total = sum(lights.values())
    summary = {"total": total, "green": lights.get("GREEN", 0), "amber": lights.get("AMBER", 0)}
    summary |= {"red": lights.get("RED", 0), "unscored": lights.get("", 0), "calculatedAt": _time(calculated_at)}
    page_info = {"hasNextPage": len(rows) > FIRST, "hasPreviousPage": False}
    page_info |= {"startCursor": edges[0]["cursor"], "endCursor": edges[-1]["cursor"]}
    clients = {"totalCount": total, "pageInfo": page_info, "edges": edges}
    body = orjson.dumps({"data": {"portfolioSummary": summary, "clients": clients}})
    return Response(body, media_type="application/json")


async def take_events(request: Request) -> Response:
    """Store each event of a batch by an INSERT of its own, and nothing of what it means."""
    rows = _events(await request.body())
    async with request.state.pool.acquire() as connection:
        for row in rows:
            await connection.execute(INSERT, *row)
    return Response(b'{"success":true}', media_type="application/json")


async def copy_events(request: Request) -> Response:
    """Copy the events of a batch, whether or not they came before, and nothing of what they mean."""
    rows = _events(await request.body())
    async with request.state.pool.acquire() as connection:
        await connection.copy_records_to_table("copied_events", records=rows, columns=EVENT)
    return Response(b'{"success":true}', media_type="application/json")


def _events(body: bytes) -> list[tuple[object, ...]]:
    now = datetime.now(UTC)
    rows: list[tuple[object, ...]] = []
    for event in orjson.loads(body)["batch"]:
        at = datetime.fromisoformat(event["timestamp"])
        client, member = event["context"]["groupId"], event["userId"]
        rows.append((at.date(), event["messageId"], at, now, "TRACK", event["event"], client, member))
    return rows


async def healthz(_request: Request) -> PlainTextResponse:
    """Say that this process answers."""
    return PlainTextResponse("ok\n")


@asynccontextmanager
async def lifespan(_app: Starlette) -> AsyncIterator[dict[str, Any]]:
    """Hold the connections."""
    settings = {"jit": "off", "timezone": "UTC"}
    async with asyncpg.create_pool(os.environ["DATABASE_URL"], max_size=10, server_settings=settings) as pool:
        yield {"pool": pool}


app = Starlette(
    routes=[
        Route("/portfolio", portfolio, methods=["POST"]),
        Route("/v1/batch", take_events, methods=["POST"]),
        Route("/v1/copy", copy_events, methods=["POST"]),
        Route("/healthz", healthz),
    ],
    lifespan=lifespan,
)

if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[sys.argv.index("--port") + 1]), log_level="warning")
