"""Every SQL statement about runs. Leases are timed by the database's clock, which all processes share."""

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.database import AdvisoryLock

REQUEST = text(
    "INSERT INTO runs (kind, status, client_id, day, as_of, requested_by, request_id, requested_at, done, failed, "
    "position, attempt, parameters) "
    "VALUES (:kind, 'QUEUED', :client_id, :day, :as_of, :requested_by, :request_id, clock_timestamp(), 0, 0, 0, 0, "
    "CAST(:parameters AS jsonb)) "
    "ON CONFLICT (kind, coalesce(client_id, 0), coalesce(day, '-infinity'), md5(coalesce(parameters, '{}')::text)) "
    "WHERE status IN ('QUEUED', 'RUNNING') DO NOTHING RETURNING id"
)

UNFINISHED = text(
    "SELECT id FROM runs WHERE kind = :kind AND client_id IS NOT DISTINCT FROM CAST(:client_id AS bigint) "
    "AND day IS NOT DISTINCT FROM CAST(:day AS date) "
    "AND parameters IS NOT DISTINCT FROM CAST(:parameters AS jsonb) AND status IN ('QUEUED', 'RUNNING')"
)

# Whoever holds it accepts a switch of many alerts: their ids follow the order in which they can be seen.
LOCK_SWITCHES = text(f"SELECT pg_advisory_xact_lock({AdvisoryLock.ACCEPT_SWITCH:d})")

NEWEST_SWITCH = text(
    "SELECT id, parameters FROM runs WHERE kind = 'SET_ALERTS' AND status IN ('QUEUED', 'RUNNING') "
    "ORDER BY id DESC LIMIT 1"
)

# Of two switches of one client the later one counts, so that they are carried out in the order of their ids.
IN_TURN = (
    "(kind <> 'SET_ALERTS' OR NOT EXISTS (SELECT FROM runs AS older WHERE older.kind = 'SET_ALERTS' "
    "AND older.status IN ('QUEUED', 'RUNNING') AND older.id < runs.id))"
)

CLAIM = text(
    "UPDATE runs SET status = 'RUNNING', attempt = attempt + 1, fruitless_attempts = fruitless_attempts + 1, "
    "started_at = coalesce(started_at, clock_timestamp()), "
    "lease_until = clock_timestamp() + CAST(:lease AS interval) "
    "WHERE id = :id AND (status = 'QUEUED' OR (status = 'RUNNING' AND lease_until < clock_timestamp())) "
    f"AND {IN_TURN} RETURNING *"
)

# The fence: only the attempt that holds the lease may go on, whatever a paused worker believes.
HELD = "id = :id AND attempt = :attempt AND status = 'RUNNING' AND lease_until > clock_timestamp()"

START = text(f"UPDATE runs SET total = :total WHERE {HELD}")

ADVANCE = text(
    "UPDATE runs SET done = done + :done, failed = failed + :failed, position = greatest(position, :position), "
    "fruitless_attempts = CASE WHEN CAST(:done AS integer) + CAST(:failed AS integer) > 0 THEN 0 "
    "ELSE fruitless_attempts END, "
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

# The moment counts as that of a message: the worker's own retry comes first, and the sweeper only if that is lost.
RELEASE = text(
    "UPDATE runs SET status = 'QUEUED', lease_until = NULL, sent_at = clock_timestamp(), "
    "fruitless_attempts = greatest(fruitless_attempts - :excused, 0) "
    "WHERE id = :id AND attempt = :attempt AND status = 'RUNNING'"
)

# What nobody holds: it waits in the queue, or its worker has shown no sign of life until the lease ran out.
UNHELD = "(status = 'QUEUED' OR (status = 'RUNNING' AND lease_until < clock_timestamp()))"

# Several sweepers pass over each other's rows, and those that have waited longest come first, whoever was sent before.
RESEND = text(
    "UPDATE runs SET sent_at = clock_timestamp() WHERE id IN ("
    f"SELECT id FROM runs WHERE {UNHELD} AND {IN_TURN} AND coalesce(sent_at, requested_at) < clock_timestamp() "
    "- CAST(:after AS interval) "
    "ORDER BY coalesce(sent_at, requested_at), id LIMIT :limit FOR UPDATE SKIP LOCKED) RETURNING id"
)

GIVE_UP = text(
    "UPDATE runs SET status = 'FAILED', finished_at = clock_timestamp(), lease_until = NULL, reason = :reason "
    f"WHERE id IN (SELECT id FROM runs WHERE {UNHELD} AND fruitless_attempts >= :max_attempts "
    "FOR UPDATE SKIP LOCKED) RETURNING id, kind, day"
)

# Whoever holds it creates the next slot; it ends with its transaction, however that ends.
TRY_SCHEDULE_LOCK = text(f"SELECT pg_try_advisory_xact_lock({AdvisoryLock.SCHEDULE:d})")

# A scheduler that is paused in the middle must not keep the others from their work.
LIMIT_PAUSE = text("SET LOCAL idle_in_transaction_session_timeout = '5s'")

SLOTS = text("SELECT job, max(day) AS day, min(due_at) AS began FROM slots GROUP BY job")

SLOT_IS_UNFINISHED = text(
    "SELECT id FROM runs WHERE status IN ('QUEUED', 'RUNNING') AND id IN (SELECT run_id FROM slots) LIMIT 1"
)

ADD_SLOT = text("INSERT INTO slots (job, day, due_at, run_id) VALUES (:job, :day, :due_at, :run_id)")

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
