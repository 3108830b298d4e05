"""The figures by which an operator notices a channel that does not get its alerts."""

from sqlalchemy import text

from app.database import Database
from app.settings import Settings
from tests.delivery.couriers import queue
from tests.delivery.helpers import add_alert, add_channel
from tests.test_operations import figure, figures, running


async def test_figures_show_channels_that_lag_or_are_gone(database: Database, settings: Settings) -> None:
    for name in ("idle", "slow", "gone", "former"):
        await add_channel(database, name, configured=name != "former")
    await queue(database, await add_alert(database))
    async with database.begin() as session:
        await session.execute(text("UPDATE deliveries SET status = 'DELIVERED' WHERE channel = 'idle'"))
        await session.execute(text("UPDATE deliveries SET created_at = created_at - interval '1 hour'"))
        await session.execute(text("UPDATE channels SET disabled_at = clock_timestamp() WHERE name = 'gone'"))
    async with running(settings) as http:
        found = await figures(http)
    assert figure(found, "oldest_pending_delivery_seconds", channel="idle") == 0
    assert 3600 <= figure(found, "oldest_pending_delivery_seconds", channel="slow") < 3660
    disabled = {name: figure(found, "channel_disabled", channel=name) for name in ("idle", "slow", "gone")}
    assert disabled == {"idle": 0, "slow": 0, "gone": 1}
    assert ("client_health_channel_disabled", frozenset({("channel", "former")})) not in found
