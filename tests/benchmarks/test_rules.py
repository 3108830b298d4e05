"""The rules of the peer benchmarks as tables of literal values."""

from datetime import timedelta

import pytest

from app.benchmarks.rules import MINIMUM_PEERS, mean_days, mean_percent, percent, percentile_rank, rounded


def test_it_takes_at_least_five_peers() -> None:
    assert MINIMUM_PEERS == 5


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (66.65, 66.7),  # The float lies below the tie that it stands for.
        (66.649, 66.6),
        (66.6499999999, 66.6),
        (1333 / 20, 66.7),
        (0.05, 0.1),
        (0.15, 0.2),
        (0.25, 0.3),
        (0.35, 0.4),
        (1.45, 1.5),
        (99.95, 100.0),
        (99.949, 99.9),
        (100.0, 100.0),
        (0.0, 0.0),
        (0.04999999, 0.0),
        (200 / 3, 66.7),
        (100 / 3, 33.3),
        (1234567.85, 1234567.9),
    ],
)
def test_values_are_given_half_up_to_one_decimal(value: float, shown: float) -> None:
    assert rounded(value) == shown


def test_every_tie_of_two_decimals_is_rounded_up() -> None:
    """Between 0.05 and 99.95, half of the floats lie just below the tie that they stand for."""
    for tenths in range(1000):
        assert rounded((tenths * 10 + 5) / 100) == (tenths + 1) / 10


def test_an_error_of_interpolation_does_not_decide_a_tie() -> None:
    """The median of 66.6 and 66.7 is 66.65, however the sum of the floats comes out."""
    assert rounded(66.6 + (66.7 - 66.6) * 0.5) == 66.7
    assert rounded(0.1 + (0.2 - 0.1) * 0.5) == 0.2
    assert rounded(0.1 + 0.2 - 0.25) == 0.1


@pytest.mark.parametrize(
    ("better_than", "ties", "peers", "percentile"),
    [
        (0, 0, 5, 0),
        (5, 0, 5, 100),
        (0, 5, 5, 50),
        (2, 1, 5, 50),
        (1, 2, 5, 40),
        (0, 1, 5, 10),
        (0, 1, 8, 6),  # 6.25
        (1, 0, 8, 13),  # 12.5
        (0, 1, 100, 1),  # 0.5
        (99, 1, 100, 100),  # 99.5
        (1, 1, 7, 21),  # 21.428...
    ],
)
def test_the_percentile_counts_half_of_the_ties_half_up(
    better_than: int, ties: int, peers: int, percentile: int
) -> None:
    assert percentile_rank(better_than, ties, peers) == percentile


@pytest.mark.parametrize(("part", "whole", "value"), [(1, 8, 12.5), (2, 3, 200 / 3), (0, 3, 0.0), (0, 0, None)])
def test_a_share_in_percent(part: int, whole: int, value: float | None) -> None:
    assert percent(part, whole) == value


def test_equal_shares_are_equal_values() -> None:
    """One of three must tie with seven of twenty-one."""
    for whole in range(1, 60):
        for part in range(whole + 1):
            for times in (2, 3, 7, 49):
                assert percent(part * times, whole * times) == percent(part, whole)


@pytest.mark.parametrize(
    ("parts", "wholes", "value"),
    [([1, 2], [4, 4], 37.5), ([90, 0], [90, 1], 50.0), ([1], [3], 100 / 3), ([], [], None)],
)
def test_attestation_completion_is_the_mean_of_the_campaigns(
    parts: list[int], wholes: list[int], value: float | None
) -> None:
    assert mean_percent(parts, wholes) == value


@pytest.mark.parametrize(
    ("total", "count", "value"),
    [
        (timedelta(days=3, hours=12), 2, 1.75),
        (timedelta(microseconds=86_400), 1, 1e-6),
        (timedelta(), 3, 0.0),
        (None, 0, None),
        (None, 2, None),
        (timedelta(), 0, None),
    ],
)
def test_time_to_close_is_in_days(total: timedelta | None, count: int, value: float | None) -> None:
    assert mean_days(total, count) == value
