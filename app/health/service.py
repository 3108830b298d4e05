"""Scoring clients: counts the facts of a batch, judges them by the rules, and stores the result."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, fields
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Row, TextClause
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from app.alerts import service as alerts
from app.alerts.rules import Standing
from app.benchmarks import rules as peers
from app.database import Database, fetch
from app.health import queries
from app.health.rules import (
    BASELINE_WINDOWS,
    WEEK_DAYS,
    WINDOW_DAYS,
    Counts,
    Health,
    Policy,
    TrafficLight,
    assess,
    window_start,
)

SCORE_DAY_BATCH = 2000


@dataclass(frozen=True, slots=True)
class Facts:
    """What was counted for one client."""

    counts: Counts
    last_activity_at: datetime | None
    attestation_completion: float | None
    case_resolution_days: float | None
    weekly_login_rate: float | None
    feature_adoption: float | None


@dataclass(frozen=True, slots=True)
class Counted:
    """The rows of the counting statements by client."""

    members: Mapping[int, Row[Any]]
    cases: Mapping[int, Row[Any]]
    campaigns: Mapping[int, Row[Any]]
    features: Mapping[int, Row[Any]]
    tickets: Mapping[int, Row[Any]]
    tracked: Set[int]
    activity: Mapping[int, Row[Any]]


async def load_policies(session: AsyncSession | AsyncConnection) -> dict[int, Policy]:
    """Return every policy by its version; the highest version is the one that new scores use."""
    return {row.version: Policy(**row._mapping) for row in await fetch(session, queries.POLICIES)}


async def current_policy(session: AsyncSession | AsyncConnection) -> Policy:
    """Return the policy that new scores are computed with."""
    policies = await load_policies(session)
    return policies[max(policies)]


async def count_scored(session: AsyncSession, as_of: datetime, client_id: int | None = None) -> int:
    """Return how many clients, or whether the one, are scored for the day of `as_of`."""
    values = {"day": as_of.date(), "as_of": as_of, "client_id": client_id}
    return int((await fetch(session, queries.COUNT_SCORED, **values))[0][0])


async def next_clients(
    session: AsyncSession, after: int, size: int, as_of: datetime, client_id: int | None = None
) -> list[int]:
    """Return the next clients with an id above `after` that are scored for the day of `as_of`, in id order."""
    values = {"after": after, "size": size, "day": as_of.date(), "as_of": as_of, "client_id": client_id}
    return [row.id for row in await fetch(session, queries.NEXT_SCORED, **values)]


async def lock_clients(session: AsyncSession, client_ids: Sequence[int], as_of: datetime) -> list[int]:
    """Lock and return those of the clients that are scored for the day of `as_of`, in id order.

    The locks keep two calculations from mixing on one client, and the order keeps them from waiting in a circle.
    """
    found = await fetch(session, queries.LOCK_CLIENTS, ids=list(client_ids), day=as_of.date(), as_of=as_of)
    return [row.id for row in found]


async def score_clients(
    session: AsyncSession, client_ids: Sequence[int], *, as_of: datetime, calculated_at: datetime, policy: Policy
) -> Mapping[int, str]:
    """Score locked clients for the UTC day of `as_of` and replace that day's scores.

    Facts later than `as_of` are not seen. Returns the reason for each client whose facts contradict themselves; its
    earlier scores stay as they are.
    """
    if not client_ids:
        return {}
    day = as_of.date()
    counted = await _count(session, client_ids, as_of)
    found = await fetch(session, queries.PREVIOUS_SCORES, ids=list(client_ids), day=day)
    previous = {row.id: Standing(row.score, row.light, row.risk) for row in found}
    scored: list[tuple[int, Facts, Health]] = []
    failures: dict[int, str] = {}
    for client_id in client_ids:
        try:
            facts = _facts(counted, client_id)
            before = previous.get(client_id)
            scored.append((client_id, facts, assess(facts.counts, before.score if before else None, policy)))
        except ValueError as error:
            failures[client_id] = f"The facts contradict themselves: {error}."
    await _store(session, scored, previous, day=day, as_of=as_of, calculated_at=calculated_at, policy=policy)
    await _alert(session, scored, previous, policy, as_of=as_of, calculated_at=calculated_at)
    return failures


async def _alert(
    session: AsyncSession,
    scored: Sequence[tuple[int, Facts, Health]],
    previous: Mapping[int, Standing],
    policy: Policy,
    *,
    as_of: datetime,
    calculated_at: datetime,
) -> None:
    """Have alerts follow the new scores; unscored clients neither raise nor resolve one."""
    standings = {
        client_id: Standing(health.score, health.light, health.risk)
        for client_id, _, health in scored
        if health.score is not None and health.light is not None and health.risk is not None
    }
    await alerts.follow_scores(
        session,
        {client_id: (standing, previous.get(client_id)) for client_id, standing in standings.items()},
        green=[client_id for client_id, standing in standings.items() if standing.light is TrafficLight.GREEN],
        green_from=policy.green_from,
        day=as_of.date(),
        # A day that is scored late was alarming then, not now.
        raised_at=min(as_of, calculated_at),
        now=calculated_at,
    )


async def score_day(database: Database, as_of: datetime, calculated_at: datetime) -> None:
    """Score every client for the UTC day of `as_of`, batch by batch, without a run.

    Raises ValueError when the facts of a client contradict themselves.
    """
    after = 0
    while True:
        async with database.begin() as session:
            policy = await current_policy(session)
            client_ids = await next_clients(session, after, SCORE_DAY_BATCH, as_of)
            locked = await lock_clients(session, client_ids, as_of)
            failures = await score_clients(session, locked, as_of=as_of, calculated_at=calculated_at, policy=policy)
            if failures:
                raise ValueError(f"clients could not be scored: {failures}")
        if len(client_ids) < SCORE_DAY_BATCH:
            return
        after = client_ids[-1]


async def _count(session: AsyncSession, client_ids: Sequence[int], as_of: datetime) -> Counted:
    """Return what one statement a component finds for the whole batch."""
    day, ids = as_of.date(), list(client_ids)
    start = window_start(day)
    values = {"ids": ids, "start": start, "as_of": as_of}

    async def by_client(statement: TextClause, **more: object) -> Mapping[int, Row[Any]]:
        return {row[0]: row for row in await fetch(session, statement, **values, **more)}

    before_start = start - timedelta(days=BASELINE_WINDOWS * WINDOW_DAYS)
    tickets = await by_client(queries.TICKETS, before_start=before_start)
    without_recent = [client_id for client_id in ids if client_id not in tickets]
    ever = await fetch(session, queries.TICKETS_EVER, ids=without_recent, as_of=as_of)
    return Counted(
        members=await by_client(queries.MEMBERS, week=window_start(day, WEEK_DAYS)),
        cases=await by_client(queries.CASES),
        campaigns=await by_client(queries.CAMPAIGNS),
        features=await by_client(queries.FEATURES),
        tickets=tickets,
        tracked={*tickets, *(row.id for row in ever)},
        activity=await by_client(queries.LAST_ACTIVITY),
    )


def _facts(counted: Counted, client_id: int) -> Facts:
    """Return one client's facts; a statement that found nothing for it counted zero."""
    members, cases = counted.members.get(client_id), counted.cases.get(client_id)
    campaigns, features = counted.campaigns.get(client_id), counted.features.get(client_id)
    tickets = counted.tickets.get(client_id)
    completed, assigned = (campaigns.completed, campaigns.assigned) if campaigns else ([], [])
    attestations = [i for i, attestation in enumerate(campaigns.attestation) if attestation] if campaigns else []
    counts = Counts(
        members=members.members if members else 0,
        active_members=members.active if members else 0,
        cases_closed=cases.closed if cases else 0,
        cases_on_time=cases.on_time if cases else 0,
        campaigns_completed=completed,
        campaigns_assigned=assigned,
        features_enabled=features.enabled if features else 0,
        features_used=features.used if features else 0,
        tickets_opened=tickets.opened if tickets else 0,
        tickets_before=tickets.before if tickets else 0,
        tickets_tracked=client_id in counted.tracked,
    )
    return Facts(
        counts,
        counted.activity[client_id].at,
        peers.mean_percent([completed[i] for i in attestations], [assigned[i] for i in attestations]),
        peers.mean_days(cases.time_to_close, cases.timed) if cases else None,
        peers.percent(members.weekly_active, members.members) if members else None,
        peers.percent(counts.features_used, counts.features_enabled),
    )


async def _store(
    session: AsyncSession,
    scored: Sequence[tuple[int, Facts, Health]],
    previous: Mapping[int, Standing],
    *,
    day: date,
    as_of: datetime,
    calculated_at: datetime,
    policy: Policy,
) -> None:
    """Replace the day's score rows, and bring the current rows up to date unless they are of a later day."""
    ids = [client_id for client_id, _, _ in scored]
    await session.execute(queries.DELETE_SCORES, {"ids": ids, "day": day})
    await queries.copy_scores(
        session,
        [
            (
                client_id,
                day,
                as_of,
                calculated_at,
                policy.version,
                health.score,
                previous[client_id].score if client_id in previous else None,
                health.coverage,
                health.light,
                health.trend,
                health.risk,
                *health.components,
                *(getattr(facts.counts, field.name) for field in fields(Counts)),
            )
            for client_id, facts, health in scored
        ],
    )
    current = zip(
        *(
            (
                client_id,
                facts.last_activity_at,
                health.score,
                health.coverage,
                health.light,
                health.trend,
                health.trend_delta,
                health.risk,
                *health.components,
                facts.counts.tickets_tracked,
                facts.attestation_completion,
                facts.case_resolution_days,
                facts.weekly_login_rate,
                facts.feature_adoption,
            )
            for client_id, facts, health in scored
        ),
        strict=True,
    )
    columns = dict(zip(queries.CURRENT_COLUMNS, map(list, current), strict=False))
    if columns:
        values = {"day": day, "calculated_at": calculated_at, "policy_version": policy.version}
        await session.execute(queries.UPDATE_CURRENT, columns | values)
