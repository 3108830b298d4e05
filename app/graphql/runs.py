"""Runs in the API: asking for a calculation, and watching what runs do."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated, Any

import strawberry
from sqlalchemy import Row

from app.auth.tokens import Role
from app.errors import InvalidInput, NotFound
from app.graphql.clients import Client, client_by_key
from app.graphql.context import Context, Info, require
from app.graphql.errors import (
    ConflictError,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    UnauthenticatedError,
    UnavailableError,
)
from app.graphql.pagination import Node, PageInfo, check_first, decode, encode, global_id, key_of, page_info
from app.health import requests
from app.runs import service
from app.runs.models import RunKind, RunStatus
from app.usage import recording


@strawberry.type(description="What went wrong for one client of a run.")
class RunFailure:
    """One client's failure; the client is read only when it is asked for."""

    client_key: strawberry.Private[int]
    client_id: strawberry.ID = strawberry.field(description="The id of the client.")
    message: str = strawberry.field(description="One sentence that says what went wrong.")

    @strawberry.field(description="The client.")
    async def client(self, info: Info) -> Client:
        """Return the client."""
        return await client_by_key(info.context, self.client_key)


@strawberry.type(description="A piece of work that was accepted and is carried out in the background.")
class Run(Node):
    """A run with its progress."""

    key: strawberry.Private[int]
    kind: RunKind = strawberry.field(description="What the run does.")
    status: RunStatus = strawberry.field(description="Where the run stands.")
    total: int | None = strawberry.field(description="How many pieces there are, null until they were counted.")
    done: int = strawberry.field(description="How many pieces are done.")
    failed: int = strawberry.field(description="How many pieces failed.")
    requested_by: str = strawberry.field(description="Who asked for the run.")
    requested_at: datetime = strawberry.field(description="When it was asked for.")
    started_at: datetime | None = strawberry.field(description="When a worker first took it up.")
    finished_at: datetime | None = strawberry.field(description="When it ended.")
    reason: str | None = strawberry.field(description="Why it failed as a whole, null unless it did.")

    @strawberry.field(description="The first 100 failures, by client.")
    async def errors(self, info: Info) -> list[RunFailure]:
        """Return what went wrong for single clients."""
        return [
            RunFailure(client_key=row.client_id, client_id=global_id("Client", row.client_id), message=row.message)
            for row in await info.context.loaders.run_errors(self.key)
        ]


@strawberry.type(description="A run in its list.")
class RunEdge:
    """One run with its cursor."""

    cursor: str = strawberry.field(description="Where the run lies in the list, to page on from.")
    node: Run = strawberry.field(description="The run.")


@strawberry.type(description="A page of runs, newest first.")
class RunConnection:
    """One page of runs."""

    edges: list[RunEdge] = strawberry.field(description="The runs of this page.")
    page_info: PageInfo = strawberry.field(description="Where this page lies in the list.")


@strawberry.input(description="Which client's health to calculate.")
class RecalculateHealthInput:
    """The input of recalculateHealth."""

    client_id: strawberry.ID = strawberry.field(description="The client's id.")


RecalculateHealthResult = Annotated[
    Run | NotFoundError | InvalidInputError | ConflictError | ForbiddenError | UnauthenticatedError | UnavailableError,
    strawberry.union("RecalculateHealthResult", description="The accepted run, or why there is none."),
]

RecalculateAllHealthResult = Annotated[
    Run | ForbiddenError | UnauthenticatedError | UnavailableError,
    strawberry.union("RecalculateAllHealthResult", description="The accepted run, or why there is none."),
]


@strawberry.input(description="Which day's metrics to record.")
class RecordDailyMetricsInput:
    """The input of recordDailyMetrics."""

    day: date | None = strawberry.field(
        name="date", default=None, description="The UTC day, null for the last whole one."
    )


RecordDailyMetricsResult = Annotated[
    Run | InvalidInputError | ForbiddenError | UnauthenticatedError | UnavailableError,
    strawberry.union("RecordDailyMetricsResult", description="The accepted run, or why there is none."),
]


def run_of(row: Row[Any]) -> Run:
    """Return a run from its row."""
    return Run(
        id=global_id("Run", row.id),
        key=row.id,
        kind=RunKind(row.kind),
        status=RunStatus(row.status),
        total=row.total,
        done=row.done,
        failed=row.failed,
        requested_by=row.requested_by,
        requested_at=row.requested_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        reason=row.reason,
    )


async def run_by_key(context: Context, key: int) -> Run:
    """Return the run. Raises NotFound."""
    row = await context.loaders.run(key)
    if row is None:
        raise NotFound("There is no run with this id.")
    return run_of(row)


def connection_of(rows: Sequence[Row[Any]], first: int, after: str | None) -> RunConnection:
    """Return a page from up to `first` + 1 rows."""
    edges = [RunEdge(cursor=encode(["run", row.id]), node=run_of(row)) for row in rows[:first]]
    cursors = [edge.cursor for edge in edges]
    return RunConnection(edges=edges, page_info=page_info(cursors, more=len(rows) > first, after=after))


def position_of(after: str | None) -> int | None:
    """Return the run that a cursor stands for. Raises InvalidInput for a cursor of another list."""
    if after is None:
        return None
    match decode("after", after):
        case ["run", int(run_id)] if 0 < run_id < 2**63:
            return run_id
        case _:
            raise InvalidInput("after", "after is not a cursor of the list of runs.")


@strawberry.type
class RunQuery:
    """The query about runs."""

    @strawberry.field(description="What ran and what runs, newest first.")
    async def runs(
        self,
        info: Info,
        first: Annotated[int, strawberry.argument(description="How many runs to return at most, from 1 to 100.")] = 20,
        after: Annotated[
            str | None, strawberry.argument(description="The cursor to continue behind, from an earlier page.")
        ] = None,
    ) -> RunConnection:
        """Return one page."""
        require(info)
        position = position_of(after)
        async with info.context.database.read() as connection:
            rows = await service.page(connection, check_first(first), position)
        return connection_of(rows, first, after)


@strawberry.type
class RunMutation:
    """The mutations that start runs."""

    @strawberry.mutation(description="Has the health of one client calculated; returns an unfinished run of the kind.")
    async def recalculate_health(
        self, info: Info, input: Annotated[RecalculateHealthInput, strawberry.argument(description="Which client.")]
    ) -> RecalculateHealthResult:
        """Accept the run and return it at once."""
        viewer, context = require(info), info.context
        client_key = key_of("clientId", input.client_id, "Client")
        async with context.database.begin() as session:
            run_id = await requests.recalculate_one(
                session, client_key, requested_by=viewer.subject, now=context.now, request_id=context.request_id
            )
        return await run_by_key(context, run_id)

    @strawberry.mutation(description="Has the health of all clients calculated; needs the role PLATFORM_ADMIN.")
    async def recalculate_all_health(self, info: Info) -> RecalculateAllHealthResult:
        """Accept the run and return it at once."""
        viewer, context = require(info, Role.PLATFORM_ADMIN), info.context
        async with context.database.begin() as session:
            run_id = await requests.recalculate_all(
                session, requested_by=viewer.subject, now=context.now, request_id=context.request_id
            )
        return await run_by_key(context, run_id)

    @strawberry.mutation(description="Has a day's metrics recorded; needs the role PLATFORM_ADMIN.")
    async def record_daily_metrics(
        self, info: Info, input: Annotated[RecordDailyMetricsInput, strawberry.argument(description="Which day.")]
    ) -> RecordDailyMetricsResult:
        """Accept the run and return it at once."""
        viewer, context = require(info, Role.PLATFORM_ADMIN), info.context
        async with context.database.begin() as session:
            run_id = await recording.record_metrics(
                session, requested_by=viewer.subject, now=context.now, day=input.day, request_id=context.request_id
            )
        return await run_by_key(context, run_id)
