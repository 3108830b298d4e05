"""Every SQL statement about health: counting facts for a batch of clients, and storing and reading scores."""

from collections.abc import Iterable

from sqlalchemy import text
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
    f"SELECT id FROM clients WHERE id = ANY(CAST(:ids AS bigint[])) AND {SCORED} AND NOT EXISTS ("
    "SELECT FROM health_scores AS h WHERE h.client_id = clients.id AND h.day = :day AND h.as_of > :as_of) "
    "ORDER BY id FOR NO KEY UPDATE"
)

# The counting statements return one row a client. Its last column, but for the campaigns', is a moment of activity that
# was found by the way.

# Each member's latest login decides whether it was active in the window, and in the week at its end. Logins of members
# who do not count any more were activity of the client all the same. Client by client, the members and logins at hand
# fit into the processor's cache, which takes two thirds of the time of one join over the whole batch.
MEMBERS = text(
    "SELECT c.id AS client_id, found.* FROM unnest(CAST(:ids AS bigint[])) AS c(id) CROSS JOIN LATERAL ("
    f"SELECT count(*) FILTER (WHERE {COUNTED_MEMBER}) AS members, "
    f"count(l.last) FILTER (WHERE {COUNTED_MEMBER}) AS active, "
    f"count(*) FILTER (WHERE l.last >= :week AND {COUNTED_MEMBER}) AS weekly_active, max(l.last) AS last_login "
    "FROM members AS m LEFT JOIN ("
    "SELECT member_id, max(at) AS last FROM logins WHERE client_id = c.id AND at BETWEEN :start AND :as_of "
    "GROUP BY member_id) AS l ON l.member_id = m.id WHERE m.client_id = c.id) AS found"
)

CASES = text(
    "SELECT client_id, count(*) AS closed, "
    "count(*) FILTER (WHERE sla_due_at IS NULL OR closed_at <= sla_due_at) AS on_time, "
    "count(opened_at) AS timed, sum(closed_at - opened_at) AS time_to_close, max(closed_at) AS last_closed "
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
    "SELECT client_id, count(*) FILTER (WHERE enabled) AS enabled, "
    "count(*) FILTER (WHERE enabled AND coalesce(first_used_at, last_used_at) <= :as_of) AS used, "
    "greatest(max(first_used_at) FILTER (WHERE first_used_at <= :as_of), "
    "max(last_used_at) FILTER (WHERE last_used_at <= :as_of)) AS last_used "
    "FROM client_features WHERE client_id = ANY(CAST(:ids AS bigint[])) GROUP BY client_id"
)

# A client is tracked once a ticket was recorded for it. A ticket of unknown age was recorded all the same.
TICKETS = text(
    "SELECT client_id, count(*) FILTER (WHERE opened_at BETWEEN :start AND :as_of) AS opened, "
    "count(*) FILTER (WHERE opened_at >= :before_start AND opened_at < :start) AS before, "
    "bool_or(opened_at IS NULL OR opened_at <= :as_of) AS tracked, "
    "greatest(max(opened_at) FILTER (WHERE opened_at <= :as_of), "
    "max(closed_at) FILTER (WHERE closed_at <= :as_of)) AS last_ticket "
    "FROM tickets WHERE client_id = ANY(CAST(:ids AS bigint[])) GROUP BY client_id"
)

# The activity that no counting statement comes across.
OTHER_ACTIVITY = text(
    "SELECT c.id, greatest("
    "(SELECT max(opened_at) FROM cases WHERE client_id = c.id AND opened_at <= :as_of), "
    "(SELECT max(closed_at) FROM campaigns WHERE client_id = c.id AND closed_at <= :as_of), "
    "(SELECT max(at) FROM campaign_responses WHERE client_id = c.id AND at <= :as_of), "
    # Of a day of events the first and the latest moment are known: in between there was activity all the time.
    "(SELECT least(last_at, :as_of) FROM activity_days WHERE client_id = c.id AND first_at <= :as_of "
    "ORDER BY day DESC LIMIT 1)"
    ") AS at FROM unnest(CAST(:ids AS bigint[])) AS c(id)"
)

# Asked only for clients without activity in the window.
EARLIER_ACTIVITY = text(
    "SELECT c.id, greatest("
    "(SELECT max(at) FROM logins WHERE client_id = c.id AND at < :start), "
    "(SELECT max(closed_at) FROM cases WHERE client_id = c.id AND closed_at < :start)"
    ") AS at FROM unnest(CAST(:ids AS bigint[])) AS c(id)"
)

PREVIOUS_SCORES = text(
    "SELECT c.id, p.score, p.light, p.risk FROM unnest(CAST(:ids AS bigint[])) AS c(id) CROSS JOIN LATERAL ("
    "SELECT score, light, risk FROM health_scores WHERE client_id = c.id AND day < :day AND score IS NOT NULL "
    "ORDER BY day DESC LIMIT 1) AS p"
)

# Only asked for while feeds are stale: the last measured score of each component that lives on one. It is that of the
# first day whose score saw everything the feed delivered, or, where none was calculated in time, the latest before. A
# score that was itself kept was not measured, and neither were the tickets of a client that was not tracked.
KEPT_SCORES = text(
    "SELECT c.id AS client_id, f.component, f.silent_since, f.stale_since, k.day, CASE f.component "
    "WHEN 'LOGIN' THEN k.login_score WHEN 'CASE_RESOLUTION' THEN k.case_score "
    "WHEN 'CAMPAIGN_COMPLETION' THEN k.campaign_score WHEN 'FEATURE_ADOPTION' THEN k.feature_score "
    "WHEN 'TICKET_VOLUME' THEN k.ticket_score END AS score "
    "FROM unnest(CAST(:ids AS bigint[])) AS c(id) CROSS JOIN unnest(CAST(:components AS text[]), "
    "CAST(:received AS timestamptz[]), CAST(:silent AS date[]), CAST(:stale AS date[])) "
    "AS f(component, received_at, silent_since, stale_since) CROSS JOIN LATERAL ("
    "SELECT h.* FROM health_scores AS h WHERE h.client_id = c.id AND h.day <= coalesce("
    "(SELECT min(day) FROM health_scores WHERE client_id = c.id AND day >= f.silent_since AND day < f.stale_since "
    "AND as_of >= f.received_at), f.silent_since) AND (h.stale ? f.component) IS NOT TRUE "
    "ORDER BY h.day DESC LIMIT 1) AS k WHERE f.component <> 'TICKET_VOLUME' OR k.tickets_tracked"
)

# Only asked for where an alert is raised: what the previous score was made of, and by which policy.
PREVIOUS_INPUTS = text(
    "SELECT s.*, p.* FROM unnest(CAST(:ids AS bigint[])) AS c(id) CROSS JOIN LATERAL ("
    "SELECT * FROM health_scores WHERE client_id = c.id AND day < :day AND score IS NOT NULL "
    "ORDER BY day DESC LIMIT 1) AS s JOIN health_policies AS p ON p.version = s.policy_version"
)

DELETE_SCORES = text("DELETE FROM health_scores WHERE client_id = ANY(CAST(:ids AS bigint[])) AND day = :day")

# What the current row has from the day's score as it is.
SHARED_COLUMNS = (
    "calculated_at",
    "policy_version",
    "score",
    "coverage",
    "light",
    "trend",
    "risk",
    "login_score",
    "case_score",
    "campaign_score",
    "feature_score",
    "ticket_score",
    "tickets_tracked",
    "stale",
)

UPDATE_CURRENT = text(
    f"UPDATE clients SET scored_day = h.day, {', '.join(f'{name} = h.{name}' for name in SHARED_COLUMNS)}, "
    "trend_delta = h.score - coalesce(h.previous_score, h.score), "
    # What has moved it past the moment that is calculated, the calculation did not see.
    "last_activity_at = CASE WHEN clients.last_activity_at > h.as_of THEN clients.last_activity_at "
    "ELSE new.last_activity_at END, "
    "attestation_completion = new.attestation_completion, case_resolution_days = new.case_resolution_days, "
    "weekly_login_rate = new.weekly_login_rate, feature_adoption = new.feature_adoption "
    "FROM unnest(CAST(:ids AS bigint[]), CAST(:last_activity_at AS timestamptz[]), "
    "CAST(:attestation_completion AS float8[]), CAST(:case_resolution_days AS float8[]), "
    "CAST(:weekly_login_rate AS float8[]), CAST(:feature_adoption AS float8[])) AS new(id, last_activity_at, "
    "attestation_completion, case_resolution_days, weekly_login_rate, feature_adoption) "
    # The rows of a day that began after the latest ANALYZE are taken for none: a join would begin with them and visit
    # each client of the batch for each, where every client has its own row looked up by LIMIT.
    "CROSS JOIN LATERAL (SELECT * FROM health_scores WHERE client_id = new.id AND day = :day LIMIT 1) AS h "
    # The calculation of an earlier day writes history, never the present.
    "WHERE clients.id = new.id AND (scored_day IS NULL OR scored_day <= :day)"
)

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
