"""Every SQL statement about usage: the daily series, the features, and the metrics recorded once a day."""

from collections.abc import Sequence
from datetime import date, datetime

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.database import AdvisoryLock
from app.usage.rules import MetricType

# The window of a client ends with its scoring day, or today before its first calculation.
WINDOWS = (
    "SELECT id, coalesce(scored_day, :today) - CAST(:days AS integer) + 1 AS first_day, "
    "coalesce(scored_day, :today) AS last_day FROM clients WHERE id = ANY(CAST(:ids AS bigint[]))"
)
BOUNDS = (
    "{column} >= w.first_day::timestamp AT TIME ZONE 'UTC' "
    "AND {column} < (w.last_day + 1)::timestamp AT TIME ZONE 'UTC'"
)


def _daily(table: str, column: str, measures: str) -> str:
    return (
        f"SELECT w.id, ({column} AT TIME ZONE 'UTC')::date AS day, {measures} FROM windows AS w "
        f"JOIN {table} AS f ON f.client_id = w.id AND {BOUNDS.format(column=column)} GROUP BY 1, 2"
    )


# One row a client, day and kind of fact; days on which nothing happened are filled in by the rules.
DAILY = text(
    f"WITH windows AS MATERIALIZED ({WINDOWS}) "
    "SELECT id, first_day, last_day, CAST(NULL AS date) AS day, 'window' AS kind, 0 AS number FROM windows "
    "UNION ALL SELECT id, NULL, NULL, day, 'logins', number FROM "
    f"({_daily('logins', 'f.at', 'count(*) AS number')}) AS logins "
    "UNION ALL SELECT id, NULL, NULL, day, 'cases_created', number FROM "
    f"({_daily('cases', 'f.opened_at', 'count(*) AS number')}) AS opened "
    "UNION ALL SELECT id, NULL, NULL, day, 'cases_resolved', number FROM "
    f"({_daily('cases', 'f.closed_at', 'count(*) AS number')}) AS closed "
    "UNION ALL SELECT id, NULL, NULL, day, 'campaign_responses', number FROM "
    f"({_daily('campaign_responses', 'f.at', 'count(*) AS number')}) AS responses"
)

SESSIONS = text(
    f"WITH windows AS MATERIALIZED ({WINDOWS}) "
    "SELECT w.id, count(DISTINCT f.member_id) AS members, avg(f.duration_minutes) AS session_minutes "
    f"FROM windows AS w JOIN logins AS f ON f.client_id = w.id AND {BOUNDS.format(column='f.at')} GROUP BY w.id"
)

# As of the end of the client's scoring day, like the score beside it: a later use is not seen yet.
FEATURES = text(
    "SELECT cf.client_id, f.key, f.name, f.category, cf.enabled, "
    "CASE WHEN cf.first_used_at < c.seen_until THEN cf.first_used_at END AS first_used_at, "
    "CASE WHEN cf.last_used_at < c.seen_until THEN cf.last_used_at END AS last_used_at, "
    "coalesce(coalesce(cf.first_used_at, cf.last_used_at) < c.seen_until, false) AS used "
    "FROM (SELECT id, (coalesce(scored_day, :today) + 1)::timestamp AT TIME ZONE 'UTC' AS seen_until FROM clients "
    "WHERE id = ANY(CAST(:ids AS bigint[]))) AS c "
    "JOIN client_features AS cf ON cf.client_id = c.id JOIN features AS f ON f.id = cf.feature_id "
    "ORDER BY cf.client_id, position(f.category IN 'CORE ADVANCED INTEGRATION REPORTING'), f.name, f.key"
)

METRICS = text(
    f"WITH windows AS MATERIALIZED ({WINDOWS}) "
    "SELECT w.id, w.first_day, m.* FROM windows AS w CROSS JOIN LATERAL ("
    "(SELECT * FROM daily_metrics WHERE client_id = w.id AND day BETWEEN w.first_day AND w.last_day) UNION ALL "
    # The recorded day before the window is what its first day is compared with.
    "(SELECT * FROM daily_metrics WHERE client_id = w.id AND day < w.first_day ORDER BY day DESC LIMIT 1)"
    ") AS m ORDER BY w.id, m.day"
)

# Metrics are recorded for whoever was a client on that day.
_RECORDED = "(customer_since IS NULL OR customer_since <= :day) AND (status <> 'CHURNED' OR churned_at > :end)"

# Whoever has left at no known time is recorded for no day, not even a past one: such a client may have been erased, and
# have no facts any more.
_RECORDED_AT_ALL = "(status <> 'CHURNED' OR churned_at IS NOT NULL)"

COUNT_RECORDED = text(f"SELECT count(*) AS clients FROM clients WHERE {_RECORDED}")

NEXT_RECORDED = text(f"SELECT id FROM clients WHERE id > :after AND {_RECORDED} ORDER BY id LIMIT :size")

# The columns that hold a figure, in the order of _MEASURED.
FIGURES = tuple(metric.lower() for metric in MetricType)

_MEASURED = (
    "SELECT c.id, :day, coalesce(l.members, 0), coalesce(l.logins, 0), coalesce(l.minutes, 0), "
    "coalesce(o.opened, 0), coalesce(d.closed, 0), coalesce(d.on_time, 0), coalesce(r.responses, 0), "
    "g.completion, f.adoption, coalesce(t.tickets, 0) "
    "FROM unnest(CAST(:ids AS bigint[])) AS c(id) "
    "LEFT JOIN (SELECT client_id, count(DISTINCT member_id) AS members, count(*) AS logins, "
    "sum(duration_minutes) AS minutes FROM logins WHERE client_id = ANY(CAST(:ids AS bigint[])) "
    "AND at BETWEEN :start AND :end GROUP BY 1) AS l ON l.client_id = c.id "
    "LEFT JOIN (SELECT client_id, count(*) AS opened FROM cases WHERE client_id = ANY(CAST(:ids AS bigint[])) "
    "AND opened_at BETWEEN :start AND :end GROUP BY 1) AS o ON o.client_id = c.id "
    "LEFT JOIN (SELECT client_id, count(*) AS closed, "
    "count(*) FILTER (WHERE sla_due_at IS NULL OR closed_at <= sla_due_at) AS on_time "
    "FROM cases WHERE client_id = ANY(CAST(:ids AS bigint[])) AND closed_at BETWEEN :start AND :end GROUP BY 1) AS d "
    "ON d.client_id = c.id "
    "LEFT JOIN (SELECT client_id, count(*) AS responses FROM campaign_responses "
    "WHERE client_id = ANY(CAST(:ids AS bigint[])) AND at BETWEEN :start AND :end GROUP BY 1) AS r "
    "ON r.client_id = c.id "
    "LEFT JOIN (SELECT client_id, avg(completed * 100 / assigned::numeric) AS completion FROM campaigns "
    "WHERE client_id = ANY(CAST(:ids AS bigint[])) AND closed_at BETWEEN :start AND :end AND assigned > 0 "
    "GROUP BY 1) AS g ON g.client_id = c.id "
    "LEFT JOIN (SELECT client_id, count(*) FILTER (WHERE coalesce(first_used_at, last_used_at) <= :end) * 100 / "
    "count(*)::numeric AS adoption FROM client_features WHERE client_id = ANY(CAST(:ids AS bigint[])) AND enabled "
    "GROUP BY 1) AS f ON f.client_id = c.id "
    "LEFT JOIN (SELECT client_id, count(*) AS tickets FROM tickets WHERE client_id = ANY(CAST(:ids AS bigint[])) "
    "AND opened_at BETWEEN :start AND :end GROUP BY 1) AS t ON t.client_id = c.id ORDER BY c.id"
)


def _record(figures: Sequence[str]) -> TextClause:
    """Return the statement that records a day, and replaces these figures only where it was recorded before."""
    changes = ", ".join(f"{figure} = excluded.{figure}" for figure in figures)
    before, after = (", ".join(f"{row}.{figure}" for figure in figures) for row in ("recorded", "excluded"))
    return text(
        f"INSERT INTO daily_metrics AS recorded (client_id, day, {', '.join(FIGURES)}) {_MEASURED} "
        f"ON CONFLICT (client_id, day) DO UPDATE SET {changes}, revised_at = now() "
        f"WHERE ({before}) IS DISTINCT FROM ({after})"
    )


RECORD = _record(FIGURES)

# Which features were enabled on a past day is not known any more: a late login must not measure its adoption anew.
RECORD_WITHOUT_ADOPTION = _record([figure for figure in FIGURES if figure != "feature_adoption_rate"])

# Facts are not stored while a day is recorded. Otherwise those of a transaction that is open meanwhile would neither be
# counted nor, finding no recorded day yet, be noted as late.
KEEP_FACTS_OUT = text(f"SELECT pg_advisory_xact_lock({AdvisoryLock.IMPORT:d})")

# From one place to the next, so that days which are noted again and again are not taken for ever.
TAKE_LATE_DAYS = text(
    "DELETE FROM late_days WHERE (day, client_id) IN (SELECT day, client_id FROM late_days "
    "WHERE (day, client_id) > (:day, :client_id) ORDER BY day, client_id LIMIT :size) "
    "RETURNING day, client_id, adoption, "
    f"EXISTS (SELECT FROM clients WHERE clients.id = late_days.client_id AND {_RECORDED_AT_ALL}) AS recorded"
)


async def record(
    session: AsyncSession,
    client_ids: Sequence[int],
    day: date,
    start: datetime,
    end: datetime,
    *,
    adoption: bool = True,
) -> None:
    """Record the clients' metrics of one UTC day, replacing what was recorded for it before.

    Without `adoption` the adoption rate that was recorded stays.
    """
    statement = RECORD if adoption else RECORD_WITHOUT_ADOPTION
    await session.execute(statement, {"ids": list(client_ids), "day": day, "start": start, "end": end})
