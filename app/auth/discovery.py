"""Asking an OIDC issuer: its discovery document, and any other JSON that it serves."""

from typing import Any
from urllib.request import HTTPRedirectHandler, Request, build_opener

import orjson

# Seconds that the issuer has for each answer.
TIMEOUT = 5.0

# Bytes of the longest answer that is read.
MAX_BYTES = 1_000_000

_SCHEMES = ("https://", "http://")


class _Redirects(HTTPRedirectHandler):
    """Follows redirects, but never with what was posted: it may hold a secret, and so may its headers."""

    def redirect_request(self, req: Request, *answer: Any) -> Request | None:
        """Return the request that follows, None for none."""
        return None if req.data is not None else super().redirect_request(req, *answer)


_opener = build_opener(_Redirects)


def check_address(url: str) -> None:
    """Raise ValueError unless the address is one of the web: urllib would open a file as well."""
    if not url.startswith(_SCHEMES):
        raise ValueError(f"{url!r} is no https:// or http:// address")


def get_json(url: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> dict[str, Any]:
    """Return the JSON object at an address, or the answer to a POST when there is a body.

    Raises OSError, HTTPException and ValueError for what a network and an answer can do wrong.
    """
    check_address(url)
    accept = {"Accept": "application/json", **(headers or {})}
    request = Request(url, body, accept)  # noqa: S310 - The scheme is checked above.
    with _opener.open(request, timeout=TIMEOUT) as response:
        answer = response.read(MAX_BYTES + 1)
    if len(answer) > MAX_BYTES:
        raise ValueError(f"the answer of {url} is longer than {MAX_BYTES} bytes")
    document = orjson.loads(answer)
    if not isinstance(document, dict):
        raise ValueError(f"the answer of {url} is not a JSON object")  # noqa: TRY004 - An answer, not an argument.
    return document


def discover(issuer: str) -> dict[str, Any]:
    """Return the issuer's discovery document. Raises what `get_json` raises."""
    document = get_json(issuer.rstrip("/") + "/.well-known/openid-configuration")
    # The issuer names itself, so that one issuer's document cannot stand in for another's.
    if document.get("issuer") != issuer:
        raise ValueError(f"the discovery document belongs to {document.get('issuer')!r}")
    return document


def endpoint(document: dict[str, Any], name: str) -> str:
    """Return an address of the discovery document. Raises ValueError when it is not there."""
    url = document.get(name)
    if not isinstance(url, str) or not url.startswith(_SCHEMES):
        raise ValueError(f"the discovery document has no {name}")
    return url
