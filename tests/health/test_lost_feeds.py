"""Random portfolios that lose a feed: no score and no colour is better for it, however long it stays silent."""

import asyncio
from dataclasses import fields, replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from app.database import Database, fetch
from app.feeds.rules import FeedKind
from app.health.rules import Counts, Policy, assess, end_of_day
from app.health.service import score_day
from app.health.staleness import COMPONENTS, from_stored
from app.ingest.service import import_path
from tests.feeds.helpers import add_deliveries
from tests.health.test_silent_feeds import COLUMNS
from tests.health.test_staleness import assert_no_better
from tests.oracle.files import write_world
from tests.oracle.worlds import make_world

SILENT = date(2024, 2, 20)
STALE = SILENT + timedelta(days=3)
# While the score is kept, on the last day of that, and from the next one on until the whole window is empty.
DAYS = [SILENT + timedelta(days=days) for days in (3, 6, 10, 11, 20, 40)]
CLIENTS = 120
# What is not received any more of each feed: nothing of what happened after the end of SILENT.
LOST = {
    FeedKind.LOGINS: ["DELETE FROM logins WHERE at > :end"],
    FeedKind.CASES: [
        "DELETE FROM cases WHERE coalesce(opened_at, closed_at) > :end",
        "UPDATE cases SET closed_at = NULL WHERE closed_at > :end",
    ],
    FeedKind.CAMPAIGNS: ["UPDATE campaigns SET closed_at = NULL WHERE closed_at > :end"],
    FeedKind.FEATURES: [
        "UPDATE client_features SET first_used_at = NULL WHERE first_used_at > :end",
        "UPDATE client_features SET last_used_at = NULL WHERE last_used_at > :end",
    ],
    FeedKind.TICKETS: ["DELETE FROM tickets WHERE opened_at > :end"],
}
SCORES = (
    "SELECT h.*, measured.login_score AS was_login_score, measured.case_score AS was_case_score, "
    "measured.campaign_score AS was_campaign_score, measured.feature_score AS was_feature_score, "
    "measured.ticket_score AS was_ticket_score, measured.tickets_tracked AS was_tickets_tracked "
    "FROM health_scores AS h JOIN health_scores AS measured ON measured.client_id = h.client_id "
    "AND measured.day = :silent WHERE h.day >= :stale"
)


@pytest.mark.parametrize(("number", "kind"), list(enumerate(FeedKind)))
async def test_losing_a_feed_makes_no_score_better(
    database: Database, tmp_path: Path, number: int, kind: FeedKind
) -> None:
    world = make_world(100 + number, [SILENT, *DAYS], CLIENTS)
    await asyncio.to_thread(write_world, world, tmp_path)
    # Received after the last of these days, so that only the deliveries below are seen.
    report = await import_path(database, tmp_path, now=end_of_day(DAYS[-1]) + timedelta(days=1))
    assert report.exit_code == 0, report
    await add_deliveries(database, kind, [SILENT - timedelta(days=days) for days in range(15)])
    async with database.begin() as session:
        for statement in LOST[kind]:
            await session.execute(text(statement), {"end": end_of_day(SILENT)})
    for day in [SILENT, *DAYS]:
        await score_day(database, end_of_day(day), end_of_day(day))
    async with database.read() as connection:
        rows = await fetch(connection, text(SCORES), silent=SILENT, stale=STALE)
    assert len(rows) > CLIENTS
    rescued = lapsed = 0
    for row in rows:
        counts = Counts(**{field.name: getattr(row, field.name) for field in fields(Counts)})
        stale = from_stored(row.stale)
        measured = getattr(row, f"was_{COLUMNS[kind]}")
        if kind is FeedKind.TICKETS and not row.was_tickets_tracked:
            assert stale is None
            continue
        assert stale is not None
        (kept,) = stale.values()
        assert stale.keys() == {COMPONENTS[kind]}
        assert (kept.score, kept.day, kept.lapsed) == (measured, SILENT, row.day >= STALE + timedelta(days=7))
        found = assess(counts, row.previous_score, Policy(), stale)
        assert (found.score, found.light, found.coverage) == (row.score, row.light, row.coverage)
        held = assess(counts, row.previous_score, Policy(), {COMPONENTS[kind]: replace(kept, lapsed=False)})
        assert_no_better(found, held)
        plain = assess(counts, row.previous_score, Policy())
        rescued += plain.score is not None and row.score is not None and plain.score > row.score
        lapsed += kept.lapsed
    # Counted as usual, some of them would have been better.
    assert rescued
    assert lapsed
