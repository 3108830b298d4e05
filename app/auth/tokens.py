"""Bearer tokens: what they say about the caller, how they are issued and how they are checked."""

import math
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

import jwt
from jwt.exceptions import InvalidSubjectError

from app.auth.keys import KeySet
from app.errors import Unauthenticated
from app.settings import Settings

# How far the clocks of the issuer and of this server may be apart.
LEEWAY = timedelta(seconds=5)

MAX_LIFETIME = timedelta(days=366)

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}

# The last second that a datetime can hold; a claim beyond it is no time.
_LAST_SECOND = int(datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp())


class Role(StrEnum):
    """What a caller is allowed to do; a platform administrator may do all that client success may."""

    CLIENT_SUCCESS = "CLIENT_SUCCESS"
    PLATFORM_ADMIN = "PLATFORM_ADMIN"


@dataclass(frozen=True)
class Viewer:
    """The caller, as a valid token describes it."""

    subject: str
    role: Role
    expires_at: datetime


def parse_lifetime(text: str) -> timedelta:
    """Return the time that "90s", "15m", "12h" or "30d" stands for: more than nothing and at most 366 days.

    Raises ValueError with a sentence for the person who typed it.
    """
    match = re.fullmatch(r"([0-9]{1,9})([smhd])", text.strip())
    if match is None:
        raise ValueError(f"{text!r} is no length of time; write a whole number and s, m, h or d, for example 12h")
    seconds = int(match[1]) * _SECONDS[match[2]]
    if not 0 < seconds <= MAX_LIFETIME.total_seconds():
        raise ValueError(f"{text!r} is out of range; a token lives at least one second and at most 366 days")
    return timedelta(seconds=seconds)


def issue_token(
    secret: str,
    *,
    subject: str,
    role: Role,
    lifetime: timedelta,
    now: datetime,
    issuer: str,
    audience: str,
    role_claim: str = "role",
) -> str:
    """Return an HS256 token for `subject` that is valid from `now` for `lifetime`.

    Raises ValueError when the subject is empty, or the lifetime is not positive or longer than 366 days.
    """
    if not subject.strip():
        raise ValueError("the subject must not be empty")
    if not timedelta(0) < lifetime <= MAX_LIFETIME:
        raise ValueError("a token lives at least one second and at most 366 days")
    issued_at = int(now.timestamp())
    claims = {
        "iss": issuer,
        "aud": audience,
        "sub": subject,
        role_claim: role.value,
        "iat": issued_at,
        "exp": issued_at + math.ceil(lifetime.total_seconds()),
    }
    return jwt.encode(claims, secret, algorithm="HS256")


@dataclass(frozen=True)
class Verifier:
    """Checks tokens against what one deployment accepts.

    `find_key` takes the algorithm and the key id of a token's header and returns the key to check it with.
    """

    algorithms: frozenset[str]
    find_key: Callable[[str, str | None], Awaitable[Any]]
    issuer: str
    audience: str
    role_claim: str
    # Whoever lacks this claim is named by `sub`, which every token has.
    subject_claim: str = "sub"

    async def verify(self, token: str, *, now: datetime) -> Viewer:
        """Return who `token` speaks for.

        Raises Unauthenticated, whose message says what is wrong with the token, and Unavailable when the
        issuer's keys are needed and cannot be fetched.
        """
        viewer, _ = await self._verified(token, now)
        return viewer

    async def verify_id_token(self, token: str, *, nonce: str, now: datetime) -> Viewer:
        """Return who an ID token, issued to this verifier's audience for `nonce`, speaks for.

        Raises what `verify` raises.
        """
        viewer, claims = await self._verified(token, now)
        if claims.get("nonce") != nonce:
            raise Unauthenticated("The ID token belongs to another sign-in.")
        if claims.get("azp", self.audience) != self.audience:
            raise Unauthenticated("The ID token was issued to another client.")
        return viewer

    async def _verified(self, token: str, now: datetime) -> tuple[Viewer, dict[str, Any]]:
        algorithm, key_id = self._read_header(token)
        key = await self.find_key(algorithm, key_id)
        claims = self._read_claims(token, algorithm, key)
        expires_at = _time_of(claims, "exp")
        if now >= expires_at + LEEWAY:
            raise Unauthenticated(f"The token expired at {expires_at:%Y-%m-%dT%H:%M:%SZ}; get a new one.")
        for claim in ("nbf", "iat"):
            if claim in claims and _time_of(claims, claim) > now + LEEWAY:
                raise Unauthenticated(f"The token is not valid yet; its {claim} claim lies in the future.")
        return Viewer(self._subject_of(claims), self._role_of(claims), expires_at), claims

    def _read_header(self, token: str) -> tuple[str, str | None]:
        try:
            header = jwt.get_unverified_header(token)
        # A surrogate cannot be encoded, which is the caller's mistake like any other malformed token.
        except (jwt.PyJWTError, UnicodeEncodeError) as error:
            raise Unauthenticated("The token is malformed; a JWT is three parts separated by dots.") from error
        algorithm = header.get("alg")
        # The algorithm is compared before any key is looked up, so that `none` is never accepted and a public
        # key is never taken for an HMAC secret.
        if not isinstance(algorithm, str) or algorithm not in self.algorithms:
            raise Unauthenticated(f"The token must be signed with {' or '.join(sorted(self.algorithms))}.")
        return algorithm, header.get("kid")

    def _read_claims(self, token: str, algorithm: str, key: Any) -> dict[str, Any]:
        try:
            return jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                issuer=self.issuer,
                audience=self.audience,
                options={
                    "require": ["exp", "iss", "aud", "sub"],
                    "enforce_minimum_key_length": True,
                    # The times are checked against the caller's `now` instead of this machine's clock.
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                },
            )
        except jwt.InvalidSignatureError as error:
            raise Unauthenticated("The token's signature is not valid.") from error
        except jwt.MissingRequiredClaimError as error:
            raise Unauthenticated(f"The token has no {error.claim} claim.") from error
        except jwt.InvalidIssuerError as error:
            raise Unauthenticated("The token comes from another issuer.") from error
        except jwt.InvalidAudienceError as error:
            raise Unauthenticated("The token is meant for another audience.") from error
        except InvalidSubjectError as error:
            raise Unauthenticated("The token's sub claim must be text.") from error
        except jwt.PyJWTError as error:
            raise Unauthenticated("The token cannot be read.") from error

    def _subject_of(self, claims: dict[str, Any]) -> str:
        name = self.subject_claim if self.subject_claim in claims else "sub"
        subject = claims[name]
        if not isinstance(subject, str):
            raise Unauthenticated(f"The token's {name} claim must be text.")
        if not subject.strip():
            raise Unauthenticated(f"The token's {name} claim is empty.")
        return subject

    def _role_of(self, claims: dict[str, Any]) -> Role:
        value = claims.get(self.role_claim)
        if value is None:
            raise Unauthenticated(f"The token has no {self.role_claim} claim.")
        if not isinstance(value, str) or value not in Role.__members__.values():
            raise Unauthenticated(f"The token's role is not known; it must be {' or '.join(Role)}.")
        return Role(value)


def _time_of(claims: dict[str, Any], claim: str) -> datetime:
    value = claims[claim]
    number = isinstance(value, int | float) and not isinstance(value, bool)
    # The comparison is false for NaN, too.
    if not number or not 0 <= value <= _LAST_SECOND:
        raise Unauthenticated(f"The token's {claim} claim must be a number of seconds since 1970.")
    return datetime.fromtimestamp(value, UTC)


def verifier_from(settings: Settings) -> Verifier:
    """Return the verifier that `settings` ask for: HS256 with AUTH_SECRET, or RS256 and ES256 from OIDC_ISSUER.

    Raises ValueError when neither is set: there is no way to check a token then, and no default secret.
    """
    if settings.oidc_issuer is not None:
        return Verifier(
            algorithms=frozenset({"RS256", "ES256"}),
            find_key=KeySet(settings.oidc_issuer, settings.oidc_jwks_url).find,
            issuer=settings.oidc_issuer,
            audience=settings.auth_audience,
            role_claim=settings.auth_role_claim,
            subject_claim=settings.auth_subject_claim,
        )
    if settings.auth_secret is None:
        raise ValueError("set AUTH_SECRET or OIDC_ISSUER: without one of them no token can be checked")
    secret = settings.auth_secret

    async def find_secret(_algorithm: str, _key_id: str | None) -> str:
        return secret

    return Verifier(
        algorithms=frozenset({"HS256"}),
        find_key=find_secret,
        issuer=settings.auth_issuer,
        audience=settings.auth_audience,
        role_claim=settings.auth_role_claim,
        subject_claim=settings.auth_subject_claim,
    )
