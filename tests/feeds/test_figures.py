"""What operators see of feeds."""

from datetime import UTC, datetime, timedelta

from app.database import Database
from app.feeds.rules import FeedKind
from app.settings import Settings
from tests.feeds.helpers import add_deliveries, go_silent
from tests.test_operations import figures, running


async def test_figures_show_how_long_each_feed_has_been_silent(database: Database, settings: Settings) -> None:
    now = datetime.now(UTC)
    await go_silent(database, FeedKind.LOGINS, now.date() - timedelta(days=4))
    await add_deliveries(database, FeedKind.CASES, [now.date() - timedelta(days=1)])
    async with running(settings) as http:
        found = await figures(http)
    stale, silent = (
        {dict(labels)["feed"]: value for (name, labels), value in found.items() if name == f"client_health_feed_{what}"}
        for what in ("stale", "silent_seconds")
    )
    assert stale == {"LOGINS": 1, "CASES": 0, "CAMPAIGNS": 0, "FEATURES": 0, "TICKETS": 0}
    # A feed that never delivered has been silent for no time that could be told.
    assert silent.keys() == {"LOGINS", "CASES"}
    noon = datetime(now.year, now.month, now.day, 12, tzinfo=UTC)
    for kind, days in (("LOGINS", 4), ("CASES", 1)):
        since = (now - (noon - timedelta(days=days))).total_seconds()
        assert since <= silent[kind] < since + 60
