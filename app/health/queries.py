"""Every SQL statement about health: counting facts for a batch of clients, and storing and reading scores."""

from collections.abc import Iterable

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.health.models import HealthScore

# A client is scored from the day it became one until the moment it left.
SCORED = "(customer_since IS NULL OR customer_since <= :day) AND (status <> 'CHURNED' OR churned_at > :as_of)"

# Deactivated at or before `as_of`, or created after it: such a member does not count.
COUNTED_MEMBER = (
    "(m.created_at IS NULL OR m.created_at <= :as_of) AND (m.deactivated_at IS NULL OR m.deactivated_at > :as_of)"
)

# Both cover one client where an id is given, and all of them otherwise.
COUNT_SCORED = text(
    f"SELECT count(*) FROM clients WHERE {SCORED} AND (CAST(:client_id AS bigint) IS NULL OR id = :client_id)"
)

NEXT_SCORED = text(
    f"SELECT id FROM clients WHERE id > :after AND {SCORED} "
    "AND (CAST(:client_id AS bigint) IS NULL OR id = :client_id) ORDER BY id LIMIT :size"
)

LOCK_CLIENTS = text(
    f"SELECT id FROM clients WHERE id = ANY(CAST(:ids AS bigint[])) AND {SCORED} ORDER BY id FOR NO KEY UPDATE"
)

# Each member's latest login decides whether it was active in the window, and in the week at its end.
MEMBERS = text(
    "SELECT m.client_id, count(*) AS members, count(l.last) AS active, "
    "count(*) FILTER (WHERE l.last >= :week) AS weekly_active FROM members AS m LEFT JOIN ("
    "SELECT member_id, max(at) AS last FROM logins WHERE client_id = ANY(CAST(:ids AS bigint[])) "
    "AND at BETWEEN :start AND :as_of GROUP BY member_id) AS l ON l.member_id = m.id "
    f"WHERE m.client_id = ANY(CAST(:ids AS bigint[])) AND {COUNTED_MEMBER} GROUP BY m.client_id"
)

CASES = text(
    "SELECT client_id, count(*) AS closed, "
    "count(*) FILTER (WHERE sla_due_at IS NULL OR closed_at <= sla_due_at) AS on_time, "
    "count(opened_at) AS timed, sum(closed_at - opened_at) AS time_to_close "
    "FROM cases WHERE client_id = ANY(CAST(:ids AS bigint[])) AND closed_at BETWEEN :start AND :as_of "
    "GROUP BY client_id"
)

CAMPAIGNS = text(
    "SELECT client_id, array_agg(completed ORDER BY closed_at, id) AS completed, "
    "array_agg(assigned ORDER BY closed_at, id) AS assigned, "
    "array_agg(kind = 'ATTESTATION' ORDER BY closed_at, id) AS attestation "
    "FROM campaigns WHERE client_id = ANY(CAST(:ids AS bigint[])) AND closed_at BETWEEN :start AND :as_of "
    "AND assigned > 0 GROUP BY client_id"
)

FEATURES = text(
    "SELECT client_id, count(*) AS enabled, "
    "count(*) FILTER (WHERE coalesce(first_used_at, last_used_at) <= :as_of) AS used "
    "FROM client_features WHERE client_id = ANY(CAST(:ids AS bigint[])) AND enabled GROUP BY client_id"
)

TICKETS = text(
    "SELECT client_id, count(*) FILTER (WHERE opened_at >= :start) AS opened, "
    "count(*) FILTER (WHERE opened_at < :start) AS before "
    "FROM tickets WHERE client_id = ANY(CAST(:ids AS bigint[])) AND opened_at BETWEEN :before_start AND :as_of "
    "GROUP BY client_id"
)

# Asked only for clients without a recent ticket. A ticket of unknown age was recorded all the same.
TICKETS_EVER = text(
    "SELECT c.id FROM unnest(CAST(:ids AS bigint[])) AS c(id) WHERE EXISTS ("
    "SELECT FROM tickets WHERE client_id = c.id AND (opened_at <= :as_of OR opened_at IS NULL))"
)

PREVIOUS_SCORES = text(
    "SELECT c.id, p.score, p.light, p.risk FROM unnest(CAST(:ids AS bigint[])) AS c(id) CROSS JOIN LATERAL ("
    "SELECT score, light, risk FROM health_scores WHERE client_id = c.id AND day < :day AND score IS NOT NULL "
    "ORDER BY day DESC LIMIT 1) AS p"
)

LAST_ACTIVITY = text(
    "SELECT c.id, greatest("
    "(SELECT max(at) FROM logins WHERE client_id = c.id AND at <= :as_of), "
    "(SELECT max(opened_at) FROM cases WHERE client_id = c.id AND opened_at <= :as_of), "
    "(SELECT max(closed_at) FROM cases WHERE client_id = c.id AND closed_at <= :as_of), "
    "(SELECT max(closed_at) FROM campaigns WHERE client_id = c.id AND closed_at <= :as_of), "
    "(SELECT max(at) FROM campaign_responses WHERE client_id = c.id AND at <= :as_of), "
    "(SELECT max(first_used_at) FROM client_features WHERE client_id = c.id AND first_used_at <= :as_of), "
    "(SELECT max(last_used_at) FROM client_features WHERE client_id = c.id AND last_used_at <= :as_of), "
    "(SELECT max(opened_at) FROM tickets WHERE client_id = c.id AND opened_at <= :as_of), "
    "(SELECT max(closed_at) FROM tickets WHERE client_id = c.id AND closed_at <= :as_of)"
    ") AS at FROM unnest(CAST(:ids AS bigint[])) AS c(id)"
)

DELETE_SCORES = text("DELETE FROM health_scores WHERE client_id = ANY(CAST(:ids AS bigint[])) AND day = :day")

# The columns of the current row that a calculation writes, with the types they arrive in.
CURRENT_COLUMNS = {
    "id": "bigint",
    "last_activity_at": "timestamptz",
    "score": "smallint",
    "coverage": "smallint",
    "light": "text",
    "trend": "text",
    "trend_delta": "smallint",
    "risk": "text",
    "login_score": "smallint",
    "case_score": "smallint",
    "campaign_score": "smallint",
    "feature_score": "smallint",
    "ticket_score": "smallint",
    "tickets_tracked": "boolean",
    "attestation_completion": "float8",
    "case_resolution_days": "float8",
    "weekly_login_rate": "float8",
    "feature_adoption": "float8",
}


def _update_current() -> TextClause:
    arrays = ", ".join(f"CAST(:{name} AS {kind}[])" for name, kind in CURRENT_COLUMNS.items())
    columns = ", ".join(CURRENT_COLUMNS)
    changes = ", ".join(f"{name} = new.{name}" for name in CURRENT_COLUMNS if name != "id")
    return text(
        f"UPDATE clients SET {changes}, scored_day = :day, calculated_at = :calculated_at, "
        "policy_version = :policy_version "
        f"FROM unnest({arrays}) AS new({columns}) "
        # The calculation of an earlier day writes history, never the present.
        "WHERE clients.id = new.id AND (scored_day IS NULL OR scored_day <= :day)"
    )


UPDATE_CURRENT = _update_current()

POLICIES = text("SELECT * FROM health_policies ORDER BY version")

HISTORY = text(
    "SELECT client_id, day, score, light, trend, risk FROM health_scores "
    "WHERE client_id = ANY(CAST(:ids AS bigint[])) AND day BETWEEN "
    "(SELECT coalesce(scored_day, :today) FROM clients WHERE id = client_id) - CAST(:days AS integer) + 1 AND "
    "(SELECT coalesce(scored_day, :today) FROM clients WHERE id = client_id) ORDER BY client_id, day"
)

INPUTS = text(
    "SELECT h.client_id, h.members, h.active_members, h.cases_closed, h.cases_on_time, h.campaigns_completed, "
    "h.campaigns_assigned, h.features_enabled, h.features_used, h.tickets_opened, h.tickets_before, h.tickets_tracked "
    "FROM clients AS c JOIN health_scores AS h ON h.client_id = c.id AND h.day = c.scored_day "
    "WHERE c.id = ANY(CAST(:ids AS bigint[]))"
)

SCORE_COLUMNS = tuple(column.name for column in HealthScore.__table__.columns)  # type: ignore[attr-defined]


async def copy_scores(session: AsyncSession, records: Iterable[tuple[object, ...]]) -> None:
    """COPY score rows, in the order of SCORE_COLUMNS, within the session's transaction."""
    connection = await (await session.connection()).get_raw_connection()
    driver = connection.driver_connection
    if driver is None:
        raise RuntimeError("the session has no driver connection")
    await driver.copy_records_to_table("health_scores", records=records, columns=SCORE_COLUMNS)
