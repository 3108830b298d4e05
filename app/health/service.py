"""Scoring clients: counts the facts of a batch, judges them by the rules, and stores the result."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from itertools import compress
from operator import attrgetter
from typing import Any

import orjson
from sqlalchemy import TextClause
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from app.alerts.rules import DEFAULTS, Standing, Thresholds
from app.benchmarks import rules as peers
from app.database import Database, fetch
from app.feeds import service as feeds
from app.feeds.rules import FeedStatus
from app.health import alerting, queries
from app.health.rules import (
    BASELINE_WINDOWS,
    WEEK_DAYS,
    WINDOW_DAYS,
    Component,
    Counts,
    Health,
    Kept,
    Policy,
    RiskLevel,
    Stale,
    TrafficLight,
    assess,
    last_day_kept,
    window_start,
)
from app.health.staleness import COMPONENTS, to_stored

SCORE_DAY_BATCH = 2000

# What the current row has beside the score: the fields of Facts that it shows.
CURRENT_FACTS = (
    "last_activity_at",
    "attestation_completion",
    "case_resolution_days",
    "weekly_login_rate",
    "feature_adoption",
)
_count_values = attrgetter(*(field.name for field in fields(Counts)))


@dataclass(frozen=True, slots=True)
class Facts:
    """What was counted for one client."""

    counts: Counts
    last_activity_at: datetime | None
    attestation_completion: float | None
    case_resolution_days: float | None
    weekly_login_rate: float | None
    feature_adoption: float | None


# An enum finds its member by value ten times slower than a dictionary, which shows in a recalculation of everybody.
LIGHTS = {light.value: light for light in TrafficLight}
RISKS = {risk.value: risk for risk in RiskLevel}

# What a counting statement found, by client: the columns behind the client's id.
Found = Mapping[int, Sequence[Any]]

_NO_MEMBERS = (0, 0, 0, None)
_NO_CASES = (0, 0, 0, None, None)
_NO_CAMPAIGNS: tuple[list[int], list[int], list[bool]] = ([], [], [])
_NO_FEATURES = (0, 0, None)
_NO_TICKETS = (0, 0, False, None)


@dataclass(frozen=True, slots=True)
class Counted:
    """What the counting statements found."""

    members: Found
    cases: Found
    campaigns: Found
    features: Found
    tickets: Found
    # The latest activity of every client, null for none.
    activity: Mapping[int, datetime | None]


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

    A client whose score of that day saw more already, being as of a later moment, is left out: the newer score stays.
    The locks keep two calculations from mixing on one client, and the order keeps them from waiting in a circle.
    """
    found = await fetch(session, queries.LOCK_CLIENTS, ids=list(client_ids), day=as_of.date(), as_of=as_of)
    return [row.id for row in found]


@dataclass(frozen=True, slots=True)
class Judged:
    """What the rules say of locked clients, ready to be stored."""

    scored: Sequence[tuple[int, Facts, Health]]
    # How the clients stood on the previous scoring day, as far as they had a score.
    previous: Mapping[int, Standing]
    # The reason for each client whose facts contradict themselves.
    failures: Mapping[int, str]


async def judge_clients(session: AsyncSession, client_ids: Sequence[int], *, as_of: datetime, policy: Policy) -> Judged:
    """Count the facts of locked clients and judge them for the UTC day of `as_of`; later facts are not seen."""
    counted = await _count(session, client_ids, as_of)
    found = await fetch(session, queries.PREVIOUS_SCORES, ids=list(client_ids), day=as_of.date())
    previous = {row.id: Standing(row.score, LIGHTS[row.light], RISKS[row.risk]) for row in found}
    stale = await _kept(session, client_ids, as_of)
    scored: list[tuple[int, Facts, Health]] = []
    failures: dict[int, str] = {}
    for client_id in client_ids:
        try:
            facts = _facts(counted, client_id)
            before = previous.get(client_id)
            health = assess(facts.counts, before.score if before else None, policy, stale.get(client_id))
            scored.append((client_id, facts, health))
        except ValueError as error:
            failures[client_id] = f"The facts contradict themselves: {error}."
    return Judged(scored, previous, failures)


async def store(
    session: AsyncSession,
    judged: Judged,
    *,
    as_of: datetime,
    calculated_at: datetime,
    policy: Policy,
    thresholds: Thresholds = DEFAULTS,
    run_id: int | None = None,
) -> Mapping[int, str]:
    """Replace the day's scores of the clients that were judged in the same transaction, and have alerts follow.

    Alerts raised for a `run_id` are held until that run ends.
    Returns the reason for each client whose facts contradict themselves; its earlier scores stay as they are.
    """
    scored, previous = judged.scored, judged.previous
    if scored:
        await _store(session, scored, previous, as_of=as_of, calculated_at=calculated_at, policy=policy)
        await alerting.follow(
            session,
            [(client_id, facts.counts, health) for client_id, facts, health in scored],
            previous,
            policy,
            thresholds,
            as_of=as_of,
            calculated_at=calculated_at,
            run_id=run_id,
        )
    return judged.failures


async def score_clients(
    session: AsyncSession, client_ids: Sequence[int], *, as_of: datetime, calculated_at: datetime, policy: Policy
) -> Mapping[int, str]:
    """Judge locked clients and store their scores; see `judge_clients` and `store`."""
    judged = await judge_clients(session, client_ids, as_of=as_of, policy=policy)
    return await store(session, judged, as_of=as_of, calculated_at=calculated_at, policy=policy)


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


async def _kept(session: AsyncSession, client_ids: Sequence[int], as_of: datetime) -> Mapping[int, Stale]:
    """Return the components that keep a score because their feed is stale, by client.

    A component without a measured score of a day before the silence is judged by its counts, as usual.
    """
    stale = [feed for feed in await feeds.statuses(session, as_of) if feed.status is FeedStatus.STALE]
    if not stale:
        return {}
    values = {
        "components": [COMPONENTS[feed.kind] for feed in stale],
        "received": [feed.last_received_at for feed in stale],
        "silent": [feed.silent_since for feed in stale],
        "stale": [feed.stale_since for feed in stale],
    }
    kept: dict[int, dict[Component, Kept]] = {}
    for row in await fetch(session, queries.KEPT_SCORES, ids=list(client_ids), **values):
        lapsed = as_of.date() > last_day_kept(row.stale_since)
        last = Kept(row.score, row.day, row.silent_since, row.stale_since, lapsed)
        kept.setdefault(row.client_id, {})[Component(row.component)] = last
    return kept


async def _count(session: AsyncSession, client_ids: Sequence[int], as_of: datetime) -> Counted:
    """Return what one statement a component finds for the whole batch."""
    day, ids = as_of.date(), list(client_ids)
    start = window_start(day)
    values = {"ids": ids, "start": start, "as_of": as_of}

    async def by_client(statement: TextClause, **more: object) -> Found:
        return {row[0]: row[1:] for row in await fetch(session, statement, **values | more)}

    members = await by_client(queries.MEMBERS, week=window_start(day, WEEK_DAYS))
    cases = await by_client(queries.CASES)
    campaigns = await by_client(queries.CAMPAIGNS)
    features = await by_client(queries.FEATURES)
    tickets = await by_client(queries.TICKETS, before_start=start - timedelta(days=BASELINE_WINDOWS * WINDOW_DAYS))
    other = await by_client(queries.OTHER_ACTIVITY)
    activity = _latest(ids, (members, cases, features, tickets, other))
    idle = [client_id for client_id, at in activity.items() if at is None or at < start]
    if idle:
        earlier = await by_client(queries.EARLIER_ACTIVITY, ids=idle)
        activity |= _latest(idle, (earlier, {client_id: [activity[client_id]] for client_id in idle}))
    return Counted(members, cases, campaigns, features, tickets, activity)


def _latest(client_ids: Sequence[int], sources: Sequence[Found]) -> dict[int, datetime | None]:
    """Return each client's latest moment, which is the last column of every source."""
    latest: dict[int, datetime | None] = dict.fromkeys(client_ids)
    for source in sources:
        for client_id, found in source.items():
            at, known = found[-1], latest[client_id]
            if at is not None and (known is None or at > known):
                latest[client_id] = at
    return latest


def _facts(counted: Counted, client_id: int) -> Facts:
    """Return one client's facts; a statement that found nothing for it counted zero."""
    members, active, weekly_active, _ = counted.members.get(client_id, _NO_MEMBERS)
    closed, on_time, timed, time_to_close, _ = counted.cases.get(client_id, _NO_CASES)
    completed, assigned, attestation = counted.campaigns.get(client_id, _NO_CAMPAIGNS)
    enabled, used, _ = counted.features.get(client_id, _NO_FEATURES)
    opened, before, tracked, _ = counted.tickets.get(client_id, _NO_TICKETS)
    return Facts(
        Counts(members, active, closed, on_time, completed, assigned, enabled, used, opened, before, tracked),
        counted.activity[client_id],
        peers.mean_percent(list(compress(completed, attestation)), list(compress(assigned, attestation))),
        peers.mean_days(time_to_close, timed),
        peers.percent(weekly_active, members),
        peers.percent(used, enabled),
    )


async def _store(
    session: AsyncSession,
    scored: Sequence[tuple[int, Facts, Health]],
    previous: Mapping[int, Standing],
    *,
    as_of: datetime,
    calculated_at: datetime,
    policy: Policy,
) -> None:
    """Replace the day's score rows, and bring the current rows up to date unless they are of a later day."""
    day = as_of.date()
    ids = [client_id for client_id, _, _ in scored]
    await session.execute(queries.DELETE_SCORES, {"ids": ids, "day": day})
    version = policy.version
    await queries.copy_scores(
        session,
        [
            (
                client_id,
                day,
                as_of,
                calculated_at,
                version,
                health.score,
                previous[client_id].score if client_id in previous else None,
                health.coverage,
                health.light,
                health.trend,
                health.risk,
                *health.components,
                *_count_values(facts.counts),
                orjson.dumps(to_stored(health.stale)).decode() if health.stale else None,
            )
            for client_id, facts, health in scored
        ],
    )
    values = {name: [getattr(facts, name) for _, facts, _ in scored] for name in CURRENT_FACTS}
    await session.execute(queries.UPDATE_CURRENT, {"ids": ids, "day": day, **values})
