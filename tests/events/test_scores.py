"""What the score makes of events: they come in, a calculation follows, and each component has its exact score."""

from datetime import timedelta
from typing import Any

from app.database import Database
from app.health.service import score_day
from tests.events.sending import NOW, Event, group, identify, send, stored, track
from tests.factories import rows_of

SCORES = (
    "SELECT c.external_id, h.score, h.light, h.login_score, h.case_score, h.campaign_score, h.feature_score, "
    "h.ticket_score FROM health_scores AS h JOIN clients AS c ON c.id = h.client_id ORDER BY 1"
)


def ago(days: int, event: str, member: str = "ann", **properties: Any) -> Event:
    """Return what somebody of "acme" did so many days ago."""
    return track(event, NOW - timedelta(days=days), userId=member, properties=properties)


async def test_the_score_follows_the_events(database: Database) -> None:
    start = NOW - timedelta(days=60)
    await send(
        database,
        group("acme", start, name="Acme", employees=50),
        group("beta", start),
        *(identify(member, "acme", start) for member in ("ann", "bob", "cem", "dan")),
        # Three of four members were active in the last 30 days.
        ago(1, "Logged In"),
        ago(2, "Signed In", "bob"),
        ago(29, "Session Ended", "cem", duration_minutes=5),
        ago(31, "Logged In", "dan"),
        # Three of four cases closed on time.
        *(ago(20, "Case Opened", case_id=f"c{n}", due_at=(NOW - timedelta(days=10)).isoformat()) for n in range(4)),
        *(ago(11, "Case Resolved", case_id=f"c{n}") for n in range(3)),
        ago(5, "Case Closed", id="c3"),
        # Nine of ten assignments done.
        ago(3, "Campaign Closed", campaign_id="q1", assigned=10, completed=9),
        # Every feature that is enabled has been used.
        ago(4, "Feature Used", feature="Reports"),
        # As many tickets as usual.
        *(ago(40, "Ticket Opened", ticket_id=f"old {n}") for n in range(2)),
        *(ago(6, "Ticket Opened", ticket_id=f"new {n}") for n in range(2)),
    )
    assert await stored(database, "unmapped_events") == []
    await score_day(database, NOW, NOW)
    # (20 * 100 + 25 * 75 + 25 * 90 + 15 * 100 + 15 * 80) / 100 is 88.25; nothing was heard of beta but its name.
    beta = ("beta", None, None, None, None, None, None, 100)
    assert await rows_of(database, SCORES) == [("acme", 88, "GREEN", 100, 75, 90, 100, 80), beta]

    # One case was late in truth, the campaign is half done after all, and the tickets double.
    await send(
        database,
        ago(12, "Case Resolved", case_id="late", due_at=(NOW - timedelta(days=13)).isoformat()),
        ago(2, "Campaign Closed", campaign_id="q1", completed=5),
        *(ago(5, "Ticket Opened", ticket_id=f"more {n}") for n in range(2)),
    )
    await score_day(database, NOW + timedelta(hours=1), NOW + timedelta(hours=1))
    # (20 * 100 + 25 * 60 + 25 * 50 + 15 * 100 + 15 * 40) / 100 is 68.5, and half up.
    assert await rows_of(database, SCORES) == [("acme", 69, "AMBER", 100, 60, 50, 100, 40), beta]
