"""The database engine, and the two ways to use it: reading and changing."""

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from enum import IntEnum, StrEnum
from typing import Any, NewType

import orjson
from sqlalchemy import Enum, Row, TextClause, make_url
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, create_async_engine
from sqlmodel import SQLModel

from app.jobs import Job

# The convention is set before the first table is declared: every constraint has a name that migrations can rely on.
SQLModel.metadata.naming_convention = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class AdvisoryLock(IntEnum):
    """What one process at a time may do, as the keys of PostgreSQL's advisory locks."""

    MIGRATE = 4_817_263_001
    SCHEDULE = 4_817_263_002
    IMPORT = 4_817_263_003
    LOAD_DEMO = 4_817_263_004
    PARTITIONS = 4_817_263_005
    ACCEPT_SWITCH = 4_817_263_006


# A connection on which every statement is its own transaction and none of them writes.
ReadConnection = NewType("ReadConnection", AsyncConnection)


async def fetch(
    connection: AsyncSession | AsyncConnection, statement: TextClause, **values: object
) -> Sequence[Row[Any]]:
    """Return every row of the statement."""
    return (await connection.execute(statement, values)).all()


def column_parameter(values: Sequence[object]) -> str:
    """Return a column of values, of any length, as the parameter that `given_rows` reads it from.

    A driver asks of each element of an array whether it is an array itself, which takes longer than all the rest.
    Raises TypeError for what is no text, number, moment, day or None.
    """
    return orjson.dumps(values, default=_decimal_text).decode()


def _decimal_text(value: object) -> str:
    if not isinstance(value, Decimal):
        raise TypeError(f"{type(value).__name__} is not what a column holds")
    return str(value)


def given_rows(columns: Iterable[tuple[str, str, str]]) -> str:
    """Compose the rows of columns that come as JSON arrays: the name of each, its SQL type and its parameter."""
    names, types, parameters = zip(*columns, strict=True)
    typed = ", ".join(f"CAST({name} AS {sql_type}) AS {name}" for name, sql_type in zip(names, types, strict=True))
    elements = ", ".join(f"json_array_elements_text(CAST({parameter} AS json))" for parameter in parameters)
    return f"(SELECT {typed} FROM ROWS FROM ({elements}) AS given({', '.join(names)}))"


def enum_column(enum: type[StrEnum], name: str) -> Enum:
    """Return a text column type with a CHECK named after `name` that admits the enum's values only."""
    return Enum(
        enum,
        native_enum=False,
        create_constraint=True,
        length=24,
        name=name,
        values_callable=lambda members: [member.value for member in members],
    )


def async_url(url: str) -> str:
    """Return `url` with the driver that this service uses, whatever driver it names."""
    return make_url(url).set(drivername="postgresql+asyncpg").render_as_string(hide_password=False)


class Database:
    """One engine of one event loop, with a session for changes and a connection for reads."""

    def __init__(
        self,
        url: str,
        *,
        pool_size: int = 10,
        statement_timeout_seconds: int | None = None,
        idle_timeout_seconds: int | None = None,
        send_jobs: Callable[[list[Job]], None] | None = None,
    ) -> None:
        self._send_jobs = send_jobs
        server_settings = {"application_name": "client-health", "jit": "off", "timezone": "UTC"}
        if statement_timeout_seconds is not None:
            server_settings["statement_timeout"] = f"{statement_timeout_seconds}s"
        if idle_timeout_seconds is not None:
            # A process that is paused or cut off in the middle of a transaction would keep its locks for ever.
            server_settings["idle_in_transaction_session_timeout"] = f"{idle_timeout_seconds}s"
        self.engine: AsyncEngine = create_async_engine(
            async_url(url),
            pool_size=pool_size,
            max_overflow=0,
            # Errors are logged, and what a statement was called with may name people.
            hide_parameters=True,
            pool_timeout=10,
            connect_args={"timeout": 10, "server_settings": server_settings},
            json_serializer=lambda value: orjson.dumps(value).decode(),
            json_deserializer=orjson.loads,
        )
        self._reading = self.engine.execution_options(isolation_level="AUTOCOMMIT")

    @asynccontextmanager
    async def read(self) -> AsyncIterator[ReadConnection]:
        """Yield a connection for reading; it spares the round trips of a transaction."""
        async with self._reading.connect() as connection:
            yield ReadConnection(connection)

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncSession]:
        """Yield a session in one transaction: committed at the end of the block, rolled back on an error.

        The jobs enqueued in the block are sent after the commit.
        """
        async with AsyncSession(self.engine, expire_on_commit=False) as session:
            async with session.begin():
                yield session
            jobs = session.info.pop("jobs", [])
        if jobs and self._send_jobs:
            self._send_jobs(jobs)

    async def close(self) -> None:
        """Close every connection."""
        await self.engine.dispose()
