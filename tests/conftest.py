"""One private PostgreSQL and Valkey for the whole run, and a database of its own for every test that asks for one."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

import asyncpg
import pytest
import redis

from app.database import Database
from app.embedded import Servers, data_folder, embedded_servers
from app.migrate import upgrade
from app.private_servers import DATABASE
from app.settings import Settings
from tests.machine import roomy_memory

TEST_SECRET = "a secret that only the tests know, of 32 bytes and more"

# The folders of the slowest files: those that wait most of the time, and those that keep the cores busy.
WAITING, BUSY = {"chaos", "workers"}, {"browser", "tests"}

_numbers = count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the slowest files, those that wait among those that compute: short ones are left for the end."""
    files = list(dict.fromkeys(item.path for item in items))
    places: dict[Path, float] = {}
    for folders in (WAITING, BUSY):
        found = [file for file in files if file.parent.name in folders]
        places |= {file: number / len(found) for number, file in enumerate(found)}
    items.sort(key=lambda item: places.get(item.path, 1.0))


@pytest.fixture(scope="session", autouse=True)
def no_settings_of_the_caller() -> Iterator[None]:
    """Hide the caller's settings: a DATABASE_URL in the environment must not decide what is tested, or where."""
    with pytest.MonkeyPatch.context() as patch:
        for name in Settings.model_fields:
            patch.delenv(name.upper(), raising=False)
            patch.delenv(name, raising=False)
        yield


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """Both servers, with their data in a folder that goes with the run."""
    folder = Path(tempfile.mkdtemp(prefix="client-health-tests-", dir=roomy_memory()))
    folder.chmod(0o755)  # Root's servers run as another account, which must be able to enter it.
    try:
        with embedded_servers(folder, durable=False) as running:
            yield running
    finally:
        for used in {folder, data_folder(folder)}:
            shutil.rmtree(used)


@pytest.fixture(scope="session")
async def admin(servers: Servers) -> AsyncIterator[asyncpg.Connection]:
    """A connection to the server's own database, on which the tests' databases are made and dropped."""
    connection = await asyncpg.connect(servers.database_url)
    yield connection
    await connection.close()


@pytest.fixture(scope="session")
async def template(servers: Servers, admin: asyncpg.Connection) -> str:
    """The name of a database with the latest tables, from which the tests' own are copied."""
    name = "template_latest"
    await admin.execute(f"CREATE DATABASE {name}")
    # Migrations run an event loop of their own, which the thread of this one does not allow.
    await asyncio.to_thread(upgrade, url_of(servers, name))
    return name


@pytest.fixture
async def empty_database_url(servers: Servers, admin: asyncpg.Connection) -> AsyncIterator[str]:
    """The URL of a database without a table, dropped after the test."""
    async with own_database(servers, admin, "template1") as url:
        yield url


@pytest.fixture
async def database_url(servers: Servers, admin: asyncpg.Connection, template: str) -> AsyncIterator[str]:
    """The URL of a database with the latest tables and no rows, dropped after the test."""
    async with own_database(servers, admin, template) as url:
        yield url


@asynccontextmanager
async def own_database(servers: Servers, admin: asyncpg.Connection, template: str) -> AsyncIterator[str]:
    """Yield the URL of a new copy of `template`."""
    name = f"test_{next(_numbers)}"
    await admin.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    yield url_of(servers, name)
    # A test that failed may have left connections open.
    await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


def url_of(servers: Servers, name: str) -> str:
    """Return the URL of the database `name` on the tests' server."""
    return servers.database_url.replace(f"/{DATABASE}?", f"/{name}?")


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """That database, opened."""
    opened = Database(database_url, pool_size=5)
    yield opened
    await opened.close()


@pytest.fixture
def redis_url(servers: Servers) -> str:
    """The URL of an empty Valkey database."""
    with redis.Redis.from_url(servers.redis_url) as client:
        client.flushdb()
    return servers.redis_url


@pytest.fixture
def settings(database_url: str, redis_url: str) -> Settings:
    """Settings for this test's servers; nothing of the environment shows in them."""
    return Settings(database_url=database_url, redis_url=redis_url, auth_secret=TEST_SECRET)
