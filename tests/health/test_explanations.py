"""The sentences that a customer success manager reads aloud, word for word."""

import pytest

from app.health.explanations import explain
from app.health.rules import Component, Counts


@pytest.mark.parametrize(
    ("active", "members", "sentence"),
    [
        (14, 20, "14 of 20 members were active in the last 30 days."),
        (1, 20, "1 of 20 members was active in the last 30 days."),
        (0, 20, "0 of 20 members were active in the last 30 days."),
        (1, 1, "1 of 1 member was active in the last 30 days."),
        (0, 1, "0 of 1 member were active in the last 30 days."),
        (0, 0, "No members are known, so logins were not measured."),
    ],
)
def test_logins(active: int, members: int, sentence: str) -> None:
    assert explain(Component.LOGIN, Counts(members=members, active_members=active)) == sentence


@pytest.mark.parametrize(
    ("on_time", "closed", "sentence"),
    [
        (9, 12, "9 of 12 cases closed in the last 30 days were closed on time."),
        (1, 12, "1 of 12 cases closed in the last 30 days was closed on time."),
        (1, 1, "1 of 1 case closed in the last 30 days was closed on time."),
        (0, 1, "0 of 1 case closed in the last 30 days were closed on time."),
        (0, 0, "No case was closed in the last 30 days, so case resolution was not measured."),
    ],
)
def test_cases(on_time: int, closed: int, sentence: str) -> None:
    assert explain(Component.CASE_RESOLUTION, Counts(cases_closed=closed, cases_on_time=on_time)) == sentence


@pytest.mark.parametrize(
    ("completed", "assigned", "sentence"),
    [
        ([29], [40], "The campaign that closed in the last 30 days was 73 % complete, 29 of 40 assignments."),
        ([0], [40], "The campaign that closed in the last 30 days was 0 % complete, 0 of 40 assignments."),
        (
            [90, 0],
            [90, 10],
            "The 2 campaigns that closed in the last 30 days were 50 % complete on average, 90 of 100 assignments "
            "in all.",
        ),
        ([], [], "No campaign closed in the last 30 days, so campaign completion was not measured."),
    ],
)
def test_campaigns(completed: list[int], assigned: list[int], sentence: str) -> None:
    counts = Counts(campaigns_completed=completed, campaigns_assigned=assigned)
    assert explain(Component.CAMPAIGN_COMPLETION, counts) == sentence


@pytest.mark.parametrize(
    ("used", "enabled", "sentence"),
    [
        (7, 10, "7 of 10 enabled features have been used."),
        (1, 10, "1 of 10 enabled features has been used."),
        (0, 10, "0 of 10 enabled features have been used."),
        (1, 1, "1 of 1 enabled feature has been used."),
        (0, 0, "No features are enabled, so feature adoption was not measured."),
    ],
)
def test_features(used: int, enabled: int, sentence: str) -> None:
    assert explain(Component.FEATURE_ADOPTION, Counts(features_enabled=enabled, features_used=used)) == sentence


@pytest.mark.parametrize(
    ("opened", "before", "members", "sentence"),
    [
        (0, 0, 0, "0 support tickets were opened in the last 30 days, against a usual 2."),
        (1, 0, 0, "1 support ticket was opened in the last 30 days, against a usual 2."),
        (5, 0, 25, "5 support tickets were opened in the last 30 days, against a usual 2.5."),
        (5, 0, 300, "5 support tickets were opened in the last 30 days, against a usual 30."),
        # The mean of three windows: 7 / 3 and 8 / 3.
        (5, 7, 0, "5 support tickets were opened in the last 30 days, against a usual 2.3."),
        (5, 8, 0, "5 support tickets were opened in the last 30 days, against a usual 2.7."),
    ],
)
def test_tickets(opened: int, before: int, members: int, sentence: str) -> None:
    counts = Counts(members=members, tickets_opened=opened, tickets_before=before, tickets_tracked=True)
    assert explain(Component.TICKET_VOLUME, counts) == sentence


def test_tickets_that_were_never_recorded() -> None:
    sentence = "No support ticket was ever recorded, so ticket volume was not measured."
    assert explain(Component.TICKET_VOLUME, Counts(members=20)) == sentence


@pytest.mark.parametrize("component", Component)
@pytest.mark.parametrize("number", [0, 1, 2])
def test_every_explanation_is_one_sentence(component: Component, number: int) -> None:
    counts = Counts(
        members=number,
        active_members=number,
        cases_closed=number,
        cases_on_time=number,
        campaigns_completed=[1] * number,
        campaigns_assigned=[1] * number,
        features_enabled=number,
        features_used=number,
        tickets_opened=number,
        tickets_tracked=number > 0,
    )
    sentence = explain(component, counts)
    assert sentence[0].isupper() or sentence[0].isdigit()
    assert sentence.endswith(".")
    assert ". " not in sentence
