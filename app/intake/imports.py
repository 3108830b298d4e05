"""Bulk facts over HTTP: `POST /v1/import/{kind}` takes rows, `GET /v1/import/{run id}` says what became of them."""

import asyncio
import csv
import io
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import structlog
from sqlalchemy import Row
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from app.auth import write_keys
from app.auth.tokens import Verifier
from app.auth.write_keys import WriteKeys
from app.database import Database
from app.errors import InvalidInput, NotFound, is_outage
from app.graphql.http import NOT_KEPT, request_id
from app.graphql.live import Hub, Interrupted
from app.graphql.pagination import global_id, key_of
from app.ingest.formats import FILE_KINDS
from app.intake.answers import Answering, Refusal, json_answer
from app.intake.bodies import pieces
from app.intake.senders import Sender, sender_of
from app.runs.models import RunStatus
from app.uploads import service as uploads
from app.uploads.models import UploadFormat

# Uploads that one process takes at a time: each holds some megabytes, and a place in line for the database.
MAX_UPLOADS = 4
MAX_WAIT_SECONDS = 60
_PAGE = 1_000

_FORMATS = {
    "text/csv": UploadFormat.CSV,
    "application/x-ndjson": UploadFormat.JSONL,
    "application/jsonl": UploadFormat.JSONL,
}
_KINDS = tuple(kind.name for kind in FILE_KINDS)
_ENDED = {RunStatus.SUCCEEDED, RunStatus.FAILED}

log = structlog.get_logger(__name__)


class Imports:
    """The addresses of imports; `max_bytes` is the length of the longest body, packed and unpacked."""

    def __init__(self, database: Database, keys: WriteKeys, verifier: Verifier, live: Hub, max_bytes: int) -> None:
        self._database = database
        self._keys = keys
        self._verifier = verifier
        self._live = live
        self._max_bytes = max_bytes
        self._uploading = 0

    @property
    def routes(self) -> list[Route]:
        """The routes; both answer every method themselves, so that each refusal is JSON."""
        return [
            Route("/v1/import/{name}", Answering(self._import)),
            Route("/v1/import/{name}/rejected", Answering(self._rejected)),
        ]

    async def _import(self, request: Request) -> Response:
        _require_method(request, "GET", "POST")
        sender = await sender_of(request, self._keys, self._verifier)
        if request.method == "GET":
            return json_answer(_state_of(await self._find(request, sender)))
        kind, form, wait = _kind_of(request), _format_of(request), _wait_of(request)
        run_id = await self._take(request, sender, kind, form)
        if wait:
            await self._ended(run_id, wait)
        async with self._database.read() as connection:
            state = await uploads.state(connection, run_id, None)
        status = 202 if state.status not in _ENDED else 200 if _is_complete(state) else 422
        return json_answer(_state_of(state), status, {"Location": _url_of(run_id)})

    async def _take(self, request: Request, sender: Sender, kind: str, form: UploadFormat) -> int:
        """Store the body and return the run that will import it; nothing is left of one that breaks off."""
        if self._uploading >= MAX_UPLOADS:
            raise Refusal(429, "TOO_MANY_REQUESTS", f"{MAX_UPLOADS} imports are arriving already; send this one again.")
        self._uploading += 1
        try:
            async with self._database.begin() as session:
                upload_id = await uploads.begin(session, kind, form, sender.key_id)
            try:
                size = await self._store(request, upload_id)
                return await self._accept(request, sender, upload_id, size)
            except BaseException:
                await self._drop(upload_id)
                raise
        finally:
            self._uploading -= 1

    async def _store(self, request: Request, upload_id: int) -> int:
        """Store the body, and return its unpacked length in bytes.

        Each chunk has a transaction of its own, so that none is open while the sender takes its time.
        """
        number = size = 0
        async for piece in pieces(request, size=uploads.CHUNK_BYTES, limit=self._max_bytes):
            content = await asyncio.to_thread(uploads.packed, piece)
            async with self._database.begin() as session:
                await uploads.add(session, upload_id, number, content)
            number, size = number + 1, size + len(piece)
        if not size:
            raise Refusal(400, "BAD_REQUEST", "The body is empty.")
        return size

    async def _accept(self, request: Request, sender: Sender, upload_id: int, size: int) -> int:
        now = datetime.now(UTC)
        async with self._database.begin() as session:
            requested_by = sender.subject
            if sender.key_id is not None:
                await write_keys.used(session, [sender.key_id], now)
                requested_by = f"write key {await write_keys.name_of(session, sender.key_id)}"
            return await uploads.accept(
                session, upload_id, size, requested_by=requested_by or "", now=now, request_id=request_id(request)
            )

    async def _drop(self, upload_id: int) -> None:
        try:
            async with self._database.begin() as session:
                await uploads.drop(session, upload_id)
        except Exception as error:
            if not is_outage(error):
                raise
            # The scheduler removes it later.
            log.warning("upload_not_removed", upload_id=upload_id, error=repr(error))

    async def _ended(self, run_id: int, seconds: float) -> None:
        """Return when the run has ended, or after as many seconds."""
        try:
            async with asyncio.timeout(seconds):
                with self._live.run(run_id) as inbox:
                    while RunStatus((await inbox.take()).status) not in _ENDED:
                        pass
        except (TimeoutError, Interrupted):
            return

    async def _find(self, request: Request, sender: Sender) -> Row[Any]:
        try:
            run_id = key_of("id", request.path_params["name"], "Run")
        except InvalidInput as error:
            raise NotFound("There is no import with this id, or it was too long ago.") from error
        async with self._database.read() as connection:
            return await uploads.state(connection, run_id, sender.key_id)

    async def _rejected(self, request: Request) -> Response:
        _require_method(request, "GET")
        sender = await sender_of(request, self._keys, self._verifier)
        state = await self._find(request, sender)
        headers = {**NOT_KEPT, "Content-Disposition": f'attachment; filename="{state.kind}.rejected.csv"'}
        return StreamingResponse(self._rejected_lines(state), 200, headers, "text/csv")

    async def _rejected_lines(self, state: Row[Any]) -> AsyncIterator[str]:
        yield _csv_of([("file", "line", "reason", "row")])
        file, line = uploads.file_name(state), 0
        while True:
            async with self._database.read() as connection:
                rows = await uploads.rejected(connection, state.id, line, _PAGE)
            if not rows:
                return
            yield _csv_of([(file, row.line, row.reason, row.content) for row in rows])
            line = rows[-1].line


def _require_method(request: Request, *methods: str) -> None:
    if request.method not in methods:
        message = f"This address answers {' and '.join(methods)}."
        raise Refusal(405, "METHOD_NOT_ALLOWED", message, headers={"Allow": ", ".join(methods)})


def _kind_of(request: Request) -> str:
    name: str = request.path_params["name"]
    if name not in _KINDS:
        raise NotFound(f"There is no kind of rows with this name; there are {', '.join(_KINDS)}.")
    return name


def _format_of(request: Request) -> UploadFormat:
    media_type, *parameters = (part.strip().lower() for part in request.headers.get("content-type", "").split(";"))
    form = _FORMATS.get(media_type)
    if form is None:
        names = ", ".join(_FORMATS)
        raise Refusal(415, "UNSUPPORTED_MEDIA_TYPE", f"Send the header `Content-Type` with one of {names}.")
    for name, _, value in (parameter.partition("=") for parameter in parameters):
        if name == "charset" and value.strip('"') not in {"utf-8", "utf8", "us-ascii"}:
            raise Refusal(415, "UNSUPPORTED_MEDIA_TYPE", "Send the rows in UTF-8.")
    return form


def _wait_of(request: Request) -> int:
    value = request.query_params.get("wait", "0")
    if not (value.isascii() and value.isdigit() and int(value[:4]) <= MAX_WAIT_SECONDS and len(value) < 4):
        raise InvalidInput("wait", f"wait must be a whole number of seconds from 0 to {MAX_WAIT_SECONDS}.")
    return int(value)


def _is_complete(state: Row[Any]) -> bool:
    return bool(state.status == RunStatus.SUCCEEDED and not state.rejected)


def _url_of(run_id: int) -> str:
    return f"/v1/import/{global_id('Run', run_id)}"


def _state_of(state: Row[Any]) -> dict[str, Any]:
    """Return what has become of an import, as it is answered."""
    url = _url_of(state.run_id)
    return {
        "runId": global_id("Run", state.run_id),
        "url": url,
        "kind": state.kind,
        "status": state.status,
        "read": state.read,
        "new": state.new,
        "changed": state.changed,
        "unchanged": state.unchanged,
        "rejected": state.rejected,
        "rejectedRows": f"{url}/rejected" if state.rejected else None,
        "unknownColumns": state.unknown_columns,
        "reason": state.reason,
        "requestedAt": state.requested_at,
        "startedAt": state.started_at,
        "finishedAt": state.finished_at,
    }


def _csv_of(rows: list[tuple[object, ...]]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue()
