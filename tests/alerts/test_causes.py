"""Why a score moved: which components are named, with how many points, and that these add up."""

from decimal import Decimal
from fractions import Fraction
from itertools import permutations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.alerts.causes import Measured, apportion, causes
from app.health.rules import Component, ComponentScores, Counts, Policy, assess, contributions, divide_half_up

LOGIN, CASES, CAMPAIGNS, FEATURES, TICKETS = Component
POLICY = Policy()


def measured(*scores: int | None, counts: Counts | None = None, policy: Policy = POLICY) -> Measured:
    """Return the overall score of five component scores, in the order of Component."""
    login, cases, campaigns, features, tickets = scores
    components: ComponentScores = (login, cases, campaigns, features, tickets)
    pairs = [(score, weight) for score, weight in zip(components, policy.weights, strict=True) if score is not None]
    overall = divide_half_up(sum(score * weight for score, weight in pairs), sum(weight for _, weight in pairs))
    return Measured(overall, components, counts or Counts(), policy)


def moves(before: Measured, after: Measured) -> list[tuple[Component, str, str]]:
    """Return each cause with its points before and after."""
    return [(cause.component, str(cause.points_before), str(cause.points_after)) for cause in causes(before, after)]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        # One component alone has all of the change: 20 of 100 points.
        (measured(100, 100, 100, 100, 100), measured(0, 100, 100, 100, 100), [(LOGIN, "20", "0")]),
        (measured(100, 100, 100, 100, 100), measured(100, 60, 100, 100, 100), [(CASES, "25", "15")]),
        # The one that lost most comes first, and what rose comes last. 92.5 is 93.
        (
            measured(100, 100, 100, 100, 50),
            measured(50, 0, 100, 100, 100),
            [(CASES, "25.2", "0"), (LOGIN, "20.2", "10"), (TICKETS, "7.6", "15")],
        ),
        # 91.25 is 91 and 73.75 is 74: what did not move has the same points on both sides, and the others the rest.
        (measured(100, 65, 100, 100, 100), measured(100, 65, 30, 100, 100), [(CAMPAIGNS, "24.7", "7.7")]),
        # 79.5 is 80 and 79.45 is 79: small moves have the whole point that they cost, and less than a tenth is none.
        (measured(100, 80, 80, 100, 30), measured(99, 80, 80, 100, 31), [(LOGIN, "20.4", "19.4")]),
        # What is measured no longer has no points, and the others fill its place.
        (
            measured(100, 100, 0, 100, 100),
            measured(100, 100, None, 100, 100),
            [(FEATURES, "15", "20"), (TICKETS, "15", "20"), (LOGIN, "20", "26.7"), (CASES, "25", "33.3")],
        ),
        (measured(50, 50, 50, 50, 50), measured(50, 50, 50, 50, 50), []),
        (measured(0, 0, 0, 0, 0), measured(0, 0, 0, 0, 0), []),
    ],
)
def test_the_components_that_moved_are_named_with_their_points(
    before: Measured, after: Measured, expected: list[tuple[Component, str, str]]
) -> None:
    assert moves(before, after) == expected


scores = st.tuples(*[st.none() | st.integers(0, 100)] * 5).filter(lambda found: any(one is not None for one in found))
weights = st.lists(st.integers(1, 40), min_size=5, max_size=5)


@st.composite
def two_scores(draw: st.DrawFn) -> tuple[Measured, Measured]:
    """Return a score and the next, which some components have not moved in; sometimes the policy has changed."""
    first = draw(scores)
    kept = draw(st.lists(st.booleans(), min_size=5, max_size=5))
    second = [old if keep else new for old, new, keep in zip(first, draw(scores), kept, strict=True)]
    if all(score is None for score in second):
        second = list(first)
    other = Policy(2, *draw(weights))
    return measured(*first), measured(*second, policy=draw(st.sampled_from([POLICY, other])))


def exact_points(one: Measured) -> list[Fraction]:
    """Return the points written slowly: each score by its weight among the measured."""
    whole = sum(w for score, w in zip(one.components, one.policy.weights, strict=True) if score is not None)
    return [Fraction((s or 0) * w, whole) for s, w in zip(one.components, one.policy.weights, strict=True)]


@given(two_scores())
def test_the_changes_add_up_exactly_to_the_change_of_the_score(pair: tuple[Measured, Measured]) -> None:
    before, after = pair
    found = causes(before, after)
    assert sum((cause.points_after - cause.points_before for cause in found), Decimal(0)) == after.score - before.score
    changes = [cause.points_after - cause.points_before for cause in found]
    assert changes == sorted(changes)
    assert 0 not in changes
    exact = dict(zip(Component, zip(exact_points(before), exact_points(after), strict=True), strict=True))
    for cause in found:
        was, now = exact[cause.component]
        # What did not move is no cause, and nobody's points are far from the true ones or below nothing.
        assert was != now
        for points, true in ((cause.points_before, was), (cause.points_after, now)):
            assert points * 10 == int(points * 10)
            assert points >= 0
            assert abs(Fraction(points) - true) <= Fraction(11, 10)


@given(two_scores())
def test_where_everything_moved_the_points_add_up_to_both_scores(pair: tuple[Measured, Measured]) -> None:
    before, after = pair
    found = causes(before, after)
    if len(found) == 5:
        assert sum((cause.points_before for cause in found), Decimal(0)) == before.score
        assert sum((cause.points_after for cause in found), Decimal(0)) == after.score


def test_every_score_next_to_every_other_adds_up() -> None:
    """Whole numbers only, at every rounding: the login's score moves from anything to anything."""
    for was, now in product(range(0, 101, 7), repeat=2):
        for other in (0, 1, 33, 50, 67, 100):
            before, after = measured(was, other, None, 50, other), measured(now, other, None, 50, other)
            change = sum((cause.points_after - cause.points_before for cause in causes(before, after)), Decimal(0))
            assert change == after.score - before.score, (was, now, other)
            assert {cause.component for cause in causes(before, after)} <= {LOGIN}


@pytest.mark.parametrize(
    ("total", "shares", "expected"),
    [
        (0, [], []),
        (0, [3, 1], [0, 0]),
        (10, [1], [10]),
        (10, [1, 1], [5, 5]),
        (10, [1, 1, 1], [4, 3, 3]),
        (10, [2, 2, 2], [4, 3, 3]),
        (10, [0, 7], [0, 10]),
        (3, [1, 1, 1, 1], [1, 1, 1, 0]),
        # 4.5, 2.5 and 3: the two equal remainders get their halves in order.
        (10, [9, 5, 6], [5, 2, 3]),
        (100, [47, 16, 158, 12, 61, 6], [16, 5, 53, 4, 20, 2]),
    ],
)
def test_whole_numbers_are_given_by_the_largest_remainders(total: int, shares: list[int], expected: list[int]) -> None:
    assert apportion(total, [Fraction(share) for share in shares]) == expected


@given(st.integers(1, 12), st.lists(st.integers(0, 9), min_size=1, max_size=4).filter(any))
def test_no_other_whole_numbers_are_nearer_to_the_shares(total: int, shares: list[int]) -> None:
    """The slow way: every division of the total is looked at."""
    found = apportion(total, [Fraction(share) for share in shares])
    quotas = [Fraction(share * total, sum(shares)) for share in shares]

    def distance(given: tuple[int, ...]) -> Fraction:
        return sum((abs(one - quota) for one, quota in zip(given, quotas, strict=True)), Fraction(0))

    divisions = [each for each in product(range(total + 1), repeat=len(shares)) if sum(each) == total]
    assert sum(found) == total
    assert distance(tuple(found)) == min(map(distance, divisions))
    assert all(one == 0 for one, share in zip(found, shares, strict=True) if share == 0)


def test_equal_shares_differ_by_one_at_most_and_by_order_alone() -> None:
    for shares in permutations([1, 1, 2]):
        given_ = apportion(10, [Fraction(share) for share in shares])
        assert sorted(given_) == [2, 3, 5] or sorted(given_) == [2, 2, 6]


@pytest.mark.parametrize(
    ("was", "now", "component", "sentence"),
    [
        (
            Counts(members=6, active_members=5),
            Counts(members=6, active_members=2),
            LOGIN,
            "2 of 6 members were active in the last 30 days. Before: 5 of 6 members were active in the last 30 days.",
        ),
        (
            Counts(campaigns_completed=[1], campaigns_assigned=[2], features_enabled=2, features_used=2),
            Counts(features_enabled=2, features_used=1),
            CAMPAIGNS,
            "No campaign closed in the last 30 days, so campaign completion was not measured. "
            "Before: The campaign that closed in the last 30 days was 50 % complete, 1 of 2 assignments.",
        ),
        (
            Counts(cases_closed=4, cases_on_time=4, features_enabled=2, features_used=2, tickets_tracked=True),
            Counts(features_enabled=2, features_used=2, tickets_tracked=True),
            FEATURES,
            "2 of 2 enabled features have been used. As before, but it counts for 50 % of the score instead of 27 %.",
        ),
    ],
)
def test_a_cause_is_explained_by_the_counts_before_and_after(
    was: Counts, now: Counts, component: Component, sentence: str
) -> None:
    loose = Policy(minimum_coverage=1)

    def judged(counts: Counts) -> Measured:
        health = assess(counts, None, loose)
        assert health.score is not None
        return Measured(health.score, health.components, counts, loose)

    found = {cause.component: cause.explanation for cause in causes(judged(was), judged(now))}
    assert found[component] == sentence


def test_what_is_scored_by_another_policy_says_so() -> None:
    same = Counts(members=10, active_members=5)
    before = Measured(71, (71, None, None, None, None), same, POLICY)
    after = Measured(50, (50, None, None, None, None), same, Policy(2, full_login_share=100))
    (cause,) = causes(before, after)
    assert cause.explanation == (
        "5 of 10 members were active in the last 30 days. As before, but it is scored by other rules."
    )


@pytest.mark.parametrize(
    ("scores", "before", "after", "weights"),
    [
        # 25 of 76 and 25 of 75 are both 33 percent.
        ((98, 0, 0), (25, 25, 26, 24, 0), (25, 25, 25, 25, 0), "33.3 % of the score instead of 32.9 %"),
        ((98, 6, 39), (4, 95, 1, 0, 0), (4, 95, 0, 1, 0), "4.04 % of the score instead of 4.00 %"),
        ((98, 0, 0), (25, 25, 50, 0, 0), (50, 25, 25, 0, 0), "50 % of the score instead of 25 %"),
    ],
)
def test_weights_are_told_with_as_many_decimals_as_they_differ_in(
    scores: tuple[int, ...], before: tuple[int, ...], after: tuple[int, ...], weights: str
) -> None:
    was, now = (measured(*scores, None, None, policy=Policy(1, *each)) for each in (before, after))
    found = {cause.component: cause.explanation for cause in causes(was, now)}
    expected = f"No members are known, so logins were not measured. As before, but it counts for {weights}."
    assert found[LOGIN] == expected


def test_the_points_are_those_that_the_api_calls_contributions() -> None:
    before, after = measured(90, 80, 70, 60, 50), measured(10, 20, 30, 40, 0)
    told = {cause.component: cause for cause in causes(before, after)}
    for component, was, now in zip(
        Component, contributions(before.components, POLICY), contributions(after.components, POLICY), strict=True
    ):
        assert was is not None
        assert now is not None
        assert abs(float(told[component].points_before) - was) < 0.6
        assert abs(float(told[component].points_after) - now) < 0.6


@pytest.mark.parametrize(
    "odd",
    [
        Measured(90, (None, None, None, None, None), Counts(), POLICY),
        Measured(0, (None, None, None, None, None), Counts(), POLICY),
        Measured(91, (90, 90, 90, 90, 90), Counts(), POLICY),
    ],
)
def test_a_score_that_is_not_what_its_parts_make_has_no_causes(odd: Measured) -> None:
    usual = measured(50, 50, 50, 50, 50)
    assert causes(odd, usual) == []
    assert causes(usual, odd) == []
