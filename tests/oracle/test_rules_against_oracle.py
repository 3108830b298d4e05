"""The product's pure rules against the oracle, over counts that hypothesis looks for."""

from datetime import UTC, date, datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.health.rules import Counts, Health, Policy, assess, contributions
from tests.oracle import facts as f
from tests.oracle import spec

AS_OF = datetime(2025, 3, 14, 23, 59, 59, 999_999, tzinfo=UTC)
EARLIER = date(2025, 3, 1)
POLICY = Policy()


@st.composite
def counts(draw: st.DrawFn) -> Counts:
    """Draw counts as a database could hold them: no part larger than its whole, tickets only where tracked."""
    members = draw(st.integers(0, 200))
    closed = draw(st.integers(0, 60))
    enabled = draw(st.integers(0, 40))
    assigned = draw(st.lists(st.integers(1, 500), max_size=6))
    tracked = draw(st.booleans())
    return Counts(
        members=members,
        active_members=draw(st.integers(0, members)),
        cases_closed=closed,
        cases_on_time=draw(st.integers(0, closed)),
        campaigns_completed=[draw(st.integers(0, whole)) for whole in assigned],
        campaigns_assigned=assigned,
        features_enabled=enabled,
        features_used=draw(st.integers(0, enabled)),
        tickets_opened=draw(st.integers(0, 60)) if tracked else 0,
        tickets_before=draw(st.integers(0, 120)) if tracked else 0,
        tickets_tracked=tracked,
    )


def facts_of(numbers: Counts) -> f.Facts:
    """Return facts that count up to `numbers` at AS_OF."""
    facts = f.Facts(f.Client("c", "C"))
    facts.members = [f.Member("c", str(number)) for number in range(numbers.members)]
    facts.logins = [f.Login("c", str(number), AS_OF) for number in range(numbers.active_members)]
    for number in range(numbers.cases_closed):
        late = number >= numbers.cases_on_time
        facts.cases.append(f.Case("c", str(number), None, AS_OF, AS_OF - timedelta(microseconds=1) if late else None))
    for number, (completed, assigned) in enumerate(
        zip(numbers.campaigns_completed, numbers.campaigns_assigned, strict=True)
    ):
        facts.campaigns.append(f.Campaign("c", str(number), None, "OTHER", assigned, completed, AS_OF))
    for number in range(numbers.features_enabled):
        facts.features.append(
            f.ClientFeature("c", str(number), True, AS_OF if number < numbers.features_used else None)
        )
    opened = [AS_OF] * numbers.tickets_opened + [AS_OF - timedelta(days=30)] * numbers.tickets_before
    if numbers.tickets_tracked:
        opened.append(AS_OF - timedelta(days=1000))
    facts.tickets = [f.Ticket("c", str(number), moment) for number, moment in enumerate(opened)]
    return facts


def expected(numbers: Counts, previous: int | None) -> spec.Assessment:
    """Return the oracle's verdict on `numbers`."""
    history = {}
    if previous is not None:
        history[EARLIER] = spec.judge(dict.fromkeys(spec.KEYS, previous), tracked=True, previous=None)
    return spec.assess(facts_of(numbers), AS_OF, history)


def assert_same(product: Health, oracle: spec.Assessment) -> None:
    """Compare every value of a verdict."""
    assert product.components == tuple(part.score for part in oracle.components)
    assert product.coverage == oracle.coverage
    assert (product.score, product.light, product.trend, product.trend_delta, product.risk) == (
        oracle.score,
        oracle.light,
        oracle.trend,
        oracle.trend_delta,
        oracle.risk,
    )


@given(numbers=counts(), previous=st.none() | st.integers(0, 100))
def test_any_counts_are_judged_as_the_specification_says(numbers: Counts, previous: int | None) -> None:
    assert_same(assess(numbers, previous, POLICY), expected(numbers, previous))


@given(numbers=counts())
def test_contributions_add_up_to_the_score_before_rounding(numbers: Counts) -> None:
    oracle = expected(numbers, None)
    found = contributions(assess(numbers, None, POLICY).components, POLICY)
    for value, part in zip(found, oracle.components, strict=True):
        assert (value is None) == (part.contribution is None)
        if value is not None and part.contribution is not None:
            assert value == pytest.approx(float(part.contribution), rel=1e-12)
    if oracle.score is not None:
        total = sum((part.contribution for part in oracle.components if part.contribution is not None), Fraction())
        assert sum(value for value in found if value is not None) == pytest.approx(float(total), rel=1e-12)


@pytest.mark.parametrize("whole", range(1, 41))
def test_every_share_of_small_wholes_rounds_the_same(whole: int) -> None:
    for part in range(whole + 1):
        numbers = Counts(
            members=whole,
            active_members=part,
            cases_closed=whole,
            cases_on_time=part,
            campaigns_completed=[part, part],
            campaigns_assigned=[whole, 2 * whole],
            features_enabled=whole,
            features_used=part,
            tickets_opened=part,
            tickets_before=whole,
            tickets_tracked=True,
        )
        for previous in (None, 0, 55, 100):
            assert_same(assess(numbers, previous, POLICY), expected(numbers, previous))


def test_the_policy_is_that_of_the_specification() -> None:
    weights = (
        POLICY.login_weight,
        POLICY.case_weight,
        POLICY.campaign_weight,
        POLICY.feature_weight,
        POLICY.ticket_weight,
    )
    assert weights == tuple(spec.WEIGHTS.values()) == (20, 25, 25, 15, 15)
