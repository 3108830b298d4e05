"""Segment's own clients for Python and Node, unchanged but for the host: what they send is what is stored."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from app.auth import write_keys
from tests.chaos.service import HOST, Service, service
from tests.events.sending import stored
from tests.factories import rows_of

# The latest version that runs on Node 18, which is Debian's; those after it need 20.
NODE_CLIENT = "@segment/analytics-node@2.2.1"
NO_NODE = "there is no Node with npm: install Debian's packages nodejs and npm"
FOLDER = Path(__file__).parent
SENDERS = ["python", "python, gzip", "node"]
SECONDS = 120
YESTERDAY = (datetime.now(UTC) - timedelta(days=1)).replace(hour=9, minute=0, second=0, microsecond=0)
OF_ACME = {"context": {"groupId": "acme"}}
CALLS: list[dict[str, Any]] = [
    {
        "call": "group",
        "userId": "ann",
        "groupId": "acme",
        "traits": {"name": "Acme AG", "employees": 250, "industry": "technology"},
    },
    {
        "call": "identify",
        "userId": "ann",
        "traits": {"email": "ann@acme.example", "createdAt": "2024-02-29T10:00:00Z"},
        **OF_ACME,
    },
    {"call": "track", "userId": "x1", "event": "Logged In", "timestamp": YESTERDAY.isoformat(), **OF_ACME},
    {
        "call": "track",
        "userId": "ann",
        "event": "Signed Out",
        "properties": {"duration_seconds": 90},
        "timestamp": (YESTERDAY + timedelta(hours=2)).isoformat(),
        **OF_ACME,
    },
    {
        "call": "track",
        "userId": "ann",
        "event": "Case Opened",
        "properties": {"case_id": "Ä-1", "due_at": "2027-01-01"},
        "timestamp": YESTERDAY.isoformat(),
        **OF_ACME,
    },
    # The client says itself when this was, and the member's client is known from the call of identify.
    {"call": "track", "userId": "ann", "event": "Exported", "properties": {"rows": 7}},
    {"call": "page", "anonymousId": "a1", "category": "Docs", "name": "Home", **OF_ACME},
    {"call": "screen", "userId": "ann", "name": "Main", "timestamp": YESTERDAY.isoformat(), **OF_ACME},
    {"call": "alias", "previousId": "x1", "userId": "ann"},
]


@dataclass
class Product:
    """A running service that events are sent to."""

    service: Service
    key: str

    async def send(self, sender: str, calls: list[dict[str, Any]], node: Path | None) -> list[str]:
        """Send calls through one of the clients and return what it reports as failed."""
        name, _, gzip = sender.partition(", ")
        program = [sys.executable, str(FOLDER / "send_with_python.py")]
        if name == "node":
            program = [shutil.which("node") or "node", str(FOLDER / "send_with_node.mjs"), str(node)]
        host = f"http://{HOST}:{self.service.port}"
        order = {"key": self.key, "host": host, "calls": calls, "settings": {"gzip": True} if gzip else {}}
        process = await asyncio.create_subprocess_exec(
            *program, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        async with asyncio.timeout(SECONDS):
            output, errors = await process.communicate(json.dumps(order).encode())
        assert process.returncode == 0, errors.decode()
        failures: list[str] = json.loads(output)
        return failures


@pytest.fixture(scope="module")
async def running() -> AsyncIterator[Product]:
    """A web process with a write key."""
    async with service() as started:
        await started.start_web()
        async with started.database.begin() as session:
            key = await write_keys.create(session, "product", datetime.now(UTC))
        yield Product(started, key)


@pytest.fixture
async def product(running: Product) -> Product:
    """That process, before anything was sent to it."""
    async with running.service.database.begin() as session:
        await session.execute(text("TRUNCATE clients, features, portfolio_counts, events, unmapped_events CASCADE"))
    return running


@pytest.fixture(scope="session")
def node_client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that Segment's Node client is installed in; where npm looks for it is the environment's business."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        if os.environ.get("CI"):
            pytest.fail(NO_NODE)
        pytest.skip(NO_NODE)
    folder = tmp_path_factory.mktemp("node")
    done = subprocess.run(  # noqa: S603 - the package is named above.
        [npm, "install", "--no-save", "--no-audit", "--no-fund", NODE_CLIENT],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def node(request: pytest.FixtureRequest, sender: str) -> Path | None:
    """Where the Node client is, for a test that sends with it."""
    return request.getfixturevalue("node_client") if sender == "node" else None


@pytest.mark.parametrize("sender", SENDERS)
async def test_what_a_client_sends_is_stored(product: Product, sender: str, node: Path | None) -> None:
    database = product.service.database
    assert await product.send(sender, CALLS, node) == []
    assert await stored(database, "clients") == [("acme", "Acme AG", "acme ag", "MIDMARKET", "TECHNOLOGY", None, None)]
    assert await stored(database, "members") == [
        ("acme", "ann", datetime(2024, 2, 29, 10, tzinfo=UTC), False),
    ]
    ended = YESTERDAY + timedelta(hours=2)
    assert [(member, at, str(minutes)) for _, member, at, minutes in await stored(database, "logins")] == [
        ("ann", YESTERDAY, "None"),
        ("ann", ended - timedelta(seconds=90), "1.500000"),
    ]
    assert await stored(database, "cases") == [
        ("acme", "Ä-1", YESTERDAY, None, datetime(2027, 1, 1, tzinfo=UTC)),
    ]
    assert await stored(database, "unmapped_events") == [
        ("PAGE", "Home", "NOT_MAPPED", 1),
        ("SCREEN", "Main", "NOT_MAPPED", 1),
        ("TRACK", "Exported", "NOT_MAPPED", 1),
    ]
    assert await rows_of(database, "SELECT sum(events) FROM activity_days") == [(3,)]
    # Each has an id and a time of the client's own.
    events = "SELECT type, name, client, member FROM events ORDER BY 1, 2"
    assert await rows_of(database, events) == [
        ("ALIAS", "x1", "acme", "ann"),
        ("GROUP", None, "acme", "ann"),
        ("IDENTIFY", None, "acme", "ann"),
        ("PAGE", "Home", "acme", None),
        ("SCREEN", "Main", "acme", "ann"),
        ("TRACK", "Case Opened", "acme", "ann"),
        ("TRACK", "Exported", "acme", "ann"),
        ("TRACK", "Logged In", "acme", "x1"),
        ("TRACK", "Signed Out", "acme", "ann"),
    ]
    assert await rows_of(database, "SELECT count(DISTINCT message_id) FROM events WHERE at <= received_at") == [(9,)]


@pytest.mark.parametrize("sender", SENDERS)
async def test_a_client_reports_what_will_never_work(product: Product, sender: str, node: Path | None) -> None:
    ahead = (datetime.now(UTC) + timedelta(hours=30)).isoformat()
    calls = [CALLS[0], {"call": "page", "userId": "ann", "name": "Home", "timestamp": ahead, **OF_ACME}]
    failures = await product.send(sender, calls, node)
    # Each client fails the batch as a whole in its reports; what could be stored is.
    assert failures
    assert all("400" in failure for failure in failures)
    assert await rows_of(product.service.database, "SELECT type, client FROM events") == [("GROUP", "acme")]


@pytest.mark.parametrize("sender", SENDERS)
async def test_a_client_with_a_wrong_key_stores_nothing(product: Product, sender: str, node: Path | None) -> None:
    stranger = Product(product.service, f"chw_{'x' * 43}")
    failures = await stranger.send(sender, CALLS, node)
    assert failures
    assert all("401" in failure for failure in failures)
    assert await rows_of(product.service.database, "SELECT count(*) FROM events") == [(0,)]
