"""Who sends: the holder of a write key, or an administrator with a bearer token."""

from dataclasses import dataclass

from starlette.requests import Request

from app.auth.tokens import Role, Verifier
from app.auth.write_keys import WriteKeys, presented_key
from app.errors import ExpectedError, Forbidden, Unauthenticated
from app.graphql.http import viewer_of

_NEEDED = "Send a write key as the user name of Basic authentication, or an administrator's token as Bearer."


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sends a request: a key, or a person by name."""

    key_id: int | None = None
    subject: str | None = None


async def sender_of(request: Request, keys: WriteKeys, verifier: Verifier) -> Sender:
    """Return who sends the request. Raises Unauthenticated, and Forbidden for a token without the role."""
    authorization = request.headers.get("authorization", "")
    scheme = authorization.partition(" ")[0].lower()
    if scheme == "bearer":
        viewer = await viewer_of(request, verifier)
        if isinstance(viewer, ExpectedError):
            raise viewer
        if viewer.role is not Role.PLATFORM_ADMIN:
            raise Forbidden("This needs the role PLATFORM_ADMIN, or a write key.")
        return Sender(subject=viewer.subject)
    key = presented_key(authorization)
    if key is None:
        raise Unauthenticated(_NEEDED)
    key_id = await keys.find(key)
    if key_id is None:
        raise Unauthenticated("The write key is not known, or was revoked.")
    return Sender(key_id=key_id)
