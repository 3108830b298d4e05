"""Alerts that are held until their run ends or an administrator decides, and both decisions in the audit trail."""

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql.sqltypes import UTCDateTime

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

ACTIONS_BEFORE = "'ALERTS_CHANGED', 'ALERTS_SNOOZED', 'ALERT_ACKNOWLEDGED', 'RUN_REQUESTED'"
ACTIONS = f"{ACTIONS_BEFORE}, 'HELD_ALERTS_RELEASED', 'HELD_ALERTS_DISCARDED'"


def admit_actions(actions: str) -> None:
    """Let the audit trail hold these actions and no other."""
    op.execute("ALTER TABLE audit_events DROP CONSTRAINT ck_audit_events_action")
    op.execute(f"ALTER TABLE audit_events ADD CONSTRAINT ck_audit_events_action CHECK (action IN ({actions}))")


def upgrade() -> None:
    """Add the columns, with values for alerts that are there already, and admit the actions."""
    op.add_column("alerts", sa.Column("run_id", sa.BigInteger(), nullable=True))
    op.add_column("alerts", sa.Column("held", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.add_column("alerts", sa.Column("discarded_at", UTCDateTime(), nullable=True))
    op.create_foreign_key(op.f("fk_alerts_run_id_runs"), "alerts", "runs", ["run_id"], ["id"])
    op.create_index("ix_alerts_held", "alerts", ["run_id"], postgresql_where=sa.text("held"))
    admit_actions(ACTIONS)


def downgrade() -> None:
    """Drop what was added; what is held then shows like any other alert."""
    op.execute(f"DELETE FROM audit_events WHERE action NOT IN ({ACTIONS_BEFORE})")
    admit_actions(ACTIONS_BEFORE)
    op.drop_index("ix_alerts_held", "alerts")
    for name in ("discarded_at", "held", "run_id"):
        op.drop_column("alerts", name)
