"""Erasures in the API."""

from typing import Annotated

import strawberry

from app.auth.tokens import Role
from app.erasure import service
from app.graphql.context import Info, require
from app.graphql.errors import (
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    UnauthenticatedError,
    UnavailableError,
)
from app.graphql.pagination import key_of
from app.graphql.runs import Run, run_by_key


@strawberry.input(description="Which client to erase.")
class EraseClientInput:
    """The input of eraseClient."""

    client_id: strawberry.ID = strawberry.field(description="The client's id.")


@strawberry.input(description="Which member to erase.")
class EraseMemberInput:
    """The input of eraseMember."""

    client_id: strawberry.ID = strawberry.field(description="The id of the member's client.")
    member_external_id: str = strawberry.field(description="The id that the source system knows the member by.")


EraseClientResult = Annotated[
    Run | NotFoundError | InvalidInputError | ForbiddenError | UnauthenticatedError | UnavailableError,
    strawberry.union("EraseClientResult", description="The accepted run, or why there is none."),
]

EraseMemberResult = Annotated[
    Run | NotFoundError | InvalidInputError | ForbiddenError | UnauthenticatedError | UnavailableError,
    strawberry.union("EraseMemberResult", description="The accepted run, or why there is none."),
]


async def _accept(info: Info, client_id: strawberry.ID, member: str | None = None) -> Run:
    viewer, context = require(info, Role.PLATFORM_ADMIN), info.context
    client_key = key_of("clientId", client_id, "Client")
    async with context.database.begin() as session:
        run_id = await service.request(
            session,
            client_key,
            member,
            requested_by=viewer.subject,
            now=context.now,
            request_id=context.request_id,
        )
    return await run_by_key(context, run_id)


@strawberry.type
class ErasureMutation:
    """The mutations that erase."""

    @strawberry.mutation(
        description="Erases a client: its name and everything that it left behind. Its scores and recorded metrics "
        "stay, without a name. This cannot be undone. Needs the role PLATFORM_ADMIN."
    )
    async def erase_client(
        self, info: Info, input: Annotated[EraseClientInput, strawberry.argument(description="Which client.")]
    ) -> EraseClientResult:
        """Accept the run and return it at once."""
        return await _accept(info, input.client_id)

    @strawberry.mutation(
        description="Erases a member of a client with its logins and responses. Scores and recorded metrics stay. "
        "This cannot be undone. Needs the role PLATFORM_ADMIN."
    )
    async def erase_member(
        self, info: Info, input: Annotated[EraseMemberInput, strawberry.argument(description="Which member.")]
    ) -> EraseMemberResult:
        """Accept the run and return it at once."""
        return await _accept(info, input.client_id, input.member_external_id)
