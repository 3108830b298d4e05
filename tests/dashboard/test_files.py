"""The document and the static files: what is served, with which headers, and what is not."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from app.dashboard.files import DOCUMENT, STATIC, load
from app.dashboard.routes import PAGES
from tests.graphql.conftest import Api

POLICY = {
    "default-src": "'self'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "connect-src": "'self'",
    "object-src": "'none'",
    "base-uri": "'none'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
    "require-trusted-types-for": "'script'",
    "trusted-types": "'none'",
}
HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
FILES = sorted(path.relative_to(STATIC).as_posix() for path in STATIC.rglob("*") if path.is_file())


class Tags(HTMLParser):
    """Collects the tags of a document, and what stands inside of scripts and styles."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.inline = ""
        self.feed(document)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.found and self.found[-1][0] in {"script", "style"}:
            self.inline += data.strip()


async def document(api: Api) -> str:
    """Return the document."""
    return (await api.http.get("/")).text


@pytest.mark.parametrize("path", [*(page.format(id="Q2xpZW50OjE=") for page in PAGES), "/sign-in?code=x", "/?size=SMB"])
async def test_every_page_is_the_one_document_with_strict_headers(api: Api, path: str) -> None:
    answer = await api.http.get(path)
    assert (answer.status_code, answer.text) == (200, await document(api))
    headers = answer.headers
    assert headers["content-type"] == "text/html; charset=utf-8"
    assert headers["cache-control"] == "no-cache"
    directives = [directive.strip().partition(" ") for directive in headers["content-security-policy"].split(";")]
    assert {name: values for name, _, values in directives} == POLICY
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert all(part.endswith("=()") for part in headers["permissions-policy"].split(", "))
    assert "set-cookie" not in headers
    # Nobody's data is in it, so that nothing had to be asked for.
    assert api.statements == []


async def test_the_document_names_nothing_that_the_policy_forbids_or_that_is_missing(api: Api) -> None:
    text = await document(api)
    assert "{{" not in text
    tags = Tags(text)
    assert tags.inline == ""
    assert not any(tag == "style" for tag, _ in tags.found)
    addresses = []
    for tag, attributes in tags.found:
        assert not any(name == "style" or name.startswith("on") for name in attributes), tag
        addresses += [attributes[name] for name in ("src", "href") if name in attributes]
    served = [address for address in addresses if address is not None and not address.startswith("data:")]
    assert served
    for address in served:
        assert address.startswith("/static/")
        answer = await api.http.get(address)
        assert answer.status_code == 200, address


async def test_every_file_is_served_for_ever_below_the_version(api: Api) -> None:
    version, _ = load(STATIC)
    kinds = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}
    assert len(FILES) > 5
    for name in FILES:
        content = (STATIC / name).read_bytes()
        path = f"/static/{version}/{name}"
        plain = await api.http.get(path, headers={"Accept-Encoding": "identity"})
        short = await api.http.get(path, headers={"Accept-Encoding": "gzip, br"})
        assert plain.content == short.content == content, name
        for answer in (plain, short):
            assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
            assert answer.headers["vary"] == "Accept-Encoding"
            assert "content-security-policy" in answer.headers
            assert answer.headers["x-content-type-options"] == "nosniff"
            kind = kinds.get(Path(name).suffix, "text/plain; charset=utf-8")
            assert answer.headers["content-type"] == kind, name
        assert "content-encoding" not in plain.headers
        assert short.headers.get("content-encoding") == ("gzip" if len(content) >= 1000 else None)
        assert int(short.headers["content-length"]) <= len(content)
    assert api.statements == []


@pytest.mark.parametrize(
    "path",
    [
        "/static/{version}/",
        "/static/{version}/nothing.js",
        "/static/{version}/../index.html",
        "/static/{version}/%2e%2e/index.html",
        "/static/{version}/..%2fvendor.py",
        "/static/{version}//etc/passwd",
        "/static/0000000000000000/main.js",
        "/static/main.js",
        "/static",
        "/index.html",
        "/clients/",
        "/clients/a/b",
        "/sign-in/oidc",
        "/sign-in/callback",
    ],
)
async def test_nothing_else_is_served(api: Api, path: str) -> None:
    address = path.format(version=load(STATIC)[0])
    # With a slash too many, or too few, the address is first put right.
    program = await api.http.get(address, follow_redirects=True)
    assert (program.status_code, program.text) == (404, "Not Found")
    assert program.headers["x-content-type-options"] == "nosniff"
    # A person gets a page that leads on.
    person = await api.http.get(address, headers=HTML, follow_redirects=True)
    assert (person.status_code, person.text) == (404, await document(api))
    assert "content-security-policy" in person.headers


async def test_only_reading_is_possible(api: Api) -> None:
    version, _ = load(STATIC)
    for path in ("/", "/alerts", f"/static/{version}/{FILES[0]}"):
        assert (await api.http.post(path)).status_code == 405
        assert (await api.http.head(path)).status_code == 200
    assert (await api.http.get("/session")).status_code == 405
    assert (await api.http.post("/nothing", headers=HTML)).text == "Not Found"


def test_the_version_changes_with_every_file_and_name(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "a.js").write_text("1")
    seen = [load(tmp_path)[0]]
    for change in (
        lambda: (tmp_path / "a.js").write_text("2"),
        lambda: (tmp_path / "inner" / "b.css").write_text(""),
        lambda: (tmp_path / "a.js").rename(tmp_path / "c.js"),
        lambda: (tmp_path / "c.js").rename(tmp_path / "inner" / "c.js"),
    ):
        change()
        seen.append(load(tmp_path)[0])
    assert len(set(seen)) == len(seen)
    assert load(tmp_path)[0] == seen[-1]
    assert re.fullmatch(r"[0-9a-f]{16}", seen[-1])


def test_the_template_says_where_its_values_go() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert {"{{static}}", "{{sign_in}}"} <= set(re.findall(r"\{\{\w+\}\}", text))
