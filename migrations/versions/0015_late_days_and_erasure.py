"""Days that are due again because of late facts, and the erasure of clients and members."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

KINDS_BEFORE = "'RECALCULATE_ONE', 'RECALCULATE_ALL', 'RECORD_METRICS', 'SET_ALERTS', 'IMPORT', 'REPLAY_ALERTS'"
ACTIONS_BEFORE = (
    "'ALERTS_CHANGED', 'ALERTS_SNOOZED', 'ALERT_ACKNOWLEDGED', 'HELD_ALERTS_RELEASED', 'HELD_ALERTS_DISCARDED', "
    "'CHANNEL_ENABLED', 'RUN_REQUESTED'"
)


def admit(table: str, column: str, values: str) -> None:
    """Let the column hold these values and no other."""
    op.execute(f"ALTER TABLE {table} DROP CONSTRAINT ck_{table}_{column}")
    op.execute(f"ALTER TABLE {table} ADD CONSTRAINT ck_{table}_{column} CHECK ({column} IN ({values}))")


def upgrade() -> None:
    """Add what tells the late days apart, find the revised ones by an index, and admit erasures."""
    op.drop_constraint("pk_late_days", "late_days")
    op.create_primary_key("pk_late_days", "late_days", ["day", "client_id"])
    op.add_column("late_days", sa.Column("adoption", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.create_index(
        "ix_daily_metrics_revised",
        "daily_metrics",
        ["client_id", "revised_at", "day"],
        postgresql_where=sa.text("revised_at IS NOT NULL"),
    )
    admit("runs", "kind", f"{KINDS_BEFORE}, 'ERASE'")
    admit("audit_events", "action", f"{ACTIONS_BEFORE}, 'MEMBER_ERASED', 'CLIENT_ERASED'")


def downgrade() -> None:
    """Take it back, with the erasures that the older code does not know; what was erased stays so."""
    erasures = "SELECT id FROM runs WHERE kind = 'ERASE'"
    op.execute(f"DELETE FROM audit_events WHERE run_id IN ({erasures})")
    op.execute(f"DELETE FROM run_errors WHERE run_id IN ({erasures})")
    op.execute("DELETE FROM runs WHERE kind = 'ERASE'")
    admit("audit_events", "action", ACTIONS_BEFORE)
    admit("runs", "kind", KINDS_BEFORE)
    op.drop_index("ix_daily_metrics_revised", "daily_metrics")
    op.drop_column("late_days", "adoption")
    op.drop_constraint("pk_late_days", "late_days")
    op.create_primary_key("pk_late_days", "late_days", ["client_id", "day"])
