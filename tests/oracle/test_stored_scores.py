"""The stored scores of every client and day against the oracle: what history and explanations are read from."""

from datetime import date
from pathlib import Path

from sqlalchemy import text

from app.database import Database
from tests.oracle.compare import assert_no_differences, differences
from tests.oracle.loading import load
from tests.oracle.spec import Assessment, active_members, counted_members, end_of, previous_score, score_days
from tests.oracle.worlds import last_moments, make_world

# Out of the usual rhythm: a first day long ago, three in a row, and the last day of a year.
DAYS = [date(2023, 9, 30), date(2023, 12, 1), date(2023, 12, 2), date(2023, 12, 3), date(2023, 12, 31)]


async def test_every_stored_score_is_the_oracles(database: Database, tmp_path: Path) -> None:
    """One score per client and day, each with its inputs, and none for a client that is not scored."""
    world = make_world(3, DAYS, 400)
    await load(database, world, DAYS, tmp_path)
    async with database.read() as connection:
        statement = text("SELECT c.external_id, s.* FROM health_scores s JOIN clients c ON c.id = s.client_id")
        rows = {(row.external_id, row.day): row._asdict() for row in await connection.execute(statement)}
    histories = score_days(world, last_moments(DAYS))
    found: list[str] = []
    for external_id, history in histories.items():
        facts = world.clients[external_id]
        for day, health in history.items():
            stored = rows.pop((external_id, day), {})
            expected = expected_row(health, previous_score(history, day)) | {
                "members": len(counted_members(facts, end_of(day))),
                "active_members": active_members(facts, end_of(day)),
                "policy_version": 1,
            }
            found += differences({key: stored.get(key) for key in expected}, expected, f"{external_id} {day}")
            if stored.get("as_of") != end_of(day):
                found.append(f"{external_id} {day}: as_of {stored.get('as_of')}")
    assert_no_differences(found)
    assert not rows


def expected_row(health: Assessment, previous: int | None) -> dict[str, object]:
    """Return the columns of one stored score."""
    login, case, campaign, feature, ticket = (part.score for part in health.components)
    return {
        "score": health.score,
        "previous_score": previous,
        "coverage": health.coverage,
        "light": health.light,
        "trend": health.trend,
        "risk": health.risk,
        "login_score": login,
        "case_score": case,
        "campaign_score": campaign,
        "feature_score": feature,
        "ticket_score": ticket,
        "tickets_tracked": health.components[4].measured,
    }
