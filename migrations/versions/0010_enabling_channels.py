"""Enabling a channel in the audit trail, and an index of what is under way."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

ACTIONS_BEFORE = (
    "'ALERTS_CHANGED', 'ALERTS_SNOOZED', 'ALERT_ACKNOWLEDGED', 'RUN_REQUESTED', 'HELD_ALERTS_RELEASED', "
    "'HELD_ALERTS_DISCARDED'"
)
ACTIONS = f"{ACTIONS_BEFORE}, 'CHANNEL_ENABLED'"


def admit_actions(actions: str) -> None:
    """Let the audit trail hold these actions and no other."""
    op.execute("ALTER TABLE audit_events DROP CONSTRAINT ck_audit_events_action")
    op.execute(f"ALTER TABLE audit_events ADD CONSTRAINT ck_audit_events_action CHECK (action IN ({actions}))")


def upgrade() -> None:
    """Admit the action, and create the index."""
    admit_actions(ACTIONS)
    op.create_index(
        "ix_deliveries_leased", "deliveries", ["channel"], postgresql_where=sa.text("lease_until IS NOT NULL")
    )


def downgrade() -> None:
    """Drop the index, with the audit of the action."""
    op.drop_index("ix_deliveries_leased", "deliveries")
    op.execute(f"DELETE FROM audit_events WHERE action NOT IN ({ACTIONS_BEFORE})")
    admit_actions(ACTIONS_BEFORE)
