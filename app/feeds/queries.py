"""Every SQL statement about feeds."""

from sqlalchemy import text

# Each feed's latest day of delivery that can be seen, and the days of delivery up to it that its habit shows in.
DELIVERIES = text(
    "SELECT k.kind, latest.last_received_at, habit.days, (SELECT max(last_event_at) FROM feed_days "
    "WHERE kind = k.kind AND first_received_at <= :as_of) AS last_event_at "
    "FROM unnest(CAST(:kinds AS text[])) AS k(kind) "
    "CROSS JOIN LATERAL (SELECT day, last_received_at FROM feed_days WHERE kind = k.kind "
    "AND first_received_at <= :as_of ORDER BY day DESC LIMIT 1) AS latest "
    "CROSS JOIN LATERAL (SELECT array_agg(day) AS days FROM feed_days WHERE kind = k.kind "
    "AND day > latest.day - CAST(:look_back_days AS integer) AND day <= latest.day) AS habit"
)

OF_CLIENTS = text(
    "SELECT client_id, kind, last_received_at, last_event_at FROM client_feeds "
    "WHERE client_id = ANY(CAST(:ids AS bigint[]))"
)
