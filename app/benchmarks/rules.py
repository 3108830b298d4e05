"""Peer benchmarks: the four metrics, their quartiles, and where a client stands among its peers."""

from collections.abc import Sequence
from datetime import timedelta
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum

from app.health.rules import divide_half_up, mean_ratio

MINIMUM_PEERS = 5
_DAY = timedelta(days=1) // timedelta(microseconds=1)


class BenchmarkMetric(StrEnum):
    """What clients are compared by."""

    ATTESTATION_COMPLETION = "ATTESTATION_COMPLETION"
    CASE_RESOLUTION_DAYS = "CASE_RESOLUTION_DAYS"
    WEEKLY_LOGIN_RATE = "WEEKLY_LOGIN_RATE"
    FEATURE_ADOPTION = "FEATURE_ADOPTION"


def percent(part: int, whole: int) -> float | None:
    """Return `part` of `whole` in percent; None when there is nothing to divide by.

    Dividing two whole numbers gives the float nearest to the true quotient, so equal shares are equal floats.
    """
    return part * 100 / whole if whole > 0 else None


def mean_percent(parts: Sequence[int], wholes: Sequence[int]) -> float | None:
    """Return the mean of the shares parts[i] / wholes[i] in percent; None for no shares."""
    mean = mean_ratio(parts, wholes)
    return None if mean is None else mean[0] * 100 / mean[1]


def mean_days(total: timedelta | None, count: int) -> float | None:
    """Return the mean length in days of `count` spans that last `total` together; None for none."""
    if total is None or count <= 0:
        return None
    return (total // timedelta(microseconds=1)) / (count * _DAY)


def rounded(value: float) -> float:
    """Return the value half up to one decimal.

    Interpolating between floats leaves an error of a few units in the 16th digit, which must not decide a tie: the
    value is brought to 14 significant digits first.
    """
    return float(Decimal(f"{value:.14g}").quantize(Decimal("0.1"), ROUND_HALF_UP))


def percentile_rank(better_than: int, ties: int, peers: int) -> int:
    """Return the share of peers that a client is better than, counting half of the ties, as a whole percent."""
    return divide_half_up((2 * better_than + ties) * 100, 2 * peers)
