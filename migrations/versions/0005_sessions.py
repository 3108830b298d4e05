"""Sessions of the dashboard, and the codes that start one."""

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql.sqltypes import UTCDateTime

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def role() -> sa.Column[str]:
    """Return the column that says what somebody may do."""
    kind = sa.Enum(
        "CLIENT_SUCCESS", "PLATFORM_ADMIN", name="role", native_enum=False, create_constraint=True, length=24
    )
    return sa.Column("role", kind, nullable=False)


def upgrade() -> None:
    """Create both tables."""
    op.create_table(
        "sessions",
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        role(),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("expires_at", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_sessions")),
    )
    op.create_table(
        "sign_in_codes",
        sa.Column("code_hash", sa.LargeBinary(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        role(),
        sa.Column("expires_at", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("code_hash", name=op.f("pk_sign_in_codes")),
    )


def downgrade() -> None:
    """Drop both tables, which signs everybody out."""
    op.drop_table("sign_in_codes")
    op.drop_table("sessions")
