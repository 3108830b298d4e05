"""Peer benchmarks on the database: who is a peer, what comes out, and that nothing comes out under five."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import date
from typing import Any

import pytest

from app.benchmarks import service
from app.benchmarks.rules import BenchmarkMetric
from app.clients.models import ClientSize, ClientStatus, Industry
from app.database import Database
from app.errors import NotFound
from app.graphql.benchmarks import benchmarks_of
from tests.factories import add_client

DAY = date(2025, 3, 14)
COLUMNS = tuple(metric.value.lower() for metric in BenchmarkMetric)
# What no client of a test has by chance, so that it can be looked for in an answer.
SECRET = 31.7
Metrics = Mapping[BenchmarkMetric, service.Metric]


async def add_peer(database: Database, *values: float | None, **columns: Any) -> int:
    """Add a scored, active client with the values of the four metrics, in their order."""
    row: dict[str, Any] = {"score": 70, "scored_day": DAY} | dict(zip(COLUMNS, values, strict=False))
    return await add_client(database, **row | columns)


async def ask(
    database: Database,
    client_id: int | None = None,
    *,
    size: ClientSize | None = None,
    industry: Industry | None = None,
) -> service.Benchmarks:
    """Return the benchmarks of a group."""
    async with database.read() as connection:
        return await service.benchmarks(connection, size, industry, client_id)


def by_key(found: service.Benchmarks) -> Metrics:
    """Return the metrics by their key."""
    return {metric.key: metric for metric in found.metrics}


def numbers(answer: Any) -> Iterator[float]:
    """Yield every number anywhere in an answer, and in any text of it."""
    match answer:
        case Mapping():
            for value in answer.values():
                yield from numbers(value)
        case list() | tuple():
            for value in answer:
                yield from numbers(value)
        case bool():
            return
        case int() | float():
            yield answer
        case str():
            yield from (float(word) for word in answer.split() if word.replace(".", "").isdigit())


def whole_answer(found: service.Benchmarks) -> dict[str, Any]:
    """Return the answer as the API gives it, every field that it has."""
    return asdict(benchmarks_of(found, None, None))


async def test_five_peers_are_enough(database: Database) -> None:
    for value in (10, 20, 30, 40, 50):
        await add_peer(database, value, value / 10, value, value)
    found = await ask(database)
    assert (found.peer_count, found.available, found.as_of) == (5, True, DAY)
    assert found.metrics == [
        service.Metric(BenchmarkMetric.ATTESTATION_COMPLETION, 5, 20, 30, 40),
        service.Metric(BenchmarkMetric.CASE_RESOLUTION_DAYS, 5, 2, 3, 4),
        service.Metric(BenchmarkMetric.WEEKLY_LOGIN_RATE, 5, 20, 30, 40),
        service.Metric(BenchmarkMetric.FEATURE_ADOPTION, 5, 20, 30, 40),
    ]


@pytest.mark.parametrize("peers", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("selected", [False, True])
async def test_under_five_peers_no_value_comes_out_anywhere(database: Database, peers: int, selected: bool) -> None:
    """No quartile, no percentile and no value, the selected client's own included."""
    for _ in range(peers):
        await add_peer(database, SECRET, SECRET, SECRET, SECRET)
    own = await add_peer(database, SECRET, SECRET, SECRET, SECRET) if selected else None
    found = await ask(database, own)
    assert (found.peer_count, found.available) == (peers, False)
    assert found.metrics == [service.Metric(metric, peers) for metric in BenchmarkMetric]
    answer = whole_answer(found)
    # The counts, the minimum of five, and the two that the reason says in words.
    assert sorted(numbers(answer)) == sorted([peers] * 6 + [5, 5])
    assert answer["unavailable_reason"].startswith(f"Only {peers} client")


@pytest.mark.parametrize("scarce", BenchmarkMetric)
async def test_a_client_without_a_metric_is_no_peer_for_it(database: Database, scarce: BenchmarkMetric) -> None:
    """Each metric needs five by itself: four clients have this one, six the others."""
    for number in range(6):
        values: dict[str, Any] = dict.fromkeys(COLUMNS, 20.0)
        values[scarce.value.lower()] = None if number < 2 else SECRET
        await add_peer(database, **values)
    own = await add_peer(database, **dict.fromkeys(COLUMNS, SECRET))
    found = await ask(database, own)
    assert (found.peer_count, found.available) == (6, True)
    metrics = by_key(found)
    assert metrics[scarce] == service.Metric(scarce, 4)
    for key in set(BenchmarkMetric) - {scarce}:
        percentile = 0 if key is BenchmarkMetric.CASE_RESOLUTION_DAYS else 100
        assert metrics[key] == service.Metric(key, 6, 20, 20, 20, SECRET, percentile)
    await add_peer(database, **{scarce.value.lower(): SECRET})
    assert by_key(await ask(database, own))[scarce] == service.Metric(scarce, 5, SECRET, SECRET, SECRET, SECRET, 50)


async def test_the_selected_client_is_never_its_own_peer(database: Database) -> None:
    ids = [await add_peer(database, value, value, value, value) for value in (10, 20, 30, 40, 1000)]
    assert (await ask(database)).available
    for client in ids:
        found = await ask(database, client)
        assert (found.peer_count, found.available) == (4, False)
    ids.append(await add_peer(database, 50, 50, 50, 50))
    found = await ask(database, ids[4])
    assert found.peer_count == 5
    assert found.metrics[0] == service.Metric(BenchmarkMetric.ATTESTATION_COMPLETION, 5, 20, 30, 40, 1000, 100)
    assert found.metrics[1] == service.Metric(BenchmarkMetric.CASE_RESOLUTION_DAYS, 5, 20, 30, 40, 1000, 0)


@pytest.mark.parametrize(
    "columns",
    [
        {"status": ClientStatus.TRIAL},
        {"status": ClientStatus.CHURNED},
        {"score": None},
        {"score": None, "scored_day": None},
        {"size": ClientSize.SMB},
        {"size": None},
        {"industry": Industry.OTHER},
    ],
)
async def test_only_scored_active_clients_that_match_the_filters_are_peers(
    database: Database, columns: dict[str, Any]
) -> None:
    like = {"size": ClientSize.ENTERPRISE, "industry": Industry.FINANCIAL}
    for _ in range(4):
        await add_peer(database, 1, 1, 1, 1, **like)
    other = await add_peer(database, SECRET, SECRET, SECRET, SECRET, **like | columns)
    found = await ask(database, size=ClientSize.ENTERPRISE, industry=Industry.FINANCIAL)
    assert (found.peer_count, found.available) == (4, False)
    for _ in range(2):
        await add_peer(database, 1, 1, 1, 1, **like)
    # It may still be compared with the group that it is no part of.
    found = await ask(database, other, size=ClientSize.ENTERPRISE, industry=Industry.FINANCIAL)
    assert found.peer_count == 6
    assert found.metrics[0] == service.Metric(BenchmarkMetric.ATTESTATION_COMPLETION, 6, 1, 1, 1, SECRET, 100)


async def test_either_filter_narrows_the_group(database: Database) -> None:
    for size in ClientSize:
        for industry in (Industry.FINANCIAL, Industry.OTHER):
            await add_peer(database, size=size, industry=industry)
    counts = [
        (await ask(database, size=size, industry=industry)).peer_count
        for size, industry in (
            (None, None),
            (ClientSize.SMB, None),
            (None, Industry.OTHER),
            (ClientSize.SMB, Industry.OTHER),
            (None, Industry.HEALTHCARE),
        )
    ]
    assert counts == [6, 2, 3, 1, 0]


async def test_quartiles_are_interpolated_between_order_statistics(database: Database) -> None:
    """As percentile_cont does: of six values, p25 lies a quarter of the way from the second to the third."""
    for value in (3, 1, 100, 2, 50, 10):
        await add_peer(database, value, value, value, value)
    assert (await ask(database)).metrics == [service.Metric(metric, 6, 2.3, 6.5, 40) for metric in BenchmarkMetric]


async def test_quartiles_and_values_are_half_up_to_one_decimal(database: Database) -> None:
    """66.65 is a tie that its float lies below; 2.25 is 2.3, and 99.95 is 100."""
    for value in (2.25, 2.25, 66.6, 66.7, 99.95, 99.95):
        await add_peer(database, value)
    own = await add_peer(database, 0.05)
    found = by_key(await ask(database, own))[BenchmarkMetric.ATTESTATION_COMPLETION]
    # p25 is 2.25 + 0.25 x 64.35 = 18.3375, and p75 66.7 + 0.75 x 33.25 = 91.6375.
    assert (found.p25, found.median, found.p75) == (18.3, 66.7, 91.6)
    assert (found.client_value, found.client_percentile) == (0.1, 0)


@pytest.mark.parametrize(
    ("own", "higher_is_better", "lower_is_better"),
    [
        (5, 0, 100),
        (10, 17, 83),  # 0 and 2 ties of 6, half up: 16.67 and 83.33
        (15, 33, 67),
        (20, 58, 42),  # 2 and 3 ties: 58.33; the other way 1 and 3: 41.67
        (25, 83, 17),
        (30, 92, 8),
        (35, 100, 0),
    ],
)
async def test_the_percentile_is_the_share_of_peers_that_the_client_is_better_than(
    database: Database, own: float, higher_is_better: int, lower_is_better: int
) -> None:
    """Counting half of the ties; fewer days are better."""
    for value in (10, 10, 20, 20, 20, 30):
        await add_peer(database, value, value, value, value)
    client = await add_peer(database, own, own, own, own)
    assert [metric.client_percentile for metric in (await ask(database, client)).metrics] == [
        higher_is_better,
        lower_is_better,
        higher_is_better,
        higher_is_better,
    ]


async def test_comparisons_use_the_exact_values(database: Database) -> None:
    """66.64 and 66.6 look the same to one decimal, but one is better."""
    for _ in range(5):
        await add_peer(database, 66.6, 66.6, 66.6, 66.6)
    client = await add_peer(database, 66.64, 66.64, 66.64, 66.64)
    found = await ask(database, client)
    assert [(metric.median, metric.client_value, metric.client_percentile) for metric in found.metrics] == [
        (66.6, 66.6, 100),
        (66.6, 66.6, 0),
        (66.6, 66.6, 100),
        (66.6, 66.6, 100),
    ]


async def test_a_client_without_the_metric_has_no_place(database: Database) -> None:
    for value in (10, 20, 30, 40, 50):
        await add_peer(database, value, value, value, value)
    client = await add_peer(database, None, 20)
    first, second, third, _ = (await ask(database, client)).metrics
    assert first == service.Metric(BenchmarkMetric.ATTESTATION_COMPLETION, 5, 20, 30, 40)
    assert second == service.Metric(BenchmarkMetric.CASE_RESOLUTION_DAYS, 5, 20, 30, 40, 20, 70)
    assert third.client_percentile is None


async def test_the_latest_scoring_day_among_the_peers_is_told(database: Database) -> None:
    for day in (12, 14, 13, 11, 10):
        await add_peer(database, scored_day=date(2025, 3, day))
    own = await add_peer(database, scored_day=date(2025, 3, 20))
    assert (await ask(database, own)).as_of == date(2025, 3, 14)
    assert (await ask(database, industry=Industry.FINANCIAL)).as_of is None


async def test_an_unknown_client_is_refused(database: Database) -> None:
    with pytest.raises(NotFound, match="no client with this id"):
        await ask(database, 4711)
