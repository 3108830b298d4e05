"""Rows that are sent over HTTP, until they are imported, and what could not be used of them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upload_id(table: str) -> tuple[sa.Column[int], sa.ForeignKeyConstraint]:
    """Return the column that names the upload, and its reference, with which the row goes."""
    reference = sa.ForeignKeyConstraint(
        ["upload_id"], ["uploads.id"], name=op.f(f"fk_{table}_upload_id_uploads"), ondelete="CASCADE"
    )
    return sa.Column("upload_id", sa.BigInteger(), nullable=False), reference


def upgrade() -> None:
    """Create the tables."""
    formats = sa.Enum(
        "CSV", "JSONL", name=op.f("ck_uploads_format"), native_enum=False, create_constraint=True, length=24
    )
    counts = ("size", "read", "new", "changed", "unchanged", "rejected")
    op.create_table(
        "uploads",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("format", formats, nullable=False),
        sa.Column("write_key_id", sa.BigInteger(), nullable=True),
        sa.Column("run_id", sa.BigInteger(), nullable=True),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in counts),
        sa.Column("stored", sa.Boolean(), nullable=False),
        sa.Column("unknown_columns", postgresql.JSONB(), nullable=False),
        sa.ForeignKeyConstraint(["write_key_id"], ["write_keys.id"], name=op.f("fk_uploads_write_key_id_write_keys")),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_uploads_run_id_runs")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_uploads")),
    )
    op.create_index("uq_uploads_run_id", "uploads", ["run_id"], unique=True)
    op.create_index("ix_uploads_started_at", "uploads", ["started_at"])
    op.create_index("ix_uploads_stored", "uploads", ["started_at"], postgresql_where=sa.text("stored"))
    op.create_table(
        "upload_chunks",
        *upload_id("upload_chunks"),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("upload_id", "number", name=op.f("pk_upload_chunks")),
    )
    # It comes compressed: PostgreSQL would try once more, in vain.
    op.execute("ALTER TABLE upload_chunks ALTER COLUMN content SET STORAGE EXTERNAL")
    op.create_table(
        "rejected_rows",
        *upload_id("rejected_rows"),
        sa.Column("line", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("upload_id", "line", name=op.f("pk_rejected_rows")),
    )


def downgrade() -> None:
    """Drop the tables, and end the runs that the older code could not carry out."""
    op.execute(
        "UPDATE runs SET status = 'FAILED', finished_at = clock_timestamp(), lease_until = NULL, "
        "reason = 'What was uploaded is gone.' "
        "WHERE status IN ('QUEUED', 'RUNNING') AND id IN (SELECT run_id FROM uploads)"
    )
    for table in ("rejected_rows", "upload_chunks", "uploads"):
        op.drop_table(table)
