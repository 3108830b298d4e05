"""The caller in the API."""

import strawberry

from app.auth.tokens import Role
from app.graphql.context import Info, require


@strawberry.type(description="Who asks, by the token or the session of the request.")
class Viewer:
    """The caller."""

    subject: str = strawberry.field(description="The name that the caller's changes are recorded under.")
    role: Role = strawberry.field(description="What the caller may do.")


@strawberry.type
class ViewerQuery:
    """The query about the caller."""

    @strawberry.field(description="Who asks.")
    async def viewer(self, info: Info) -> Viewer:
        """Return the caller."""
        viewer = require(info)
        return Viewer(subject=viewer.subject, role=viewer.role)
