"""Alerts, and the actions on them in the audit trail."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql
from sqlmodel.sql.sqltypes import UTCDateTime

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

ACTIONS_BEFORE = "'ALERTS_CHANGED', 'RUN_REQUESTED'"
ACTIONS = "'ALERTS_CHANGED', 'ALERTS_SNOOZED', 'ALERT_ACKNOWLEDGED', 'RUN_REQUESTED'"
UNFINISHED_KEY = [sa.text("coalesce(client_id, 0)"), sa.text("coalesce(day, '-infinity')")]


def one_of(name: str, *values: str) -> sa.Enum:
    """Return a text type with a CHECK that admits the values only."""
    return sa.Enum(*values, name=name, native_enum=False, create_constraint=True, length=24)


def admit_actions(actions: str) -> None:
    """Let the audit trail hold these actions and no other."""
    op.execute("ALTER TABLE audit_events DROP CONSTRAINT ck_audit_events_action")
    op.execute(f"ALTER TABLE audit_events ADD CONSTRAINT ck_audit_events_action CHECK (action IN ({actions}))")


def unfinished_by(columns: list[Any]) -> None:
    """Let there be one unfinished run for each combination of these columns."""
    op.drop_index("uq_runs_unfinished", "runs")
    op.create_index(
        "uq_runs_unfinished", "runs", columns, unique=True, postgresql_where=sa.text("status IN ('QUEUED', 'RUNNING')")
    )


def upgrade() -> None:
    """Create the table with its indexes, and admit the new actions and parameters of runs."""
    op.create_table(
        "alerts",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("client_id", sa.BigInteger(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("kinds", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("kind", one_of("kind", "RISK_HIGH", "LIGHT_WORSENED", "SCORE_DROP"), nullable=False),
        sa.Column("status", one_of("status", "OPEN", "ACKNOWLEDGED", "RESOLVED"), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("score_before", sa.SmallInteger(), nullable=False),
        sa.Column("score_after", sa.SmallInteger(), nullable=False),
        sa.Column("raised_at", UTCDateTime(), nullable=False),
        sa.Column("created_at", UTCDateTime(), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("acknowledged_at", UTCDateTime(), nullable=True),
        sa.Column("acknowledged_by", sa.Text(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("resolved_at", UTCDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["client_id"], ["clients.id"], name=op.f("fk_alerts_client_id_clients")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alerts")),
    )
    op.create_index("ix_alerts_raised_at", "alerts", ["raised_at", "id"])
    op.create_index("ix_alerts_client_id_raised_at", "alerts", ["client_id", "raised_at", "id"])
    op.create_index("ix_alerts_unresolved", "alerts", ["client_id"], postgresql_where=sa.text("status <> 'RESOLVED'"))
    op.create_index("ix_alerts_created_at", "alerts", ["created_at"])
    admit_actions(ACTIONS)
    op.create_table(
        "slots",
        sa.Column("job", one_of("job", "RECALCULATE_ALL", "RECORD_METRICS"), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("due_at", UTCDateTime(), nullable=False),
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_slots_run_id_runs")),
        sa.PrimaryKeyConstraint("job", "day", name=op.f("pk_slots")),
    )
    op.add_column("runs", sa.Column("parameters", postgresql.JSONB(), nullable=True))
    op.add_column("runs", sa.Column("sent_at", UTCDateTime(), nullable=True))
    op.add_column(
        "runs", sa.Column("fruitless_attempts", sa.SmallInteger(), server_default=sa.text("0"), nullable=False)
    )
    unfinished_by(["kind", *UNFINISHED_KEY, sa.text("md5(coalesce(parameters, '{}')::text)")])
    op.create_index(
        "ix_runs_unfinished", "runs", ["requested_at"], postgresql_where=sa.text("status IN ('QUEUED', 'RUNNING')")
    )


def downgrade() -> None:
    """Drop what was created, with the audit of actions that were not known before."""
    op.drop_index("ix_runs_unfinished", "runs")
    # The older code could neither carry these out nor tell them apart.
    op.execute(
        "UPDATE runs SET status = 'FAILED', finished_at = now(), reason = 'An older version was installed.' "
        "WHERE kind IN ('SET_ALERTS', 'IMPORT') AND status IN ('QUEUED', 'RUNNING')"
    )
    unfinished_by(["kind", *UNFINISHED_KEY])
    op.drop_column("runs", "fruitless_attempts")
    op.drop_column("runs", "sent_at")
    op.drop_column("runs", "parameters")
    op.drop_table("slots")
    op.execute(f"DELETE FROM audit_events WHERE action NOT IN ({ACTIONS_BEFORE})")
    admit_actions(ACTIONS_BEFORE)
    op.drop_table("alerts")
