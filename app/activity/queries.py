"""The SQL of recent activity: every source walks its own index from the newest, and the newest of all are kept.

Nothing is stored for this: what happened is in the facts, the scores and the audit trail already.
"""

from sqlalchemy import text

_UTC_DAY = "(at AT TIME ZONE 'UTC')::date"
_MIDNIGHT = "{day}::timestamp AT TIME ZONE 'UTC'"


def _source(kind: str, table: str, *, at: str, key: str, label: str, first: str, second: str, where: str = "") -> str:
    """Return the newest events of one source that stand behind the cursor."""
    return (
        f"(SELECT {at} AS at, '{kind}' AS kind, {key} AS key, {label} AS label, {first} AS first, {second} AS second "
        f"FROM {table} WHERE client_id = :client_id {where} AND {at} <= :at "
        f"AND ({at} < :at OR ('{kind}', {key}) > (:kind, :key)) ORDER BY {at} DESC, {key} LIMIT :limit)"
    )


# A score of the day that is not over yet was made when it was calculated, not at the end of that day.
_SCORED_AT = "least(as_of, calculated_at)"
_SCORES = (
    "(SELECT h.*, CASE WHEN previous_score >= green_from THEN 'GREEN' WHEN previous_score >= amber_from THEN 'AMBER' "
    "ELSE 'RED' END AS previous_light FROM health_scores AS h JOIN health_policies AS p ON p.version = policy_version "
    "WHERE h.client_id = :client_id AND previous_score IS NOT NULL AND score IS NOT NULL) AS scores"
)

# One step of the recursion finds the next earlier day with a login, so that a page never reads all logins.
LOGIN_DAYS = (
    "login_days(day, step) AS ("
    f"(SELECT {_UTC_DAY}, 1 FROM logins WHERE client_id = :client_id AND at <= :at ORDER BY at DESC LIMIT 1) "
    "UNION ALL SELECT earlier.day, step + 1 FROM login_days CROSS JOIN LATERAL ("
    f"SELECT {_UTC_DAY} AS day FROM logins WHERE client_id = :client_id "
    f"AND at < {_MIDNIGHT.format(day='login_days.day')} ORDER BY at DESC LIMIT 1) AS earlier WHERE step <= :limit), "
    "daily_logins AS (SELECT CAST(:client_id AS bigint) AS client_id, day, counted.* FROM login_days "
    "CROSS JOIN LATERAL (SELECT max(at) AS at, count(DISTINCT member_id)::integer AS members, "
    "count(*)::integer AS logins FROM logins "
    f"WHERE client_id = :client_id AND at >= {_MIDNIGHT.format(day='day')} "
    f"AND at < {_MIDNIGHT.format(day='(day + 1)')} AND at <= :now) AS counted)"
)

_SOURCES = (
    _source("LOGINS", "daily_logins", at="at", key="day::text", label="NULL", first="members", second="logins"),
    _source(
        "CASE_OPENED", "cases", at="opened_at", key="external_id", label="NULL", first="NULL::integer", second="NULL"
    ),
    _source(
        "CASE_CLOSED",
        "cases",
        at="closed_at",
        key="external_id",
        label="NULL",
        first="(sla_due_at IS NULL OR closed_at <= sla_due_at)::integer",
        second="NULL",
    ),
    _source(
        "CAMPAIGN_CLOSED",
        "campaigns",
        at="closed_at",
        key="external_id",
        label="coalesce(name, external_id)",
        first="completed",
        second="assigned",
    ),
    _source(
        "FEATURE_FIRST_USED",
        "client_features AS cf JOIN features AS f ON f.id = cf.feature_id",
        at="coalesce(first_used_at, last_used_at)",
        key="f.key",
        label="f.name",
        first="NULL",
        second="NULL",
    ),
    _source(
        "METRICS_REVISED",
        "daily_metrics",
        at="revised_at",
        key="day::text",
        label="NULL",
        first="NULL",
        second="NULL",
        # The index holds revised days only.
        where="AND revised_at IS NOT NULL",
    ),
    _source(
        "SCORE_CHANGED",
        _SCORES,
        at=_SCORED_AT,
        key="day::text",
        label="NULL",
        first="previous_score",
        second="score",
        where="AND score <> previous_score",
    ),
    _source(
        "LIGHT_CHANGED",
        _SCORES,
        at=_SCORED_AT,
        key="day::text",
        label="previous_light || ' ' || light",
        first="NULL",
        second="NULL",
        where="AND light <> previous_light",
    ),
    _source(
        "ALERT_RAISED",
        "alerts",
        at="raised_at",
        key="id::text",
        label="message",
        first="NULL",
        second="NULL",
        # Of the others nobody was told: their run is still to be judged, or the drop was that of a broken feed.
        where="AND NOT held AND discarded_at IS NULL",
    ),
    _source(
        "ALERTS_CHANGED",
        "audit_events",
        at="at",
        key="id::text",
        label="actor",
        first="(changes->'alerts_enabled'->>1 = 'true')::integer",
        second="NULL",
        where="AND action = 'ALERTS_CHANGED'",
    ),
)

RECENT = text(
    f"WITH RECURSIVE {LOGIN_DAYS} SELECT at, kind, key, label, first, second FROM ({' UNION ALL '.join(_SOURCES)}) "
    "AS recent ORDER BY at DESC, kind, key LIMIT :limit"
)
