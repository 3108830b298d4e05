"""The files of the dashboard, read and compressed once when the server starts.

Static files lie below an address that holds a hash of all of them. A browser may therefore keep them for ever, and
modules that import each other by relative addresses always come from the same version.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from starlette.responses import Response

from app.graphql.compression import MIN_BYTES, accepts_gzip, compressed

STATIC = Path(__file__).parent / "static"
DOCUMENT = Path(__file__).parent / "index.html"

# Nothing but what this server sends is loaded or run, and nobody may frame it. Trusted Types turn every way to make
# markup or code from a string off.
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
FOR_EVER = "public, max-age=31536000, immutable"

_TEXT = {
    ".css": "text/css",
    ".js": "text/javascript",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
}
# The styles that the first page needs are sent as one file, in this order: over HTTP/1.1 a browser fetches six at once.
FIRST_STYLES = ("style.css", "parts.css", "states.css", "portfolio.css", "cards.css")

_BINARY = {".png": "image/png", ".ico": "image/x-icon"}


@dataclass(frozen=True)
class File:
    """A file as it is sent; `gzipped` is None where compression gains nothing."""

    content: bytes
    media_type: str
    gzipped: bytes | None = None

    def response(self, request_headers: Mapping[str, str], *, cache: str, status: int = 200) -> Response:
        """Return the answer that holds the file."""
        headers = {**HEADERS, "Cache-Control": cache, "Vary": "Accept-Encoding"}
        if self.gzipped is not None and accepts_gzip(request_headers):
            return Response(self.gzipped, status, {**headers, "Content-Encoding": "gzip"}, media_type=self.media_type)
        return Response(self.content, status, headers, media_type=self.media_type)


def text_file(content: bytes, media_type: str) -> File:
    """Return a file of text, compressed if it is long enough."""
    return File(content, media_type, compressed(content, 9) if len(content) >= MIN_BYTES else None)


def load(folder: Path) -> tuple[str, dict[str, File]]:
    """Return a hash of all files below the folder, and the files by their relative paths."""
    digest = hashlib.sha256()
    files: dict[str, File] = {}
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        name, content = path.relative_to(folder).as_posix(), path.read_bytes()
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
        if path.suffix in _BINARY:
            files[name] = File(content, _BINARY[path.suffix])
        else:
            # Licences and the list of versions have no suffix.
            files[name] = text_file(content, _TEXT.get(path.suffix, "text/plain"))
    first = b"".join(files[name].content for name in FIRST_STYLES if name in files)
    files["first.css"] = text_file(first, _TEXT[".css"])
    return digest.hexdigest()[:16], files


def document(template: Path, values: Mapping[str, str]) -> File:
    """Return the one document of the dashboard, with `{{name}}` replaced by the value of that name."""
    content = template.read_text(encoding="utf-8")
    for name, value in values.items():
        content = content.replace(f"{{{{{name}}}}}", value)
    return text_file(content.encode(), "text/html")
