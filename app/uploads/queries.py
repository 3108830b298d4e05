"""Every SQL statement about uploads."""

from sqlalchemy import text

BEGIN = text(
    "INSERT INTO uploads (started_at, kind, format, write_key_id, size, stored, read, new, changed, unchanged, "
    "rejected, unknown_columns) "
    "VALUES (clock_timestamp(), :kind, :format, :write_key_id, 0, true, 0, 0, 0, 0, 0, '[]') RETURNING id"
)

ADD_CHUNK = text("INSERT INTO upload_chunks (upload_id, number, content) VALUES (:id, :number, :content)")

CHUNK = text("SELECT content FROM upload_chunks WHERE upload_id = :id AND number = :number")

ACCEPT = text(
    "UPDATE uploads SET run_id = :run_id, size = :size WHERE id = :id AND run_id IS NULL "
    "AND started_at >= clock_timestamp() - CAST(:within AS interval) RETURNING id"
)

# What has become a run is no longer its sender's to drop.
DROP = text("DELETE FROM uploads WHERE id = :id AND run_id IS NULL")

BY_ID = text("SELECT id, kind, format, size, read FROM uploads WHERE id = :id")

COUNT = text(
    "UPDATE uploads SET read = read + :read, new = new + :new, changed = changed + :changed, "
    "unchanged = unchanged + :unchanged, rejected = rejected + :rejected WHERE id = :id"
)

NOTE_UNKNOWN = text("UPDATE uploads SET unknown_columns = CAST(:columns AS jsonb) WHERE id = :id")

REJECT = text(
    "INSERT INTO rejected_rows (upload_id, line, reason, content) SELECT :id, r.line, r.reason, r.content FROM "
    "unnest(CAST(:lines AS bigint[]), CAST(:reasons AS text[]), CAST(:contents AS text[])) AS r(line, reason, content)"
)

FORGET_CHUNKS = text("DELETE FROM upload_chunks WHERE upload_id = :id")

NOT_STORED = text("UPDATE uploads SET stored = false WHERE id = :id")

# What broke off, or was left by a run that was given up: the others remove it themselves.
OLDEST_LEFT_OVER = text(
    "SELECT u.id, u.run_id FROM uploads AS u LEFT JOIN runs AS r ON r.id = u.run_id "
    "WHERE u.stored AND u.started_at < :before AND (r.id IS NULL OR r.status NOT IN ('QUEUED', 'RUNNING')) "
    "ORDER BY u.started_at LIMIT 1 FOR UPDATE OF u SKIP LOCKED"
)

FORGET_SOME_CHUNKS = text(
    "DELETE FROM upload_chunks WHERE upload_id = :id AND number IN "
    "(SELECT number FROM upload_chunks WHERE upload_id = :id ORDER BY number LIMIT :limit) RETURNING number"
)

OLDEST_REPORT = text(
    "SELECT id FROM uploads WHERE started_at < :before AND NOT stored "
    "ORDER BY started_at LIMIT 1 FOR UPDATE SKIP LOCKED"
)

FORGET_SOME_REJECTED = text(
    "DELETE FROM rejected_rows WHERE upload_id = :id AND line IN "
    "(SELECT line FROM rejected_rows WHERE upload_id = :id ORDER BY line LIMIT :limit) RETURNING line"
)

FORGET = text("DELETE FROM uploads WHERE id = :id")

STATE = text(
    "SELECT u.id, u.kind, u.format, u.read, u.new, u.changed, u.unchanged, u.rejected, u.unknown_columns, "
    "r.id AS run_id, r.status, r.reason, r.requested_at, r.started_at, r.finished_at "
    "FROM uploads AS u JOIN runs AS r ON r.id = u.run_id "
    "WHERE u.run_id = :run_id AND (CAST(:write_key_id AS bigint) IS NULL OR u.write_key_id = :write_key_id)"
)

REJECTED = text(
    "SELECT line, reason, content FROM rejected_rows WHERE upload_id = :id AND line > :after ORDER BY line LIMIT :limit"
)
