"""However messages are cut into batches, and however often these come: the tables are those of sending all at once."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from app.database import Database
from tests.events.sending import Event, alias, everything, group, identify, page, store, track, written
from tests.factories import rows_of, utc

AT = utc("2026-03-14T20:00")
RESET = "TRUNCATE clients, features, portfolio_counts, events, unmapped_events, feed_days CASCADE"
FIRST = [
    group("acme", AT, name="Acme"),
    group("beta", AT),
    identify("ann", "acme", AT),
    identify("bob", "beta", AT, createdAt="2024-01-01"),
    identify("cem", "acme", AT),
]
CLIENTS = {"ann": "acme", "cem": "acme", "bob": "beta"}


def _message(step: int, draw: st.DrawFn) -> Event:
    at = AT + timedelta(minutes=step, seconds=draw(st.integers(0, 50)))
    member = draw(st.sampled_from(sorted(CLIENTS)))
    # Some say the group, and some rely on that of their member.
    context = {"groupId": CLIENTS[member]} if draw(st.booleans()) else {}

    def did(event: str, **properties: Any) -> Event:
        return track(event, at, userId=member, context=context, properties=properties)

    earlier = draw(st.integers(0, step))
    name = draw(st.sampled_from(["Reports", "reports", "Exports", "★", "Home"]))
    amounts = st.integers(0, 5)
    return draw(
        st.sampled_from(
            [
                did("Logged In"),
                did("Logged In", duration_minutes=draw(amounts)),
                did("Session Ended", duration_minutes=draw(amounts)),
                did("Session Ended", started_at=(at - timedelta(seconds=draw(st.integers(0, 600)))).isoformat()),
                did("Case Opened", id=f"c{step}"),
                did("Case Resolved", id=f"c{earlier}", due_at="2026-04-01"),
                did("Campaign Closed", id=f"q{step % 3}", assigned=9, completed=draw(amounts)),
                did("Campaign Responded", id=f"q{earlier % 3}"),
                did("Feature Used", feature=name),
                did("Ticket Opened", id=f"t{step}", priority=draw(st.sampled_from(["low", "high"]))),
                did("Ticket Closed", id=f"t{earlier}"),
                did(name),
                page(name, at, userId=member, context=context),
                page(name, at, userId=member, context={"groupId": "nobody"}),
                group("acme", at, owner=f"owner {draw(amounts)}", size="?"),
                group(f"client {draw(amounts)}", at, **draw(st.sampled_from([{}, {"name": f"Client {step}"}]))),
                identify(
                    f"new {draw(amounts)}", "beta", at, **draw(st.sampled_from([{}, {"createdAt": "2025-01-01"}]))
                ),
            ]
        )
    )


@st.composite
def _streams(draw: st.DrawFn) -> list[Event]:
    """Draw messages in the order of their times, with ids."""
    count = draw(st.integers(1, 25))
    last = [alias("cem", draw(st.sampled_from(["ann", "eve"])), AT + timedelta(hours=1))] if draw(st.booleans()) else []
    events = [*FIRST, *(_message(step, draw) for step in range(count)), *last]
    return [{"messageId": f"m{number}", **event} for number, event in enumerate(events)]


@st.composite
def _sendings(draw: st.DrawFn) -> tuple[list[Event], list[list[Event]]]:
    """Draw messages, and the batches that they are sent in: each follows the one before it, and some come again."""
    events = draw(_streams())
    cuts = sorted(draw(st.sets(st.integers(1, len(events) - 1), max_size=12)))
    batches = [events[start:end] for start, end in zip([0, *cuts], [*cuts, len(events)], strict=True)]
    sent: list[list[Event]] = []
    for number, batch in enumerate(batches):
        sent.append(batch)
        sent += [batches[again] for again in draw(st.lists(st.integers(0, number), max_size=2))]
    return events, sent


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sending=_sendings())
async def test_batches_and_their_repetitions_make_no_difference(
    database: Database, sending: tuple[list[Event], list[list[Event]]]
) -> None:
    events, batches = sending
    assert await _stored(database, [events]) == len(events)
    at_once, moments = await everything(database), await _moments(database)
    assert await _stored(database, batches) == len(events)
    assert await everything(database) == at_once
    # The latest activity is right to the minute, however it came about.
    for client, moment in (await _moments(database)).items():
        expected = moments[client]
        assert (moment is None) == (expected is None)
        assert moment is None or expected is None or expected - moment < timedelta(minutes=1)
    before = await written(database)
    assert await store(database, *events[::-1]) == 0
    assert await written(database) == before


async def _stored(database: Database, batches: Sequence[Sequence[Event]]) -> int:
    """Store batches into an empty database, and return how many messages were new."""
    async with database.begin() as session:
        await session.execute(text(RESET))
    return sum([await store(database, *batch) for batch in batches])


async def _moments(database: Database) -> dict[str, datetime | None]:
    return dict((await rows_of(database, "SELECT external_id, last_activity_at FROM clients"),)[0])
