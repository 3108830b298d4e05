"""The whole product against the oracle: files in, every value of every operation out, on hundreds of random clients."""

from collections.abc import AsyncIterator
from datetime import date, datetime, timedelta
from fractions import Fraction
from random import Random
from typing import Any

import asyncpg
import pytest

from app.embedded import Servers
from app.settings import Settings
from tests.conftest import TEST_SECRET, own_database
from tests.oracle import activity, answers, peers, usage
from tests.oracle.compare import assert_no_differences, differences
from tests.oracle.loading import calculated_at
from tests.oracle.operations import BENCHMARKS, CLIENT_DETAIL, METRIC_HISTORY, PORTFOLIO, RECENT_ACTIVITY
from tests.oracle.portfolio import matches, ordered, summary
from tests.oracle.product import Product, running
from tests.oracle.spec import end_of, is_scored, last_activity
from tests.oracle.worlds import INDUSTRIES, OWNERS, SIZES, make_world

CLIENTS = 260
FIELDS = ("SCORE", "NAME", "TREND", "LAST_ACTIVITY", "RENEWAL_DATE")
METRICS = (
    "ACTIVE_USERS",
    "LOGINS",
    "SESSION_MINUTES",
    "CASES_CREATED",
    "CASES_RESOLVED",
    "CASES_RESOLVED_ON_TIME",
    "CAMPAIGN_RESPONSES",
    "CAMPAIGN_COMPLETION_RATE",
    "FEATURE_ADOPTION_RATE",
    "SUPPORT_TICKETS",
)
PAGE_SIZES = (100, 7, 50, 33, 99)
# Days side by side, days apart, and days whose windows do not touch; the last ones cross the end of a February.
SCORING_DAYS = [date(2024, 1, 9), date(2024, 2, 20), date(2024, 2, 28), date(2024, 2, 29), date(2024, 3, 1)]


@pytest.fixture(scope="module", params=[1, 2])
async def product(
    request: pytest.FixtureRequest,
    servers: Servers,
    admin: asyncpg.Connection,
    template: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Product]:
    """The product with one world in it, shared by the tests of this module: none of them changes anything."""
    world = make_world(request.param, SCORING_DAYS, CLIENTS)
    async with own_database(servers, admin, template) as url:
        settings = Settings(database_url=url, redis_url=servers.redis_url, auth_secret=TEST_SECRET)
        async with running(settings, world, SCORING_DAYS, tmp_path_factory.mktemp("world")) as loaded:
            yield loaded


def calculation_of(day: date) -> datetime:
    """Return the time of the latest calculation of a scoring day: two of them were calculated twice."""
    return calculated_at(day, 2 if day in (SCORING_DAYS[1], SCORING_DAYS[-1]) else 1)


def expected_card(product: Product, external_id: str) -> answers.Answer:
    """Return the card of one client."""
    facts = product.world.clients[external_id]
    assessment = peers.latest(product.histories[external_id])
    return answers.card(
        facts,
        product.global_ids[external_id],
        answers.health(assessment, calculation_of(assessment.day)) if assessment else None,
        last_activity(facts, end_of(assessment.day)) if assessment else None,
    )


@pytest.mark.parametrize("direction", ["ASC", "DESC"])
@pytest.mark.parametrize("field", FIELDS)
async def test_every_order_pages_through_every_card(product: Product, field: str, direction: str) -> None:
    """No page repeats or skips a client, and every value of every card is the oracle's."""
    first = PAGE_SIZES[FIELDS.index(field)]
    edges = await product.pages(first, orderBy={"field": field, "direction": direction})
    expected = [
        expected_card(product, card.facts.client.external_id) for card in ordered(product.cards(), field, direction)
    ]
    assert_no_differences(list(differences([edge["node"] for edge in edges], expected)))


def random_filter(random: Random) -> dict[str, Any]:
    """Return a filter of one to four conditions."""
    choices: dict[str, Any] = {
        "trafficLight": random.sample(("GREEN", "AMBER", "RED"), random.choice((1, 2))),
        "riskLevel": random.sample(("LOW", "MEDIUM", "HIGH"), random.choice((1, 2, 3))),
        "trend": random.sample(("IMPROVING", "STABLE", "DECLINING"), random.choice((1, 2))),
        "size": random.sample(SIZES, random.choice((1, 2, 3))),
        "industry": random.sample(INDUSTRIES, random.choice((1, 3))),
        "engagementModel": random.choice(("HIGH_TOUCH", "PLG", None)),
        "alertsEnabled": random.choice((True, False)),
        "owner": random.choice((*OWNERS, "nobody@csm.example")),
        "search": random.choice(
            ("%", "_", "\\", "ac", "É", "e\u0301cl", "STRASSE", "ß", "ΣΊΣ", "🚀", "i", "'", '"', "x")
        ),
        "renewalBefore": (SCORING_DAYS[-1] + timedelta(days=random.randrange(-20, 40))).isoformat(),
    }
    return {name: choices[name] for name in random.sample(sorted(choices), random.choice((1, 1, 2, 2, 3, 4)))}


@pytest.mark.parametrize("seed", range(60))
async def test_filters_leave_the_right_clients_in_the_right_order(product: Product, seed: int) -> None:
    """The list follows every condition, and the tiles every one but the light."""
    random = Random(seed)  # noqa: S311 - A filter must be repeatable, not unpredictable.
    conditions = random_filter(random)
    field, direction = random.choice(FIELDS), random.choice(("ASC", "DESC"))
    order = {"field": field, "direction": direction}
    edges = await product.pages(random.choice((1, 2, 7, 50, 100)), filter=conditions, orderBy=order)
    expected = ordered([card for card in product.cards() if matches(card, conditions)], field, direction)
    assert [edge["node"]["id"] for edge in edges] == [
        product.global_ids[card.facts.client.external_id] for card in expected
    ], conditions
    counts = (await product.ask(PORTFOLIO, filter=conditions))["portfolioSummary"]
    del counts["calculatedAt"]
    assert counts == answers.summary(summary(product.cards(), conditions)), conditions


async def test_the_tiles_of_the_whole_portfolio(product: Product) -> None:
    """Every listed client is in one tile."""
    counts = (await product.ask(PORTFOLIO))["portfolioSummary"]
    del counts["calculatedAt"]
    assert counts == answers.summary(summary(product.cards(), {}))


@pytest.mark.parametrize(
    ("days", "history_days", "every"), [(30, 90, 1), (1, 1, 4), (7, 2, 3), (90, 10, 5), (365, 365, 7)]
)
async def test_every_page_of_a_client(product: Product, days: int, history_days: int, every: int) -> None:
    """Score, history, usage and features of every client, churned ones included, as at its latest scoring day."""
    found: list[str] = []
    for external_id, facts in list(product.world.clients.items())[::every]:
        assessments = product.histories[external_id]
        client = (
            await product.ask(CLIENT_DETAIL, id=product.global_ids[external_id], days=days, historyDays=history_days)
        )["client"]
        activity = [edge["node"] for edge in client.pop("recentActivity")["edges"]]
        moments = [datetime.fromisoformat(entry["occurredAt"]) for entry in activity]
        assert moments == sorted(moments, reverse=True)
        assert client.pop("alertsSnoozedUntil") is None
        expected = expected_card(product, external_id)
        if not assessments:
            # Before the first calculation there is no scoring day that usage and features could end with.
            assert client["healthHistory"] == []
            found += differences({key: client[key] for key in expected}, expected, external_id)
            continue
        as_of = end_of(max(assessments))
        grid = {tile["key"]: tile for tile in client.pop("features")}
        found += differences(grid, answers.feature_grid(product.world, facts, as_of), f"{external_id}.features")
        for part, text in zip(expected["health"]["components"], answers.explanations(facts, as_of), strict=True):
            part["explanation"] = text
        expected |= answers.detail(product.world, facts, assessments, days, history_days)
        found += differences(client, expected, external_id)
    assert_no_differences(found)


@pytest.mark.parametrize("metric", METRICS)
async def test_the_history_of_every_metric(product: Product, metric: str) -> None:
    """The recorded days, oldest first, each with its change against the recorded day before it."""
    found: list[str] = []
    for external_id, facts in product.world.clients.items():
        recorded = {day: usage.daily_metrics(facts, day) for day in SCORING_DAYS if is_scored(facts, end_of(day))}
        if SCORING_DAYS[-1] not in recorded:
            continue
        answer = await product.ask(METRIC_HISTORY, id=product.global_ids[external_id], metric=metric, days=365)
        expected = [
            {"date": day, "value": value, "changePercent": change}
            for day, value, change in usage.metric_history(recorded, metric)
        ]
        found += differences(answer["client"]["metricHistory"], expected, external_id)
    assert_no_differences(found)


async def recent_activity(product: Product, external_id: str, first: int) -> list[answers.Answer]:
    """Return all entries of a client's activity, page by page."""
    entries: list[answers.Answer] = []
    after: str | None = None
    while True:
        answer = await product.ask(RECENT_ACTIVITY, id=product.global_ids[external_id], first=first, after=after)
        connection = answer["client"]["recentActivity"]
        entries += [edge["node"] for edge in connection["edges"]]
        if not connection["pageInfo"]["hasNextPage"]:
            return entries
        assert len(connection["edges"]) == first
        after = connection["pageInfo"]["endCursor"]


async def test_recent_activity_tells_every_fact_once(product: Product) -> None:
    """Newest first, no entry twice or missing on the way through the pages, each with a sentence."""
    found: list[str] = []
    for number, (external_id, facts) in enumerate(product.world.clients.items()):
        entries = await recent_activity(product, external_id, first=(3, 20, 100)[number % 3])
        moments = [datetime.fromisoformat(entry["occurredAt"]) for entry in entries]
        assert moments == sorted(moments, reverse=True)
        assert all(entry["description"].strip() for entry in entries)
        by_kind = list(zip((entry["kind"] for entry in entries), moments, strict=True))
        told = {
            "facts": sorted(entry for entry in by_kind if entry[0].startswith(("CASE_", "CAMPAIGN_", "FEATURE_"))),
            "logins": sorted(moment.date() for kind, moment in by_kind if kind == "LOGINS"),
            "scores": sum(kind == "SCORE_CHANGED" for kind, _ in by_kind),
            "revisions": sum(kind == "METRICS_REVISED" for kind, _ in by_kind),
        }
        expected = {
            "facts": activity.events(facts),
            "logins": activity.login_days(facts),
            "scores": len(activity.score_changes(product.histories[external_id])),
            # Every day was recorded after all of its facts had come.
            "revisions": 0,
        }
        found += [
            f"{external_id}.{key}: {told[key]} expected {expected[key]}" for key in told if told[key] != expected[key]
        ]
    assert_no_differences(found)


async def benchmark_differences(
    product: Product, size: str | None, industry: str | None, external_id: str | None
) -> list[str]:
    """Ask for one benchmark and return how it differs from the oracle's."""
    variables = {"size": size, "industry": industry, "clientId": external_id and product.global_ids[external_id]}
    answer = (await product.ask(BENCHMARKS, **variables))["benchmarks"]
    del answer["asOf"]
    expected = peers.benchmark(product.world, product.histories, size=size, industry=industry, client=external_id)
    place = f"{size}/{industry}/{external_id}"
    return list(differences(answer, answers.benchmark(expected, size, industry), place))


@pytest.mark.parametrize("size", [None, *SIZES])
async def test_benchmarks_of_every_group(product: Product, size: str | None) -> None:
    """Quartiles where there are five peers, and nothing at all where there are fewer."""
    found: list[str] = []
    for industry in (None, *INDUSTRIES):
        found += await benchmark_differences(product, size, industry, None)
    assert_no_differences(found)


async def test_where_every_client_stands(product: Product) -> None:
    """Each client among all, among its like, and among others; it is never its own peer."""
    found: list[str] = []
    for external_id, facts in product.world.clients.items():
        found += await benchmark_differences(product, facts.client.size, facts.client.industry, external_id)
        found += await benchmark_differences(product, "ENTERPRISE", "MANUFACTURING", external_id)
    for external_id in list(product.world.clients)[:40]:
        found += await benchmark_differences(product, None, None, external_id)
    assert_no_differences(found)


async def test_the_worlds_hold_small_groups(product: Product) -> None:
    """The comparison above is worth something: some groups have fewer than five peers, or for one metric only."""
    groups = [
        peers.benchmark(product.world, product.histories, size=size, industry=industry)
        for size in SIZES
        for industry in INDUSTRIES
    ]
    assert any(group.available for group in groups)
    assert any(
        group.available and any(metric.peer_count < peers.MINIMUM_PEERS for metric in group.metrics) for group in groups
    )
    values = [metric.median for group in groups for metric in group.metrics if metric.median is not None]
    assert any(value != Fraction(int(value)) for value in values)
