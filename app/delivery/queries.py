"""Every SQL statement about channels and deliveries. Leases are timed by the database's clock."""

from sqlalchemy import text

# Alerts about days long gone, scored late, are in the list and nobody's news. An owner that is no address gets none.
QUEUE = text(
    "INSERT INTO deliveries (kind, channel, recipient, alert_id, digest, status, next_attempt_at) "
    "SELECT 'ALERT', ch.name, CASE WHEN ch.to_owner THEN c.owner ELSE '' END, a.id, w.digest, "
    "CASE WHEN :held THEN 'HELD' WHEN w.digest THEN 'WAITING' ELSE 'PENDING' END, clock_timestamp() "
    "FROM alerts AS a JOIN clients AS c ON c.id = a.client_id CROSS JOIN channels AS ch "
    "CROSS JOIN LATERAL (SELECT coalesce(ch.mode = 'DIGEST', c.engagement_model = 'PLG') AS digest) AS w "
    "WHERE a.id = ANY(CAST(:alert_ids AS bigint[])) AND a.raised_at > a.created_at - CAST(:recent AS interval) "
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

TELL_HELD = text(
    "INSERT INTO deliveries (kind, channel, recipient, run_id, digest, details, status, next_attempt_at) "
    "SELECT 'HELD', name, '', :run_id, false, CAST(:details AS jsonb), 'PENDING', clock_timestamp() FROM channels "
    "WHERE configured AND engagement_models IS NULL AND risks IS NULL AND NOT to_owner "
    "ON CONFLICT (run_id, channel) DO NOTHING"
)
