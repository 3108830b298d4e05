"""Having alerts follow new scores, with the components that moved as their causes."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from operator import attrgetter

from sqlalchemy.ext.asyncio import AsyncSession

from app.alerts import service as alerts
from app.alerts.causes import Measured, causes
from app.alerts.rules import Standing, Thresholds
from app.database import fetch
from app.health import queries
from app.health.rules import Counts, Health, Policy, TrafficLight
from app.health.staleness import from_stored

_counts_of = attrgetter(*(field.name for field in fields(Counts)))
_policy_of = attrgetter(*(field.name for field in fields(Policy)))
_components_of = attrgetter("login_score", "case_score", "campaign_score", "feature_score", "ticket_score")


async def follow(
    session: AsyncSession,
    scored: Sequence[tuple[int, Counts, Health]],
    previous: Mapping[int, Standing],
    policy: Policy,
    thresholds: Thresholds,
    *,
    as_of: datetime,
    calculated_at: datetime,
    run_id: int | None,
) -> None:
    """Have alerts follow the new scores; unscored clients neither raise nor resolve one.

    Alerts raised for a `run_id` are held until that run ends.
    """
    standings = {
        client_id: Standing(health.score, health.light, health.risk)
        for client_id, _, health in scored
        if health.score is not None and health.light is not None and health.risk is not None
    }
    raised = await alerts.follow_scores(
        session,
        {client_id: (standing, previous.get(client_id)) for client_id, standing in standings.items()},
        green=[client_id for client_id, standing in standings.items() if standing.light is TrafficLight.GREEN],
        green_from=policy.green_from,
        day=as_of.date(),
        # A day that is scored late was alarming then, not now.
        raised_at=min(as_of, calculated_at),
        now=calculated_at,
        thresholds=thresholds,
        run_id=run_id,
    )
    if not raised:
        return
    after = {
        client_id: Measured(standings[client_id].score, health.components, counts, policy, health.stale)
        for client_id, counts, health in scored
        if client_id in raised
    }
    before = await _before(session, list(raised), as_of)
    await alerts.add_causes(
        session, {alert_id: causes(before[client_id], after[client_id]) for client_id, alert_id in raised.items()}
    )


async def _before(session: AsyncSession, client_ids: Sequence[int], as_of: datetime) -> Mapping[int, Measured]:
    """Return what the clients' scores of the previous scoring day were made of."""
    found = await fetch(session, queries.PREVIOUS_INPUTS, ids=list(client_ids), day=as_of.date())
    return {
        row.client_id: Measured(
            row.score, _components_of(row), Counts(*_counts_of(row)), Policy(*_policy_of(row)), from_stored(row.stale)
        )
        for row in found
    }
