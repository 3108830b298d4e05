"""Health in the API: the score with its components, and its history."""

from datetime import date, datetime
from typing import Any

import strawberry
from sqlalchemy import Row

from app.graphql.context import Info
from app.health.explanations import explain, explain_kept
from app.health.rules import (
    LABELS,
    Component,
    HealthTrend,
    Kept,
    Policy,
    RiskLevel,
    TrafficLight,
    contributions,
    light_of,
)
from app.health.staleness import from_stored


@strawberry.type(description="One of the five parts of a health score.")
class HealthComponent:
    """One component of a client's current score."""

    client_key: strawberry.Private[int]
    kept: strawberry.Private[Kept | None]
    key: Component = strawberry.field(description="Which part this is.")
    label: str = strawberry.field(description="The name of the part for people.")
    weight: int = strawberry.field(description="The weight of the part in percent, before missing parts are filled in.")
    score: int | None = strawberry.field(
        description="The score from 0 to 100, null where there is nothing to divide by."
    )
    traffic_light: TrafficLight | None = strawberry.field(description="The colour of the score, null without one.")
    measured: bool = strawberry.field(description="Whether the part was measured and counts towards the coverage.")
    contribution: float | None = strawberry.field(
        description="The points that the part adds to the overall score before rounding, null without a score."
    )
    stale: bool = strawberry.field(
        description="Whether its feed is stale. The part then keeps its last measured score, and counts as measured "
        "for 7 scoring days. After that it has a score only where the overall score would be higher without it."
    )
    stale_since: date | None = strawberry.field(
        description="The UTC day on which the silence of its feed became longer than usual, null while it is not stale."
    )

    @strawberry.field(description="One sentence that explains the score with the counts behind it.")
    async def explanation(self, info: Info) -> str:
        """Return the sentence, from the counts that were stored with the score."""
        if self.kept is not None:
            return explain_kept(self.key, self.kept, self.score)
        return explain(self.key, await info.context.loaders.counts(self.client_key))


@strawberry.type(description="The health of a client as it was calculated last.")
class HealthScore:
    """A client's current score."""

    day: date = strawberry.field(
        name="date", description="The scoring day, a UTC day with which the window of 30 days ends."
    )
    score: int | None = strawberry.field(
        description="The overall score from 0 to 100, null where less than half of the weight was measured."
    )
    traffic_light: TrafficLight | None = strawberry.field(
        description="The colour of the overall score, null without one."
    )
    trend: HealthTrend | None = strawberry.field(description="Where the score is heading, null without a score.")
    trend_delta: int | None = strawberry.field(
        description="The difference to the most recent score of an earlier day, from -100 to 100, null without a score."
    )
    risk_level: RiskLevel | None = strawberry.field(
        description="How likely the client is to be lost, null without a score."
    )
    coverage: int = strawberry.field(description="The percentage of the weight that was measured.")
    calculated_at: datetime = strawberry.field(description="When the score was calculated.")
    components: list[HealthComponent] = strawberry.field(description="The five parts of the score, in a fixed order.")


@strawberry.type(description="The score of one past day.")
class HealthPoint:
    """One day of a client's history."""

    day: date = strawberry.field(name="date", description="The scoring day.")
    score: int | None = strawberry.field(description="The overall score from 0 to 100, null for an unscored client.")
    traffic_light: TrafficLight | None = strawberry.field(description="The colour of the score, null without one.")
    trend: HealthTrend | None = strawberry.field(
        description="Where the score was heading that day, null without a score."
    )
    risk_level: RiskLevel | None = strawberry.field(description="The risk that day, null without a score.")


def health_of(row: Row[Any], policies: dict[int, Policy]) -> HealthScore | None:
    """Return the health on a client's row; None before its first calculation."""
    if row.scored_day is None:
        return None
    policy = policies[row.policy_version]
    scores = (row.login_score, row.case_score, row.campaign_score, row.feature_score, row.ticket_score)
    stale = from_stored(row.stale) or {}
    components = [
        HealthComponent(
            client_key=row.id,
            kept=(kept := stale.get(key)),
            key=key,
            label=LABELS[key],
            weight=weight,
            score=score,
            traffic_light=None if score is None else light_of(score, policy),
            measured=_measured(row, key, score) if kept is None else kept.measured,
            contribution=contribution,
            stale=kept is not None,
            stale_since=None if kept is None else kept.stale_since,
        )
        for key, weight, score, contribution in zip(
            Component, policy.weights, scores, contributions(scores, policy), strict=True
        )
    ]
    return HealthScore(
        day=row.scored_day,
        score=row.score,
        traffic_light=row.light,
        trend=row.trend,
        trend_delta=row.trend_delta,
        risk_level=row.risk,
        coverage=row.coverage,
        calculated_at=row.calculated_at,
        components=components,
    )


def _measured(row: Row[Any], key: Component, score: int | None) -> bool:
    """Return whether a component of a feed that delivers was measured."""
    return bool(row.tickets_tracked) if key is Component.TICKET_VOLUME else score is not None


def point_of(row: Row[Any]) -> HealthPoint:
    """Return one day of the history from its row."""
    return HealthPoint(day=row.day, score=row.score, traffic_light=row.light, trend=row.trend, risk_level=row.risk)
