"""Signing in at the organisation's own issuer: the way there, and the way back."""

from collections.abc import Sequence
from datetime import UTC, datetime

import structlog
from starlette.requests import Request
from starlette.responses import RedirectResponse
from starlette.routing import BaseRoute, Route

from app.auth.oidc import Attempt, Issuer
from app.auth.sessions import CODE_LIFETIME, Sessions, cookie_in
from app.dashboard.files import HEADERS
from app.dashboard.signing_in import set_session
from app.errors import ExpectedError, Forbidden, Unauthenticated, Unavailable
from app.graphql.errors import expected_error
from app.graphql.http import request_id

# What /sign-in?error= says. The log has the reason: to a stranger it would say too much.
_WORDS: dict[type[ExpectedError], str] = {Unavailable: "unavailable", Forbidden: "denied"}

_log = structlog.get_logger(__name__)


class OidcRoutes:
    """The two addresses of the authorization code flow."""

    def __init__(self, issuer: Issuer, sessions: Sessions) -> None:
        self._issuer = issuer
        self._sessions = sessions
        self._cookie = sessions.cookie("sign-in")
        self.routes: Sequence[BaseRoute] = [
            Route("/sign-in/oidc", self.leave, methods=["GET"]),
            Route("/sign-in/callback", self.come_back, methods=["GET"]),
        ]

    async def leave(self, request: Request) -> RedirectResponse:
        """Send the browser to the issuer, with what it needs on the way back."""
        attempt = Attempt.new()
        try:
            response = _redirect(await self._issuer.address(attempt))
        except Unavailable as error:
            return self._refused(request, error, error)
        # A strict cookie would not be sent when the issuer sends the browser back.
        response.set_cookie(
            self._cookie,
            attempt.cookie(),
            max_age=int(CODE_LIFETIME.total_seconds()),
            secure=self._sessions.secure,
            httponly=True,
            samesite="lax",
        )
        return response

    async def come_back(self, request: Request) -> RedirectResponse:
        """Start the session of whoever the issuer says this is, and show the dashboard."""
        now = datetime.now(UTC)
        try:
            attempt, code = self._answer(request)
            viewer = await self._issuer.viewer(attempt, code, now)
            token, _ = await self._sessions.start(viewer.subject, viewer.role, now)
        except Exception as error:
            expected = expected_error(error)
            if expected is None:
                raise
            return self._refused(request, expected, error)
        _log.info("signed_in", subject=viewer.subject, role=viewer.role, by="oidc")
        response = _redirect("/")
        set_session(response, self._sessions, token)
        self._forget(response)
        return response

    def _answer(self, request: Request) -> tuple[Attempt, str]:
        """Return the attempt that the answer belongs to, and its code. Raises Unauthenticated and Forbidden."""
        answer = request.query_params
        attempt = Attempt.from_cookie(cookie_in(request.headers.getlist("cookie"), self._cookie) or "")
        if attempt is None or not attempt.knows(answer.get("state", "")):
            raise Unauthenticated("This is no answer to a sign-in that this browser began, or it came too late.")
        if answer.get("iss", self._issuer.issuer) != self._issuer.issuer:
            raise Unauthenticated("The answer comes from another issuer.")
        if "code" not in answer:
            raise Forbidden(f"The issuer answered {answer.get('error', 'without a code')!r}.")
        return attempt, answer["code"]

    def _refused(self, request: Request, expected: ExpectedError, error: Exception) -> RedirectResponse:
        """Lead back to the page for the signed-out, which says what to do next."""
        word = _WORDS.get(type(expected), "refused")
        _log.warning("sign_in_refused", request_id=request_id(request), reason=f"{type(error).__name__}: {error}")
        response = _redirect(f"/sign-in?error={word}")
        self._forget(response)
        return response

    def _forget(self, response: RedirectResponse) -> None:
        response.delete_cookie(self._cookie, secure=self._sessions.secure, httponly=True, samesite="lax")


def _redirect(url: str) -> RedirectResponse:
    return RedirectResponse(url, 303, {**HEADERS, "Cache-Control": "no-store"})
