"""The few errors that a caller is expected to see, each with its machine-readable code."""


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
