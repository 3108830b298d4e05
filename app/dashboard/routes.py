"""The dashboard's addresses: one document, its files, and signing in and out."""

from collections.abc import Sequence

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from app.auth.oidc import Issuer
from app.auth.sessions import Sessions
from app.dashboard.files import DOCUMENT, FOR_EVER, HEADERS, STATIC, document, load
from app.dashboard.oidc import OidcRoutes
from app.dashboard.signing_in import session_endpoint

# The page itself finds out by the address what to show.
PAGES = ("/", "/clients/{id}", "/benchmarks", "/alerts", "/runs", "/sign-in")


class Dashboard:
    """The dashboard of one process, whose files are read when it is made."""

    def __init__(self, sessions: Sessions, issuer: Issuer | None) -> None:
        self._version, self._files = load(STATIC)
        sign_in = "oidc" if issuer else "code"
        self._document = document(DOCUMENT, {"static": f"/static/{self._version}", "sign_in": sign_in})
        self.routes: Sequence[BaseRoute] = [
            *(Route(path, self.page, methods=["GET"]) for path in PAGES),
            Route("/static/{version}/{path:path}", self.static, methods=["GET"]),
            Route("/session", session_endpoint(sessions), methods=["POST", "DELETE"]),
            *(OidcRoutes(issuer, sessions).routes if issuer else ()),
        ]

    async def page(self, request: Request) -> Response:
        """Return the document, which is the same for everybody: what it shows, it asks the API for."""
        return self._document.response(request.headers, cache="no-cache")

    async def static(self, request: Request) -> Response:
        """Return a file of this version; one of another version would not fit the modules that ask for it."""
        file = self._files.get(request.path_params["path"])
        if file is None or request.path_params["version"] != self._version:
            raise HTTPException(404)
        return file.response(request.headers, cache=FOR_EVER)

    async def not_found(self, request: Request, _error: Exception) -> Response:
        """Return the document to a person who went to an address that does not exist, and a word to anything else."""
        if request.method in {"GET", "HEAD"} and "text/html" in request.headers.get("accept", ""):
            return self._document.response(request.headers, cache="no-cache", status=404)
        return PlainTextResponse("Not Found", 404, HEADERS)
