"""Events that are sent in, the keys that they are sent with, and when each feed delivered."""

from datetime import datetime

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

TYPES = ("IDENTIFY", "GROUP", "TRACK", "PAGE", "SCREEN", "ALIAS")
REASONS = ("NOT_MAPPED", "NO_CLIENT", "UNUSABLE_TRAIT")
FEEDS = ("LOGINS", "CASES", "CAMPAIGNS", "FEATURES", "TICKETS")


def one_of(table: str, column: str, *values: str) -> sa.Enum:
    """Return a text column type that admits these values only."""
    return sa.Enum(*values, name=op.f(f"ck_{table}_{column}"), native_enum=False, create_constraint=True, length=24)


def timestamp(name: str, *, nullable: bool = False) -> sa.Column[datetime]:
    """Return a column of moments."""
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def client_id(table: str) -> tuple[sa.Column[int], sa.ForeignKeyConstraint]:
    """Return the column that names the client, and its reference."""
    reference = sa.ForeignKeyConstraint(["client_id"], ["clients.id"], name=op.f(f"fk_{table}_client_id_clients"))
    return sa.Column("client_id", sa.BigInteger(), nullable=False), reference


def upgrade() -> None:
    """Create the tables, and the columns that tell of silent feeds and late facts."""
    op.create_table(
        "events",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=False),
        timestamp("at"),
        timestamp("received_at"),
        sa.Column("type", one_of("events", "type", *TYPES), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("client", sa.Text(), nullable=True),
        sa.Column("member", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("day", "message_id", name=op.f("pk_events")),
        postgresql_partition_by="RANGE (day)",
    )
    op.create_table(
        "activity_days",
        *client_id("activity_days"),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("events", sa.Integer(), nullable=False),
        timestamp("first_at"),
        timestamp("last_at"),
        sa.PrimaryKeyConstraint("client_id", "day", name=op.f("pk_activity_days")),
    )
    op.create_table(
        "unmapped_events",
        sa.Column("type", one_of("unmapped_events", "type", *TYPES), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("reason", one_of("unmapped_events", "reason", *REASONS), nullable=False),
        sa.Column("events", sa.BigInteger(), nullable=False),
        timestamp("first_received_at"),
        timestamp("last_received_at"),
        sa.PrimaryKeyConstraint("type", "name", "reason", name=op.f("pk_unmapped_events")),
    )
    op.create_table(
        "write_keys",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("key_hash", sa.Text(), nullable=False),
        timestamp("created_at"),
        timestamp("last_used_at", nullable=True),
        timestamp("revoked_at", nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_write_keys")),
    )
    op.create_index("uq_write_keys_name", "write_keys", ["name"], unique=True)
    op.create_index("uq_write_keys_key_hash", "write_keys", ["key_hash"], unique=True)
    op.create_index("ix_members_external_id", "members", ["external_id"], postgresql_include=["client_id"])

    op.create_table(
        "feed_days",
        sa.Column("kind", one_of("feed_days", "kind", *FEEDS), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        timestamp("first_received_at"),
        timestamp("last_received_at"),
        timestamp("last_event_at", nullable=True),
        sa.PrimaryKeyConstraint("kind", "day", name=op.f("pk_feed_days")),
    )
    op.create_table(
        "client_feeds",
        *client_id("client_feeds"),
        sa.Column("kind", one_of("client_feeds", "kind", *FEEDS), nullable=False),
        timestamp("last_received_at"),
        timestamp("last_event_at", nullable=True),
        sa.PrimaryKeyConstraint("client_id", "kind", name=op.f("pk_client_feeds")),
    )
    op.create_table(
        "late_days",
        *client_id("late_days"),
        sa.Column("day", sa.Date(), nullable=False),
        timestamp("noted_at"),
        sa.PrimaryKeyConstraint("client_id", "day", name=op.f("pk_late_days")),
    )
    op.add_column("daily_metrics", timestamp("revised_at", nullable=True))
    op.add_column("clients", timestamp("traits_at", nullable=True))
    for table in ("health_scores", "clients"):
        op.add_column(table, sa.Column("stale", postgresql.JSONB(), nullable=True))


def downgrade() -> None:
    """Drop all of it."""
    for table in ("clients", "health_scores"):
        op.drop_column(table, "stale")
    op.drop_column("clients", "traits_at")
    op.drop_column("daily_metrics", "revised_at")
    op.drop_table("late_days")
    op.drop_table("client_feeds")
    op.drop_table("feed_days")
    op.drop_index("ix_members_external_id", "members")
    op.drop_table("write_keys")
    op.drop_table("unmapped_events")
    op.drop_table("activity_days")
    op.drop_table("events")
