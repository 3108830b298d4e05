"""Which feed the rows of each kind belong to, and the latest moment that a row tells of.

The moment is an expression over `s`, a staged row. Clients, members and the catalogue of features are no feed.
"""

from app.feeds.rules import FeedKind

FEEDS = {
    "logins": (FeedKind.LOGINS, "s.at"),
    "cases": (FeedKind.CASES, "greatest(s.opened_at, s.closed_at)"),
    "campaigns": (FeedKind.CAMPAIGNS, "s.closed_at"),
    "campaign_responses": (FeedKind.CAMPAIGNS, "s.at"),
    "client_features": (FeedKind.FEATURES, "greatest(s.first_used_at, s.last_used_at)"),
    "feature_uses": (FeedKind.FEATURES, "s.last_at"),
    "tickets": (FeedKind.TICKETS, "greatest(s.opened_at, s.closed_at)"),
}
