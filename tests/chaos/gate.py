"""A gate in the database that holds a process up in the middle of its transaction."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from tests.chaos.service import Service

GATE = 7
# The rows of pg_locks of those who wait at it.
WAITS = f"locktype = 'advisory' AND objid = {GATE} AND NOT granted"
GATE_ON_SCORES = f"""
CREATE FUNCTION wait_at_gate() RETURNS trigger LANGUAGE plpgsql AS
  $$ BEGIN PERFORM pg_advisory_xact_lock_shared({GATE}); RETURN NULL; END $$;
CREATE TRIGGER wait_at_gate AFTER UPDATE ON clients FOR EACH STATEMENT EXECUTE FUNCTION wait_at_gate();
"""


@asynccontextmanager
async def gate(running: Service) -> AsyncIterator[asyncpg.Connection]:
    """Hold up everybody who writes scores until the end of the block."""
    connection = await asyncpg.connect(running.servers.database_url)
    try:
        await connection.execute(GATE_ON_SCORES)
        await connection.execute(f"SELECT pg_advisory_lock({GATE})")
        yield connection
    finally:
        await connection.close()


async def held_up(connection: asyncpg.Connection) -> bool:
    """Return whether somebody waits at the gate."""
    waiting: int = await connection.fetchval(f"SELECT count(*) FROM pg_locks WHERE {WAITS}")
    return waiting > 0
