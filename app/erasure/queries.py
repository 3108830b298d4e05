"""Every SQL statement of an erasure: what names a client or a member goes, a batch at a time."""

from collections.abc import Sequence

from sqlalchemy import TextClause, text

# What belongs to a client, in an order in which nothing refers to what is gone. Members are deleted last of all: they
# tell which messages without a client are meant.
OF_CLIENT = (
    "campaign_responses",
    "logins",
    "cases",
    "campaigns",
    "client_features",
    "tickets",
    "activity_days",
    "client_feeds",
    "alert_replay_clients",
)
OF_MEMBER = ("campaign_responses", "logins")

_ITS = "client_id = :client_id"
_THEIRS = f"{_ITS} AND member_id = :member_id"

CLIENT = text("SELECT external_id, name FROM clients WHERE id = :client_id")

# A run that did not come to its end still knows the client by the id that the client has lost.
_LEFT_UNDONE = "kind = 'ERASE' AND parameters->>'client' IS NOT NULL AND parameters->>'member' IS NULL"

KNOWN_AS = text(
    "SELECT parameters->>'client' AS external_id, parameters->>'name' AS name FROM runs "
    f"WHERE client_id = :client_id AND {_LEFT_UNDONE} ORDER BY id DESC LIMIT 1"
)

ONCE_KNOWN_AS = text(
    f"SELECT client_id FROM runs WHERE parameters->>'client' = :external_id AND {_LEFT_UNDONE} ORDER BY id DESC LIMIT 1"
)

MEMBER = text("SELECT id FROM members WHERE client_id = :client_id AND external_id = :member")

# Churned at no known time is not scored and not recorded for any day, past ones included: what was calculated stays,
# although its facts are gone.
ANONYMISE = text(
    "UPDATE clients SET external_id = :external_id, name = :name, name_key = :name_key, size = NULL, "
    "industry = 'OTHER', status = 'CHURNED', engagement_model = 'PLG', owner = NULL, customer_since = NULL, "
    "churned_at = NULL, renewal_date = NULL, annual_value = NULL, alerts_enabled = false, "
    "alerts_snoozed_until = NULL, last_activity_at = NULL, traits_at = NULL WHERE id = :client_id"
)

# What is noted of the days of a client without facts must not be recorded.
FORGET_LATE_DAYS = text("DELETE FROM late_days WHERE client_id = :client_id")

# What the client was known by when each erasure was asked for that did not come to its end, this one included.
NAMES = text(
    "SELECT DISTINCT parameters->>'client' AS client, parameters->>'name' AS name FROM runs "
    "WHERE kind = 'ERASE' AND client_id = :client_id AND parameters->>'client' IS NOT NULL"
)

# A run of the past that did not come to its end named them as well.
FORGET_NAMES = text(
    "UPDATE runs SET parameters = NULL WHERE kind = 'ERASE' AND client_id = :client_id "
    "AND (CAST(:member AS text) IS NULL OR parameters->>'member' = :member) "
    "AND (id = :run_id OR status IN ('SUCCEEDED', 'FAILED'))"
)

_NAMED = "client = ANY(CAST(:names AS text[]))"

# The id that an alias replaces is kept as its name.
ALIASES = text(
    "SELECT DISTINCT name AS previous, member FROM events WHERE day = :day AND type = 'ALIAS' "
    f"AND (client IS NULL OR {_NAMED})"
)

MEMBERS_AMONG = text(
    "SELECT external_id FROM members WHERE client_id = :client_id AND external_id = ANY(CAST(:ids AS text[]))"
)

# The rows of uploads that could not be used are kept as they came, for a time.
# Few of them have any form of a name somewhere, and the regular expression, which is slow, is for these alone.
DELETE_REJECTED = text(
    "DELETE FROM rejected_rows WHERE CASE WHEN EXISTS (SELECT FROM unnest(CAST(:forms AS text[])) AS form "
    "WHERE strpos(content, form) > 0 OR strpos(reason, form) > 0) "
    "THEN content ~ :mention OR reason ~ :mention ELSE false END"
)

LOCK_ALERTS = text("SELECT id FROM alerts WHERE client_id = :client_id ORDER BY id LIMIT :limit FOR UPDATE")

# Causes and verdicts go with their alert.
DELETE_ALERTS = text("DELETE FROM alerts WHERE id = ANY(CAST(:ids AS bigint[]))")

DELETE_MEMBER = text("DELETE FROM members WHERE id = :member_id")


def count(tables: Sequence[str], *, member: bool) -> TextClause:
    """Return the statement that counts the rows of the client, or of one member, in all of the tables."""
    counts = (f"(SELECT count(*) FROM {table} WHERE {_THEIRS if member else _ITS})" for table in tables)
    return text(f"SELECT {' + '.join(counts)} AS number")


def delete(table: str, *, member: bool) -> TextClause:
    """Return the statement that deletes so many rows of the client, or of one member, at most."""
    where = _THEIRS if member else _ITS
    return text(f"DELETE FROM {table} WHERE ctid = ANY(ARRAY(SELECT ctid FROM {table} WHERE {where} LIMIT :limit))")


def delete_events(*, member: bool, aliases: bool) -> TextClause:
    """Return the statement that deletes the events of the client, or of one member, of one day.

    Its aliases are deleted apart from all others, and last: they tell which others are meant.
    """
    ids = "SELECT unnest(CAST(:ids AS text[]))"
    if not member:
        ids += " UNION ALL SELECT external_id FROM members WHERE client_id = :client_id"
    meant = f"(member IN ({ids}) OR name IN ({ids}))" if aliases else f"member IN ({ids})"
    whose = f"(client IS NULL OR {_NAMED}) AND {meant}" if member else f"({_NAMED} OR (client IS NULL AND {meant}))"
    return text(f"DELETE FROM events WHERE day = :day AND type {'=' if aliases else '<>'} 'ALIAS' AND {whose}")
