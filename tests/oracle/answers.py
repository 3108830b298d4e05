"""What the API must answer, as the oracle has it: the shapes of the contract, filled with its values."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from fractions import Fraction
from typing import Any

from tests.oracle import peers, spec, usage
from tests.oracle.compare import Text
from tests.oracle.facts import Facts, World, alerts_enabled
from tests.oracle.portfolio import Summary
from tests.oracle.spec import Assessment, ComponentScore, end_of

Answer = dict[str, Any]


def component(part: ComponentScore) -> Answer:
    """Return one HealthComponent, as cards show it."""
    return {
        "key": part.key,
        "label": Text(),
        "weight": Fraction(part.weight),
        "score": part.score,
        "trafficLight": part.light,
        "measured": part.measured,
        "contribution": part.contribution,
    }


def health(assessment: Assessment | None, calculated_at: datetime | None) -> Answer | None:
    """Return HealthScore, as cards show it; null only before the first calculation."""
    if assessment is None:
        return None
    return {
        "score": assessment.score,
        "trafficLight": assessment.light,
        "trend": assessment.trend,
        "trendDelta": assessment.trend_delta,
        "riskLevel": assessment.risk,
        "coverage": assessment.coverage,
        "calculatedAt": calculated_at,
        "components": [component(part) for part in assessment.components],
    }


def card(facts: Facts, global_id: str, health_answer: Answer | None, last_activity: datetime | None) -> Answer:
    """Return Client, as the portfolio shows it."""
    client = facts.client
    return {
        "id": global_id,
        "name": client.name,
        "size": client.size,
        "industry": client.industry,
        "engagementModel": client.engagement_model,
        "owner": client.owner,
        "renewalDate": client.renewal_date,
        "alertsEnabled": alerts_enabled(client),
        "lastActivityAt": last_activity,
        "health": health_answer,
    }


def explanations(facts: Facts, as_of: datetime) -> list[Text]:
    """Return what each component's sentence must say: "with the counts ("14 of 20 members were active ...")"."""
    members = len(spec.counted_members(facts, as_of))
    closed = [case for case in facts.cases if spec.in_window(case.closed_at, as_of)]
    on_time = [case for case in closed if case.closed_at and (not case.sla_due_at or case.closed_at <= case.sla_due_at)]
    campaigns = len(spec.campaign_ratios(facts, as_of))
    enabled, used = spec.feature_counts(facts, as_of)
    opened = sum(spec.in_window(ticket.opened_at, as_of) for ticket in facts.tickets)
    tracked = spec.tickets_tracked(facts, as_of)
    return [
        Text(f"{spec.active_members(facts, as_of)} of {members} member", "active in the last 30 days")
        if members
        else Text(),
        Text(str(len(on_time)), str(len(closed))) if len(closed) > 1 else Text(),
        Text(str(campaigns)) if campaigns > 1 else Text(),
        Text(str(used), str(enabled)) if enabled > 1 else Text(),
        Text(str(opened)) if tracked and opened > 1 else Text(),
    ]


def history(assessments: Mapping[date, Assessment], days: int) -> list[Answer]:
    """Return the scores of the `days` days that end with the latest scoring day, oldest first."""
    last = max(assessments)
    return [
        {
            "date": day,
            "score": assessments[day].score,
            "trafficLight": assessments[day].light,
            "trend": assessments[day].trend,
            "riskLevel": assessments[day].risk,
        }
        for day in sorted(assessments)
        if day > last - timedelta(days=days)
    ]


def usage_answer(facts: Facts, as_of: datetime, days: int) -> Answer:
    """Return Usage."""
    expected = usage.usage(facts, as_of, days)
    return {
        "daily": [
            {
                "date": day.date,
                "logins": day.logins,
                "casesCreated": day.cases_created,
                "casesResolved": day.cases_resolved,
                "campaignResponses": day.campaign_responses,
            }
            for day in expected.daily
        ],
        "summary": {
            "totalLogins": expected.total_logins,
            "uniqueUsers": expected.unique_users,
            "avgSessionMinutes": expected.avg_session_minutes,
            "peakDay": expected.peak_day,
        },
    }


def feature_adoption(facts: Facts, as_of: datetime) -> Answer:
    """Return FeatureAdoption."""
    enabled, used = spec.feature_counts(facts, as_of)
    return {"enabledCount": enabled, "usedCount": used, "adoptionRate": usage.adoption_percent(facts, as_of)}


def feature_grid(world: World, facts: Facts, as_of: datetime) -> dict[str, Answer]:
    """Return the feature grid by key: the features that are recorded for the client, enabled or not."""
    return {
        state.key: {
            "key": state.key,
            "name": state.name,
            "category": state.category,
            "enabled": state.enabled,
            "adopted": state.adopted,
            "firstUsedAt": state.first_used_at,
            "lastUsedAt": state.last_used_at,
        }
        for state in usage.features(world, facts, as_of).values()
    }


def detail(world: World, facts: Facts, assessments: Mapping[date, Assessment], days: int, history_days: int) -> Answer:
    """Return the parts of the client's page that its card does not hold, as at its latest scoring day."""
    as_of = end_of(max(assessments))
    return {
        "healthHistory": history(assessments, history_days),
        "usage": usage_answer(facts, as_of, days),
        "featureAdoption": feature_adoption(facts, as_of),
    }


def summary(expected: Summary) -> Answer:
    """Return the counts of PortfolioSummary."""
    return {
        "total": expected.total,
        "green": expected.green,
        "amber": expected.amber,
        "red": expected.red,
        "unscored": expected.unscored,
    }


UNITS = {
    "ATTESTATION_COMPLETION": "%",
    "CASE_RESOLUTION_DAYS": "days",
    "WEEKLY_LOGIN_RATE": "%",
    "FEATURE_ADOPTION": "%",
}


def benchmark(expected: peers.Benchmark, size: str | None, industry: str | None) -> Answer:
    """Return Benchmarks, but for the moment that it speaks of."""
    return {
        "size": size,
        "industry": industry,
        "minimumPeers": 5,
        "peerCount": expected.peer_count,
        "available": expected.available,
        "unavailableReason": None if expected.available else Text(),
        "metrics": [
            {
                "key": metric.key,
                "label": Text(),
                "unit": UNITS[metric.key],
                "lowerIsBetter": metric.key in peers.LOWER_IS_BETTER,
                "peerCount": metric.peer_count,
                "p25": metric.p25,
                "median": metric.median,
                "p75": metric.p75,
                "clientValue": metric.client_value,
                "clientPercentile": metric.client_percentile,
            }
            for metric in expected.metrics
        ],
    }
