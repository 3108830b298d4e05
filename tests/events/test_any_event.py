"""Whatever JSON is sent as an event: it is taken, in values that can be stored, or refused with a reason."""

from datetime import UTC, date, datetime

import orjson
from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.events.facts import facts_of, read
from app.events.mapping import vocabulary
from app.events.rules import TYPES, Message, UnusableEvent

NOW = datetime(2026, 3, 15, 12, 0, tzinfo=UTC)
OLDEST = date(2025, 2, 8)
NUL = "a\0b"
LONG = "x" * 401

_TRAITS = (
    "id name kind feature assigned completed duration_minutes duration_seconds started_at opened_at due_at priority "
    "createdAt size employees annual_value churned_at alerts_enabled company"
)
_NAMES = (
    "Logged In,Session Ended,Case Opened,Case Closed,Campaign Closed,Campaign Responded,Feature Used,Ticket Opened,Page"
)

_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
    | st.sampled_from([NUL, LONG, "2026-03-14T09:00:00Z", "2026-03-16T12:00:01Z", "9999-12-31", "1e999", "-0", "٣"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
_EVENTS = st.sampled_from([*_NAMES.split(","), NUL, ""])
_FIELDS = {
    "type": st.sampled_from(list(TYPES)) | _JSON,
    "event": _EVENTS | _JSON,
    **dict.fromkeys(("messageId", "userId", "anonymousId", "groupId", "previousId", "timestamp", "name"), _JSON),
    "context": st.fixed_dictionaries({}, optional={"groupId": _JSON}) | _JSON,
    **dict.fromkeys(
        ("traits", "properties"),
        st.dictionaries(
            st.sampled_from([*_TRAITS.split(), "na\0me"]) | st.text(max_size=5),
            _JSON,
            max_size=6,
        )
        | _JSON,
    ),
}


@settings(max_examples=800, deadline=None)
@given(content=_JSON | st.fixed_dictionaries({}, optional=_FIELDS))
@example(content={"type": "group", "groupId": "a", "traits": {"na\0me": LONG}})
@example(
    content={"type": "track", "userId": "a", "event": "Session Ended", "properties": {"duration_minutes": 999999999.5}}
)
def test_whatever_is_sent_is_taken_or_refused_with_a_reason(content: object) -> None:
    # What a request can hold is what JSON can.
    content = orjson.loads(orjson.dumps(content))
    found = outcome(content)
    if isinstance(found, UnusableEvent):
        assert 0 < len(str(found)) < 600
        return
    facts = facts_of([(0, found)], known={found.client: 1} if found.client else {}, traits_at={}, features={})
    texts = [found.message_id, found.name, found.client, found.member, found.previous, *found.unusable]
    for kind in facts.rows.values():
        for row in kind.values():
            texts += [value for value in row.values if isinstance(value, str)]
    for text in texts:
        assert text is None or ("\0" not in text and len(text) <= 400)
    assert OLDEST <= found.day <= date(2026, 3, 16)


def outcome(content: object) -> Message | UnusableEvent:
    """Return what the event says, or why it is not taken."""
    try:
        return read(content, None, vocabulary(), made_id="made", received_at=NOW, oldest=OLDEST)
    except UnusableEvent as error:
        return error
