"""The thresholds of the settings decide what a run raises; the command line and a worker carry out the same."""

from datetime import UTC, datetime

import pytest

from app.alerts.rules import Thresholds
from app.database import Database
from app.health import requests
from app.health.rules import end_of_day
from app.runs.execution import execute, thresholds_of
from app.settings import Settings
from tests.alerts.helpers import Told, add_alerted, day_number, told, weigh_campaigns_alone
from tests.factories import add_campaign

NOW = datetime(2026, 3, 31, 14, 30, tzinfo=UTC)


def test_the_settings_say_what_the_specification_says() -> None:
    assert thresholds_of(Settings()) == Thresholds(5, 5, 20, 10)


@pytest.mark.parametrize("name", ["drop_points", "again_points", "storm_share", "storm_minimum"])
def test_each_setting_is_its_own_threshold(name: str) -> None:
    assert thresholds_of(Settings().model_copy(update={f"alert_{name}": 77})) == Thresholds(**{name: 77})


@pytest.mark.parametrize(
    ("thresholds", "expected"),
    [
        ({}, [Told("SCORE_DROP", 79, 73, "OPEN"), Told("SCORE_DROP", 73, 67, "OPEN")]),
        ({"alert_drop_points": 6}, []),
        ({"alert_again_points": 6}, [Told("SCORE_DROP", 79, 73, "OPEN")]),
    ],
)
async def test_a_run_raises_by_the_settings_thresholds(
    database: Database, settings: Settings, thresholds: dict[str, int], expected: list[Told]
) -> None:
    await weigh_campaigns_alone(database)
    client = await add_alerted(database)
    chosen = settings.model_copy(update=thresholds | {"recalculation_pause_ms": 0})
    for number, score in enumerate((79, 73, 67)):
        day = day_number(number * 40)
        await add_campaign(database, client, assigned=100, completed=score, closed_at=end_of_day(day))
        async with database.begin() as session:
            run_id = await requests.recalculate_one(session, client, requested_by="anna", now=NOW, day=day)
        assert await execute(database, run_id, chosen)
    assert await told(database) == expected
