"""Events over HTTP: who may send them in which form, what is answered, and that a refusal leaves nothing behind."""

import base64
import gzip
import tracemalloc
import zlib
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx2
import orjson
import pytest

from app.auth import write_keys
from app.auth.tokens import Role
from app.intake.tracking import MAX_BODY_BYTES, MAX_EVENT_BYTES
from tests.graphql.live import token
from tests.intake.conftest import Event, Intake

EVENTS = "SELECT message_id, type FROM events ORDER BY 1"
# Whatever a request could leave behind.
TRACES = (
    "SELECT (SELECT count(*) FROM events) + (SELECT count(*) FROM clients) + (SELECT count(*) FROM members) "
    "+ (SELECT count(*) FROM unmapped_events) + (SELECT count(*) FROM activity_days), "
    "(SELECT max(last_used_at) FROM write_keys)"
)
UNAUTHENTICATED = {
    "code": "UNAUTHENTICATED",
    "message": "Send a write key as the user name of Basic authentication, with no password.",
}
TOO_LARGE = {
    "code": "REQUEST_TOO_LARGE",
    "message": "The body must not be longer than 512,000 bytes, unpacked: send it in several.",
}
PAGE: Event = {"type": "page", "messageId": "p", "anonymousId": "x"}

ONE_OF_EACH: dict[str, Event] = {
    "identify": {"userId": "ann", "groupId": "acme"},
    "group": {"groupId": "acme", "traits": {"name": "Acme"}},
    "track": {"userId": "ann", "event": "Logged In"},
    "page": {"userId": "ann", "name": "Home"},
    "screen": {"anonymousId": "x", "name": "Main"},
    "alias": {"userId": "ann", "previousId": "x"},
}


async def nothing_stored(intake: Intake) -> None:
    """Assert that the database is as it was at the beginning."""
    assert await intake.rows(TRACES) == [(0, None)]


async def post(intake: Intake, body: bytes, name: str = "batch", **headers: str) -> httpx2.Response:
    """Post bytes with the write key."""
    return await intake.http.post(f"/v1/{name}", content=body, auth=(intake.key, ""), headers=headers)


def basic(pair: str) -> str:
    """Return the header of Basic authentication."""
    return f"Basic {base64.b64encode(pair.encode()).decode()}"


@pytest.mark.parametrize("name", list(ONE_OF_EACH))
async def test_every_type_has_an_address(intake: Intake, name: str) -> None:
    answer = await intake.send(name, {"messageId": "a", **ONE_OF_EACH[name]})
    assert (answer.status_code, answer.json()) == (200, {"success": True, "accepted": 1})
    assert answer.headers["content-type"] == "application/json"
    assert await intake.rows(EVENTS) == [("a", name.upper())]


async def test_a_batch_takes_every_type(intake: Intake) -> None:
    events = [{"type": name, "messageId": name, **event} for name, event in ONE_OF_EACH.items()]
    assert await intake.batch(*events) == {"success": True, "accepted": 6}
    assert await intake.rows(EVENTS) == [(name, name.upper()) for name in sorted(ONE_OF_EACH)]
    assert await intake.batch(*events) == {"success": True, "accepted": 6}
    assert await intake.rows("SELECT count(*) FROM events") == [(6,)]
    assert await intake.batch() == {"success": True, "accepted": 0}


async def test_events_are_posted_to_known_addresses_only(intake: Intake) -> None:
    assert (await intake.http.get("/v1/batch", auth=(intake.key, ""))).status_code == 405
    for name in ("import2", "Batch", "batch/", "tracks"):
        assert (await intake.send(name, {"batch": [PAGE]})).status_code == 404
    await nothing_stored(intake)


@pytest.mark.parametrize("password", ["", "anything", "a:b"])
async def test_the_key_is_the_user_name(intake: Intake, password: str) -> None:
    headers = {"Authorization": basic(f"{intake.key}:{password}")}
    assert (await intake.http.post("/v1/page", json=PAGE, headers=headers)).status_code == 200
    assert await intake.rows(EVENTS) == [("p", "PAGE")]
    [(_, used)] = await intake.rows(TRACES)
    assert used.second == used.microsecond == 0
    assert timedelta(0) <= datetime.now(UTC) - used < timedelta(minutes=5)


@pytest.mark.parametrize("name", ["batch", "page"])
async def test_the_key_may_be_in_the_body(intake: Intake, name: str) -> None:
    body = {"batch": [PAGE]} if name == "batch" else PAGE
    answer = await intake.http.post(f"/v1/{name}", json={**body, "writeKey": intake.key})
    assert answer.status_code == 200
    assert await intake.rows(EVENTS) == [("p", "PAGE")]


async def test_whoever_shows_no_valid_key_is_turned_away(intake: Intake) -> None:
    async with intake.database.begin() as session:
        revoked = await write_keys.create(session, "revoked", datetime.now(UTC))
        await write_keys.revoke(session, "revoked", datetime.now(UTC))
    bearer = token(role=Role.PLATFORM_ADMIN)
    for authorization in (
        basic(f"{revoked}:"),
        basic(f"chw_{'x' * 43}:"),
        basic(f":{intake.key}"),
        basic(intake.key),
        basic(f" {intake.key}:"),
        basic("ann:secret"),
        "Basic",
        "Basic ?",
        f"Bearer {intake.key}",
        f"Bearer {bearer}",
        intake.key,
        "",
    ):
        # A key in the body does not help whoever shows another.
        content = {"batch": [PAGE], "writeKey": intake.key}
        answer = await intake.http.post("/v1/batch", json=content, headers={"Authorization": authorization})
        assert (answer.status_code, answer.json()) == (401, UNAUTHENTICATED), authorization
        assert answer.headers["www-authenticate"] == 'Basic realm="client-health"'
    for key in (None, "", 5, ["a"], revoked, f"chw_{'x' * 43}", intake.key[:-1], "x" * 10_000):
        answer = await intake.http.post("/v1/batch", json={"batch": [PAGE], "writeKey": key})
        assert (answer.status_code, answer.json()) == (401, UNAUTHENTICATED), key
    assert (await intake.http.post("/v1/page", json=PAGE)).status_code == 401
    await nothing_stored(intake)


async def test_packed_bodies_are_unpacked(intake: Intake) -> None:
    body = gzip.compress(orjson.dumps({"batch": [PAGE]}))
    for encoding in ("gzip", "GZIP", " gzip "):
        assert (await post(intake, body, **{"Content-Encoding": encoding})).status_code == 200
    assert await intake.rows(EVENTS) == [("p", "PAGE")]


PACKED = gzip.compress(orjson.dumps({"batch": [PAGE, *({**PAGE, "messageId": str(n)} for n in range(99))]}))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (orjson.dumps({"batch": [PAGE]}), "The body is not valid gzip, as its Content-Encoding says."),
        (b"", "The body ends in the middle of its gzip stream."),
        (PACKED[:-1], "The body ends in the middle of its gzip stream."),
        (PACKED[: len(PACKED) // 2], "The body ends in the middle of its gzip stream."),
        (PACKED[:5], "The body ends in the middle of its gzip stream."),
        # The checksum at its end is that of something else.
        (PACKED[:-8] + b"\0" * 8, "The body is not valid gzip, as its Content-Encoding says."),
        (zlib.compress(orjson.dumps({"batch": [PAGE]})), "The body is not valid gzip, as its Content-Encoding says."),
    ],
    # What is packed has the time in it, and would call the tests otherwise in each process.
    ids=["not packed", "nothing", "a byte is missing", "half", "the head alone", "another checksum", "zlib"],
)
async def test_a_broken_gzip_stream_is_refused(intake: Intake, body: bytes, message: str) -> None:
    answer = await post(intake, body, **{"Content-Encoding": "gzip"})
    assert (answer.status_code, answer.json()) == (400, {"code": "BAD_REQUEST", "message": message})
    await nothing_stored(intake)


@pytest.mark.parametrize("encoding", ["br", "deflate", "zstd", "gzip, gzip"])
async def test_other_encodings_are_refused(intake: Intake, encoding: str) -> None:
    answer = await post(intake, PACKED, **{"Content-Encoding": encoding})
    message = f"The Content-Encoding '{encoding}' is not supported: send the body as it is, or packed with gzip."
    assert (answer.status_code, answer.json()) == (415, {"code": "UNSUPPORTED_MEDIA_TYPE", "message": message})
    await nothing_stored(intake)


async def test_a_gzip_bomb_is_refused_without_being_unpacked(intake: Intake) -> None:
    packer = zlib.compressobj(1, wbits=31)
    bomb = b"".join(packer.compress(bytes(2**24)) for _ in range(64)) + packer.flush()
    await nothing_stored(intake)
    tracemalloc.start()
    try:
        answer = await post(intake, bomb, **{"Content-Encoding": "gzip"})
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (answer.status_code, answer.json()) == (413, TOO_LARGE)
    # A gigabyte would come of it; what is held is the packed body, and at most twice what a body may have.
    assert peak < len(bomb) + 4 * MAX_BODY_BYTES
    await nothing_stored(intake)


def filled(size: int) -> bytes:
    """Return a body of exactly `size` bytes with events that are small enough."""
    count = size // (MAX_EVENT_BYTES - 500) + 1
    events = [{**PAGE, "messageId": f"{n:03}", "properties": {"text": ""}} for n in range(count)]
    room = size - len(orjson.dumps({"batch": events}))
    for number, event in enumerate(events):
        event["properties"]["text"] = "x" * (room // count + (number < room % count))
    body = orjson.dumps({"batch": events})
    assert len(body) == size
    return body


@pytest.mark.parametrize("packed", [False, True])
async def test_a_request_has_half_a_megabyte(intake: Intake, packed: bool) -> None:
    headers = {"Content-Encoding": "gzip"} if packed else {}
    for size in (MAX_BODY_BYTES + 1, 2 * MAX_BODY_BYTES):
        body = filled(size)
        answer = await post(intake, gzip.compress(body) if packed else body, **headers)
        assert (answer.status_code, answer.json()) == (413, TOO_LARGE)
    await nothing_stored(intake)
    body = filled(MAX_BODY_BYTES)
    answer = await post(intake, gzip.compress(body) if packed else body, **headers)
    assert (answer.status_code, answer.json()["accepted"]) == (200, 16)


def sized(size: int, **content: Any) -> Event:
    """Return an event of exactly `size` bytes."""
    event: Event = {**PAGE, **content, "properties": {"text": ""}}
    event["properties"]["text"] = "x" * (size - len(orjson.dumps(event)))
    return event


async def test_a_request_has_2000_events(intake: Intake) -> None:
    events = [{"type": "page", "anonymousId": "x", "messageId": f"m{number}"} for number in range(2_001)]
    answer = await intake.send("batch", {"batch": events})
    assert (answer.status_code, answer.json()) == (
        413,
        {"code": "REQUEST_TOO_LARGE", "message": "A request may have 2000 events: send fewer at once."},
    )
    assert await intake.rows("SELECT FROM events") == []
    assert await intake.batch(*events[1:]) == {"success": True, "accepted": 2_000}


async def test_an_event_has_32_kilobytes(intake: Intake) -> None:
    reason = "the event is larger than 32768 bytes"
    events = [sized(MAX_EVENT_BYTES, messageId="most"), sized(MAX_EVENT_BYTES + 1, messageId="more"), PAGE]
    assert await intake.rejected(*events) == {1: reason}
    assert await intake.rows(EVENTS) == [("most", "PAGE"), ("p", "PAGE")]
    alone = await intake.send("page", events[1])
    assert (alone.status_code, alone.json()["rejected"]) == (
        400,
        [{"index": 0, "messageId": "more", "reason": reason}],
    )
    assert await intake.rows("SELECT count(*) FROM events") == [(2,)]


async def test_an_event_that_is_nested_without_end_is_refused(intake: Intake) -> None:
    body = b'{"batch":[{"type":"page","anonymousId":"x","properties":{"a":' + b"[" * 500 + b'"' + b"x" * MAX_EVENT_BYTES
    body += b'"' + b"]" * 500 + b"}}," + orjson.dumps(PAGE) + b"]}"
    answer = await post(intake, body)
    reason = "the event is nested too deeply"
    assert answer.json()["rejected"] == [{"index": 0, "messageId": None, "reason": reason}]
    assert await intake.rows(EVENTS) == [("p", "PAGE")]
    answer = await post(intake, b'{"batch":' + b"[" * 200_000 + b"]" * 200_000 + b"}")
    assert (answer.status_code, answer.json()["code"]) == (400, "BAD_REQUEST")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"batch",
        b"{",
        b'{"batch": [{"type": "page"}]',
        b'{"batch": nan}',
        b'{"batch": NaN',
        b'{"batch": [{"type": "page", "anonymousId": "x", "a": NaN, "b": 01}]}',
        b'{"batch": [{"type": "page", "anonymousId": "a\nb"}]}',
        b'{"batch": [{"type": "page", "anonymousId": "\xed\xa0\xbd"}]}',
        b'\xef\xbb\xbf{"batch": []}',
        b'{"batch": [{"type": "page", "anonymousId": "\xff"}]}',
        '{"batch": [{"type": "page", "anonymousId": "x"}]}'.encode("utf-16"),
        b"\x1f\x8b",
    ],
)
async def test_what_is_not_json_is_refused(intake: Intake, body: bytes) -> None:
    answer = await post(intake, body)
    assert (answer.status_code, answer.json()["code"]) == (400, "BAD_REQUEST")
    assert answer.json()["message"].startswith("The body is not JSON: ")
    await nothing_stored(intake)


@pytest.mark.parametrize("content", [None, 5, "batch", [], [PAGE], {}, PAGE, {"batch": None}, {"batch": PAGE}])
async def test_a_batch_is_an_object_with_a_list(intake: Intake, content: object) -> None:
    answer = await intake.send("batch", content)
    message = "The body must be an object with a list named batch."
    assert (answer.status_code, answer.json()) == (400, {"code": "BAD_REQUEST", "message": message})
    await nothing_stored(intake)


async def test_what_will_never_work_is_named_and_the_rest_stored(intake: Intake) -> None:
    now = datetime.now(UTC)
    answer = await intake.send(
        "batch",
        {
            "batch": [
                {"type": "group", "groupId": "acme", "messageId": "g"},
                "no event",
                {"type": "track", "messageId": "n", "userId": "ann"},
                {"type": "track", "messageId": 5, "userId": "ann", "event": "a"},
                {**PAGE, "messageId": "future", "timestamp": (now + timedelta(hours=25)).isoformat()},
                {**PAGE, "messageId": "past", "timestamp": (now - timedelta(days=402)).isoformat()},
                # What contradicts the facts is found out by the database.
                {
                    "type": "track",
                    "messageId": "c",
                    "anonymousId": "x",
                    "groupId": "acme",
                    "event": "Campaign Closed",
                    "properties": {"id": "q", "assigned": 1, "completed": 2},
                },
                PAGE,
            ]
        },
    )
    oldest = (now - timedelta(days=400)).date()
    assert answer.status_code == 400
    assert answer.json() == {
        "code": "EVENTS_REJECTED",
        "message": "6 of 8 events will never work; the other 2 were stored.",
        "accepted": 2,
        "rejected": [
            {"index": 1, "messageId": None, "reason": "the event is not an object"},
            {"index": 2, "messageId": "n", "reason": "event is missing: a track message names what was done"},
            {"index": 3, "messageId": None, "reason": "messageId must be a text of 1 to 200 characters"},
            {
                "index": 4,
                "messageId": "future",
                "reason": "timestamp lies more than 24 hours ahead: check the sender's clock",
            },
            {
                "index": 5,
                "messageId": "past",
                "reason": f"timestamp is before {oldest}, the first day that is kept: import what is older",
            },
            {"index": 6, "messageId": "c", "reason": "completed (2) is more than assigned (1)"},
        ],
    }
    assert await intake.rows(EVENTS) == [("g", "GROUP"), ("p", "PAGE")]
    assert await intake.rows("SELECT count(*) FROM campaigns") == [(0,)]


@pytest.mark.parametrize(
    ("events", "message"),
    [
        ([{}], "1 of 1 events will never work; nothing was stored."),
        ([{}, {}], "2 of 2 events will never work; nothing was stored."),
        ([{}, PAGE], "1 of 2 events will never work; the other was stored."),
        ([{}, PAGE, {**PAGE, "messageId": "q"}], "1 of 3 events will never work; the other 2 were stored."),
    ],
)
async def test_it_is_said_how_many_were_stored(intake: Intake, events: list[Event], message: str) -> None:
    assert (await intake.send("batch", {"batch": events})).json()["message"] == message
    assert await intake.rows("SELECT count(*) FROM events") == [(len([event for event in events if event]),)]


async def test_every_answer_has_an_id_and_events_are_counted(intake: Intake) -> None:
    async def counted() -> dict[str, float]:
        answer = await intake.http.get("/metrics", headers={"Authorization": f"Bearer {token()}"})
        lines = [line for line in answer.text.splitlines() if line.startswith("client_health_events_total{")]
        return {line.split('"')[1]: float(line.split()[1]) for line in lines}

    before = await counted()
    answers = [
        await intake.send("batch", {"batch": [PAGE, {**PAGE, "messageId": "q"}]}),
        await intake.send("batch", {"batch": [PAGE, {}]}),
        await intake.send("batch", []),
        await intake.http.post("/v1/batch", json={"batch": [PAGE]}),
    ]
    assert [answer.status_code for answer in answers] == [200, 400, 400, 401]
    assert len({UUID(answer.headers["x-request-id"]) for answer in answers}) == 4
    after = await counted()
    assert after["accepted"] - before.get("accepted", 0) == 3
    assert after["rejected"] - before.get("rejected", 0) == 1
    assert after.get("deferred", 0) == before.get("deferred", 0)
