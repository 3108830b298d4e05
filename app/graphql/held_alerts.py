"""Held alerts in the API: an administrator has people told of them, or discards them."""

from typing import Annotated

import strawberry

from app.alerts import holding
from app.auth.tokens import Role
from app.graphql.context import Info, require
from app.graphql.errors import (
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    UnauthenticatedError,
    UnavailableError,
)
from app.graphql.pagination import key_of


@strawberry.input(description="Which held alerts to decide about.")
class HeldAlertsInput:
    """The input of releaseHeldAlerts and discardHeldAlerts."""

    run_id: strawberry.ID | None = strawberry.field(
        default=None, description="The recalculation that raised them; null for those of every one that is over."
    )


@strawberry.type(description="A decision about held alerts.")
class HeldAlerts:
    """What was decided about."""

    count: int = strawberry.field(
        description="How many alerts this was about: 0 where none is held, having been decided about already."
    )


HeldAlertsResult = Annotated[
    HeldAlerts | NotFoundError | InvalidInputError | ForbiddenError | UnauthenticatedError | UnavailableError,
    strawberry.union("HeldAlertsResult", description="The decision, or why nothing was changed."),
]


def run_key_of(input_: HeldAlertsInput) -> int | None:
    """Return the run's key. Raises InvalidInput for an id of anything else."""
    return None if input_.run_id is None else key_of("runId", input_.run_id, "Run")


@strawberry.type
class HeldAlertMutation:
    """The mutations of held alerts."""

    @strawberry.mutation(
        description="Has people told of held alerts that are still unresolved; needs the role PLATFORM_ADMIN."
    )
    async def release_held_alerts(
        self, info: Info, input: Annotated[HeldAlertsInput, strawberry.argument(description="Which alerts.")]
    ) -> HeldAlertsResult:
        """Return how many are released, of very many only the first at once; asking again releases nothing more."""
        viewer, context = require(info, Role.PLATFORM_ADMIN), info.context
        async with context.database.begin() as session:
            count = await holding.release_held(
                session,
                run_key_of(input),
                actor=viewer.subject,
                now=context.now,
                request_id=context.request_id,
            )
        return HeldAlerts(count=count)

    @strawberry.mutation(description="Resolves held alerts without telling anybody; needs the role PLATFORM_ADMIN.")
    async def discard_held_alerts(
        self, info: Info, input: Annotated[HeldAlertsInput, strawberry.argument(description="Which alerts.")]
    ) -> HeldAlertsResult:
        """Return how many were discarded; asking again discards nothing more."""
        viewer, context = require(info, Role.PLATFORM_ADMIN), info.context
        async with context.database.begin() as session:
            count = await holding.discard_held(
                session,
                run_key_of(input),
                actor=viewer.subject,
                now=context.now,
                request_id=context.request_id,
            )
        return HeldAlerts(count=count)
