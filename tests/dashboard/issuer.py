"""An OIDC issuer on a free port, as strict as real ones: a code works once, for its client, address and verifier."""

import base64
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, parse_qsl, unquote_plus, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
JWK = RSAAlgorithm.to_jwk(KEY.public_key(), as_dict=True) | {"kid": "1", "use": "sig", "alg": "RS256"}
CLIENT_ID = "the dashboard"
SUBJECT = "0042"


@dataclass
class Issuer:
    """What the issuer knows, and how it answers."""

    url: str = ""
    secret: str | None = None
    # "basic" or "post": how a client with a secret shows it.
    method: str = "basic"
    up: bool = True
    # Whether it keeps what it has begun to answer to itself.
    stalls: bool = False
    # What the ID tokens say beyond, or instead of, the usual; a value of None leaves the claim out.
    claims: dict[str, Any] = field(default_factory=dict)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    # What the endpoint for tokens was asked, and what it found wrong.
    asked: list[dict[str, str]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def authorize(self, address: str) -> dict[str, str]:
        """Let a person sign in at the address that the browser was sent to; return what the browser brings back."""
        split = urlsplit(address)
        assert f"{split.scheme}://{split.netloc}{split.path}" == f"{self.url}/authorize"
        query = dict(parse_qsl(split.query, strict_parsing=True))
        assert query.pop("tenant") == "a b"
        assert query["response_type"] == "code"
        assert query["client_id"] == CLIENT_ID
        assert query["code_challenge_method"] == "S256"
        assert min(len(query[name]) for name in ("state", "nonce", "code_challenge")) == 43
        code = f"code {len(self.codes)}+&"
        self.codes[code] = query
        return {"code": code, "state": query["state"], "iss": self.url}

    def discovery(self) -> dict[str, Any]:
        """Return the discovery document."""
        methods = {"token_endpoint_auth_methods_supported": ["client_secret_post"]} if self.method == "post" else {}
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize?tenant=a%20b",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/keys",
            **methods,
        }

    def exchange(self, form: dict[str, str], authorization: str) -> tuple[int, dict[str, Any]]:
        """Return the answer to a code."""
        self.asked.append(form)
        granted = self.codes.pop(form.get("code", ""), None)
        problem = self._problem(form, authorization, granted)
        if problem is not None or granted is None:
            self.problems.append(problem or "unknown code")
            return 400, {"error": "invalid_grant", "error_description": problem}
        now = int(datetime.now(UTC).timestamp())
        claims = {
            "iss": self.url,
            "aud": CLIENT_ID,
            "sub": SUBJECT,
            "role": "CLIENT_SUCCESS",
            "nonce": granted["nonce"],
            "iat": now,
            "exp": now + 60,
            **self.claims,
        }
        present = {name: value for name, value in claims.items() if value is not None}
        return 200, {"id_token": jwt.encode(present, KEY, "RS256", {"kid": "1"}), "token_type": "Bearer"}

    def _problem(self, form: dict[str, str], authorization: str, granted: dict[str, str] | None) -> str | None:
        if granted is None:
            return "unknown code"
        challenge = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).rstrip(b"=")
        if challenge.decode() != granted["code_challenge"]:
            return "another verifier"
        if form["grant_type"] != "authorization_code" or form["redirect_uri"] != granted["redirect_uri"]:
            return "another address"
        pair = base64.b64decode(authorization.removeprefix("Basic ")).decode().split(":")
        shown = {
            "none": (form.get("client_id") == CLIENT_ID and not authorization and "client_secret" not in form),
            "basic": [unquote_plus(part) for part in pair] == [CLIENT_ID, self.secret],
            "post": (form.get("client_id"), form.get("client_secret")) == (CLIENT_ID, self.secret),
        }
        return None if shown["none" if self.secret is None else self.method] else "another client"


@contextmanager
def running_issuer(name: str = "127.0.0.1") -> Iterator[Issuer]:
    """Yield an issuer that answers, by a name of this machine, until the block ends."""
    issuer = Issuer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.startswith("/authorize?"):
                self._ask_person()
                return
            documents = {"/.well-known/openid-configuration": issuer.discovery(), "/keys": {"keys": [JWK]}}
            self._answer(200 if self.path in documents else 404, documents.get(self.path, {}))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            form = {name: values[0] for name, values in parse_qs(body, strict_parsing=True).items()}
            self._answer(*issuer.exchange(form, self.headers.get("Authorization", "")))

        def _ask_person(self) -> None:
            """Show the page of the issuer, from which two links lead back."""
            back = dict(parse_qsl(urlsplit(self.path).query))["redirect_uri"]
            brought = issuer.authorize(issuer.url + self.path)
            turned_back = {"state": brought["state"], "error": "access_denied"}
            links = {"Continue": brought, "Turn back": turned_back}
            anchors = [
                f'<a href="{escape(f"{back}?{urlencode(answer)}")}">{name}</a>' for name, answer in links.items()
            ]
            head = "<!doctype html><title>Issuer</title><link rel=icon href=data:,>"
            self._send(200, f"{head}{''.join(anchors)}".encode(), "text/html")

        def _answer(self, status: int, document: dict[str, Any]) -> None:
            self._send(status if issuer.up else 500, json.dumps(document).encode(), "application/json")

        def _send(self, status: int, body: bytes, media_type: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", media_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if issuer.stalls:
                # Until the other side has given up.
                self.rfile.read(1)
            else:
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    issuer.url = f"http://{name}:{server.server_port}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield issuer
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
