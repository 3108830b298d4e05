"""Every SQL statement about events: remembering messages, finding whom they are of, and keeping what they amount to."""

from sqlalchemy import text

from app.database import given_rows

# A client that is being erased keeps its members until the end, and gets nothing any more.
CLIENTS_OF_MEMBERS = text(
    "SELECT m.external_id AS member, c.external_id AS client, c.id, c.last_activity_at FROM members AS m "
    "JOIN clients AS c ON c.id = m.client_id WHERE m.external_id = ANY(CAST(:members AS text[])) "
    "AND NOT starts_with(c.external_id, :erased)"
)

KNOWN_CLIENTS = text(
    "SELECT external_id, id, last_activity_at FROM clients WHERE external_id = ANY(CAST(:clients AS text[]))"
)

# When the columns of clients were taken from a group call, and that they now are.
TRAITS_AT = text(
    "SELECT external_id, traits_at FROM clients WHERE external_id = ANY(CAST(:clients AS text[])) "
    "AND traits_at IS NOT NULL"
)
TAKE_TRAITS = text(
    "UPDATE clients SET traits_at = new.at FROM unnest(CAST(:clients AS text[]), CAST(:moments AS timestamptz[])) "
    "AS new(client, at) WHERE external_id = new.client AND traits_at IS DISTINCT FROM new.at"
)

FEATURES = text("SELECT key, name FROM features ORDER BY id")

# A message that does not say when it happened may have come on another day under the same id.
SEEN = text("SELECT day, message_id FROM events WHERE message_id = ANY(CAST(:message_ids AS text[])) AND day >= :since")

REMEMBERED = (
    ("message_id", "text"),
    ("at", "timestamptz"),
    ("type", "text"),
    ("name", "text"),
    ("client", "text"),
    ("member", "text"),
)
# In the order of the key, so that two who send the same messages at once wait for each other, but never in a circle.
REMEMBER = text(
    "INSERT INTO events (day, message_id, at, received_at, type, name, client, member) "
    "SELECT (at AT TIME ZONE 'UTC')::date, message_id, at, :received_at, type, name, client, member "
    f"FROM {given_rows((name, sql_type, f':{name}') for name, sql_type in REMEMBERED)} AS new "
    "ORDER BY 1, 2 ON CONFLICT (day, message_id) DO NOTHING RETURNING day, message_id"
)

# The logins that a session may have begun with: the member's latest of unknown length, from shortly before the
# session's computed beginning until its end. There are several for the sessions that end in the same transaction.
LOGINS_OF_SESSIONS = text(
    "SELECT s.number, l.at FROM unnest(CAST(:number AS bigint[]), CAST(:client AS text[]), "
    "CAST(:member AS text[]), CAST(:earliest AS timestamptz[]), CAST(:latest AS timestamptz[])) "
    "AS s(number, client, member, earliest, latest) JOIN clients AS c ON c.external_id = s.client "
    "JOIN members AS m ON m.client_id = c.id AND m.external_id = s.member "
    "CROSS JOIN LATERAL (SELECT at FROM logins WHERE client_id = c.id AND member_id = m.id "
    "AND at BETWEEN s.earliest AND s.latest AND duration_minutes IS NULL ORDER BY at DESC LIMIT 10) AS l"
)

COUNT_ACTIVITY = text(
    "INSERT INTO activity_days AS known (client_id, day, events, first_at, last_at) "
    "SELECT * FROM unnest(CAST(:client_id AS bigint[]), CAST(:day AS date[]), CAST(:events AS integer[]), "
    "CAST(:first_at AS timestamptz[]), CAST(:last_at AS timestamptz[])) ON CONFLICT (client_id, day) DO UPDATE "
    "SET events = known.events + excluded.events, first_at = least(known.first_at, excluded.first_at), "
    "last_at = greatest(known.last_at, excluded.last_at)"
)

# Beyond so many, names are not told apart any more: a sender may make up a new one for each event. Those that are new
# to the table are numbered, so that one batch of them does not go beyond it, either.
COUNT_UNMAPPED = text(
    "INSERT INTO unmapped_events AS known (type, name, reason, events, first_received_at, last_received_at) "
    "SELECT type, CASE WHEN stored OR number <= :names - (SELECT count(*) FROM unmapped_events WHERE name <> '') "
    "THEN name ELSE '' END, reason, sum(events), min(received_at), max(received_at) FROM ("
    "SELECT new.*, u.type IS NOT NULL AS stored, row_number() OVER ("
    "PARTITION BY u.type IS NULL AND new.name <> '' ORDER BY new.place) AS number "
    "FROM unnest(CAST(:type AS text[]), CAST(:name AS text[]), CAST(:reason AS text[]), CAST(:events AS bigint[]), "
    "CAST(:received_at AS timestamptz[])) WITH ORDINALITY AS new(type, name, reason, events, received_at, place) "
    "LEFT JOIN unmapped_events AS u ON u.type = new.type AND u.name = new.name AND u.reason = new.reason) AS numbered "
    "GROUP BY 1, 2, 3 ON CONFLICT (type, name, reason) DO UPDATE SET events = known.events + excluded.events, "
    "first_received_at = least(known.first_received_at, excluded.first_received_at), "
    "last_received_at = greatest(known.last_received_at, excluded.last_received_at)"
)

UNMAPPED = text(
    "SELECT type, name, reason, events, first_received_at, last_received_at FROM unmapped_events "
    "WHERE CAST(:reasons AS text[]) IS NULL OR reason = ANY(CAST(:reasons AS text[])) "
    "ORDER BY events DESC, type, name, reason LIMIT :limit"
)

FORGET_UNMAPPED = text(
    "DELETE FROM unmapped_events WHERE ctid = ANY(ARRAY(SELECT ctid FROM unmapped_events "
    "WHERE last_received_at < :before LIMIT :limit FOR UPDATE SKIP LOCKED))"
)

LOCK_OUTDATED = text(
    "SELECT clients.id, new.at FROM clients JOIN unnest(CAST(:client_id AS bigint[]), CAST(:at AS timestamptz[])) "
    "AS new(id, at) ON clients.id = new.id WHERE last_activity_at IS NULL OR new.at > last_activity_at "
    "ORDER BY clients.id FOR NO KEY UPDATE OF clients"
)
MOVE_ACTIVITY = text(
    "UPDATE clients SET last_activity_at = new.at FROM unnest(CAST(:client_id AS bigint[]), "
    "CAST(:at AS timestamptz[])) AS new(id, at) WHERE clients.id = new.id"
)

# An alias: the member takes the new id, or, where the client has a member of that id already, hands everything over.
RENAME_MEMBER = text(
    "UPDATE members AS old SET external_id = :member WHERE client_id = :client_id AND external_id = :previous "
    "AND NOT EXISTS (SELECT FROM members AS other WHERE other.client_id = :client_id AND other.external_id = :member)"
)
MEMBERS_TO_MERGE = text(
    "SELECT old.id AS old_id, new.id AS new_id FROM members AS old JOIN members AS new "
    "ON new.client_id = old.client_id AND new.external_id = :member "
    "WHERE old.client_id = :client_id AND old.external_id = :previous"
)
_NEW = "CAST(:new_id AS bigint)"
_MOVES = {
    "logins": (
        "client_id, at, member_id, duration_minutes",
        f"client_id, at, {_NEW}, duration_minutes",
        "(client_id, at, member_id) DO UPDATE SET "
        "duration_minutes = coalesce(logins.duration_minutes, excluded.duration_minutes)",
    ),
    "campaign_responses": (
        "client_id, at, campaign_id, member_id",
        f"client_id, at, campaign_id, {_NEW}",
        "DO NOTHING",
    ),
}
MERGE_MEMBERS = (
    *(
        text(
            f"WITH gone AS (DELETE FROM {table} WHERE client_id = (SELECT client_id FROM members WHERE id = :old_id) "
            f"AND member_id = :old_id RETURNING *) INSERT INTO {table} ({columns}) SELECT {values} FROM gone "
            f"ON CONFLICT {conflict}"
        )
        for table, (columns, values, conflict) in _MOVES.items()
    ),
    text(
        "WITH gone AS (DELETE FROM members WHERE id = :old_id RETURNING *) UPDATE members AS kept SET "
        "created_at = least(kept.created_at, gone.created_at) FROM gone WHERE kept.id = :new_id "
        "AND kept.created_at_inferred"
    ),
)
