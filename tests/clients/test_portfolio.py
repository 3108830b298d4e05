"""The portfolio on the database: orders, pages, filters, search, and the counts above the list."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any

import pytest

from app.clients.models import ClientSize, ClientStatus, EngagementModel, Industry
from app.clients.rules import name_key
from app.clients.service import Filter, Order, SortField, Summary, calculated_at, owners, page, position_of, summary
from app.database import Database
from app.errors import InvalidInput
from app.health.rules import HealthTrend, Policy, RiskLevel, TrafficLight, light_of
from tests.factories import add_client, add_rows, utc

Row = dict[str, Any]
GREEN, AMBER, RED = TrafficLight.GREEN, TrafficLight.AMBER, TrafficLight.RED
ORDERS = [Order(field, descending) for field in SortField for descending in (False, True)]
COLUMNS = {
    SortField.SCORE: "score",
    SortField.NAME: "name_key",
    SortField.TREND: "trend_delta",
    SortField.LAST_ACTIVITY: "last_activity_at",
    SortField.RENEWAL_DATE: "renewal_date",
}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ACTIVITIES = [
    None,
    EPOCH,
    EPOCH - timedelta(microseconds=1),
    EPOCH + timedelta(microseconds=1),
    utc("2025-03-14T23:59:59.999999"),
    utc("0900-01-01"),
    utc("9999-12-31"),
]
RENEWALS = [None, date(2000, 1, 1), date(1999, 12, 31), date(2025, 6, 30), date(1900, 1, 1), date(2199, 12, 31)]


def random_client(random: Random, number: int) -> Row:
    """Return a client whose every value is shared with others."""
    name, score = random.choice(("Acme", "ACME", "acme", "Ärger", "Zulu", "🚀")), random.choice((None, 0, 60, 60, 100))
    scored = score is not None
    return {
        "external_id": str(number),
        "name": name,
        "name_key": name_key(name),
        "status": random.choice((ClientStatus.ACTIVE, ClientStatus.ACTIVE, ClientStatus.TRIAL, ClientStatus.CHURNED)),
        "size": random.choice((None, *ClientSize)),
        "industry": random.choice(list(Industry)),
        "engagement_model": random.choice(list(EngagementModel)),
        "alerts_enabled": random.choice((True, False)),
        "owner": random.choice((None, "ann@example.com", "bob@example.com")),
        "score": score,
        "light": light_of(score, Policy()) if score is not None else None,
        "trend": random.choice(list(HealthTrend)) if scored else None,
        "trend_delta": random.choice((-100, -6, 0, 6, 100)) if scored else None,
        "risk": random.choice(list(RiskLevel)) if scored else None,
        "last_activity_at": random.choice(ACTIVITIES),
        "renewal_date": random.choice(RENEWALS),
    }


async def add_portfolio(database: Database, seed: int, size: int) -> list[Row]:
    """Add random clients and return those that are listed, with their ids."""
    random = Random(seed)  # noqa: S311 - A portfolio must be repeatable, not unpredictable.
    rows = [random_client(random, number) for number in range(size)]
    ids = await add_rows(database, "clients", rows)
    listed = [row | {"id": client} for row, client in zip(rows, ids, strict=True)]
    return [row for row in listed if row["status"] is not ClientStatus.CHURNED]


def in_order(rows: list[Row], order: Order) -> list[int]:
    """Return the ids as the specification orders them: missing values last, equal ones by name and then id."""
    column = COLUMNS[order.field]
    rows = sorted(rows, key=lambda row: (row["name_key"], row["id"]))
    present = [row for row in rows if row[column] is not None]
    missing = [row for row in rows if row[column] is None]
    # Sorting is stable, also when reversed: equal values stay in the order of name and id.
    present.sort(key=lambda row: row[column], reverse=order.descending)
    return [row["id"] for row in present + missing]


async def listing(database: Database, wanted: Filter, order: Order, first: int) -> list[int]:
    """Return the ids of all pages; a page says by one client too many that there are more."""
    ids: list[int] = []
    after = None
    async with database.read() as connection:
        while True:
            rows = await page(connection, wanted, order, first, after)
            assert len(rows) <= first + 1
            ids += [row.id for row in rows[:first]]
            assert len(ids) <= 1000, "the pages go round in a circle"
            if len(rows) <= first:
                return ids
            after = position_of(rows[first - 1])


async def counted(database: Database, wanted: Filter) -> Summary:
    """Return the counts of a filter."""
    async with database.read() as connection:
        return await summary(connection, wanted)


def tiles(rows: list[Row]) -> Summary:
    """Count the lights by hand."""
    lights = Counter(row["light"] for row in rows)
    return Summary(lights[GREEN], lights[AMBER], lights[RED], lights[None])


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: order.name)
async def test_every_order_pages_through_everybody_without_repeats_or_gaps(database: Database, order: Order) -> None:
    """Whatever the page size and the lights; values are missing, and equal to others down to the name."""
    rows = await add_portfolio(database, 1, 250)
    for lights in (None, [RED], [GREEN, AMBER], [GREEN, AMBER, RED]):
        expected = in_order([row for row in rows if lights is None or row["light"] in lights], order)
        assert len(expected) > 20
        for first in (1, 3, 7, 50, 100):
            assert await listing(database, Filter(lights=lights), order, first) == expected


async def test_clients_without_the_value_come_last_in_both_directions(database: Database) -> None:
    low = await add_client(database, score=0, light=RED)
    none = await add_client(database)
    high = await add_client(database, score=100, light=GREEN)
    assert await listing(database, Filter(), Order(SortField.SCORE, descending=False), 1) == [low, high, none]
    assert await listing(database, Filter(), Order(SortField.SCORE, descending=True), 1) == [high, low, none]


async def test_equal_values_are_ordered_by_name_and_then_id_in_both_directions(database: Database) -> None:
    ids = [await add_client(database, name, score=50, light=RED) for name in ("b", "A", "a", "B")]
    for descending in (False, True):
        found = await listing(database, Filter(), Order(SortField.SCORE, descending), 3)
        assert found == [ids[1], ids[2], ids[0], ids[3]]


async def test_names_are_ordered_whatever_their_case(database: Database) -> None:
    names = ("banana", "Apple", "cherry", "apple", "Éclair", "ÄPFEL", "zebra")
    ids = {name: await add_client(database, name) for name in names}
    ascending = ["Apple", "apple", "banana", "cherry", "zebra", "ÄPFEL", "Éclair"]
    descending = ["Éclair", "ÄPFEL", "zebra", "cherry", "banana", "Apple", "apple"]
    assert await listing(database, Filter(), Order(SortField.NAME, descending=False), 2) == [ids[n] for n in ascending]
    assert await listing(database, Filter(), Order(SortField.NAME, descending=True), 2) == [ids[n] for n in descending]


async def test_a_client_that_appears_while_paging_moves_no_other(database: Database) -> None:
    """A page begins behind the last client seen, not at a number."""
    ids = [await add_client(database, str(score), score=score, light=RED) for score in (50, 40, 30, 20)]
    order = Order()
    async with database.read() as connection:
        rows = await page(connection, Filter(), order, 2, None)
        await add_client(database, score=45, light=RED)
        following = await page(connection, Filter(), order, 2, position_of(rows[1]))
    assert [row.id for row in (*rows[:2], *following)] == ids


Predicate = Callable[[Row], bool]
CONDITIONS: list[tuple[Filter, Predicate]] = [
    (Filter(), lambda row: True),
    (Filter(lights=[GREEN]), lambda row: row["light"] == GREEN),
    (Filter(lights=[GREEN, RED]), lambda row: row["light"] in (GREEN, RED)),
    (Filter(lights=[]), lambda row: False),
    (Filter(risks=[RiskLevel.HIGH]), lambda row: row["risk"] == RiskLevel.HIGH),
    (Filter(risks=list(RiskLevel)), lambda row: row["risk"] is not None),
    (Filter(risks=[]), lambda row: False),
    (Filter(trends=[HealthTrend.STABLE]), lambda row: row["trend"] == HealthTrend.STABLE),
    (Filter(sizes=[ClientSize.SMB, ClientSize.ENTERPRISE]), lambda row: row["size"] in ("SMB", "ENTERPRISE")),
    (Filter(sizes=list(ClientSize)), lambda row: row["size"] is not None),
    (Filter(sizes=[]), lambda row: False),
    (Filter(industries=[Industry.OTHER]), lambda row: row["industry"] == Industry.OTHER),
    (Filter(engagement_model=EngagementModel.PLG), lambda row: row["engagement_model"] == EngagementModel.PLG),
    (Filter(alerts_enabled=True), lambda row: row["alerts_enabled"]),
    (Filter(alerts_enabled=False), lambda row: not row["alerts_enabled"]),
    (Filter(owner="ann@example.com"), lambda row: row["owner"] == "ann@example.com"),
    (Filter(owner="ann"), lambda row: False),
    (Filter(owner=""), lambda row: False),
    (Filter(search="cm"), lambda row: row["name_key"] == "acme"),
    (Filter(renewal_before=date(2000, 1, 1)), lambda row: row["renewal_date"] in RENEWALS[2:5:2]),
    (Filter(renewal_before=date(2199, 12, 31)), lambda row: row["renewal_date"] in RENEWALS[1:5]),
]


@pytest.mark.parametrize(("wanted", "matches"), CONDITIONS)
async def test_each_condition_filters_the_list_and_the_counts(
    database: Database, wanted: Filter, matches: Predicate
) -> None:
    rows = [row for row in await add_portfolio(database, 2, 120) if matches(row)]
    assert await listing(database, wanted, Order(), 11) == in_order(rows, Order())
    assert await counted(database, wanted) == tiles(rows)


def both(one: Filter, other: Filter) -> Filter:
    """Return the filter with the conditions of two."""
    names = one.__dataclass_fields__
    return replace(one, **{n: getattr(other, n) for n in names if getattr(other, n) is not None})


async def test_conditions_combine(database: Database) -> None:
    """Every two conditions on different columns, and all columns at once."""
    listed = await add_portfolio(database, 3, 300)
    order = Order(SortField.RENEWAL_DATE, descending=False)
    checked = 0
    for number, (one, one_matches) in enumerate(CONDITIONS):
        for other, other_matches in CONDITIONS[number + 1 :]:
            if one.conditions().keys() & other.conditions().keys():
                continue
            rows = [row for row in listed if one_matches(row) and other_matches(row)]
            assert await listing(database, both(one, other), order, 60) == in_order(rows, order)
            assert await counted(database, both(one, other)) == tiles(rows)
            checked += bool(rows)
    assert checked > 100
    row = next(row for row in listed if row["owner"] and row["size"] and row["light"] and row["renewal_date"])
    wanted = Filter(
        lights=[row["light"]],
        risks=[row["risk"]],
        trends=[row["trend"]],
        sizes=[row["size"]],
        industries=[row["industry"]],
        engagement_model=row["engagement_model"],
        alerts_enabled=row["alerts_enabled"],
        owner=row["owner"],
        search=row["name"],
        renewal_before=row["renewal_date"] + timedelta(days=1),
    )
    assert row["id"] in await listing(database, wanted, order, 5)
    assert await listing(database, replace(wanted, alerts_enabled=not row["alerts_enabled"]), order, 5) == []


NAMES = (
    "Ärger AG",
    "ACME 100%",
    "acme_corp",
    "AcmeXcorp",
    "Straße",
    "STRASSE 7",
    "🚀 Rocket",
    "C:\\temp",
    "Éclair",
    "O'Hara",
)


@pytest.mark.parametrize(
    ("search", "names"),
    [
        ("ÄRGER", ["Ärger AG"]),
        ("ärg", ["Ärger AG"]),
        ("a\u0308rger", ["Ärger AG"]),  # Spelt with a combining mark.
        ("arger", []),
        ("éCLAIR", ["Éclair"]),
        ("E\u0301clair", ["Éclair"]),
        ("acme", ["ACME 100%", "acme_corp", "AcmeXcorp"]),
        ("CORP", ["acme_corp", "AcmeXcorp"]),
        ("%", ["ACME 100%"]),
        ("_", ["acme_corp"]),
        ("acme_c", ["acme_corp"]),
        ("a%e", []),
        ("\\", ["C:\\temp"]),
        ("\\t", ["C:\\temp"]),
        ("'", ["O'Hara"]),
        ("strasse", ["Straße", "STRASSE 7"]),
        ("STRAẞE", ["Straße", "STRASSE 7"]),
        ("🚀", ["🚀 Rocket"]),
        ("🚁", []),
        ("", sorted(NAMES)),
        (" ", ["ACME 100%", "STRASSE 7", "Ärger AG", "🚀 Rocket"]),
        ("'; DROP TABLE clients; --", []),
        ("x" * 100_000, []),
    ],
)
async def test_a_search_matches_any_part_of_the_name(database: Database, search: str, names: list[str]) -> None:
    """Whatever the case, also of accented letters; % and _ are ordinary characters."""
    found = {await add_client(database, name): name for name in NAMES}
    await add_client(database, "".join(NAMES), status=ClientStatus.CHURNED)
    listed = await listing(database, Filter(search=search), Order(), 3)
    assert sorted(found[client] for client in listed) == sorted(names)
    assert (await counted(database, Filter(search=search))).total == len(names)


@pytest.mark.parametrize("name", ["search", "owner"])
async def test_the_character_that_no_text_can_hold_is_refused_by_name(database: Database, name: str) -> None:
    wanted = Filter(**{name: "a\0b"})  # type: ignore[arg-type]
    for answer in (listing(database, wanted, Order(), 10), counted(database, wanted)):
        with pytest.raises(InvalidInput) as refused:
            await answer
        assert refused.value.field == name


async def test_an_empty_portfolio(database: Database) -> None:
    assert await listing(database, Filter(), Order(), 10) == []
    assert await counted(database, Filter()) == Summary(0, 0, 0, 0)


async def test_the_latest_completed_calculation(database: Database) -> None:
    """Not one that failed, runs still, or was no calculation."""
    async with database.read() as connection:
        assert await calculated_at(connection) is None
    days = [utc(f"2025-03-{day}") for day in range(10, 16)]
    runs = [
        ("RECALCULATE_ALL", "SUCCEEDED", days[1]),
        ("RECALCULATE_ONE", "SUCCEEDED", days[2]),
        ("RECALCULATE_ALL", "SUCCEEDED", days[0]),
        ("RECALCULATE_ALL", "FAILED", days[3]),
        ("RECORD_METRICS", "SUCCEEDED", days[4]),
        ("RECALCULATE_ALL", "RUNNING", None),
    ]
    for kind, status, finished_at in runs:
        row = {"kind": kind, "status": status, "finished_at": finished_at, "requested_by": "x", "requested_at": days[0]}
        await add_rows(database, "runs", [row])
    async with database.read() as connection:
        assert await calculated_at(connection) == days[2]


async def test_owners_are_those_of_listed_clients_each_once(database: Database) -> None:
    async with database.read() as connection:
        assert await owners(connection) == []
    for owner in ("bob@example.com", None, "ann@example.com", "bob@example.com"):
        await add_client(database, owner=owner)
    await add_client(database, owner="gone@example.com", status=ClientStatus.CHURNED)
    await add_client(database, owner="tess@example.com", status=ClientStatus.TRIAL)
    async with database.read() as connection:
        assert await owners(connection) == ["ann@example.com", "bob@example.com", "tess@example.com"]
