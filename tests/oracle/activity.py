"""Recent activity, written slowly from the specification."""

from collections.abc import Mapping
from datetime import date, datetime

from tests.oracle.facts import Facts
from tests.oracle.spec import Assessment, previous_score, scoring_day


def events(facts: Facts) -> list[tuple[str, datetime]]:
    """Return "cases opened and closed, campaigns closed, a feature's first use" with their moments.

    A feature of which only the last use is known was first used then at the latest.
    """
    moments = [
        *(("CASE_OPENED", case.opened_at) for case in facts.cases),
        *(("CASE_CLOSED", case.closed_at) for case in facts.cases),
        *(("CAMPAIGN_CLOSED", campaign.closed_at) for campaign in facts.campaigns),
        *(("FEATURE_FIRST_USED", row.first_used_at or row.last_used_at) for row in facts.features),
    ]
    return sorted((kind, moment) for kind, moment in moments if moment is not None)


def login_days(facts: Facts) -> list[date]:
    """Return "logins by day": the days with a login."""
    return sorted({scoring_day(login.at) for login in facts.logins})


def score_changes(history: Mapping[date, Assessment]) -> list[date]:
    """Return the scoring days whose score is another than the most recent one before it."""
    return [
        day
        for day in sorted(history)
        if history[day].score is not None
        and previous_score(history, day) is not None
        and history[day].score != previous_score(history, day)
    ]
