"""The few errors that a caller is expected to see, each with its machine-readable code, and those that pass."""

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

# PostgreSQL's classes of errors after which the same work may succeed: connection lost, transaction rolled back by a
# deadlock or another transaction, resources exhausted, and the operator's (or a timeout's) intervention.
_PASSING_CLASSES = {"08", "40", "53", "57"}
# A transaction that PostgreSQL has ended because nothing was heard from it for too long.
_IDLE_IN_TRANSACTION = "25P03"


class ExpectedError(Exception):
    """An error whose message is written for the person who made the request."""

    code = "ERROR"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class NotFound(ExpectedError):
    """The thing asked for does not exist."""

    code = "NOT_FOUND"


class Conflict(ExpectedError):
    """The request contradicts the state of what it is about."""

    code = "CONFLICT"


class InvalidInput(ExpectedError):
    """An argument is wrong; `field` names it."""

    code = "INVALID_INPUT"

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class Unauthenticated(ExpectedError):
    """The request carries no token, or one that is not valid."""

    code = "UNAUTHENTICATED"


class Forbidden(ExpectedError):
    """The token's role does not allow this."""

    code = "FORBIDDEN"


class Unavailable(ExpectedError):
    """A server that this one needs does not answer; the same request may succeed later."""

    code = "UNAVAILABLE"


def sqlstate(error: DBAPIError) -> str:
    """Return PostgreSQL's code of the error, empty if it is not PostgreSQL's."""
    return getattr(error.orig, "sqlstate", None) or ""


def is_outage(error: BaseException | None) -> bool:
    """Return whether the error tells of the database's state and not of the work, which may succeed when repeated."""
    if isinstance(error, DBAPIError):
        return (
            isinstance(error, OperationalError | InterfaceError)
            or error.connection_invalidated
            or sqlstate(error)[:2] in _PASSING_CLASSES
            or sqlstate(error) == _IDLE_IN_TRANSACTION
        )
    # Nothing between this process and a server but sockets: whatever an OSError is, it happened there.
    return isinstance(error, OSError | PoolTimeoutError)
