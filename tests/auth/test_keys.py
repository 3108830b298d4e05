"""Tokens of an OIDC issuer, whose keys come from a real HTTP server."""

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from app.auth import keys as module
from app.auth.keys import MAX_AGE, PAUSE, RETRY_PAUSE, KeySet
from app.auth.tokens import Role, Verifier, verifier_from
from app.errors import Unauthenticated, Unavailable
from app.settings import Settings

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
RSA_JWK = RSAAlgorithm.to_jwk(RSA_KEY.public_key(), as_dict=True) | {"kid": "rsa-1", "use": "sig", "alg": "RS256"}
EC_JWK = ECAlgorithm.to_jwk(EC_KEY.public_key(), as_dict=True) | {"kid": "ec-1"}


class Issuer:
    """An OIDC issuer on a free port: answers by path, and counts how often each was asked for."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, bytes]] = {}
        self.asked: Counter[str] = Counter()
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.asked[self.path] += 1
                status, body = issuer.answers.get(self.path, (404, b"{}"))
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Print nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.publish(RSA_JWK, EC_JWK)
        self.answer("/.well-known/openid-configuration", {"issuer": self.url, "jwks_uri": f"{self.url}/keys"})

    def answer(self, path: str, document: Any, status: int = 200) -> None:
        self.answers[path] = (status, json.dumps(document).encode())

    def publish(self, *keys: Any) -> None:
        self.answer("/keys", {"keys": list(keys)})


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    running = Issuer()
    thread = Thread(target=running.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield running
    running.server.shutdown()
    running.server.server_close()
    thread.join()


@pytest.fixture
def verifier(issuer: Issuer) -> Verifier:
    return verifier_from(Settings(oidc_issuer=issuer.url))


class Clock:
    """A clock that goes on when it is told to."""

    seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def token(issuer: Issuer, key: Any = RSA_KEY, algorithm: str = "RS256", kid: str | None = "rsa-1") -> str:
    claims = {
        "iss": issuer.url,
        "aud": "client-health",
        "sub": "ann",
        "role": "PLATFORM_ADMIN",
        "exp": int(NOW.timestamp()) + 60,
    }
    return jwt.encode(claims, key, algorithm=algorithm, headers={"kid": kid} if kid else None)


async def test_tokens_of_both_algorithms_are_checked_with_keys_fetched_once(issuer: Issuer, verifier: Verifier) -> None:
    for _ in range(3):
        assert (await verifier.verify(token(issuer), now=NOW)).role is Role.PLATFORM_ADMIN
        assert (await verifier.verify(token(issuer, EC_KEY, "ES256", "ec-1"), now=NOW)).subject == "ann"
    assert issuer.asked == {"/.well-known/openid-configuration": 1, "/keys": 1}


async def test_a_configured_address_of_the_keys_spares_the_discovery(issuer: Issuer) -> None:
    verifier = verifier_from(Settings(oidc_issuer=issuer.url, oidc_jwks_url=f"{issuer.url}/keys"))
    assert (await verifier.verify(token(issuer), now=NOW)).subject == "ann"
    assert issuer.asked == {"/keys": 1}


async def test_a_token_signed_by_another_key_is_refused(issuer: Issuer, verifier: Verifier) -> None:
    with pytest.raises(Unauthenticated, match="signature is not valid"):
        await verifier.verify(token(issuer, OTHER_RSA_KEY), now=NOW)


async def test_the_public_key_is_never_taken_for_a_secret(issuer: Issuer, verifier: Verifier) -> None:
    public = RSA_KEY.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    signing = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
    head, payload, _ = token(issuer).split(".")
    head = jwt.utils.base64url_encode(b'{"alg":"HS256","kid":"rsa-1"}').decode()
    signature = jwt.utils.base64url_encode(signing.sign(f"{head}.{payload}".encode(), public)).decode()
    with pytest.raises(Unauthenticated, match=r"^The token must be signed with ES256 or RS256\.$"):
        await verifier.verify(f"{head}.{payload}.{signature}", now=NOW)
    assert issuer.asked.total() == 0


async def test_a_token_without_a_key_id_takes_the_only_key_of_its_algorithm(issuer: Issuer, verifier: Verifier) -> None:
    assert (await verifier.verify(token(issuer, kid=None), now=NOW)).subject == "ann"
    issuer.publish(RSA_JWK, {**RSA_JWK, "kid": "rsa-2"})
    several = verifier_from(Settings(oidc_issuer=issuer.url))
    with pytest.raises(Unauthenticated, match="a key that its issuer does not publish"):
        await several.verify(token(issuer, kid=None), now=NOW)


async def test_keys_for_other_purposes_and_broken_ones_are_passed_over(issuer: Issuer, verifier: Verifier) -> None:
    issuer.publish(
        "no key",
        {"kty": "oct", "kid": "secret", "k": "c2VjcmV0"},
        {"kty": "RSA", "kid": "broken", "n": "!", "e": "AQAB"},
        {**RSA_JWK, "kid": ["list"]},
        {**RSA_JWK, "kid": "for-encryption", "use": "enc"},
        {**RSA_JWK, "kid": "another-algorithm", "alg": "RS512"},
        RSA_JWK,
    )
    assert (await verifier.verify(token(issuer), now=NOW)).subject == "ann"
    for kid in ("secret", "broken", "for-encryption", "another-algorithm"):
        with pytest.raises(Unauthenticated, match="a key that its issuer does not publish"):
            await verifier.verify(token(issuer, kid=kid), now=NOW)


async def test_an_unknown_key_id_is_looked_up_at_most_once_a_minute(issuer: Issuer) -> None:
    clock = Clock()
    keys = KeySet(issuer.url, clock=clock)
    issuer.publish(RSA_JWK)
    await keys.find("RS256", "rsa-1")
    issuer.publish(RSA_JWK, EC_JWK)
    clock.seconds += PAUSE - 1
    for _ in range(5):
        with pytest.raises(Unauthenticated):
            await keys.find("ES256", "ec-1")
    assert issuer.asked["/keys"] == 1
    clock.seconds += 1
    assert (await keys.find("ES256", "ec-1")).key_id == "ec-1"
    assert issuer.asked["/keys"] == 2


async def test_a_withdrawn_key_stops_working_when_the_keys_are_fetched_again(issuer: Issuer) -> None:
    clock = Clock()
    keys = KeySet(issuer.url, clock=clock)
    await keys.find("RS256", "rsa-1")
    issuer.publish(EC_JWK)
    clock.seconds += MAX_AGE - 1
    assert (await keys.find("RS256", "rsa-1")).key_id == "rsa-1"
    clock.seconds += 1
    with pytest.raises(Unauthenticated, match="a key that its issuer does not publish"):
        await keys.find("RS256", "rsa-1")


async def test_known_keys_stay_in_use_while_the_issuer_does_not_answer(issuer: Issuer) -> None:
    clock = Clock()
    keys = KeySet(issuer.url, clock=clock)
    await keys.find("RS256", "rsa-1")
    issuer.answers.clear()
    clock.seconds += MAX_AGE
    assert (await keys.find("RS256", "rsa-1")).key_id == "rsa-1"
    with pytest.raises(Unavailable, match=r"^The keys of the token's issuer cannot be fetched right now"):
        await keys.find("RS256", "unknown")
    assert issuer.asked["/.well-known/openid-configuration"] == 2


async def test_without_keys_the_issuer_is_asked_again_after_five_seconds(issuer: Issuer) -> None:
    clock = Clock()
    keys = KeySet(issuer.url, clock=clock)
    answers, issuer.answers = issuer.answers, {}
    for _ in range(3):
        with pytest.raises(Unavailable):
            await keys.find("RS256", "rsa-1")
    assert issuer.asked.total() == 1
    issuer.answers = answers
    clock.seconds += RETRY_PAUSE
    assert (await keys.find("RS256", "rsa-1")).key_id == "rsa-1"


async def test_an_issuer_that_keeps_everybody_waiting_is_asked_once(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else each of those who wait would wait for the attempts of all before."""
    clock, asked = Clock(), []

    def hang(url: str) -> dict[str, Any]:
        asked.append(url)
        clock.seconds += 2 * RETRY_PAUSE
        raise TimeoutError

    monkeypatch.setattr(module, "discover", hang)
    keys = KeySet(issuer.url, clock=clock)
    found = await asyncio.gather(*(keys.find("RS256", "rsa-1") for _ in range(5)), return_exceptions=True)
    assert [type(outcome) for outcome in found] == [Unavailable] * 5
    assert asked == [issuer.url]


@pytest.mark.parametrize(
    ("path", "document"),
    [
        ("/keys", {"keys": "none"}),
        ("/keys", [1]),
        ("/keys", {"keys": [], "padding": "x" * 1_000_000}),
    ],
)
async def test_an_answer_that_is_no_key_set_makes_the_keys_unavailable(
    issuer: Issuer, path: str, document: Any
) -> None:
    issuer.answer(path, document)
    with pytest.raises(Unavailable):
        await KeySet(issuer.url).find("RS256", "rsa-1")


async def test_a_discovery_document_of_another_issuer_is_not_believed(issuer: Issuer) -> None:
    keys = f"{issuer.url}/keys"
    for document in ({"issuer": "https://another.example", "jwks_uri": keys}, {"jwks_uri": keys}):
        issuer.answer("/.well-known/openid-configuration", document)
        with pytest.raises(Unavailable):
            await KeySet(issuer.url).find("RS256", "rsa-1")


@pytest.mark.parametrize("uri", [None, 7, "file:///etc/passwd"])
async def test_keys_are_fetched_over_http_only(issuer: Issuer, uri: object) -> None:
    issuer.answer("/.well-known/openid-configuration", {"issuer": issuer.url, "jwks_uri": uri})
    with pytest.raises(Unavailable):
        await KeySet(issuer.url).find("RS256", "rsa-1")
    with pytest.raises(ValueError, match="is no https:// or http:// address"):
        KeySet("file:///etc")


async def test_an_issuer_that_refuses_connections_or_talks_nonsense_is_unavailable(issuer: Issuer) -> None:
    with pytest.raises(Unavailable):
        await KeySet(issuer.url, "http://127.0.0.1:1/keys").find("RS256", "rsa-1")
    issuer.answers["/keys"] = (200, b"not json")
    with pytest.raises(Unavailable):
        await KeySet(issuer.url).find("RS256", "rsa-1")


async def test_many_tokens_at_once_fetch_the_keys_once(issuer: Issuer) -> None:
    keys = KeySet(issuer.url)
    found = await asyncio.gather(*(keys.find("RS256", "rsa-1") for _ in range(20)))
    assert {key.key_id for key in found} == {"rsa-1"}
    assert issuer.asked["/keys"] == 1
