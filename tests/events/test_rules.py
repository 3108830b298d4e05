"""What a message says, in literal tables: every field with what it may hold, and the exact reason where it may not."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from app.events.rules import NOTHING, EventType, Message, UnusableEvent, cell_of, message_of, session_length

NOW = datetime(2026, 3, 15, 12, 0, tzinfo=UTC)
OLDEST = date(2025, 2, 8)
TRACK = {"type": "track", "messageId": "m1", "userId": "ann", "event": "Logged In"}
NUL = "a\0b"
LONG = "x" * 401


def understood(content: object, event_type: EventType | None = None) -> Message:
    """Return the message as it is understood on a fixed day."""
    return message_of(content, event_type, made_id="made", received_at=NOW, oldest=OLDEST)


def refusal(content: object, event_type: EventType | None = None) -> str:
    """Return why the message is not taken."""
    with pytest.raises(UnusableEvent) as raised:
        understood(content, event_type)
    return str(raised.value)


def test_every_type_is_read_from_the_message() -> None:
    found = [
        understood({"type": "identify", "userId": "ann", "traits": {"email": "a@b"}}),
        understood({"type": "group", "groupId": "acme", "userId": "ann", "traits": {"name": "Acme"}}),
        understood({**TRACK, "properties": {"a": 1}, "context": {"groupId": "acme"}}),
        understood({"type": "page", "anonymousId": "x", "name": " Home ", "properties": {"url": "/"}}),
        understood({"type": "screen", "userId": "ann"}),
        understood({"type": "alias", "userId": "ann", "previousId": "x"}),
    ]
    assert found == [
        Message(EventType.IDENTIFY, "made", NOW, NOW, False, None, None, "ann", None, {"email": "a@b"}),
        Message(EventType.GROUP, "made", NOW, NOW, False, None, "acme", "ann", None, {"name": "Acme"}),
        Message(EventType.TRACK, "m1", NOW, NOW, False, "Logged In", "acme", "ann", None, {"a": 1}),
        Message(EventType.PAGE, "made", NOW, NOW, False, "Home", None, None, None, {"url": "/"}),
        Message(EventType.SCREEN, "made", NOW, NOW, False, None, None, "ann", None, NOTHING),
        Message(EventType.ALIAS, "made", NOW, NOW, False, None, None, "ann", "x", NOTHING),
    ]


def test_the_address_names_the_type_before_the_message_does() -> None:
    assert understood({"type": "track", "userId": "ann"}, EventType.IDENTIFY).type is EventType.IDENTIFY
    assert understood({"userId": "ann", "event": "a"}, EventType.TRACK).type is EventType.TRACK
    assert refusal({**TRACK, "type": "identify"}, EventType.GROUP) == "groupId is missing"


@pytest.mark.parametrize("content", [None, 1, 1.5, True, "track", [], [TRACK]])
def test_what_is_no_object(content: object) -> None:
    assert refusal(content) == "the event is not an object"


@pytest.mark.parametrize("given", [None, "", "Track", "TRACK", "delete", 1, ["track"], {"track": 1}])
def test_an_unknown_type(given: object) -> None:
    reason = "type must be one of identify, group, track, page, screen, alias"
    assert refusal({**TRACK, "type": given}) == reason
    assert refusal({name: value for name, value in TRACK.items() if name != "type"}) == reason


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("2026-03-15T10:30:00Z", datetime(2026, 3, 15, 10, 30, tzinfo=UTC)),
        ("2026-03-15T10:30:00.123Z", datetime(2026, 3, 15, 10, 30, 0, 123000, tzinfo=UTC)),
        ("2026-03-15T10:30:00.123456+00:00", datetime(2026, 3, 15, 10, 30, 0, 123456, tzinfo=UTC)),
        (" 2026-03-15T10:30:00 ", datetime(2026, 3, 15, 10, 30, tzinfo=UTC)),
        ("2026-03-15T01:30:00+05:30", datetime(2026, 3, 14, 20, 0, tzinfo=UTC)),
        ("2026-03-14T23:30:00-02:00", datetime(2026, 3, 15, 1, 30, tzinfo=UTC)),
        ("2026-03-15", datetime(2026, 3, 15, tzinfo=UTC)),
        # Exactly 24 hours ahead, and the first moment of the oldest day.
        ("2026-03-16T12:00:00Z", NOW + timedelta(hours=24)),
        ("2026-03-16T14:00:00+02:00", NOW + timedelta(hours=24)),
        ("2025-02-08T00:00:00Z", datetime(2025, 2, 8, tzinfo=UTC)),
        ("2025-02-08T02:00:00+02:00", datetime(2025, 2, 8, tzinfo=UTC)),
    ],
)
def test_a_time_that_is_said(written: str, expected: datetime) -> None:
    found = understood({**TRACK, "timestamp": written})
    assert (found.at, found.day, found.dated, found.received_at) == (expected, expected.date(), True, NOW)
    assert found.at.tzinfo is UTC


def test_the_time_may_be_under_rudderstacks_name() -> None:
    original = {**TRACK, "originalTimestamp": "2026-03-08T09:00:00.000Z"}
    for content in (original, {**original, "timestamp": None}):
        found = understood(content)
        assert (found.at, found.dated) == (datetime(2026, 3, 8, 9, 0, tzinfo=UTC), True)
    assert understood({**original, "timestamp": "2026-03-15"}).at == datetime(2026, 3, 15, tzinfo=UTC)
    assert refusal({**TRACK, "originalTimestamp": 5}) == "timestamp is not a time: write it as 2025-03-31T14:05:00Z"


@pytest.mark.parametrize("content", [TRACK, {**TRACK, "timestamp": None}, {**TRACK, "originalTimestamp": None}])
def test_without_a_time_it_happened_when_it_came(content: dict[str, Any]) -> None:
    found = understood({**content, "sentAt": "2026-03-15T09:00:00Z"})
    assert (found.at, found.day, found.dated) == (NOW, date(2026, 3, 15), False)


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        (1773570600, "timestamp is not a time: write it as 2025-03-31T14:05:00Z"),
        (True, "timestamp is not a time: write it as 2025-03-31T14:05:00Z"),
        (["2026-03-15"], "timestamp is not a time: write it as 2025-03-31T14:05:00Z"),
        ("", "timestamp is not a time: write it as 2025-03-31T14:05:00Z"),
        ("yesterday", "timestamp is not a time: write it as 2025-03-31T14:05:00Z"),
        ("1773570600", "timestamp is not a time: write it as 2025-03-31T14:05:00Z"),
        ("2026-02-30T10:30:00Z", "timestamp is not a time: write it as 2025-03-31T14:05:00Z"),
        ("9999-12-31T23:59:59-14:00", "timestamp is outside the years 1970 to 2200"),
        ("0001-01-01T00:00:00+14:00", "timestamp is outside the years 1970 to 2200"),
        (
            "2026-03-16T12:00:00.000001Z",
            "timestamp lies more than 24 hours ahead: check the sender's clock",
        ),
        (
            "2026-03-16T12:00:00-00:01",
            "timestamp lies more than 24 hours ahead: check the sender's clock",
        ),
        (
            "2025-02-07T23:59:59.999999Z",
            "timestamp is before 2025-02-08, the first day that is kept: import what is older",
        ),
        (
            "2025-02-08T00:59:59+01:00",
            "timestamp is before 2025-02-08, the first day that is kept: import what is older",
        ),
    ],
)
def test_a_time_that_cannot_be(written: object, reason: str) -> None:
    assert refusal({**TRACK, "timestamp": written}) == reason


@pytest.mark.parametrize("given", ["a", "x" * 200, " a b ", "é", "5f0d…"])
def test_a_message_id_is_kept_as_it_is(given: str) -> None:
    assert understood({**TRACK, "messageId": given}).message_id == given


@pytest.mark.parametrize("given", ["", "x" * 201, NUL, 1, 1.5, True, ["a"], {}])
def test_a_message_id_that_cannot_be(given: object) -> None:
    assert refusal({**TRACK, "messageId": given}) == "messageId must be a text of 1 to 200 characters"


def test_a_message_without_an_id_gets_one() -> None:
    assert understood({**TRACK, "messageId": None}).message_id == "made"


@pytest.mark.parametrize(("given", "found"), [("Logged In", "Logged In"), (" a ", "a"), ("x" * 400, "x" * 400)])
@pytest.mark.parametrize(("event_type", "field"), [("track", "event"), ("page", "name"), ("screen", "name")])
def test_the_name_of_what_was_done(event_type: str, field: str, given: str, found: str) -> None:
    assert understood({"type": event_type, "userId": "ann", field: given}).name == found


@pytest.mark.parametrize("given", [None, "", "  ", 5, True, ["a"], {}])
def test_a_track_message_without_a_name(given: object) -> None:
    assert refusal({**TRACK, "event": given}) == "event is missing: a track message names what was done"
    assert understood({"type": "page", "userId": "ann", "name": given}).name is None
    assert understood({"type": "screen", "userId": "ann", "name": given}).name is None


@pytest.mark.parametrize(("event_type", "field"), [("track", "event"), ("page", "name"), ("screen", "name")])
def test_a_name_that_cannot_be_stored(event_type: str, field: str) -> None:
    content = {"type": event_type, "userId": "ann"}
    assert refusal({**content, field: NUL}) == f"{field} holds a NUL character"
    assert refusal({**content, field: LONG}) == f"{field} is longer than 400 characters"


IDS = [
    ({"type": "group", "userId": "ann"}, "groupId", "client"),
    ({"type": "identify"}, "userId", "member"),
    ({"type": "alias", "previousId": "b"}, "userId", "member"),
    ({"type": "alias", "userId": "b"}, "previousId", "previous"),
    ({"type": "track", "event": "a"}, "userId", "member"),
    ({"type": "track", "event": "a", "userId": "ann"}, "groupId", "client"),
    ({"type": "page", "userId": "ann"}, "groupId", "client"),
]


@pytest.mark.parametrize(("content", "field", "part"), IDS)
def test_ids_are_texts_or_whole_numbers(content: dict[str, Any], field: str, part: str) -> None:
    for given, found in (("acme", "acme"), (" a b ", "a b"), (42, "42"), (0, "0"), (-7, "-7"), ("x" * 400, "x" * 400)):
        assert getattr(understood({**content, field: given}), part) == found


@pytest.mark.parametrize(("content", "field", "part"), IDS)
def test_ids_that_cannot_be(content: dict[str, Any], field: str, part: str) -> None:
    del part
    for given in (1.5, 42.0, True, False, ["a"], {"id": "a"}):
        assert refusal({**content, field: given}) == f"{field} must be a text"
    assert refusal({**content, field: NUL}) == f"{field} holds a NUL character"
    assert refusal({**content, field: LONG}) == f"{field} is longer than 400 characters"


@pytest.mark.parametrize("given", [None, "", "   "])
def test_ids_that_are_missing(given: object) -> None:
    assert refusal({"type": "group", "userId": "ann", "groupId": given}) == "groupId is missing"
    assert refusal({"type": "identify", "userId": given, "anonymousId": "x"}) == "userId is missing"
    assert refusal({"type": "alias", "userId": given, "previousId": "x"}) == "userId is missing"
    assert refusal({"type": "alias", "userId": "ann", "previousId": given}) == "previousId is missing"
    neither = "userId is missing, and anonymousId as well: one of them is needed"
    for content in (TRACK, {"type": "page"}, {"type": "screen"}):
        assert refusal({**content, "userId": given, "anonymousId": given}) == neither
        found = understood({**content, "userId": given, "anonymousId": "x", "groupId": given})
        assert (found.member, found.client) == (None, None)
    assert understood({"type": "group", "groupId": "acme", "userId": given}).member is None


def test_an_anonymous_id_that_cannot_be() -> None:
    assert refusal({"type": "page", "anonymousId": ["x"]}) == "anonymousId must be a text"


def test_whose_group_it_is() -> None:
    context = {"groupId": "of the context"}
    company = {"company": {"id": 7, "name": "Acme"}}
    assert understood({**TRACK, "groupId": "own", "context": context}).client == "own"
    assert understood({**TRACK, "groupId": "", "context": context}).client == "of the context"
    assert understood({"type": "group", "groupId": "own", "context": context}).client == "own"
    identify = {"type": "identify", "userId": "ann"}
    assert understood({**identify, "traits": company, "context": context}).client == "of the context"
    assert understood({**identify, "traits": company}).client == "7"
    # A company is a trait of a person only, and one that is a text is its name.
    assert understood({**TRACK, "properties": company}).client is None
    assert understood({**identify, "traits": {"company": "Acme"}}).client is None
    assert understood({**identify, "traits": {"company": {"name": "Acme"}}}).client is None
    assert refusal({**TRACK, "context": {"groupId": 1.5}}) == "groupId must be a text"
    assert refusal({**identify, "traits": {"company": {"id": []}}}) == "id must be a text"


@pytest.mark.parametrize("given", ["context", 5, ["a"], None, True])
def test_a_context_that_is_no_object_says_nothing(given: object) -> None:
    assert understood({**TRACK, "context": given}).client is None


@pytest.mark.parametrize("given", ["a", 5, ["a"], True, "", 0, False, []])
def test_traits_and_properties_are_objects(given: object) -> None:
    reason = "traits and properties must be objects"
    assert refusal({**TRACK, "properties": given}) == reason
    assert refusal({"type": "page", "userId": "ann", "properties": given}) == reason
    assert refusal({"type": "identify", "userId": "ann", "traits": given}) == reason
    assert refusal({"type": "group", "groupId": "acme", "traits": given}) == reason
    # What a type of message has no use for is not looked at.
    assert understood({**TRACK, "traits": given}).details == {}
    assert understood({"type": "identify", "userId": "ann", "properties": given}).details == {}


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("text", "text"),
        (" text ", "text"),
        ("", None),
        ("  ", None),
        (None, None),
        (True, "true"),
        (False, "false"),
        (0, "0"),
        (-12, "-12"),
        (2.5, "2.5"),
        (0.1, "0.1"),
        (1e22, "1e+22"),
        (Decimal("1.50"), "1.50"),
        (["a"], None),
        ({"a": 1}, None),
    ],
)
def test_properties_as_cells(value: object, cell: str | None) -> None:
    assert cell_of(value) == cell


ENDED = datetime(2026, 3, 15, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("parts", "begun_at", "minutes"),
    [
        ({"duration_minutes": Decimal(30)}, datetime(2026, 3, 15, 11, 30, tzinfo=UTC), "30"),
        ({"duration_minutes": Decimal(0)}, ENDED, "0"),
        ({"duration_minutes": Decimal("0.5")}, datetime(2026, 3, 15, 11, 59, 30, tzinfo=UTC), "0.5"),
        # A length in seconds, and one that is computed, is to the millionth of a minute, half up.
        ({"duration_seconds": Decimal(90)}, datetime(2026, 3, 15, 11, 58, 30, tzinfo=UTC), "1.500000"),
        ({"duration_seconds": Decimal("0.00003")}, ENDED - timedelta(microseconds=60), "0.000001"),
        ({"duration_seconds": Decimal("0.000029")}, ENDED, "0.000000"),
        ({"duration_seconds": Decimal("0.00009")}, ENDED - timedelta(microseconds=120), "0.000002"),
        ({"duration_seconds": Decimal(20)}, datetime(2026, 3, 15, 11, 59, 40, 20, tzinfo=UTC), "0.333333"),
        ({"duration_seconds": Decimal(40)}, datetime(2026, 3, 15, 11, 59, 19, 999_980, tzinfo=UTC), "0.666667"),
        (
            {"started_at": datetime(2026, 3, 15, 11, 59, 20, tzinfo=UTC)},
            datetime(2026, 3, 15, 11, 59, 20, tzinfo=UTC),
            "0.666667",
        ),
        ({"started_at": ENDED}, ENDED, "0.000000"),
        # The length in minutes comes first, and a beginning that is said stands.
        (
            {"duration_minutes": Decimal(5), "duration_seconds": Decimal(60)},
            datetime(2026, 3, 15, 11, 55, tzinfo=UTC),
            "5",
        ),
        (
            {"duration_minutes": Decimal(5), "started_at": datetime(2026, 3, 15, 11, 0, tzinfo=UTC)},
            datetime(2026, 3, 15, 11, 0, tzinfo=UTC),
            "5",
        ),
        ({"duration_minutes": Decimal(5), "started_at": ENDED - timedelta(days=7)}, ENDED - timedelta(days=7), "5"),
    ],
)
def test_when_a_session_began_and_how_long_it_was(parts: dict[str, object], begun_at: datetime, minutes: str) -> None:
    found, length = session_length(parts, ENDED)
    assert (found, str(length)) == (begun_at, minutes)


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ({}, "duration_minutes is missing, and so are duration_seconds and started_at: give one of them"),
        (
            {"duration_minutes": None, "duration_seconds": None, "started_at": None},
            "duration_minutes is missing, and so are duration_seconds and started_at: give one of them",
        ),
        ({"started_at": ENDED + timedelta(microseconds=1)}, "started_at is after the session's end"),
        (
            {"duration_minutes": Decimal(5), "started_at": ENDED + timedelta(days=365)},
            "started_at is after the session's end",
        ),
        ({"duration_minutes": Decimal("10080.000001")}, "the session is longer than 10080 minutes"),
        ({"duration_seconds": Decimal(604_801)}, "the session is longer than 10080 minutes"),
        ({"started_at": ENDED - timedelta(days=7, seconds=1)}, "the session is longer than 10080 minutes"),
        # A beginning that is said is that of the login, however short the session was.
        (
            {"duration_minutes": Decimal(10), "started_at": ENDED - timedelta(days=7, seconds=1)},
            "the session is longer than 10080 minutes",
        ),
        (
            {"duration_seconds": Decimal(10), "started_at": datetime(2020, 1, 1, tzinfo=UTC)},
            "the session is longer than 10080 minutes",
        ),
    ],
)
def test_a_session_that_cannot_be(parts: dict[str, object], reason: str) -> None:
    with pytest.raises(UnusableEvent) as raised:
        session_length(parts, ENDED)
    assert str(raised.value) == reason
