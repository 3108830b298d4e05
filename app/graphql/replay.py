"""Replays of alerts in the API: asking for one, and reading what it counted."""

from dataclasses import replace
from datetime import date
from typing import Annotated

import strawberry

from app.alerts import replay as service
from app.alerts.replay import Replay
from app.auth.tokens import Role
from app.graphql.clients import Client, client_by_key
from app.graphql.context import Info, require
from app.graphql.errors import (
    ForbiddenError,
    InvalidInputError,
    UnauthenticatedError,
    UnavailableError,
)
from app.graphql.pagination import check_first, key_of
from app.graphql.runs import Run, run_by_key
from app.runs.execution import thresholds_of


@strawberry.input(description="Which days to replay, and with which thresholds; a null one is as it is set.")
class ReplayAlertsInput:
    """The input of replayAlerts."""

    days: int = strawberry.field(default=90, description="How many UTC days up to today, from 1 to 730.")
    drop_points: int | None = strawberry.field(
        default=None, description="Points that a score has to fall by more than for an alert of its own, 0 to 100."
    )
    again_points: int | None = strawberry.field(
        default=None,
        description="Points that it has to fall by more than once again, while an alert is unresolved, 0 to 100.",
    )
    storm_share: int | None = strawberry.field(
        default=None, description="Percentage of the scored clients above which a day's alerts are held, 0 to 100."
    )
    storm_minimum: int | None = strawberry.field(
        default=None, description="Clients with an alert that it takes at least for that, 1 to 1,000,000."
    )


ReplayAlertsResult = Annotated[
    Run | InvalidInputError | ForbiddenError | UnauthenticatedError | UnavailableError,
    strawberry.union("ReplayAlertsResult", description="The accepted run, or why there is none."),
]


@strawberry.type(description="One day of a replay.")
class ReplayedDay:
    """What a replay counted for a day."""

    day: date = strawberry.field(name="date", description="The scoring day.")
    scored: int = strawberry.field(description="How many clients had a score.")
    alerts: int = strawberry.field(description="How many alerts there are, one a client at most.")
    held: bool = strawberry.field(description="Whether they would be held, since a feed has probably broken.")


@strawberry.type(description="A client of a replay.")
class ReplayedClient:
    """One client; it is read only when it is asked for."""

    client_key: strawberry.Private[int]
    alerts: int = strawberry.field(description="How many alerts the client has.")

    @strawberry.field(description="The client.")
    async def client(self, info: Info) -> Client:
        """Return the client."""
        return await client_by_key(info.context, self.client_key)


@strawberry.type(
    description="How many alerts the stored scores would have raised, for the clients whose alerts are on now."
)
class AlertReplay:
    """What a replay has counted so far; its run says whether it is finished."""

    replay: strawberry.Private[Replay]
    days: int = strawberry.field(description="How many UTC days were replayed.")
    drop_points: int = strawberry.field(description="The drop that it took for an alert of its own.")
    again_points: int = strawberry.field(description="The further fall that it took while an alert was unresolved.")
    storm_share: int = strawberry.field(description="The share of the scored clients from which on alerts are held.")
    storm_minimum: int = strawberry.field(description="The clients that it takes at least for that.")
    alerts: int = strawberry.field(description="How many alerts there are, held ones included.")
    held: int = strawberry.field(description="How many of them would be held.")
    by_day: list[ReplayedDay] = strawberry.field(description="The days with a score, oldest first.")

    @strawberry.field(description="The run that counts or has counted.")
    async def run(self, info: Info) -> Run:
        """Return the run."""
        return await run_by_key(info.context, self.replay.run_id)

    @strawberry.field(description="The clients with most alerts.")
    async def clients(
        self,
        info: Info,
        first: Annotated[int, strawberry.argument(description="How many clients at most, from 1 to 100.")] = 20,
    ) -> list[ReplayedClient]:
        """Return the clients, those with most alerts first."""
        async with info.context.database.read() as connection:
            rows = await service.noisiest(connection, self.replay.run_id, check_first(first))
        return [ReplayedClient(client_key=row.client_id, alerts=row.alerts) for row in rows]


def replay_of(replay: Replay) -> AlertReplay:
    """Return a replay for the API."""
    return AlertReplay(
        replay=replay,
        days=replay.days,
        drop_points=replay.thresholds.drop_points,
        again_points=replay.thresholds.again_points,
        storm_share=replay.thresholds.storm_share,
        storm_minimum=replay.thresholds.storm_minimum,
        alerts=replay.alerts,
        held=replay.held,
        by_day=[ReplayedDay(day=day.day, scored=day.scored, alerts=day.alerts, held=day.held) for day in replay.by_day],
    )


@strawberry.type
class ReplayQuery:
    """The query about replays."""

    @strawberry.field(description="What a replay of alerts has counted; needs the role PLATFORM_ADMIN.")
    async def alert_replay(
        self,
        info: Info,
        run_id: Annotated[strawberry.ID, strawberry.argument(description="The id of the run that replays.")],
    ) -> AlertReplay:
        """Return the replay; the error NOT_FOUND says that the run is none."""
        require(info, Role.PLATFORM_ADMIN)
        async with info.context.database.read() as connection:
            return replay_of(await service.report(connection, key_of("runId", run_id, "Run")))


@strawberry.type
class ReplayMutation:
    """The mutation that starts replays."""

    @strawberry.mutation(
        description="Has the alerts counted that thresholds would have raised; nothing is raised or sent. "
        "Needs the role PLATFORM_ADMIN."
    )
    async def replay_alerts(
        self, info: Info, input: Annotated[ReplayAlertsInput, strawberry.argument(description="What to replay.")]
    ) -> ReplayAlertsResult:
        """Accept the run and return it at once."""
        viewer, context = require(info, Role.PLATFORM_ADMIN), info.context
        names = ("drop_points", "again_points", "storm_share", "storm_minimum")
        given = {name: value for name in names if (value := getattr(input, name)) is not None}
        async with context.database.begin() as session:
            run_id = await service.request(
                session,
                days=input.days,
                thresholds=replace(thresholds_of(context.settings), **given),
                requested_by=viewer.subject,
                now=context.now,
                request_id=context.request_id,
            )
        return await run_by_key(context, run_id)
