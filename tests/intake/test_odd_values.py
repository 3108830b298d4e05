"""Values that Python writes as JSON and JSON does not have: their event is refused, and no other for their sake."""

import json
from typing import Any

import orjson
import pytest

from app.intake import tracking
from tests.intake.conftest import Event, Intake
from tests.intake.test_tracking import EVENTS, PAGE, UNAUTHENTICATED, nothing_stored, post

NO_NUMBER = "the event holds NaN, Infinity or a number that is too large: JSON has none of these"
NO_CHARACTER = "the event holds half of a surrogate pair, which is no character"
TOO_DEEP = "the event is nested too deeply"
HALF = "\ud83d"
ODD: list[tuple[Any, str]] = [
    (float("nan"), NO_NUMBER),
    (float("inf"), NO_NUMBER),
    (float("-inf"), NO_NUMBER),
    ([{"a": [float("nan")]}], NO_NUMBER),
    (HALF, NO_CHARACTER),
    (f"a{HALF}b", NO_CHARACTER),
    ({HALF: 1}, NO_CHARACTER),
    ("\udc00\ud800", NO_CHARACTER),
]


def with_property(value: object, message_id: str = "odd") -> Event:
    """Return an event with a property that nobody reads."""
    return {**PAGE, "messageId": message_id, "properties": {"unused": value}}


@pytest.mark.parametrize(("value", "reason"), ODD)
async def test_the_event_that_holds_it_is_refused_and_the_others_are_stored(
    intake: Intake, value: object, reason: str
) -> None:
    answer = await post(intake, json.dumps({"batch": [PAGE, with_property(value), with_property("😀", "q")]}).encode())
    assert (answer.status_code, answer.json()) == (
        400,
        {
            "code": "EVENTS_REJECTED",
            "message": "1 of 3 events will never work; the other 2 were stored.",
            "accepted": 2,
            "rejected": [{"index": 1, "messageId": "odd", "reason": reason}],
        },
    )
    assert await intake.rows(EVENTS) == [("p", "PAGE"), ("q", "PAGE")]


@pytest.mark.parametrize("number", ["1e400", "-1e400", "9" * 400, "-" + "9" * 5_000, "1" + "0" * 5_000 + ".5"])
async def test_a_number_that_is_too_large_is_refused_with_its_event(intake: Intake, number: str) -> None:
    body = json.dumps({"batch": [with_property("number"), PAGE]}).replace('"number"', number).encode()
    answer = await post(intake, body)
    assert answer.json()["rejected"] == [{"index": 0, "messageId": "odd", "reason": NO_NUMBER}]
    assert await intake.rows(EVENTS) == [("p", "PAGE")]


async def test_an_id_that_is_no_text_is_answered_as_far_as_it_can_be(intake: Intake) -> None:
    events = [{**PAGE, "messageId": f"a{HALF}b"}, {**PAGE, "messageId": float("nan")}]
    answer = await post(intake, json.dumps({"batch": events}).encode())
    assert (answer.status_code, answer.json()["rejected"]) == (
        400,
        [
            {"index": 0, "messageId": "a?b", "reason": NO_CHARACTER},
            {"index": 1, "messageId": None, "reason": NO_NUMBER},
        ],
    )
    await nothing_stored(intake)


async def test_an_event_by_itself_is_refused(intake: Intake) -> None:
    answer = await post(intake, json.dumps(with_property(float("nan"))).encode(), "page")
    rejected = [{"index": 0, "messageId": "odd", "reason": NO_NUMBER}]
    assert (answer.status_code, answer.json()["rejected"]) == (400, rejected)
    answer = await post(intake, b"NaN", "page")
    assert answer.json()["rejected"] == [{"index": 0, "messageId": None, "reason": NO_NUMBER}]
    answer = await post(intake, b'{"batch": NaN}')
    assert answer.json()["message"] == "The body must be an object with a list named batch."
    await nothing_stored(intake)


async def test_what_stands_beside_the_events_takes_none_of_them_along(intake: Intake) -> None:
    content = {"batch": [PAGE], "context": {"load": float("nan")}, "sentAt": HALF}
    answer = await post(intake, json.dumps(content).encode())
    assert (answer.status_code, answer.json()) == (200, {"success": True, "accepted": 1})
    keyed = json.dumps({"batch": [PAGE], "writeKey": HALF}).encode()
    answer = await intake.http.post("/v1/batch", content=keyed)
    assert (answer.status_code, answer.json()) == (401, UNAUTHENTICATED)


async def test_how_deeply_another_event_is_nested_is_said_of_that_one_alone(intake: Intake) -> None:
    nested: Any = "x"
    for _ in range(300):
        nested = [nested]
    events = [with_property(nested, "deep"), with_property(float("nan"), "odd"), with_property(HALF, "half"), PAGE]
    answer = await post(intake, json.dumps({"batch": events}).encode())
    assert [one["reason"] for one in answer.json()["rejected"]] == [TOO_DEEP, NO_NUMBER, NO_CHARACTER]
    assert await intake.rows(EVENTS) == [("p", "PAGE")]


@pytest.mark.parametrize(
    "value",
    [
        *("0", "-0", "-0.0", "1.5", "1E5", "1e-400", "18446744073709551615", "18446744073709551616"),
        *("-9223372036854775808", "-9223372036854775809", "9" * 300, "0." + "9" * 5_000),
        *('"\\ud83d\\ude00"', '"\\u0000"', '"\u2028"', "true", "null", '{"a": 1, "b": 2, "a": 3}', '{"": [], " ": {}}'),
    ],
)
def test_the_others_are_read_as_they_are_without_it(value: str) -> None:
    # Their text tells apart what compares as equal.
    assert repr(tracking._parsed(f"[NaN, {value}]".encode())[1]) == repr(orjson.loads(value))
