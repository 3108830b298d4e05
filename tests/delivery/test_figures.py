"""The figures by which an operator notices a channel that does not get its alerts."""

from datetime import UTC, datetime

from sqlalchemy import text

from app.alerts import holding
from app.database import Database
from app.delivery import service
from app.settings import Settings
from tests.delivery.couriers import queue
from tests.delivery.helpers import add_alert, add_channel
from tests.factories import add_rows, rows_of
from tests.test_operations import figure, figures, running


async def test_figures_show_channels_that_lag_or_are_gone(database: Database, settings: Settings) -> None:
    for name in ("idle", "slow", "gone", "former"):
        await add_channel(database, name, configured=name != "former")
    await queue(database, await add_alert(database))
    async with database.begin() as session:
        await session.execute(text("UPDATE deliveries SET status = 'DELIVERED' WHERE channel = 'idle'"))
        for table in ("alerts", "deliveries"):
            await session.execute(text(f"UPDATE {table} SET created_at = created_at - interval '1 hour'"))
        await session.execute(text("UPDATE channels SET disabled_at = clock_timestamp() WHERE name = 'gone'"))
    async with running(settings) as http:
        found = await figures(http)
    assert figure(found, "oldest_pending_delivery_seconds", channel="idle") == 0
    assert 3600 <= figure(found, "oldest_pending_delivery_seconds", channel="slow") < 3660
    disabled = {name: figure(found, "channel_disabled", channel=name) for name in ("idle", "slow", "gone")}
    assert disabled == {"idle": 0, "slow": 0, "gone": 1}
    assert ("client_health_channel_disabled", frozenset({("channel", "former")})) not in found


async def test_an_alert_that_was_held_lags_from_its_release_on(database: Database, settings: Settings) -> None:
    await add_channel(database)
    run = {"kind": "RECALCULATE_ALL", "status": "SUCCEEDED", "requested_by": "ann", "requested_at": datetime.now(UTC)}
    [run_id] = await add_rows(database, "runs", [run | {"finished_at": datetime.now(UTC)}])
    alert = await add_alert(database)
    async with database.begin() as session:
        await session.execute(text("UPDATE alerts SET run_id = :run_id, held = true"), {"run_id": run_id})
        await service.queue(session, [alert], held=True)
        for table in ("alerts", "deliveries"):
            await session.execute(text(f"UPDATE {table} SET created_at = created_at - interval '6 hours'"))
    async with running(settings) as http:
        assert figure(await figures(http), "oldest_pending_delivery_seconds", channel="ops") == 0
        async with database.begin() as session:
            assert await holding.release_held(session, None, actor="ann", now=datetime.now(UTC), request_id=None) == 1
        assert await rows_of(database, "SELECT status FROM deliveries") == [("PENDING",)]
        assert 0 < figure(await figures(http), "oldest_pending_delivery_seconds", channel="ops") < 3600
        # What no alert belongs to lags from when it was written.
        async with database.begin() as session:
            assert await service.tell_held(session, run_id, alerts=1, clients=1) == 1
            held = "UPDATE deliveries SET created_at = created_at - interval '2 hours' WHERE kind = 'HELD'"
            await session.execute(text(held))
        assert 7200 <= figure(await figures(http), "oldest_pending_delivery_seconds", channel="ops") < 10800
