"""What every resolver of one request shares."""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

import strawberry

from app.auth.tokens import Role, Viewer
from app.database import Database
from app.errors import ExpectedError, Forbidden, Unauthenticated
from app.graphql.live import Hub
from app.graphql.loaders import Loaders
from app.health.rules import Policy
from app.health.service import load_policies
from app.settings import Settings


@dataclass
class Context:
    """One request: who asks, when, and a factory of sessions (never a session, since resolvers run side by side)."""

    database: Database
    settings: Settings
    now: datetime
    request_id: str
    # Who the token speaks for; None when there is no valid one, and `refusal` then says why.
    viewer: Viewer | None
    refusal: ExpectedError | None
    # The policies by version. They never change, so that all requests of the process share what was read once.
    known_policies: dict[int, Policy]
    # What changes meanwhile, for subscriptions.
    live: Hub
    # Set by a subscription that from now on misses nothing of what it is about.
    heard: asyncio.Event = field(default_factory=asyncio.Event)

    @cached_property
    def loaders(self) -> Loaders:
        """The batched loaders of this request."""
        return Loaders(self.database, self.now)

    def renew(self, now: datetime) -> None:
        """Begin another event of the same subscription: what was loaded for the one before may have changed."""
        self.now = now
        vars(self).pop("loaders", None)

    async def policies(self, versions: set[int]) -> dict[int, Policy]:
        """Return the policies by version, read again only when one of `versions` is new."""
        if not versions <= self.known_policies.keys():
            async with self.database.read() as connection:
                self.known_policies |= await load_policies(connection)
        return self.known_policies


Info = strawberry.Info[Context, None]


def require(info: Info, role: Role = Role.CLIENT_SUCCESS) -> Viewer:
    """Return the caller if its role allows what `role` may do. Raises Unauthenticated or Forbidden."""
    viewer = info.context.viewer
    if viewer is None:
        raise info.context.refusal or Unauthenticated("The request carries no token.")
    if role is Role.PLATFORM_ADMIN and viewer.role is not Role.PLATFORM_ADMIN:
        raise Forbidden("This needs the role PLATFORM_ADMIN.")
    return viewer
