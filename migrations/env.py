"""Runs the migrations over the driver that the service itself uses."""

import asyncio
import re

from alembic import context
from sqlalchemy import Connection, pool
from sqlalchemy.ext.asyncio import create_async_engine

from app.database import AdvisoryLock, async_url
from app.settings import get_settings
from app.tables import metadata


def is_declared(name: str | None, type_: str, _parents: object) -> bool:
    """Return whether the models speak of a thing: the partitions of events, one a day, are made as days come."""
    return not (type_ == "table" and re.fullmatch(r"events_\d{8}", name or ""))


def migrate(connection: Connection) -> None:
    """Run the wanted migrations in one transaction, one process at a time."""
    context.configure(
        connection=connection,
        target_metadata=metadata,
        compare_type=True,
        compare_server_default=True,
        include_name=is_declared,
        transaction_per_migration=False,
    )
    with context.begin_transaction():
        # Two processes that start at once must not migrate at once: the second waits here and finds nothing to do.
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({AdvisoryLock.MIGRATE:d})")
        context.run_migrations()


async def connect_and_migrate() -> None:
    """Open one connection to the database of the configuration, or of the settings, and migrate it."""
    url = context.config.attributes.get("url") or get_settings().database_url
    if not url:
        raise RuntimeError("DATABASE_URL is not set")
    engine = create_async_engine(async_url(url), poolclass=pool.NullPool)
    async with engine.connect() as connection:
        await connection.run_sync(migrate)
    await engine.dispose()


asyncio.run(connect_and_migrate())
