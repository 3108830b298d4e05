"""Why a score moved: by how many points of it each component did, in tenths that add up exactly."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from itertools import count

from app.health.explanations import explain, explain_kept
from app.health.rules import Component, ComponentScores, Counts, Policy, Stale, divide_half_up


@dataclass(frozen=True, slots=True)
class Measured:
    """One overall score, and what it was made of."""

    score: int
    components: ComponentScores
    counts: Counts
    policy: Policy
    # What components keep whose feed was silent.
    stale: Stale | None = None


@dataclass(frozen=True, slots=True)
class Cause:
    """A component that moved; the points are those of the overall score that are its, 0 to 100, in whole tenths."""

    component: Component
    points_before: Decimal
    points_after: Decimal
    explanation: str


def causes(before: Measured, after: Measured) -> list[Cause]:
    """Return the components that moved between two scores, the one that lost most points first.

    Their changes add up exactly to the change of the score. The points of all components, moved or not, would add up
    to the score itself; what did not move has the same points before and after. A score that is not what its parts
    make, having come into the table by another way than a calculation, cannot be explained: then there are no causes.
    """
    if not (_adds_up(before) and _adds_up(after)):
        return []
    exact = list(zip(_points(before), _points(after), strict=True))
    moved = [index for index, (was, now) in enumerate(exact) if was != now]
    kept = sum((was for was, now in exact if was == now), Fraction(0))
    moved_before = [exact[index][0] for index in moved]
    moved_after = [exact[index][1] for index in moved]
    rest = _points_kept(10 * before.score, 10 * after.score, kept, any(moved_before), any(moved_after))
    tenths_before = apportion(10 * before.score - rest, moved_before)
    tenths_after = apportion(10 * after.score - rest, moved_after)
    found = [
        Cause(component, Decimal(was) / 10, Decimal(now) / 10, _explanation(component, before, after))
        for component, was, now in zip(
            (list(Component)[index] for index in moved), tenths_before, tenths_after, strict=True
        )
        if was != now
    ]
    return sorted(found, key=lambda cause: cause.points_after - cause.points_before)


def apportion(total: int, shares: Sequence[Fraction]) -> list[int]:
    """Return whole numbers in proportion to `shares` that add up to `total`, by the largest remainders.

    Of equal remainders the first gets more. A share of nothing gets nothing, and a total above 0 needs a share.
    """
    whole = sum(shares, Fraction(0))
    if total == 0:
        return [0] * len(shares)
    quotas = [share * total / whole for share in shares]
    given = [int(quota) for quota in quotas]
    by_remainder = sorted(range(len(quotas)), key=lambda index: given[index] - quotas[index])
    for index in by_remainder[: total - sum(given)]:
        given[index] += 1
    return given


def _points(measured: Measured) -> list[Fraction]:
    """Return each component's exact points of the overall score before it was rounded; 0 without a score."""
    pairs = list(zip(measured.components, measured.policy.weights, strict=True))
    weight = sum(weight for score, weight in pairs if score is not None)
    return [Fraction(0) if score is None else Fraction(score * own, weight) for score, own in pairs]


def _adds_up(measured: Measured) -> bool:
    """Return whether the score is what its components make."""
    points = sum(_points(measured), Fraction(0))
    known = any(score is not None for score in measured.components)
    return known and divide_half_up(points.numerator, points.denominator) == measured.score


def _points_kept(before: int, after: int, kept: Fraction, had: bool, has: bool) -> int:
    """Return the tenths that those have together which did not move, so that nobody's are below 0 on either side.

    `had` and `has` say whether those which moved had any points, and whether they have any.
    """
    if not had:
        return before
    if not has:
        return after
    return min(before, after, divide_half_up(kept.numerator * 10, kept.denominator))


def _explanation(component: Component, before: Measured, after: Measured) -> str:
    """Return what was counted for the component, and what had been counted before."""
    was, now = _sentence(component, before), _sentence(component, after)
    if was != now:
        return f"{now} Before: {was}"
    had, has = _effective_weight(component, before), _effective_weight(component, after)
    if had != has:
        # As many decimals as it takes for the reader to see a difference.
        places = next(places for places in count() if _percent(had, places) != _percent(has, places))
        weights = f"{_percent(has, places)} % of the score instead of {_percent(had, places)} %"
        return f"{now} As before, but it counts for {weights}."
    return f"{now} As before, but it is scored by other rules."


def _sentence(component: Component, measured: Measured) -> str:
    """Return how the component came to its score."""
    kept = (measured.stale or {}).get(component)
    if kept is None:
        return explain(component, measured.counts)
    return explain_kept(component, kept, dict(zip(Component, measured.components, strict=True))[component])


def _effective_weight(component: Component, measured: Measured) -> Fraction:
    """Return the component's share of the weight that was measured, 0 to 1."""
    pairs = list(zip(Component, measured.components, measured.policy.weights, strict=True))
    whole = sum(weight for _, score, weight in pairs if score is not None)
    return Fraction(sum(weight for key, score, weight in pairs if key is component and score is not None), whole)


def _percent(share: Fraction, decimals: int) -> Decimal:
    """Return the share in percent, half up."""
    return Decimal(divide_half_up(share.numerator * 10 ** (decimals + 2), share.denominator)).scaleb(-decimals)
