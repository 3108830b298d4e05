"""The data that is measured: clients with facts in time order, made by SQL inside the database.

Nothing is random: every value is a hash of a row's number and a salt, so that two runs measure the same data. The facts
of one client are scattered over each table, as they are where facts arrive when they happen.
"""

from collections.abc import Callable
from datetime import UTC, datetime

import asyncpg

# The moment that every measurement looks from; the facts reach back from here.
NOW = datetime(2026, 3, 1, tzinfo=UTC)

MEMBERS, CASES, CAMPAIGNS, FEATURES = 20, 30, 5, 20
LOGINS_OF_MEMBER, RESPONSES, TICKETS = 3, 10, 4

# A prime that divides no number of clients which is measured: multiples of it visit every client in turn.
STRIDE = 7919

# A fraction from 0 (included) to 1 (excluded) that depends on a number and a salt only.
FRACTION = """
CREATE FUNCTION pg_temp.fraction(number bigint, salt integer) RETURNS float8 LANGUAGE sql IMMUTABLE
RETURN (hashint8extended(number, salt) & 1073741823) / 1073741824.0::float8
"""

CLIENTS = """
INSERT INTO clients (external_id, name, name_key, size, industry, status, engagement_model, owner, customer_since,
    renewal_date, annual_value, alerts_enabled)
SELECT 'client-' || i, 'Client ' || md5(i::text), 'client ' || md5(i::text),
    (ARRAY['ENTERPRISE', 'MIDMARKET', 'SMB'])[1 + i % 3],
    (ARRAY['FINANCIAL', 'HEALTHCARE', 'TECHNOLOGY', 'MANUFACTURING', 'OTHER'])[1 + i / 3 % 5],
    'ACTIVE', CASE WHEN i % 4 = 0 THEN 'HIGH_TOUCH' ELSE 'PLG' END, 'owner' || i % 100 || '@example.com', '2024-01-01',
    date '2026-03-01' + (i * 7919 % 365)::integer, 1000 * (1 + i % 500), i % 4 = 0
FROM generate_series(1, $1::bigint) AS i
"""

# In each round every client gets one more member: the member of the client c in the round r has the id c + r n, where
# the rows lie in an order that scatters neighbours.
MEMBER_ROWS = f"""
INSERT INTO members (id, client_id, external_id, created_at, created_at_inferred)
SELECT 1 + i * {STRIDE} % $1 + $1 * (i / $1), 1 + i * {STRIDE} % $1, 'member-' || i,
    $2::timestamptz - interval '400 days', false
FROM generate_series(0, $1::bigint * {MEMBERS} - 1) AS i
"""

# Only a part of a client's members logs in, and how large that part is depends on the client.
LOGINS = f"""
INSERT INTO logins (client_id, at, member_id, duration_minutes)
SELECT client, $2::timestamptz - interval '40 days' * (1 - i / total),
    client + $1 * floor({MEMBERS} * (0.2 + 0.8 * pg_temp.fraction(client, 1)) * pg_temp.fraction(i, 2))::bigint, i % 60
FROM (SELECT i, ($1 * {MEMBERS * LOGINS_OF_MEMBER} * 4 / 3)::float8 AS total,
        1 + floor($1 * pg_temp.fraction(i, 3))::bigint AS client
    FROM generate_series(1, $1::bigint * {MEMBERS * LOGINS_OF_MEMBER} * 4 / 3) AS i) AS numbered
ON CONFLICT DO NOTHING
"""

CASE_ROWS = f"""
INSERT INTO cases (client_id, external_id, opened_at, closed_at, sla_due_at)
SELECT client, 'case-' || i, opened, least(opened + interval '20 days' * pg_temp.fraction(i, 4),
    CASE WHEN i % 10 = 0 THEN NULL ELSE 'infinity'::timestamptz END),
    opened + interval '20 days' * (0.4 + 0.6 * pg_temp.fraction(client, 5))
FROM (SELECT i, 1 + i * {STRIDE} % $1 AS client,
        $2::timestamptz - interval '90 days' * (1 - i / ($1 * {CASES})::float8) AS opened
    FROM generate_series(1, $1::bigint * {CASES}) AS i) AS numbered
"""

CAMPAIGN_ROWS = f"""
INSERT INTO campaigns (client_id, external_id, name, kind, assigned, completed, closed_at)
SELECT client, 'campaign-' || i, 'Campaign ' || i, CASE WHEN i % 2 = 0 THEN 'ATTESTATION' ELSE 'OTHER' END, {MEMBERS},
    floor({MEMBERS + 1} * (1 - pg_temp.fraction(client, 6) * pg_temp.fraction(i, 7)))::integer,
    $2::timestamptz - interval '75 days' * (1 - i / ($1 * {CAMPAIGNS})::float8)
FROM (SELECT i, 1 + i * {STRIDE} % $1 AS client FROM generate_series(1, $1::bigint * {CAMPAIGNS}) AS i) AS numbered
"""

RESPONSE_ROWS = f"""
INSERT INTO campaign_responses (client_id, at, campaign_id, member_id)
SELECT c.client_id, $2::timestamptz - interval '75 days' * (1 - i / ($1 * {RESPONSES})::float8), c.id,
    c.client_id + $1 * (i % {MEMBERS})
FROM generate_series(1, $1::bigint * {RESPONSES}) AS i JOIN campaigns AS c ON c.id = 1 + i * 104729 % ($1 * {CAMPAIGNS})
ON CONFLICT DO NOTHING
"""

FEATURE_ROWS = f"""
INSERT INTO features (key, name, category)
SELECT 'feature-' || i, 'Feature ' || i, (ARRAY['CORE', 'ADVANCED', 'INTEGRATION', 'REPORTING'])[1 + i % 4]
FROM generate_series(1, {FEATURES}) AS i
"""

CLIENT_FEATURES = f"""
INSERT INTO client_features (client_id, feature_id, enabled, first_used_at, last_used_at)
SELECT client, 1 + i / $1, i % 11 <> 0, first, first + ($2 - first) * pg_temp.fraction(i, 8)
FROM (SELECT i, 1 + i * {STRIDE} % $1 AS client,
        CASE WHEN pg_temp.fraction(i, 9) < 0.2 + 0.8 * pg_temp.fraction(1 + i * {STRIDE} % $1, 10)
        THEN $2::timestamptz - interval '300 days' * (0.1 + pg_temp.fraction(i, 11)) END AS first
    FROM generate_series(0, $1::bigint * {FEATURES} - 1) AS i) AS numbered
"""

# One client in eight never opened a ticket.
TICKET_ROWS = f"""
INSERT INTO tickets (client_id, external_id, opened_at, closed_at, priority)
SELECT client, 'ticket-' || i, opened, opened + interval '2 days', 'normal'
FROM (SELECT i, 1 + floor($1 * pg_temp.fraction(i, 12))::bigint AS client,
        $2::timestamptz - interval '120 days' * (1 - i / ($1 * {TICKETS})::float8) AS opened
    FROM generate_series(1, $1::bigint * {TICKETS}) AS i) AS numbered
WHERE client % 8 <> 0
"""

FACTS = {
    "members": MEMBER_ROWS,
    "logins": LOGINS,
    "cases": CASE_ROWS,
    "campaigns": CAMPAIGN_ROWS,
    "campaign_responses": RESPONSE_ROWS,
    "features": FEATURE_ROWS,
    "client_features": CLIENT_FEATURES,
    "tickets": TICKET_ROWS,
}


async def fill(connection: asyncpg.Connection, clients: int, tell: Callable[[str], None]) -> None:
    """Fill an empty, migrated database whose ids begin with 1, and tell of each table before it is filled."""
    await connection.execute(FRACTION)
    tell("filling clients")
    await connection.execute(CLIENTS, clients)
    # The rows refer to what exists by construction, and checking each of them would take longer than measuring.
    await connection.execute("SET session_replication_role = replica")
    for table, statement in FACTS.items():
        tell(f"filling {table}")
        arguments = [value for place, value in (("$1", clients), ("$2", NOW)) if place in statement]
        await connection.execute(statement, *arguments)
    await connection.execute("SET session_replication_role = DEFAULT")
    # As the server would sooner or later do by itself.
    await connection.execute("VACUUM ANALYZE")
