"""Replays of alerts: their kind of run, and what they counted."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

KINDS_BEFORE = "'RECALCULATE_ONE', 'RECALCULATE_ALL', 'RECORD_METRICS', 'SET_ALERTS', 'IMPORT'"
KINDS = f"{KINDS_BEFORE}, 'REPLAY_ALERTS'"


def admit_kinds(kinds: str) -> None:
    """Let runs be of these kinds and no other."""
    op.execute("ALTER TABLE runs DROP CONSTRAINT ck_runs_kind")
    op.execute(f"ALTER TABLE runs ADD CONSTRAINT ck_runs_kind CHECK (kind IN ({kinds}))")


def upgrade() -> None:
    """Create the tables and admit the kind."""
    admit_kinds(KINDS)
    op.create_table(
        "alert_replay_days",
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("scored", sa.Integer(), nullable=False),
        sa.Column("alerts", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_alert_replay_days_run_id_runs")),
        sa.PrimaryKeyConstraint("run_id", "day", name=op.f("pk_alert_replay_days")),
    )
    op.create_table(
        "alert_replay_clients",
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("client_id", sa.BigInteger(), nullable=False),
        sa.Column("alerts", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_alert_replay_clients_run_id_runs")),
        sa.ForeignKeyConstraint(["client_id"], ["clients.id"], name=op.f("fk_alert_replay_clients_client_id_clients")),
        sa.PrimaryKeyConstraint("run_id", "client_id", name=op.f("pk_alert_replay_clients")),
    )


def downgrade() -> None:
    """Drop what was counted, with the runs that counted it, which the older code could not carry out."""
    op.drop_table("alert_replay_clients")
    op.drop_table("alert_replay_days")
    replays = "SELECT id FROM runs WHERE kind = 'REPLAY_ALERTS'"
    op.execute(f"DELETE FROM audit_events WHERE run_id IN ({replays})")
    op.execute(f"DELETE FROM run_errors WHERE run_id IN ({replays})")
    op.execute("DELETE FROM runs WHERE kind = 'REPLAY_ALERTS'")
    admit_kinds(KINDS_BEFORE)
