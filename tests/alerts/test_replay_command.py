"""`client-health alerts replay`: what it prints, what it tries instead of the settings, and how it ends."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from app.database import Database
from app.settings import Settings
from tests.factories import add_client, add_score, rows_of
from tests.test_cli import run


@pytest.fixture
async def servers_of(database: Database, settings: Settings) -> Mapping[str, str]:
    """The environment of a command on a database with two clients: today one has fallen by 10 points, one by 7."""
    today = datetime.now(UTC).date()
    for name, after in (("Acme [red]", 69), ("Beta", 72), ("Calm", 79)):
        client = await add_client(database, name, alerts_enabled=True)
        for day, score in ((today - timedelta(days=1), 79), (today, after)):
            await add_score(database, client, day, score, light="AMBER", risk="MEDIUM")
    assert settings.database_url is not None
    assert settings.redis_url is not None
    return {"DATABASE_URL": settings.database_url, "REDIS_URL": settings.redis_url}


def words(output: str) -> list[list[str]]:
    """Return the cells of the tables' rows."""
    return [[cell.strip() for cell in line.split("│")[1:-1]] for line in output.splitlines() if "│" in line]


async def test_it_says_how_many_by_day_and_by_client_and_changes_nothing(
    database: Database, servers_of: Mapping[str, str]
) -> None:
    ended = await run("alerts", "replay", **servers_of)
    today = datetime.now(UTC).date()
    assert ended.status == 0, ended.errors
    assert ended.output.splitlines()[0] == (
        "With drops of more than 5 points, and more than 5 for another alert: "
        f"2 alerts in 90 days up to {today}, 0.0 a day."
    )
    assert words(ended.output) == [[f"{today}", "3", "2", ""], ["Acme [red]", "1"], ["Beta", "1"]]
    assert "Replaying alerts" in ended.errors
    assert "3 clients done, 0 failed." in ended.errors
    assert await rows_of(database, "SELECT kind, status, requested_by FROM runs") == [
        ("REPLAY_ALERTS", "SUCCEEDED", "command line")
    ]
    assert await rows_of(database, "SELECT id FROM alerts UNION ALL SELECT id FROM deliveries") == []


@pytest.mark.parametrize(
    ("options", "variables", "expected"),
    [
        (["--days", "1", "--drop-points", "7"], {}, "With drops of more than 7 points, and more than 5 for another"),
        (["--days", "1"], {"ALERT_DROP_POINTS": "7"}, "With drops of more than 7 points, and more than 5 for another"),
        (
            ["--days", "1", "--drop-points", "7", "--again-points", "9"],
            {"ALERT_DROP_POINTS": "0"},
            "With drops of more than 7 points, and more than 9 for another",
        ),
    ],
)
async def test_other_thresholds_can_be_tried(
    servers_of: Mapping[str, str], options: list[str], variables: dict[str, str], expected: str
) -> None:
    ended = await run("alerts", "replay", *options, **servers_of, **variables)
    assert ended.status == 0, ended.errors
    assert ended.output.startswith(f"{expected} alert: 1 alert in 1 day up to")


async def test_what_would_be_held_is_told(servers_of: Mapping[str, str]) -> None:
    ended = await run("alerts", "replay", **servers_of, ALERT_STORM_MINIMUM="2")
    assert "2 of them would be held." in ended.output.splitlines()
    assert words(ended.output)[0][-1] == "held"


async def test_without_an_alert_there_are_no_tables(servers_of: Mapping[str, str]) -> None:
    ended = await run("alerts", "replay", "--drop-points", "100", **servers_of)
    assert ended.status == 0
    assert ended.output.count("\n") == 1
    assert ": 0 alerts in 90 days" in ended.output


@pytest.mark.parametrize(
    "options", [["--days", "0"], ["--days", "731"], ["--drop-points", "101"], ["--again-points", "-1"]]
)
async def test_what_cannot_be_tried_is_refused(
    database: Database, servers_of: Mapping[str, str], options: list[str]
) -> None:
    ended = await run("alerts", "replay", *options, **servers_of)
    assert ended.status == 2
    assert options[0] in ended.errors
    assert await rows_of(database, "SELECT id FROM runs") == []
