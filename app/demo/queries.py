"""The SQL statements that tell a demo portfolio from a user's own data, and a finished one from an interrupted one."""

from sqlalchemy import text

from app.database import AdvisoryLock

# One loader at a time.
LOCK = text(f"SELECT pg_advisory_xact_lock({AdvisoryLock.LOAD_DEMO:d})")

# More clients than the demo has are somebody's own: no more than one too many need to be read.
CLIENTS = text("SELECT external_id, name, customer_since FROM clients ORDER BY external_id LIMIT :most")

SCORED_DAYS = text("SELECT DISTINCT day FROM health_scores WHERE day BETWEEN :first AND :last")

# The history is scored right after the import, before the server gets round to it by itself.
ANALYZE = text(
    "ANALYZE clients, members, logins, cases, campaigns, campaign_responses, features, client_features, tickets"
)
