"""Which feed the rows of each kind belong to, and how their delivery is noted in the statement that stores them.

Clients, members and the catalogue of features are no feed.
"""

from app.feeds.rules import FeedKind

# The latest moment that a row tells of is an expression over `s`, a row with its values.
FEEDS = {
    "logins": (FeedKind.LOGINS, "s.at"),
    "cases": (FeedKind.CASES, "greatest(s.opened_at, s.closed_at)"),
    "campaigns": (FeedKind.CAMPAIGNS, "s.closed_at"),
    "campaign_responses": (FeedKind.CAMPAIGNS, "s.at"),
    "client_features": (FeedKind.FEATURES, "greatest(s.first_used_at, s.last_used_at)"),
    "feature_uses": (FeedKind.FEATURES, "s.last_at"),
    "tickets": (FeedKind.TICKETS, "greatest(s.opened_at, s.closed_at)"),
}


def deliveries(name: str, now: str) -> str:
    """Compose what notes that the rows in `judged` which are not refused were received at the parameter `now`.

    A moment to come, as the planned end of a campaign, counts as now. A client's row is right to the minute, so that a
    stream of events does not write it each time, and the day's is exact.
    """
    if name not in FEEDS:
        return ""
    feed, moment = FEEDS[name]
    last_event_at = "last_event_at = greatest(d.last_event_at, excluded.last_event_at)"
    is_later = "greatest(d.last_event_at, excluded.last_event_at) IS DISTINCT FROM d.last_event_at"
    return f"""
        , delivered AS (
            SELECT client_id, max(CASE WHEN {moment} > {now} THEN {now}::timestamptz ELSE {moment} END) AS moment
            FROM judged s WHERE reason IS NULL GROUP BY client_id
        ), delivered_clients AS (
            INSERT INTO client_feeds AS d (client_id, kind, last_received_at, last_event_at)
            SELECT client_id, '{feed}', {now}, moment FROM delivered ORDER BY client_id
            ON CONFLICT (client_id, kind) DO UPDATE
            SET last_received_at = greatest(d.last_received_at, excluded.last_received_at), {last_event_at}
            WHERE excluded.last_received_at >= d.last_received_at + interval '1 minute'
                OR excluded.last_event_at >= coalesce(d.last_event_at, '-infinity') + interval '1 minute'
        ), delivered_day AS (
            INSERT INTO feed_days AS d (kind, day, first_received_at, last_received_at, last_event_at)
            SELECT '{feed}', ({now} AT TIME ZONE 'UTC')::date, {now}, {now}, max(moment)
            FROM delivered HAVING count(*) > 0
            ON CONFLICT (kind, day) DO UPDATE
            SET first_received_at = least(d.first_received_at, excluded.first_received_at),
                last_received_at = greatest(d.last_received_at, excluded.last_received_at), {last_event_at}
            WHERE excluded.first_received_at < d.first_received_at
                OR excluded.last_received_at > d.last_received_at OR {is_later}
        )"""
