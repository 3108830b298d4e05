"""Tokens of the HS256 mode: what is accepted, and the one sentence for each way to be refused."""

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st

from app.auth.tokens import Role, Verifier, Viewer, issue_token, parse_lifetime, verifier_from
from app.errors import Unauthenticated
from app.settings import Settings

SECRET = "a secret of the tests that has more than 32 bytes"
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
CLAIMS = {
    "iss": "client-health",
    "aud": "client-health",
    "sub": "ann@example.com",
    "role": "CLIENT_SUCCESS",
    "iat": int(NOW.timestamp()),
    "exp": int(NOW.timestamp()) + 600,
}


@pytest.fixture(scope="module")
def verifier() -> Verifier:
    return verifier_from(Settings(auth_secret=SECRET))


def signed(secret: str = SECRET, algorithm: str = "HS256", **changes: Any) -> str:
    claims = {name: value for name, value in {**CLAIMS, **changes}.items() if value is not ...}
    return jwt.encode(claims, secret, algorithm=algorithm)


def by_hand(header: Any, payload: bytes = b"{}", signature: bytes = b"") -> str:
    parts = [json.dumps(header).encode() if not isinstance(header, bytes) else header, payload, signature]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


@pytest.mark.parametrize("role", list(Role))
async def test_an_issued_token_says_who_and_what_and_until_when(verifier: Verifier, role: Role) -> None:
    token = issue_token(
        SECRET,
        subject="ann@example.com",
        role=role,
        lifetime=timedelta(hours=12),
        now=NOW,
        issuer="client-health",
        audience="client-health",
    )
    assert await verifier.verify(token, now=NOW) == Viewer("ann@example.com", role, NOW + timedelta(hours=12))


async def test_a_token_is_good_for_five_seconds_after_it_expires_and_no_longer(verifier: Verifier) -> None:
    expires = NOW + timedelta(seconds=600)
    last = expires + timedelta(seconds=4, microseconds=999_999)
    assert (await verifier.verify(signed(), now=last)).expires_at == expires
    with pytest.raises(Unauthenticated, match=r"^The token expired at 2026-03-01T12:10:00Z; get a new one\.$"):
        await verifier.verify(signed(), now=expires + timedelta(seconds=5))


@pytest.mark.parametrize("claim", ["nbf", "iat"])
async def test_a_token_of_the_future_has_five_seconds_of_grace(verifier: Verifier, claim: str) -> None:
    changes: dict[str, Any] = {claim: int(NOW.timestamp()) + 5}
    token = signed(**changes)
    assert (await verifier.verify(token, now=NOW)).subject == "ann@example.com"
    with pytest.raises(Unauthenticated, match=f"not valid yet; its {claim} claim lies in the future"):
        await verifier.verify(token, now=NOW - timedelta(microseconds=1))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"iss": "somebody-else"}, "The token comes from another issuer."),
        ({"aud": "another-service"}, "The token is meant for another audience."),
        ({"aud": ["another-service"]}, "The token is meant for another audience."),
        ({"exp": ...}, "The token has no exp claim."),
        ({"iss": ...}, "The token has no iss claim."),
        ({"aud": ...}, "The token has no aud claim."),
        ({"sub": ...}, "The token has no sub claim."),
        ({"role": ...}, "The token has no role claim."),
        ({"sub": " "}, "The token's sub claim is empty."),
        ({"role": "ROOT"}, "The token's role is not known; it must be CLIENT_SUCCESS or PLATFORM_ADMIN."),
        ({"role": "platform_admin"}, "The token's role is not known; it must be CLIENT_SUCCESS or PLATFORM_ADMIN."),
        ({"role": ["PLATFORM_ADMIN"]}, "The token's role is not known; it must be CLIENT_SUCCESS or PLATFORM_ADMIN."),
        ({"exp": "soon"}, "The token's exp claim must be a number of seconds since 1970."),
        ({"exp": True}, "The token's exp claim must be a number of seconds since 1970."),
        ({"exp": 10**30}, "The token's exp claim must be a number of seconds since 1970."),
        ({"exp": float("nan")}, "The token's exp claim must be a number of seconds since 1970."),
        ({"nbf": "soon"}, "The token's nbf claim must be a number of seconds since 1970."),
    ],
)
async def test_a_wrong_claim_is_named(verifier: Verifier, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(Unauthenticated) as refusal:
        await verifier.verify(signed(**changes), now=NOW)
    assert refusal.value.message == message


async def test_a_subject_that_is_no_text_is_refused(verifier: Verifier) -> None:
    payload = json.dumps({**CLAIMS, "sub": 7}).encode()
    token = jwt.api_jws.encode(payload, SECRET, algorithm="HS256")
    with pytest.raises(Unauthenticated, match=r"^The token's sub claim must be text\.$"):
        await verifier.verify(token, now=NOW)


async def test_one_audience_among_several_is_enough(verifier: Verifier) -> None:
    token = signed(aud=["another-service", "client-health"])
    assert (await verifier.verify(token, now=NOW)).role is Role.CLIENT_SUCCESS


async def test_a_token_signed_with_another_secret_is_refused(verifier: Verifier) -> None:
    with pytest.raises(Unauthenticated, match=r"^The token's signature is not valid\.$"):
        await verifier.verify(signed(secret="another secret that has more than 32 bytes"), now=NOW)


async def test_changing_the_role_breaks_the_signature(verifier: Verifier) -> None:
    header, _, signature = signed().split(".")
    _, payload, _ = signed(role="PLATFORM_ADMIN").split(".")
    with pytest.raises(Unauthenticated, match="signature is not valid"):
        await verifier.verify(f"{header}.{payload}.{signature}", now=NOW)


async def test_other_algorithms_are_refused_even_with_the_right_secret(verifier: Verifier) -> None:
    longer = SECRET * 2
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    unsigned = jwt.encode(CLAIMS, "", algorithm="none")
    tokens = [
        unsigned,
        unsigned + "AAAA",
        by_hand({"alg": "None"}, json.dumps(CLAIMS).encode()),
        by_hand({"alg": ["HS256"]}, json.dumps(CLAIMS).encode()),
        by_hand({"typ": "JWT"}, json.dumps(CLAIMS).encode()),
        jwt.encode(CLAIMS, longer, algorithm="HS512"),
        jwt.encode(CLAIMS, key, algorithm="RS256"),
    ]
    for token in tokens:
        with pytest.raises(Unauthenticated, match=r"^The token must be signed with HS256\.$"):
            await verifier.verify(token, now=NOW)


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "..",
        "a.b.c",
        "é.é.é",
        "\ud800.a.b",
        by_hand(b"[" * 100_000),
        by_hand([1]),
        by_hand(b"\xff\xfe"),
        by_hand({"alg": "HS256", "kid": 7}),
    ],
)
async def test_what_is_no_token_is_called_malformed(verifier: Verifier, token: str) -> None:
    with pytest.raises(Unauthenticated, match=r"^The token is malformed"):
        await verifier.verify(token, now=NOW)


@pytest.mark.parametrize("payload", [b"[" * 100_000, b"[]", b"\xff", b'"text"'])
async def test_a_signed_payload_that_is_no_object_cannot_be_read(verifier: Verifier, payload: bytes) -> None:
    token = jwt.api_jws.encode(payload, SECRET, algorithm="HS256")
    with pytest.raises(Unauthenticated, match=r"^The token cannot be read\.$"):
        await verifier.verify(token, now=NOW)


@given(token=st.text(max_size=60) | st.binary(max_size=60).map(lambda data: by_hand(data, data, data)))
async def test_nothing_but_unauthenticated_comes_of_any_text(verifier: Verifier, token: str) -> None:
    with pytest.raises(Unauthenticated):
        await verifier.verify(token, now=NOW)


@pytest.mark.parametrize(
    ("text", "lifetime"),
    [
        ("1s", timedelta(seconds=1)),
        ("90s", timedelta(seconds=90)),
        ("15m", timedelta(minutes=15)),
        ("12h", timedelta(hours=12)),
        ("30d", timedelta(days=30)),
        (" 366d ", timedelta(days=366)),
    ],
)
def test_a_lifetime_is_a_number_and_a_unit(text: str, lifetime: timedelta) -> None:
    assert parse_lifetime(text) == lifetime


@pytest.mark.parametrize("text", ["", "12", "h", "-1h", "1.5h", "1w", "1h30m", "٣h", "1 h"])
def test_a_lifetime_that_cannot_be_read_says_how_to_write_one(text: str) -> None:
    with pytest.raises(ValueError, match="write a whole number and s, m, h or d, for example 12h"):
        parse_lifetime(text)


@pytest.mark.parametrize("text", ["0s", "0d", "367d", "999999999d", "31622401s"])
def test_a_lifetime_out_of_range_says_the_range(text: str) -> None:
    with pytest.raises(ValueError, match="at least one second and at most 366 days"):
        parse_lifetime(text)


@pytest.mark.parametrize(("subject", "days"), [(" ", 1), ("ann", 0), ("ann", -1), ("ann", 367)])
def test_no_token_is_issued_to_nobody_or_for_ever(subject: str, days: int) -> None:
    with pytest.raises(ValueError, match=r"subject|366"):
        issue_token(
            SECRET,
            subject=subject,
            role=Role.CLIENT_SUCCESS,
            lifetime=timedelta(days=days),
            now=NOW,
            issuer="client-health",
            audience="client-health",
        )


def test_without_secret_and_issuer_there_is_no_verifier() -> None:
    with pytest.raises(ValueError, match="set AUTH_SECRET or OIDC_ISSUER"):
        verifier_from(Settings())


async def test_another_claim_can_name_the_caller() -> None:
    by_mail = verifier_from(Settings(auth_secret=SECRET, auth_subject_claim="email"))
    assert (await by_mail.verify(signed(email="ann@work.example"), now=NOW)).subject == "ann@work.example"
    assert (await by_mail.verify(signed(), now=NOW)).subject == "ann@example.com"
    for value, problem in ((" ", "is empty"), (7, "must be text"), (None, "must be text")):
        with pytest.raises(Unauthenticated, match=f"^The token's email claim {problem}"):
            await by_mail.verify(signed(email=value), now=NOW)


async def test_issuer_audience_and_role_claim_are_those_of_the_settings() -> None:
    settings = Settings(auth_secret=SECRET, auth_issuer="us", auth_audience="them", auth_role_claim="groups")
    token = signed(iss="us", aud="them", role=..., groups="PLATFORM_ADMIN")
    assert (await verifier_from(settings).verify(token, now=NOW)).role is Role.PLATFORM_ADMIN
