"""Every SQL statement about channels and deliveries. Leases are timed by the database's clock."""

from collections.abc import Sequence

from sqlalchemy import TextClause, text

# Alerts about days long gone, scored late, are in the list and nobody's news, unless they are late because the schedule
# was: those wait for the digest, since the days that are still to be caught up may show that it is over. An owner that
# is no address gets none.
QUEUE = text(
    "INSERT INTO deliveries (kind, channel, recipient, alert_id, digest, status, next_attempt_at) "
    "SELECT 'ALERT', ch.name, CASE WHEN ch.to_owner THEN c.owner ELSE '' END, a.id, w.digest, "
    "CASE WHEN :held THEN 'HELD' WHEN w.digest THEN 'WAITING' ELSE 'PENDING' END, clock_timestamp() "
    "FROM alerts AS a JOIN clients AS c ON c.id = a.client_id CROSS JOIN channels AS ch "
    "CROSS JOIN LATERAL (SELECT a.raised_at <= a.created_at - CAST(:recent AS interval) AS late) AS l "
    "CROSS JOIN LATERAL (SELECT l.late OR coalesce(ch.mode = 'DIGEST', c.engagement_model = 'PLG') AS digest) AS w "
    "WHERE a.id = ANY(CAST(:alert_ids AS bigint[])) "
    "AND (NOT l.late OR EXISTS (SELECT FROM slots WHERE run_id = a.run_id)) "
    "AND ch.configured "
    "AND (ch.engagement_models IS NULL OR c.engagement_model = ANY(ch.engagement_models)) "
    "AND (ch.risks IS NULL OR c.risk = ANY(ch.risks)) "
    "AND (NOT ch.to_owner OR c.owner ~ '^[^@\\s,;<>\"]+@[^@\\s,;<>\"]+$') "
    "ON CONFLICT (alert_id, channel, recipient) DO NOTHING"
)

RELEASE = text(
    "UPDATE deliveries SET status = CASE WHEN digest THEN 'WAITING' ELSE 'PENDING' END, "
    "next_attempt_at = clock_timestamp() WHERE alert_id = ANY(CAST(:alert_ids AS bigint[])) AND status = 'HELD'"
)

DISCARD = text(
    "UPDATE deliveries SET status = 'DISCARDED', finished_at = clock_timestamp(), reason = :reason "
    "WHERE alert_id = ANY(CAST(:alert_ids AS bigint[])) AND status = 'HELD'"
)

_TAKES_ALL = "engagement_models IS NULL AND risks IS NULL AND NOT to_owner"

# A disabled channel is told when it is enabled again, which may be too late: the others stand in for it.
TELL_HELD = text(
    "INSERT INTO deliveries (kind, channel, recipient, run_id, digest, details, status, next_attempt_at) "
    "SELECT 'HELD', name, '', :run_id, false, CAST(:details AS jsonb), 'PENDING', clock_timestamp() FROM channels "
    f"WHERE configured AND NOT to_owner AND ({_TAKES_ALL} OR (disabled_at IS NULL AND NOT EXISTS "
    f"(SELECT FROM channels WHERE configured AND disabled_at IS NULL AND {_TAKES_ALL}))) "
    "ON CONFLICT (run_id, channel) DO NOTHING "
    "RETURNING channel, (SELECT disabled_at IS NULL FROM channels WHERE name = channel) AS enabled"
)

# Two processes that start at once write their channels one after the other; what reads or refers to them goes on.
LOCK_CHANNELS = text("LOCK TABLE channels IN SHARE ROW EXCLUSIVE MODE")

_GIVEN = (
    "jsonb_to_recordset(CAST(:channels AS jsonb)) AS new(name text, kind text, mode text, "
    "engagement_models text[], risks text[], to_owner boolean, digest_at time, fingerprint text)"
)

# What another file says of the channels that are configured now.
REPLACED = text(
    f"SELECT c.name, new.name IS NULL AS removed FROM channels AS c LEFT JOIN {_GIVEN} ON new.name = c.name "
    "WHERE c.configured AND (c.kind, c.mode, c.engagement_models, c.risks, c.to_owner, c.digest_at, "
    "encode(c.fingerprint, 'hex')) IS DISTINCT FROM (new.kind, new.mode, new.engagement_models, new.risks, "
    "new.to_owner, new.digest_at, new.fingerprint) ORDER BY c.name"
)

# A channel that was disabled is enabled by another URL or other secrets, and by nothing else that changes.
MIRROR = text(
    "INSERT INTO channels (name, kind, mode, engagement_models, risks, to_owner, digest_at, fingerprint, configured) "
    "SELECT name, kind, mode, engagement_models, risks, to_owner, digest_at, decode(fingerprint, 'hex'), true "
    f"FROM {_GIVEN} "
    "ON CONFLICT (name) DO UPDATE SET kind = excluded.kind, mode = excluded.mode, "
    "engagement_models = excluded.engagement_models, risks = excluded.risks, to_owner = excluded.to_owner, "
    "digest_at = excluded.digest_at, fingerprint = excluded.fingerprint, configured = true, "
    "disabled_at = CASE WHEN channels.fingerprint = excluded.fingerprint THEN channels.disabled_at END, "
    "disabled_reason = CASE WHEN channels.fingerprint = excluded.fingerprint THEN channels.disabled_reason END"
)

FORGET = text("UPDATE channels SET configured = false WHERE configured AND name <> ALL(CAST(:names AS text[]))")

CHANNELS = text("SELECT * FROM channels ORDER BY name")

LOCK_CHANNEL = text("SELECT * FROM channels WHERE name = :name FOR NO KEY UPDATE")

ENABLE = text("UPDATE channels SET disabled_at = NULL, disabled_reason = NULL, nudged_at = NULL WHERE name = :name")

# The receiver of another URL has not said anything.
DISABLE = text(
    "UPDATE channels SET disabled_at = clock_timestamp(), disabled_reason = :reason "
    "WHERE name = :name AND fingerprint = :fingerprint AND disabled_at IS NULL"
)

# The time of the statement and not of the clock, which may move on from row to row and is therefore no key of an index.
_FREE = "(lease_until IS NULL OR lease_until < statement_timestamp())"
_DUE = f"status = 'PENDING' AND next_attempt_at <= statement_timestamp() AND {_FREE}"

# Several schedulers pass over each other's rows.
NUDGE = text(
    "UPDATE channels SET nudged_at = clock_timestamp() WHERE name IN (SELECT name FROM channels AS c "
    "WHERE configured AND disabled_at IS NULL "
    "AND (nudged_at IS NULL OR nudged_at < clock_timestamp() - CAST(:after AS interval)) "
    f"AND EXISTS (SELECT FROM deliveries WHERE channel = c.name AND {_DUE}) "
    "FOR NO KEY UPDATE SKIP LOCKED) RETURNING name"
)

# Whoever claims holds the channel's row, so that the deliveries in flight are counted by one at a time.
OPEN_CHANNEL = text(
    "SELECT name FROM channels WHERE name = :channel AND configured AND disabled_at IS NULL FOR NO KEY UPDATE"
)

# The next attempt is set before this one has begun: a worker that dies in the middle must not have it tried for ever.
CLAIM = text(
    "UPDATE deliveries SET attempt = attempt + 1, lease_until = clock_timestamp() + CAST(:lease AS interval), "
    "next_attempt_at = clock_timestamp() + greatest(CAST(:lease AS interval), "
    "(CAST(:delays AS interval[]))[least(attempt + 1, CAST(:attempts AS integer) - 1)]) "
    "WHERE id IN (SELECT id FROM deliveries "
    f"WHERE channel = :channel AND {_DUE} AND attempt < CAST(:attempts AS integer) ORDER BY next_attempt_at, id "
    "LIMIT greatest(CAST(:in_flight AS bigint) - (SELECT count(*) FROM deliveries "
    "WHERE channel = :channel AND status = 'PENDING' AND lease_until > clock_timestamp()), 0) "
    "FOR UPDATE SKIP LOCKED) RETURNING id, message_id, kind, channel, recipient, alert_id, run_id, details, body, "
    "created_at, attempt"
)

# The lease and, should the worker die, the pause behind it.
RENEW = text(
    "UPDATE deliveries SET lease_until = clock_timestamp() + CAST(:lease AS interval), "
    "next_attempt_at = greatest(next_attempt_at, clock_timestamp() + CAST(:lease AS interval)) "
    "WHERE id = :id AND attempt = :attempt AND status = 'PENDING'"
)

BEGIN_ATTEMPTS = text(
    "INSERT INTO delivery_attempts (delivery_id, number, started_at) "
    "SELECT id, attempt, clock_timestamp() FROM deliveries WHERE id = ANY(CAST(:ids AS bigint[]))"
)

# Of two attempts that overlap the first decides what both of them say.
FIX_BODY = text("UPDATE deliveries SET body = coalesce(body, :body) WHERE id = :id RETURNING body")

ALERTS_OF_DIGEST = text(
    "SELECT d.alert_id, count(*) OVER () AS alerts FROM deliveries AS d JOIN alerts AS a ON a.id = d.alert_id "
    "WHERE d.digest_id = :id ORDER BY a.score_after, a.id LIMIT :limit"
)

END_ATTEMPT = text(
    "UPDATE delivery_attempts SET finished_at = clock_timestamp(), outcome = :outcome, http_status = :http_status, "
    "answer = :answer, problem = :problem WHERE delivery_id = :id AND number = :attempt AND finished_at IS NULL"
)

# What has arrived has arrived, whichever attempt brought it.
DELIVERED = text(
    "UPDATE deliveries SET status = 'DELIVERED', finished_at = clock_timestamp(), lease_until = NULL "
    "WHERE id = :id AND status = 'PENDING'"
)

# The fence: of attempts that failed only the latest decides what comes next.
RETRY = text(
    "UPDATE deliveries SET next_attempt_at = clock_timestamp() + CAST(:delay AS interval), lease_until = NULL "
    "WHERE id = :id AND attempt = :attempt AND status = 'PENDING'"
)

FAIL = text(
    "UPDATE deliveries SET status = 'FAILED', finished_at = clock_timestamp(), lease_until = NULL, reason = :reason "
    "WHERE id = :id AND attempt = :attempt AND status = 'PENDING'"
)

# What a digest consists of shares its fate.
END_MEMBERS = text(
    "UPDATE deliveries AS d SET status = g.status, finished_at = g.finished_at, reason = g.reason FROM deliveries AS g "
    "WHERE g.id = ANY(CAST(:ids AS bigint[])) AND d.digest_id = g.id AND d.status = 'WAITING' "
    "AND g.status IN ('DELIVERED', 'FAILED')"
)


def _give_up(which: str) -> TextClause:
    return text(
        "UPDATE deliveries AS d SET status = 'FAILED', finished_at = clock_timestamp(), lease_until = NULL, reason = "
        "CASE WHEN d.attempt >= CAST(:attempts AS integer) THEN :used_up WHEN NOT c.configured THEN :unknown "
        "WHEN c.disabled_at IS NOT NULL THEN :disabled ELSE :untouched END FROM channels AS c WHERE c.name = d.channel "
        f"AND d.id = ANY(ARRAY(SELECT id FROM deliveries WHERE {which} LIMIT 1000 FOR UPDATE SKIP LOCKED)) "
        "RETURNING d.id"
    )


# What nobody could send for too long, alone or with a digest.
GIVE_UP_LATE = _give_up(
    "status IN ('PENDING', 'WAITING') AND digest_id IS NULL "
    f"AND next_attempt_at < statement_timestamp() - CAST(:too_long AS interval) AND {_FREE}"
)

# What the workers have died of until no attempt was left: an attempt that ends leaves no lease.
GIVE_UP_USED_UP = _give_up(
    "status = 'PENDING' AND attempt >= CAST(:attempts AS integer) AND lease_until < statement_timestamp()"
)

# A digest goes after what it consisted of, which refers to it.
FORGET_DELIVERIES = text(
    "WITH old AS MATERIALIZED (SELECT id FROM deliveries AS d WHERE finished_at < :before "
    "AND status IN ('DELIVERED', 'FAILED', 'DISCARDED') "
    "AND NOT EXISTS (SELECT FROM deliveries AS m WHERE m.digest_id = d.id) "
    "ORDER BY finished_at LIMIT :limit FOR UPDATE SKIP LOCKED), "
    "attempts AS (DELETE FROM delivery_attempts WHERE delivery_id = ANY(ARRAY(SELECT id FROM old))) "
    "DELETE FROM deliveries WHERE id = ANY(ARRAY(SELECT id FROM old)) RETURNING id"
)

BEGIN_DIGEST = text(
    "UPDATE channels SET digested_at = :moment WHERE name = :channel AND configured AND disabled_at IS NULL "
    "AND (digested_at IS NULL OR digested_at < :moment) RETURNING name"
)


def _discard_waiting(where: str) -> TextClause:
    return text(
        "UPDATE deliveries AS d SET status = 'DISCARDED', finished_at = clock_timestamp(), reason = :reason "
        "FROM alerts AS a JOIN clients AS c ON c.id = a.client_id "
        "WHERE d.channel = :channel AND d.status = 'WAITING' AND d.digest_id IS NULL "
        f"AND a.id = d.alert_id AND ({where})"
    )


DISCARD_RESOLVED = _discard_waiting("a.status = 'RESOLVED'")

# The same as keeps a client from getting alerts, and a held alert from being sent once it is released.
DISCARD_QUIET = _discard_waiting(
    "NOT c.alerts_enabled OR c.status = 'CHURNED' OR c.alerts_snoozed_until > clock_timestamp()"
)

# One statement, so that whoever has a digest is in it: owners change meanwhile, and what waits is locked before it is
# grouped. Digests get their ids in the order of their groups, which finds each by its number: joined by name, many
# alerts of many owners would be compared with each other.
GATHER = text(
    "WITH waiting AS MATERIALIZED (SELECT d.id, d.recipient, coalesce(nullif(d.recipient, ''), c.owner) AS owner "
    "FROM deliveries AS d JOIN alerts AS a ON a.id = d.alert_id JOIN clients AS c ON c.id = a.client_id "
    "WHERE d.channel = :channel AND d.status = 'WAITING' AND d.digest_id IS NULL ORDER BY d.id FOR UPDATE OF d), "
    "grouped AS (SELECT id, dense_rank() OVER (ORDER BY recipient, owner) AS number FROM waiting), "
    "digests AS (INSERT INTO deliveries (kind, channel, recipient, digest, details, status, next_attempt_at) "
    "SELECT 'DIGEST', :channel, recipient, false, jsonb_build_object('owner', owner), 'PENDING', clock_timestamp() "
    "FROM (SELECT DISTINCT recipient, owner FROM waiting) AS w ORDER BY recipient, owner RETURNING id), "
    "numbered AS MATERIALIZED (SELECT array_agg(id ORDER BY id) AS ids FROM digests), "
    "joined AS (UPDATE deliveries AS d SET digest_id = n.ids[w.number] FROM grouped AS w CROSS JOIN numbered AS n "
    "WHERE d.id = w.id) "
    "SELECT count(*) AS digests FROM digests"
)

COLUMNS = (
    "d.id, d.message_id, d.kind, d.channel, d.recipient, d.alert_id, d.status, d.created_at, d.attempt, "
    "d.next_attempt_at, d.finished_at, d.reason, d.digest_id"
)

CONDITIONS = {
    "statuses": "d.status = ANY(CAST(:statuses AS text[]))",
    "channel": "d.channel = :channel",
    "alert_id": "d.alert_id = :alert_id",
}

ATTEMPTS = text(
    "SELECT delivery_id, number, started_at, finished_at, outcome, http_status, answer, problem FROM delivery_attempts "
    "WHERE delivery_id = ANY(CAST(:ids AS bigint[])) ORDER BY delivery_id, number"
)


LOCK_OF_ALERTS = text(
    "SELECT id, digest_id FROM deliveries WHERE alert_id = ANY(CAST(:alert_ids AS bigint[])) ORDER BY id FOR UPDATE"
)

DELETE_ATTEMPTS = text("DELETE FROM delivery_attempts WHERE delivery_id = ANY(CAST(:ids AS bigint[]))")

DELETE_DELIVERIES = text("DELETE FROM deliveries WHERE id = ANY(CAST(:ids AS bigint[]))")

# What is written down of a digest lists everybody in it. One that is still to leave is written anew, without those who
# are gone, and does not leave when nobody is left.
UNWRITE_DIGESTS = text(
    "WITH digests AS MATERIALIZED (SELECT id, EXISTS (SELECT FROM deliveries WHERE digest_id = d.id) AS has_alerts "
    "FROM deliveries AS d WHERE id = ANY(CAST(:ids AS bigint[])) ORDER BY id FOR UPDATE), "
    "answers AS (UPDATE delivery_attempts AS a SET answer = NULL FROM digests WHERE a.delivery_id = digests.id) "
    "UPDATE deliveries AS d SET body = NULL, "
    "status = CASE WHEN d.status = 'PENDING' AND NOT has_alerts THEN 'DISCARDED' ELSE d.status END, "
    "finished_at = CASE WHEN d.status = 'PENDING' AND NOT has_alerts THEN clock_timestamp() ELSE d.finished_at END, "
    "reason = CASE WHEN d.status = 'PENDING' AND NOT has_alerts THEN :reason ELSE d.reason END "
    "FROM digests WHERE d.id = digests.id"
)


def page(filters: Sequence[str]) -> TextClause:
    """Return the statement for one page of deliveries, the newest first, below the delivery `before`.

    An alert has few deliveries. A page by status or channel takes the newest of each status and channel, so that
    `statuses` must be given: what is rare is not looked for among all the others.
    """
    select, limit = f"SELECT {COLUMNS} FROM deliveries AS d WHERE", "LIMIT :limit"
    if "alert_id" in filters or not filters:
        where = "".join(f" AND {CONDITIONS[name]}" for name in filters)
        return text(f"{select} d.id < :before{where} ORDER BY d.id DESC {limit}")
    channel = " WHERE name = :channel" if "channel" in filters else ""
    # A range of keys and not one channel and status: of those PostgreSQL would rather walk all deliveries by their ids.
    return text(
        f"SELECT d.* FROM (SELECT name FROM channels{channel}) AS c "
        "CROSS JOIN (SELECT DISTINCT unnest(CAST(:statuses AS text[])) AS status) AS s "
        f"CROSS JOIN LATERAL ({select} (d.channel, d.status, d.id) > (c.name, s.status, 0) "
        "AND (d.channel, d.status, d.id) < (c.name, s.status, :before) "
        f"ORDER BY d.channel DESC, d.status DESC, d.id DESC {limit}) AS d ORDER BY d.id DESC {limit}"
    )
