"""Every SQL statement about alerts."""

from collections.abc import Sequence

from sqlalchemy import TextClause, text

# Who of the clients may be alerted about the day: switched on, not snoozed, and no later day is scored already.
ALERTED = text(
    "SELECT id, name FROM clients WHERE id = ANY(CAST(:ids AS bigint[])) AND alerts_enabled AND status <> 'CHURNED' "
    "AND (alerts_snoozed_until IS NULL OR alerts_snoozed_until <= :now) "
    "AND (scored_day IS NULL OR scored_day <= :day)"
)

# Undecided are those that a run which is over has left held, likely by a feed that had broken.
UNRESOLVED = text(
    "SELECT a.client_id, a.day, a.score_after, a.held AND EXISTS (SELECT FROM runs AS r WHERE r.id = a.run_id "
    "AND r.finished_at IS NOT NULL AND NOT r.releasing) AS undecided FROM alerts AS a "
    "WHERE a.client_id = ANY(CAST(:ids AS bigint[])) AND a.status <> 'RESOLVED'"
)

RAISE = text(
    "INSERT INTO alerts (client_id, day, kinds, kind, status, message, score_before, score_after, light_before, "
    "light_after, risk_before, risk_after, raised_at, run_id, held) "
    "SELECT client_id, :day, kinds, kinds[1], 'OPEN', message, score_before, score_after, light_before, light_after, "
    "risk_before, risk_after, :raised_at, :run_id, CAST(:run_id AS bigint) IS NOT NULL "
    "FROM jsonb_to_recordset(CAST(:alerts AS jsonb)) AS new(client_id bigint, kinds text[], message text, "
    "score_before smallint, score_after smallint, light_before text, light_after text, risk_before text, "
    "risk_after text) RETURNING id, client_id"
)

ADD_CAUSES = text(
    "INSERT INTO alert_causes (alert_id, component, points_before, points_after, explanation) "
    "VALUES (:alert_id, :component, :points_before, :points_after, :explanation)"
)

CAUSES = text(
    "SELECT alert_id, component, points_before, points_after, explanation FROM alert_causes "
    "WHERE alert_id = ANY(CAST(:ids AS bigint[])) ORDER BY alert_id, points_after - points_before, component"
)

# Green again: an alert that was raised at a green score stands until the next day is green as well. Alerts are locked
# in the order of their ids, as by whoever decides about held ones, so that the two never wait in a circle.
RESOLVE = text(
    "WITH green AS MATERIALIZED (SELECT a.id FROM alerts AS a JOIN clients AS c ON c.id = a.client_id "
    "WHERE a.client_id = ANY(CAST(:ids AS bigint[])) AND a.status <> 'RESOLVED' "
    "AND (a.day < :day OR a.score_after < :green_from) AND (c.scored_day IS NULL OR c.scored_day <= :day) "
    "ORDER BY a.id FOR NO KEY UPDATE OF a) "
    "UPDATE alerts SET status = 'RESOLVED', resolved_at = :at WHERE id = ANY(ARRAY(SELECT id FROM green))"
)

COLUMNS = (
    "a.id, a.client_id, a.kind, a.kinds, a.status, a.message, a.score_before, a.score_after, a.light_before, "
    "a.light_after, a.risk_before, a.risk_after, a.raised_at, a.created_at, "
    "a.acknowledged_at, a.acknowledged_by, a.note, a.resolved_at, a.held, a.discarded_at, "
    "a.held AND EXISTS (SELECT FROM runs AS r WHERE r.id = a.run_id AND r.releasing) AS releasing"
)

BY_IDS = text(f"SELECT {COLUMNS} FROM alerts AS a WHERE a.id = ANY(CAST(:ids AS bigint[]))")

LOCK = text(f"SELECT {COLUMNS} FROM alerts AS a WHERE a.id = :id FOR UPDATE")

ACKNOWLEDGE = text(
    "UPDATE alerts SET status = 'ACKNOWLEDGED', acknowledged_at = :now, acknowledged_by = :actor, note = :note "
    "WHERE id = :id"
)

# Ids are given out before their rows can be seen, so that newcomers are told by when they were written instead. The
# clock is the database's. Every look finds the same again for a while: the rows are read of those it has not seen.
WRITTEN_SINCE = text(
    "SELECT clock_timestamp() AS looked_at, ARRAY(SELECT id FROM alerts "
    "WHERE created_at >= CAST(:since AS timestamptz) AND NOT held AND discarded_at IS NULL "
    "ORDER BY created_at, id) AS ids"
)

COUNT_HELD = text(
    "SELECT count(*) AS alerts, count(DISTINCT client_id) AS clients FROM alerts WHERE run_id = :run_id AND held"
)

HELD_OF_RUN = text("SELECT id FROM alerts WHERE run_id = :run_id AND held ORDER BY run_id, id LIMIT :limit FOR UPDATE")

# Several schedulers pass over each other's run.
NEXT_RELEASING = text("SELECT id FROM runs WHERE releasing ORDER BY id LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED")

SET_RELEASING = text("UPDATE runs SET releasing = :releasing WHERE id = :run_id AND releasing <> :releasing")

# The clients that the run has given a score of the day: it goes by their ids, and another run may have come further.
# Whoever was scored for a later day raises no alert about it.
COUNT_SCORED = text(
    "SELECT least(r.done, (SELECT count(*) FROM clients AS c WHERE c.scored_day = :day AND c.score IS NOT NULL "
    "AND c.id <= r.position)) AS clients FROM runs AS r WHERE r.id = :run_id"
)

# Those of a run that is going on are for its end to decide, and what is being released has been decided about. Whoever
# decides about a run holds it, so that nobody else decides about the same alerts.
UNDECIDED_RUNS = text(
    "SELECT id FROM runs WHERE finished_at IS NOT NULL AND NOT releasing AND id IN (SELECT run_id FROM alerts "
    "WHERE held AND (CAST(:run_id AS bigint) IS NULL OR run_id = :run_id)) ORDER BY id FOR NO KEY UPDATE"
)

COUNT_HELD_OF_RUNS = text(
    "SELECT run_id, count(*) AS alerts FROM alerts WHERE run_id = ANY(CAST(:run_ids AS bigint[])) AND held "
    "GROUP BY run_id ORDER BY run_id"
)

HELD_OF_RUNS = text(
    "SELECT id FROM alerts WHERE run_id = ANY(CAST(:run_ids AS bigint[])) AND held ORDER BY id FOR UPDATE"
)

RUN_EXISTS = text("SELECT id FROM runs WHERE id = :run_id")

# Quiet is who was switched off or snoozed since the alert was raised.
RELEASE = text(
    "UPDATE alerts AS a SET held = false, created_at = clock_timestamp() FROM clients AS c "
    "WHERE a.id = ANY(CAST(:ids AS bigint[])) AND c.id = a.client_id RETURNING a.id, a.status, "
    "NOT c.alerts_enabled OR c.status = 'CHURNED' OR coalesce(c.alerts_snoozed_until > clock_timestamp(), false) "
    "AS quiet"
)

# A discarded alert keeps no other away, and nobody has to look after it.
DISCARD = text(
    "UPDATE alerts SET held = false, discarded_at = :now, status = 'RESOLVED', "
    "resolved_at = coalesce(resolved_at, :now) WHERE id = ANY(CAST(:ids AS bigint[]))"
)

CONDITIONS = {
    "statuses": "a.status = ANY(CAST(:statuses AS text[]))",
    "client_id": "a.client_id = :client_id",
    "owner": "c.owner = :owner",
    "held": "a.held = :held",
}


def _from(filters: Sequence[str]) -> str:
    join = " JOIN clients AS c ON c.id = a.client_id" if "owner" in filters else ""
    return f"FROM alerts AS a{join} WHERE true" + "".join(f" AND {CONDITIONS[name]}" for name in filters)


def page(filters: Sequence[str], *, after: bool) -> TextClause:
    """Return the statement for one page of alerts, newest first."""
    cursor = " AND (a.raised_at, a.id) < (:at, :id)" if after else ""
    return text(f"SELECT {COLUMNS} {_from(filters)}{cursor} ORDER BY a.raised_at DESC, a.id DESC LIMIT :limit")


def count(filters: Sequence[str]) -> TextClause:
    """Return the statement that counts the alerts that match."""
    return text(f"SELECT count(*) AS alerts {_from(filters)}")


GIVE_FEEDBACK = text(
    "INSERT INTO alert_feedback AS f (alert_id, subject, verdict, given_at) "
    "VALUES (:alert_id, :subject, :verdict, :now) "
    "ON CONFLICT (alert_id, subject) DO UPDATE SET verdict = excluded.verdict, given_at = excluded.given_at "
    "WHERE f.verdict <> excluded.verdict"
)

VERDICTS = (
    "count(*) FILTER (WHERE f.verdict = 'USEFUL') AS useful, "
    "count(*) FILTER (WHERE f.verdict = 'ALREADY_KNOWN') AS already_known, "
    "count(*) FILTER (WHERE f.verdict = 'WRONG_DATA') AS wrong_data"
)

FEEDBACK = text(
    f"SELECT f.alert_id, {VERDICTS}, max(f.verdict) FILTER (WHERE f.subject = :subject) AS mine "
    "FROM alert_feedback AS f WHERE f.alert_id = ANY(CAST(:ids AS bigint[])) GROUP BY f.alert_id"
)

# An alert's component is the one that lost most points. Each row is about all there is or about one week, and about
# all alerts of that or those of one kind or one component; `sort` tells which.
FEEDBACK_REPORT = text(
    f"SELECT w.week, a.kind, m.component, grouping(w.week, a.kind, m.component) AS sort, {VERDICTS} "
    "FROM alerts AS a JOIN alert_feedback AS f ON f.alert_id = a.id "
    "CROSS JOIN LATERAL (SELECT CAST(date_trunc('week', a.raised_at, 'UTC') AS date) AS week) AS w "
    "LEFT JOIN LATERAL (SELECT component FROM alert_causes WHERE alert_id = a.id AND points_after < points_before "
    "ORDER BY points_after - points_before, component LIMIT 1) AS m ON true "
    "WHERE a.raised_at >= :since "
    "GROUP BY GROUPING SETS ((), (a.kind), (m.component), (w.week), (w.week, a.kind), (w.week, m.component)) "
    "ORDER BY w.week, a.kind, m.component"
)

COUNT_CLIENTS = text("SELECT count(*) AS clients FROM clients")

NEXT_CLIENTS = text("SELECT id FROM clients WHERE id > :after ORDER BY id LIMIT :size")

SCORED_BY_DAY = text(
    "SELECT day, count(*) AS scored FROM health_scores WHERE client_id = ANY(CAST(:ids AS bigint[])) "
    "AND day BETWEEN :first AND :last AND score IS NOT NULL GROUP BY day ORDER BY day"
)

# Of clients with alerts on: the scored days of a time, and the one before that the first of them is compared with.
HISTORIES = text(
    "SELECT h.client_id, h.day, h.score, h.light, h.risk FROM clients AS c JOIN health_scores AS h "
    "ON h.client_id = c.id WHERE c.id = ANY(CAST(:ids AS bigint[])) AND c.alerts_enabled AND h.score IS NOT NULL "
    "AND h.day <= :last AND h.day >= coalesce((SELECT max(day) FROM health_scores "
    "WHERE client_id = c.id AND score IS NOT NULL AND day < :first), :first) ORDER BY h.client_id, h.day"
)

ADD_REPLAYED_DAYS = text(
    "INSERT INTO alert_replay_days AS d (run_id, day, scored, alerts) "
    "SELECT :run_id, day, scored, alerts FROM unnest(CAST(:days AS date[]), CAST(:scored AS int[]), "
    "CAST(:alerts AS int[])) AS new(day, scored, alerts) "
    "ON CONFLICT (run_id, day) DO UPDATE SET scored = d.scored + excluded.scored, alerts = d.alerts + excluded.alerts"
)

ADD_REPLAYED_CLIENTS = text(
    "INSERT INTO alert_replay_clients (run_id, client_id, alerts) SELECT :run_id, client_id, alerts "
    "FROM unnest(CAST(:ids AS bigint[]), CAST(:alerts AS int[])) AS new(client_id, alerts)"
)

# Without what was asked nothing is left of it but that there was one.
REPLAY = text(
    "SELECT id, day, parameters FROM runs WHERE id = :run_id AND kind = 'REPLAY_ALERTS' AND parameters IS NOT NULL"
)

REPLAYED_DAYS = text("SELECT day, scored, alerts FROM alert_replay_days WHERE run_id = :run_id ORDER BY day")

REPLAYED_CLIENTS = text(
    "SELECT r.client_id, c.name, r.alerts FROM alert_replay_clients AS r JOIN clients AS c ON c.id = r.client_id "
    "WHERE r.run_id = :run_id ORDER BY r.alerts DESC, c.name_key, r.client_id LIMIT :limit"
)

OLDEST_REPLAY = text(
    "SELECT id FROM runs WHERE id = (SELECT min(run_id) FROM alert_replay_days) AND finished_at < :before "
    "FOR NO KEY UPDATE SKIP LOCKED"
)

FORGET_REPLAY = text("UPDATE runs SET parameters = NULL WHERE id = :run_id AND parameters IS NOT NULL")

FORGET_REPLAYED_CLIENTS = text(
    "DELETE FROM alert_replay_clients WHERE run_id = :run_id AND client_id IN "
    "(SELECT client_id FROM alert_replay_clients WHERE run_id = :run_id ORDER BY client_id LIMIT :limit) "
    "RETURNING client_id"
)

FORGET_REPLAYED_DAYS = text("DELETE FROM alert_replay_days WHERE run_id = :run_id RETURNING day")
