"""What many deliveries need: to be listed, given up and forgotten by an index, and to be released in batches."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the indexes, and the mark of a run whose alerts are being released."""
    op.create_index("ix_deliveries_listed", "deliveries", ["channel", "status", "id"])
    op.create_index(
        "ix_deliveries_undelivered",
        "deliveries",
        ["next_attempt_at"],
        postgresql_where=sa.text("status IN ('PENDING', 'WAITING') AND digest_id IS NULL"),
    )
    op.create_index(
        "ix_deliveries_finished_at",
        "deliveries",
        ["finished_at"],
        postgresql_where=sa.text("finished_at IS NOT NULL"),
    )
    op.drop_index("ix_alerts_held", "alerts")
    op.create_index("ix_alerts_held", "alerts", ["run_id", "id"], postgresql_where=sa.text("held"))
    op.add_column("runs", sa.Column("releasing", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.create_index("ix_runs_releasing", "runs", ["id"], postgresql_where=sa.text("releasing"))


def downgrade() -> None:
    """Drop them; alerts that are being released then wait for an administrator."""
    op.drop_index("ix_runs_releasing", "runs")
    op.drop_column("runs", "releasing")
    op.drop_index("ix_alerts_held", "alerts")
    op.create_index("ix_alerts_held", "alerts", ["run_id"], postgresql_where=sa.text("held"))
    for name in ("finished_at", "undelivered", "listed"):
        op.drop_index(f"ix_deliveries_{name}", "deliveries")
