"""The clients of these tests, whose scores of the day are known beforehand, and the requests about them."""

from datetime import UTC, date, datetime, timedelta

from sqlalchemy import text

from app.clients.models import ClientSize
from app.database import Database
from app.graphql.pagination import global_id
from tests.factories import add_rows, rows_of

RECALCULATE = """
mutation ($id: ID!) {
  recalculateHealth(input: {clientId: $id}) { __typename ... on Run { id } ... on Error { code message } }
}
"""
RECALCULATE_ALL = "mutation { recalculateAllHealth { __typename ... on Run { id } ... on Error { code message } } }"
RECORD_METRICS = """
mutation ($date: Date) {
  recordDailyMetrics(input: {date: $date}) { __typename ... on Run { id } ... on Error { code message } }
}
"""
SET_ALERTS = """
mutation ($filter: ClientFilter!, $enabled: Boolean!) {
  setAlerts(input: {filter: $filter, enabled: $enabled}) { __typename ... on Run { id } ... on Error { code message } }
}
"""
SUMMARY = "{ portfolioSummary { total green amber red unscored } }"

# Yesterday's score of everybody, and today's of those whose score falls: without a ticket ever the tickets count as
# 100, with a weight of 15, and cases and campaigns as 0, each with 25.
BEFORE = 100
AFTER = 23

SIZES = tuple(ClientSize)

UNFINISHED = "SELECT id FROM runs WHERE status IN ('QUEUED', 'RUNNING') ORDER BY id"


async def add_portfolio(database: Database, clients: int, *, fallen: int = 0) -> list[int]:
    """Add clients who scored 100 yesterday and do so today, and return their ids.

    The first `fallen` of them score 23 today, and have their alerts on. The facts are some days old, so that the time
    of day does not matter.
    """
    today = datetime.now(UTC).date()
    at = datetime(today.year, today.month, today.day, tzinfo=UTC) - timedelta(days=5)
    ids = await add_rows(
        database,
        "clients",
        [
            {
                "external_id": f"chaos {number}",
                "name": f"Client {number}",
                "name_key": f"client {number}",
                "size": SIZES[number % len(SIZES)],
                "alerts_enabled": number < fallen,
            }
            for number in range(clients)
        ],
    )
    cases, campaigns, scores = [], [], []
    for number, client_id in enumerate(ids):
        done = 0 if number < fallen else 2
        for case in range(2):
            cases.append(
                {
                    "client_id": client_id,
                    "external_id": str(case),
                    "opened_at": at - timedelta(days=2),
                    "closed_at": at,
                    "sla_due_at": at + timedelta(days=1 if case < done else -1),
                }
            )
        campaign = {"client_id": client_id, "external_id": "1", "assigned": 2, "completed": done, "closed_at": at}
        campaigns.append(campaign)
        scores.append(_score(client_id, today - timedelta(days=1)))
    for table, rows in (("cases", cases), ("campaigns", campaigns), ("health_scores", scores)):
        await add_rows(database, table, rows)
    return ids


def _score(client_id: int, day: date) -> dict[str, object]:
    end = datetime(day.year, day.month, day.day, 23, 59, 59, tzinfo=UTC)
    counts = ("members", "active_members", "cases_closed", "cases_on_time", "features_enabled", "features_used")
    return {
        "client_id": client_id,
        "day": day,
        "as_of": end,
        "calculated_at": end,
        "policy_version": 1,
        "score": BEFORE,
        "light": "GREEN",
        "trend": "STABLE",
        "risk": "LOW",
        "coverage": 65,
        "case_score": 100,
        "campaign_score": 100,
        "ticket_score": 100,
        "campaigns_completed": [2],
        "campaigns_assigned": [2],
        "tickets_tracked": False,
        **dict.fromkeys((*counts, "tickets_opened", "tickets_before"), 0),
        "cases_closed": 2,
        "cases_on_time": 2,
    }


async def take_todays_slots(database: Database) -> None:
    """Record today's slots as taken and done, so that the scheduler has nothing to do but to sweep."""
    today, now = datetime.now(UTC).date(), datetime.now(UTC)
    async with database.begin() as session:
        for job in ("RECALCULATE_ALL", "RECORD_METRICS"):
            await session.execute(
                text(
                    "WITH run AS (INSERT INTO runs (kind, status, requested_by, requested_at, finished_at, done, "
                    "failed, position, attempt) VALUES (:job, 'SUCCEEDED', 'schedule', :now, :now, 0, 0, 0, 1) "
                    "RETURNING id) INSERT INTO slots (job, day, due_at, run_id) SELECT :job, :day, :now, id FROM run"
                ),
                {"job": job, "now": now, "day": today},
            )


async def all_finished(database: Database) -> bool:
    """Return whether every run is finished."""
    return not await rows_of(database, UNFINISHED)


def client_id(number: int) -> str:
    """Return the API's id of a client."""
    return global_id("Client", number)
