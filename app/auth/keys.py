"""The public keys of an OIDC issuer, fetched when they are needed and kept for a while."""

import asyncio
import time
from collections.abc import Callable
from http.client import HTTPException
from typing import Any

import jwt
import structlog

from app.auth.discovery import check_address, discover, endpoint, get_json
from app.errors import Unauthenticated, Unavailable

# Seconds after which known keys are fetched again, so that a key the issuer withdrew stops working.
MAX_AGE = 600.0

# Seconds between two fetches while keys are known: a stranger's tokens with made-up key ids cost the issuer no more.
PAUSE = 60.0

# Seconds between two fetches while there are no keys at all.
RETRY_PAUSE = 5.0

_log = structlog.get_logger(__name__)

# The key that a JWK with the right type and no `alg` of its own serves.
_ALGORITHM_OF_TYPE = {"RSA": "RS256", "EC": "ES256"}


class KeySet:
    """The keys of one issuer, by algorithm and key id; one fetch at a time, off the event loop.

    `clock` counts seconds and never goes backwards.
    """

    def __init__(
        self, issuer: str, jwks_url: str | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        for url in (issuer, jwks_url or issuer):
            check_address(url)
        self._issuer = issuer
        self._jwks_url = jwks_url
        self._clock = clock
        self._keys: dict[tuple[str, str | None], jwt.PyJWK] = {}
        self._fetched_at: float | None = None
        self._tried_at: float | None = None
        self._failed = False
        self._fetching = asyncio.Lock()

    async def find(self, algorithm: str, key_id: str | None) -> jwt.PyJWK:
        """Return the key for a token's header; without a key id, the issuer's only key for that algorithm.

        Raises Unauthenticated when the issuer does not publish such a key, and Unavailable when the key is not
        known and the issuer does not answer. Known keys stay in use while the issuer does not answer.
        """
        key = self._known(algorithm, key_id)
        if key is None or self._is_stale():
            async with self._fetching:
                key = self._known(algorithm, key_id)
                if (key is None or self._is_stale()) and self._may_fetch():
                    await self._fetch()
                    key = self._known(algorithm, key_id)
        if key is not None:
            return key
        if self._failed:
            raise Unavailable("The keys of the token's issuer cannot be fetched right now; try again shortly.")
        raise Unauthenticated("The token is signed with a key that its issuer does not publish.")

    def _known(self, algorithm: str, key_id: str | None) -> jwt.PyJWK | None:
        if key_id is not None:
            return self._keys.get((algorithm, key_id))
        candidates = [key for (name, _), key in self._keys.items() if name == algorithm]
        return candidates[0] if len(candidates) == 1 else None

    def _is_stale(self) -> bool:
        return self._fetched_at is None or self._clock() - self._fetched_at >= MAX_AGE

    def _may_fetch(self) -> bool:
        pause = PAUSE if self._keys else RETRY_PAUSE
        return self._tried_at is None or self._clock() - self._tried_at >= pause

    async def _fetch(self) -> None:
        try:
            url = self._jwks_url or endpoint(await asyncio.to_thread(discover, self._issuer), "jwks_uri")
            self._keys = _keys_of(await asyncio.to_thread(get_json, url))
        # OSError is what a network can do wrong, the others what an answer can.
        except (OSError, HTTPException, ValueError) as error:
            self._failed = True
            _log.warning("oidc_keys_not_fetched", issuer=self._issuer, reason=str(error))
            return
        finally:
            # Whoever has waited meanwhile does not ask an issuer again that has just kept somebody waiting.
            self._tried_at = self._clock()
        self._failed = False
        self._fetched_at = self._tried_at


def _keys_of(document: dict[str, Any]) -> dict[tuple[str, str | None], jwt.PyJWK]:
    """Return the signature keys of a JWKS document; keys for other purposes are passed over.

    Raises ValueError when the document has no list of keys.
    """
    entries = document.get("keys")
    if not isinstance(entries, list):
        raise ValueError("the answer has no list of keys")  # noqa: TRY004 - An answer, not an argument.
    keys: dict[tuple[str, str | None], jwt.PyJWK] = {}
    for entry in entries:
        if not isinstance(entry, dict) or entry.get("use", "sig") != "sig":
            continue
        algorithm = _ALGORITHM_OF_TYPE.get(str(entry.get("kty")))
        key_id = entry.get("kid")
        if algorithm is None or entry.get("alg", algorithm) != algorithm or not isinstance(key_id, str | None):
            continue
        try:
            key = jwt.PyJWK(entry, algorithm)
        except jwt.PyJWTError as error:
            # An issuer may publish keys that this library cannot read; the others still work.
            _log.warning("oidc_key_passed_over", key_id=key_id, reason=str(error))
            continue
        keys[algorithm, key_id] = key
    return keys
