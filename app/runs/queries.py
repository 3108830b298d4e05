"""Every SQL statement about runs. Leases are timed by the database's clock, which all processes share."""

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncSession

REQUEST = text(
    "INSERT INTO runs (kind, status, client_id, day, as_of, requested_by, request_id, requested_at, done, failed, "
    "position, attempt, parameters) "
    "VALUES (:kind, 'QUEUED', :client_id, :day, :as_of, :requested_by, :request_id, :now, 0, 0, 0, 0, "
    "CAST(:parameters AS jsonb)) "
    "ON CONFLICT (kind, coalesce(client_id, 0), coalesce(day, '-infinity'), coalesce(parameters, '{}')) "
    "WHERE status IN ('QUEUED', 'RUNNING') DO NOTHING RETURNING id"
)

UNFINISHED = text(
    "SELECT id FROM runs WHERE kind = :kind AND client_id IS NOT DISTINCT FROM CAST(:client_id AS bigint) "
    "AND day IS NOT DISTINCT FROM CAST(:day AS date) "
    "AND parameters IS NOT DISTINCT FROM CAST(:parameters AS jsonb) AND status IN ('QUEUED', 'RUNNING')"
)

CLAIM = text(
    "UPDATE runs SET status = 'RUNNING', attempt = attempt + 1, started_at = coalesce(started_at, clock_timestamp()), "
    "lease_until = clock_timestamp() + CAST(:lease AS interval) "
    "WHERE id = :id AND (status = 'QUEUED' OR (status = 'RUNNING' AND lease_until < clock_timestamp())) RETURNING *"
)

# The fence: only the attempt that holds the lease may go on, whatever a paused worker believes.
HELD = "id = :id AND attempt = :attempt AND status = 'RUNNING' AND lease_until > clock_timestamp()"

START = text(f"UPDATE runs SET total = :total WHERE {HELD}")

ADVANCE = text(
    "UPDATE runs SET done = done + :done, failed = failed + :failed, position = greatest(position, :position), "
    f"lease_until = clock_timestamp() + CAST(:lease AS interval) WHERE {HELD}"
)

FINISH = text(
    "UPDATE runs SET status = 'SUCCEEDED', finished_at = clock_timestamp(), lease_until = NULL, total = done + failed "
    f"WHERE {HELD}"
)

FAIL = text(
    "UPDATE runs SET status = 'FAILED', finished_at = clock_timestamp(), lease_until = NULL, reason = :reason "
    "WHERE id = :id AND attempt = :attempt AND status = 'RUNNING'"
)

RELEASE = text(
    "UPDATE runs SET status = 'QUEUED', lease_until = NULL WHERE id = :id AND attempt = :attempt AND status = 'RUNNING'"
)

ADD_ERROR = text(
    "INSERT INTO run_errors (run_id, client_id, message, attempt) VALUES (:run_id, :client_id, :message, :attempt) "
    "ON CONFLICT (run_id, client_id) DO UPDATE SET message = excluded.message, attempt = excluded.attempt"
)

COLUMNS = (
    "id, kind, status, client_id, total, done, failed, requested_by, requested_at, started_at, finished_at, reason"
)

BY_IDS = text(f"SELECT {COLUMNS} FROM runs WHERE id = ANY(CAST(:ids AS bigint[]))")

PAGE = text(f"SELECT {COLUMNS} FROM runs WHERE id < :before ORDER BY id DESC LIMIT :limit")

# Capped, because a run over a broken feed may fail for every client: the first ones tell what is wrong.
ERRORS = text(
    "SELECT e.run_id, e.client_id, e.message FROM unnest(CAST(:ids AS bigint[])) AS r(id) CROSS JOIN LATERAL ("
    "SELECT run_id, client_id, message FROM run_errors WHERE run_id = r.id ORDER BY client_id LIMIT :limit) AS e"
)


async def changed(session: AsyncSession, statement: TextClause, **values: object) -> bool:
    """Execute the statement and return whether it changed a row."""
    return bool((await session.execute(statement, values)).rowcount)  # type: ignore[attr-defined]
