"""Signing in at an OIDC issuer: the authorization code flow with PKCE."""

import asyncio
import base64
import hashlib
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote_plus, urlencode

import structlog

from app.auth.discovery import discover, endpoint, get_json
from app.auth.keys import MAX_AGE, RETRY_PAUSE
from app.auth.tokens import Verifier, Viewer
from app.errors import Unauthenticated, Unavailable
from app.settings import Settings

_UNREACHABLE = "The issuer cannot be reached right now; try again shortly."

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Attempt:
    """What the browser keeps in a cookie while its person is at the issuer.

    The answer that comes back must know the state, the ID token the nonce, and the issuer compares the verifier with
    its hash: nobody can slip somebody else's answer into the browser, or use an answer in another one. All three are
    the browser's own, so that the cookie needs no signature.
    """

    state: str
    nonce: str
    verifier: str

    @classmethod
    def new(cls) -> "Attempt":
        """Return an attempt that nobody can guess."""
        return cls(*(secrets.token_urlsafe(32) for _ in range(3)))

    @classmethod
    def from_cookie(cls, value: str) -> "Attempt | None":
        """Return the attempt that the cookie holds, None if it holds none."""
        parts = value.split(".")
        return cls(*parts) if len(parts) == 3 and all(parts) else None

    def knows(self, state: str) -> bool:
        """Return whether an answer with this state belongs to the attempt."""
        return secrets.compare_digest(state.encode("utf-8", "replace"), self.state.encode())

    def cookie(self) -> str:
        """Return the attempt as a cookie's value."""
        return f"{self.state}.{self.nonce}.{self.verifier}"


class Issuer:
    """The issuer as the place where people sign in; `clock` counts seconds and never goes backwards."""

    def __init__(
        self,
        issuer: str,
        verifier: Verifier,
        *,
        client_secret: str | None,
        redirect_uri: str,
        scope: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.issuer = issuer
        # Checks ID tokens, whose audience is the client id.
        self._verifier = verifier
        self._client_id = verifier.audience
        self._client_secret = client_secret
        self._redirect_uri = redirect_uri
        self._scope = scope
        self._clock = clock
        self._discovered: dict[str, Any] | None = None
        self._tried_at: float | None = None
        self._discovering = asyncio.Lock()

    async def address(self, attempt: Attempt) -> str:
        """Return where the browser goes to sign in. Raises Unavailable."""
        document = await self._discovery()
        challenge = base64.urlsafe_b64encode(hashlib.sha256(attempt.verifier.encode()).digest()).rstrip(b"=")
        query = urlencode(
            {
                "response_type": "code",
                "client_id": self._client_id,
                "redirect_uri": self._redirect_uri,
                "scope": self._scope,
                "state": attempt.state,
                "nonce": attempt.nonce,
                "code_challenge": challenge.decode(),
                "code_challenge_method": "S256",
            }
        )
        url = document["authorization_endpoint"]
        return f"{url}{'&' if '?' in url else '?'}{query}"

    async def viewer(self, attempt: Attempt, code: str, now: datetime) -> Viewer:
        """Return who has signed in, given the code that the browser came back with.

        Raises Unauthenticated and Unavailable.
        """
        document = await self._discovery()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._redirect_uri,
            "code_verifier": attempt.verifier,
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        if self._client_secret is None:
            form["client_id"] = self._client_id
        elif "client_secret_basic" in document.get("token_endpoint_auth_methods_supported", ["client_secret_basic"]):
            pair = f"{quote_plus(self._client_id)}:{quote_plus(self._client_secret)}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        else:
            form |= {"client_id": self._client_id, "client_secret": self._client_secret}
        try:
            url = document["token_endpoint"]
            answer = await asyncio.to_thread(get_json, url, urlencode(form).encode(), headers)
        except HTTPError as error:
            reason = await asyncio.to_thread(_words_of, error)
            _log.warning("oidc_code_not_exchanged", issuer=self.issuer, status=error.code, reason=reason)
            if error.code >= 500:
                raise Unavailable(_UNREACHABLE) from error
            raise Unauthenticated("The issuer did not accept the code of this sign-in.") from error
        except (OSError, HTTPException, ValueError) as error:
            _log.warning("oidc_issuer_not_reached", issuer=self.issuer, reason=str(error))
            raise Unavailable(_UNREACHABLE) from error
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise Unauthenticated("The issuer's answer has no ID token.")
        return await self._verifier.verify_id_token(token, nonce=attempt.nonce, now=now)

    async def _discovery(self) -> dict[str, Any]:
        """Return the discovery document with both endpoints, asked for again after a while. Raises Unavailable."""
        async with self._discovering:
            age = None if self._tried_at is None else self._clock() - self._tried_at
            if age is None or age >= (MAX_AGE if self._discovered else RETRY_PAUSE):
                try:
                    document = await asyncio.to_thread(discover, self.issuer)
                    for name in ("authorization_endpoint", "token_endpoint"):
                        endpoint(document, name)
                    self._discovered = document
                except (OSError, HTTPException, ValueError) as error:
                    # What is known stays in use while the issuer does not answer.
                    _log.warning("oidc_issuer_not_reached", issuer=self.issuer, reason=str(error))
                finally:
                    # Whoever has waited meanwhile does not ask an issuer again that has just kept somebody waiting.
                    self._tried_at = self._clock()
        if self._discovered is None:
            raise Unavailable(_UNREACHABLE)
        return self._discovered


def _words_of(error: HTTPError) -> str:
    """Return what the body of a refusal says, in words for whoever has set the client up."""
    try:
        with error:
            return error.read(1_000).decode(errors="replace")
    except (OSError, HTTPException) as broken:
        return str(broken)


def issuer_from(settings: Settings, verifier: Verifier) -> Issuer | None:
    """Return the issuer where people sign in, None when the settings name no client id there."""
    if settings.oidc_client_id is None or settings.oidc_issuer is None or settings.public_url is None:
        return None
    return Issuer(
        settings.oidc_issuer,
        replace(verifier, audience=settings.oidc_client_id),
        client_secret=settings.oidc_client_secret,
        redirect_uri=f"{settings.public_url}/sign-in/callback",
        scope=settings.oidc_scope,
    )
