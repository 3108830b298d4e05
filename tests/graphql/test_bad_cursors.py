"""Cursors that nobody gave out, or that belong elsewhere: refused, or a place in the list like any other."""

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.graphql.answers import (
    ACTIVITY,
    BIG,
    CLIENT,
    LISTS,
    MALFORMED_IDS,
    PORTFOLIO,
    RUNS,
    opaque,
    refusal,
    some_client,
)
from tests.graphql.conftest import Api
from tests.graphql.portfolio import CLIENTS

pytestmark = pytest.mark.usefixtures("nothing_happens")


MALFORMED_CURSORS = {
    name: text for name, text in MALFORMED_IDS.items() if "Client" not in name and not name.startswith("a ")
} | {"number": opaque(1), "null": opaque(None), "lists": opaque([[], [], [], []]), "nulls": opaque([None] * 4)}


@pytest.mark.parametrize("list_", LISTS)
@pytest.mark.parametrize("name", MALFORMED_CURSORS)
async def test_a_malformed_cursor_is_invalid_input(api: Api, list_: str, name: str) -> None:
    variables = {"id": await some_client(api), "after": MALFORMED_CURSORS[name]}
    assert refusal(await api.ask(LISTS[list_], variables)) == ("INVALID_INPUT", "after")


ORDERS = {
    "score": "SCORE",
    "name": "NAME",
    "trend": "TREND",
    "activity": "LAST_ACTIVITY",
    "renewal": "RENEWAL_DATE",
}


async def cursors(api: Api) -> dict[tuple[str, str], str]:
    """Return a real cursor of every order of the portfolio."""
    found = {}
    for field in ORDERS.values():
        for direction in ("ASC", "DESC"):
            order = {"field": field, "direction": direction}
            _, body = await api.ask(PORTFOLIO, {"orderBy": order, "first": 3})
            found[field, direction] = body["data"]["clients"]["edges"][-1]["cursor"]
    return found


async def test_a_cursor_of_another_order_or_another_list_is_refused(api: Api) -> None:
    of_orders = await cursors(api)
    id_ = await some_client(api)
    _, body = await api.ask(ACTIVITY, {"id": id_, "first": 1})
    of_activity = body["data"]["client"]["recentActivity"]["edges"][0]["cursor"]
    of_runs = opaque(["run", 1])
    for field, direction in of_orders:
        variables: dict[str, Any] = {"orderBy": {"field": field, "direction": direction}}
        for order, cursor in of_orders.items():
            answer = await api.ask(PORTFOLIO, variables | {"after": cursor})
            if order == (field, direction):
                assert "errors" not in answer[1]
            else:
                assert refusal(answer) == ("INVALID_INPUT", "after")
        for cursor in (of_activity, of_runs):
            assert refusal(await api.ask(PORTFOLIO, variables | {"after": cursor})) == ("INVALID_INPUT", "after")
    for cursor in (of_activity, *of_orders.values()):
        assert refusal(await api.ask(RUNS, {"after": cursor})) == ("INVALID_INPUT", "after")
    for cursor in (of_runs, *of_orders.values()):
        assert refusal(await api.ask(ACTIVITY, {"id": id_, "after": cursor})) == ("INVALID_INPUT", "after")


NO_KEYS: list[Any] = [None, "", "1", 1.5, float("nan"), float("inf"), [], {}, BIG, -BIG, 10**40]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("direction", ["asc", "desc"])
async def test_a_forged_cursor_of_the_portfolio_is_refused(api: Api, order: str, direction: str) -> None:
    name = f"{order}_{direction}"
    variables: dict[str, Any] = {"orderBy": {"field": ORDERS[order], "direction": direction.upper()}}
    key = None if order == "name" else 5
    names: list[Any] = [None, 1, [], "a\0b"]
    ids: list[Any] = [None, "1", 1.5, 0, -1, BIG, 10**40]
    forged: list[Any] = [[name, wrong, "acme", 1] for wrong in NO_KEYS if not (order == "name" and wrong is None)]
    forged += [[name, key, wrong, 1] for wrong in names] + [[name, key, "acme", wrong] for wrong in ids]
    forged += [[name, key, "acme"], [name, key, "acme", 1, 1], [name]]
    for value in forged:
        answer = await api.ask(PORTFOLIO, variables | {"after": opaque(value)})
        assert refusal(answer) == ("INVALID_INPUT", "after"), value


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("direction", ["asc", "desc"])
async def test_a_cursor_that_nobody_gave_out_but_could_be_one_pages_on(api: Api, order: str, direction: str) -> None:
    variables: dict[str, Any] = {"orderBy": {"field": ORDERS[order], "direction": direction.upper()}, "first": 100}
    keys = [None] if order == "name" else [0, 1, -1, 2**31 - 1, -(2**31) + 1]
    for key in keys:
        for name in ("", "company 30", "🚀", "\uffff" * 1000, "%"):
            after = opaque([f"{order}_{direction}", key, name, BIG - 1])
            status, body = await api.ask(PORTFOLIO, variables | {"after": after})
            assert (status, list(body)) == (200, ["data"]), body
            assert len(body["data"]["clients"]["edges"]) <= CLIENTS


async def test_a_forged_cursor_of_the_runs_is_refused(api: Api) -> None:
    keys: list[Any] = [0, -1, BIG, 10**40, 1.5, "1", None, [], {}, float("nan")]
    for wrong in keys:
        assert refusal(await api.ask(RUNS, {"after": opaque(["run", wrong])})) == ("INVALID_INPUT", "after"), wrong
    _, body = await api.ask(RUNS, {"after": opaque(["run", BIG - 1])})
    assert body == {"data": {"runs": {"edges": []}}}


async def test_true_is_no_number_in_an_id_or_a_cursor(api: Api) -> None:
    # Python takes it for one.
    assert refusal(await api.ask(CLIENT, {"id": opaque(["Client", True])})) == ("INVALID_INPUT", "id")
    assert refusal(await api.ask(RUNS, {"after": opaque(["run", True])})) == ("INVALID_INPUT", "after")
    for cursor in (["score_desc", True, "acme", 1], ["score_desc", 5, "acme", True]):
        assert refusal(await api.ask(PORTFOLIO, {"after": opaque(cursor)})) == ("INVALID_INPUT", "after")


NO_MOMENTS: list[Any] = [
    None,
    1,
    "",
    "yesterday",
    "2026-01-01",
    "2026-01-01T00:00:00",
    "2026-13-01T00:00:00+00:00",
    "10000-01-01T00:00:00+00:00",
    "-0001-01-01T00:00:00+00:00",
    "2026-01-01T00:00:00+99:00",
    # Moments that no calendar of ours holds once they are brought to UTC.
    "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59-23:59",
]


@pytest.mark.parametrize("moment", NO_MOMENTS)
async def test_a_forged_moment_in_a_cursor_of_the_activity_is_refused(api: Api, moment: object) -> None:
    after = opaque([moment, "LOGINS", "2026-01-01"])
    answer = await api.ask(ACTIVITY, {"id": await some_client(api), "after": after})
    assert refusal(answer) == ("INVALID_INPUT", "after")


async def test_a_forged_cursor_of_the_activity_is_refused_or_shows_nothing_of_the_future(api: Api) -> None:
    id_ = await some_client(api)
    now = datetime.now(UTC)
    for parts in (["LOGINS"], [1, "x"], ["LOGINS", None], ["a\0", "x"], ["LOGINS", "a\0"], ["LOGINS", "x", 1]):
        answer = await api.ask(ACTIVITY, {"id": id_, "after": opaque([now.isoformat(), *parts])})
        assert refusal(answer) == ("INVALID_INPUT", "after"), parts
    for at in ("9999-12-31T23:59:59+00:00", "0001-01-01T00:00:00+00:00", "2026-06-01T00:00:00+05:45"):
        for kind, key in (("", ""), ("ZZZ", "💥"), ("LOGINS", "%' OR 1=1 --")):
            _, body = await api.ask(ACTIVITY, {"id": id_, "after": opaque([at, kind, key]), "first": 100})
            assert "errors" not in body, body
            edges = body["data"]["client"]["recentActivity"]["edges"]
            assert all(datetime.fromisoformat(edge["node"]["occurredAt"]) <= now for edge in edges)
