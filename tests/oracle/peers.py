"""Peer benchmarks, written slowly from the specification."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from fractions import Fraction

from tests.oracle.facts import Facts, World
from tests.oracle.spec import Assessment, active_members, counted_members, end_of, half_up, in_window
from tests.oracle.usage import adoption_percent

MINIMUM_PEERS = 5
METRICS = ("ATTESTATION_COMPLETION", "CASE_RESOLUTION_DAYS", "WEEKLY_LOGIN_RATE", "FEATURE_ADOPTION")
LOWER_IS_BETTER = {"CASE_RESOLUTION_DAYS"}


@dataclass(frozen=True)
class Standing:
    """One metric of a peer group; everything but the count is null under five peers."""

    key: str
    peer_count: int
    p25: Fraction | None = None
    median: Fraction | None = None
    p75: Fraction | None = None
    client_value: Fraction | None = None
    client_percentile: int | None = None


@dataclass(frozen=True)
class Benchmark:
    """A peer group and where it stands."""

    peer_count: int
    available: bool
    metrics: list[Standing]


def values_of(facts: Facts, as_of: datetime) -> dict[str, Fraction | None]:
    """Return the four metrics of one client, exactly, null where there is nothing to divide by.

    "Attestation completion (% over attestation campaigns closed in the window), mean days from opening to closing a
    case (cases closed in the window), weekly login rate (% of members active in the 7 UTC days that end with the
    scoring day), feature adoption (%)."
    """
    ratios = [
        Fraction(campaign.completed, campaign.assigned)
        for campaign in facts.campaigns
        if campaign.kind == "ATTESTATION" and campaign.assigned > 0 and in_window(campaign.closed_at, as_of)
    ]
    days = [
        Fraction((case.closed_at - case.opened_at) // timedelta(microseconds=1), 86_400_000_000)
        for case in facts.cases
        if case.closed_at is not None and case.opened_at is not None and in_window(case.closed_at, as_of)
    ]
    members = len(counted_members(facts, as_of))
    return {
        "ATTESTATION_COMPLETION": 100 * sum(ratios, Fraction()) / len(ratios) if ratios else None,
        "CASE_RESOLUTION_DAYS": sum(days, Fraction()) / len(days) if days else None,
        "WEEKLY_LOGIN_RATE": 100 * Fraction(active_members(facts, as_of, 7), members) if members else None,
        "FEATURE_ADOPTION": adoption_percent(facts, as_of),
    }


def quartile(values: Sequence[Fraction], share: Fraction) -> Fraction:
    """Apply "linear interpolation between order statistics (as `percentile_cont`)"."""
    ordered = sorted(values)
    position = share * (len(ordered) - 1)
    below = position.numerator // position.denominator
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (position - below) * (ordered[above] - ordered[below])


def one_decimal(value: Fraction) -> Fraction:
    """Apply "values and quartiles are given half up to one decimal"."""
    return Fraction(half_up(value * 10), 10)


def percentile(value: Fraction, values: Sequence[Fraction], *, lower_is_better: bool) -> int:
    """Apply "the share of peers that the client is better than, counting half of the ties, as a whole percent"."""
    better = sum(value < other if lower_is_better else value > other for other in values)
    ties = sum(value == other for other in values)
    return half_up(100 * (better + Fraction(ties, 2)) / len(values))


def standing(key: str, peers: Sequence[Fraction | None], own: Fraction | None) -> Standing:
    """Apply "at least 5 peers, for each metric by itself; under 5, no quartile, no percentile and no value"."""
    values = [value for value in peers if value is not None]
    if len(values) < MINIMUM_PEERS:
        return Standing(key, len(values))
    p25, median, p75 = (one_decimal(quartile(values, Fraction(share, 4))) for share in (1, 2, 3))
    if own is None:
        return Standing(key, len(values), p25, median, p75)
    rank = percentile(own, values, lower_is_better=key in LOWER_IS_BETTER)
    return Standing(key, len(values), p25, median, p75, one_decimal(own), rank)


def latest(history: Mapping[date, Assessment]) -> Assessment | None:
    """Return the assessment of the latest scoring day; null before the first."""
    return history[max(history)] if history else None


def benchmark(
    world: World,
    histories: Mapping[str, Mapping[date, Assessment]],
    *,
    size: str | None = None,
    industry: str | None = None,
    client: str | None = None,
) -> Benchmark:
    """Compare the peers' latest metrics.

    "Peers are the scored, ACTIVE clients that match the size and industry filters, never the selected client itself."
    """
    peers = []
    for external_id, facts in world.clients.items():
        now = latest(histories[external_id])
        if (
            external_id != client
            and facts.client.status == "ACTIVE"
            and now is not None
            and now.score is not None
            and size in (None, facts.client.size)
            and industry in (None, facts.client.industry)
        ):
            peers.append(values_of(facts, end_of(now.day)))
    own: dict[str, Fraction | None] = dict.fromkeys(METRICS)
    selected = latest(histories[client]) if client else None
    if client and selected is not None:
        own = values_of(world.clients[client], end_of(selected.day))
    return Benchmark(
        peer_count=len(peers),
        available=len(peers) >= MINIMUM_PEERS,
        metrics=[standing(key, [values[key] for values in peers], own[key]) for key in METRICS],
    )
