"""Every SQL statement about feeds."""

from sqlalchemy import text

# A row is written again only when it would say something new.
ADD_DAY = text(
    "INSERT INTO feed_days AS d (kind, day, first_received_at, last_received_at, last_event_at) "
    "VALUES (:kind, :day, :now, :now, :last_event_at) ON CONFLICT (kind, day) DO UPDATE SET "
    "first_received_at = least(d.first_received_at, excluded.first_received_at), "
    "last_received_at = greatest(d.last_received_at, excluded.last_received_at), "
    "last_event_at = greatest(d.last_event_at, excluded.last_event_at) "
    "WHERE excluded.first_received_at < d.first_received_at OR excluded.last_received_at > d.last_received_at "
    "OR greatest(d.last_event_at, excluded.last_event_at) IS DISTINCT FROM d.last_event_at"
)

# Clients in the order of their ids, so that two writers wait for each other in one direction only.
ADD_CLIENTS = text(
    "INSERT INTO client_feeds AS f (client_id, kind, last_received_at, last_event_at) "
    "SELECT new.id, :kind, :now, new.at FROM unnest(CAST(:ids AS bigint[]), CAST(:moments AS timestamptz[])) "
    "AS new(id, at) ORDER BY new.id ON CONFLICT (client_id, kind) DO UPDATE SET "
    "last_received_at = greatest(f.last_received_at, excluded.last_received_at), "
    "last_event_at = greatest(f.last_event_at, excluded.last_event_at) "
    "WHERE excluded.last_received_at >= f.last_received_at + interval '1 minute' "
    "OR greatest(f.last_event_at, excluded.last_event_at) IS DISTINCT FROM f.last_event_at"
)

# Each feed's latest day of delivery that can be seen, and the days of delivery up to it that its habit shows in.
DELIVERIES = text(
    "SELECT k.kind, latest.last_received_at, habit.days, (SELECT max(last_event_at) FROM feed_days "
    "WHERE kind = k.kind AND first_received_at <= :as_of) AS last_event_at "
    "FROM unnest(CAST(:kinds AS text[])) AS k(kind) "
    "CROSS JOIN LATERAL (SELECT day, last_received_at FROM feed_days WHERE kind = k.kind "
    "AND first_received_at <= :as_of ORDER BY day DESC LIMIT 1) AS latest "
    "CROSS JOIN LATERAL (SELECT array_agg(day) AS days FROM feed_days WHERE kind = k.kind "
    "AND day > latest.day - CAST(:habit_days AS integer) AND day <= latest.day) AS habit"
)

OF_CLIENTS = text(
    "SELECT client_id, kind, last_received_at, last_event_at FROM client_feeds "
    "WHERE client_id = ANY(CAST(:ids AS bigint[]))"
)
