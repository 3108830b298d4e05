"""Clients and facts."""

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql.sqltypes import UTCDateTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def one_of(name: str, *values: str) -> sa.Enum:
    """Return a text type with a CHECK that admits the values only."""
    return sa.Enum(*values, name=name, native_enum=False, create_constraint=True, length=24)


def upgrade() -> None:
    """Create the tables with their indexes."""
    op.create_table(
        "clients",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("name_key", sa.Text(collation="C"), nullable=False),
        sa.Column("size", one_of("size", "ENTERPRISE", "MIDMARKET", "SMB"), nullable=True),
        sa.Column(
            "industry",
            one_of("industry", "FINANCIAL", "HEALTHCARE", "TECHNOLOGY", "MANUFACTURING", "OTHER"),
            nullable=False,
        ),
        sa.Column("status", one_of("status", "ACTIVE", "TRIAL", "CHURNED"), nullable=False),
        sa.Column("engagement_model", one_of("engagement_model", "HIGH_TOUCH", "PLG"), nullable=False),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("customer_since", sa.Date(), nullable=True),
        sa.Column("churned_at", UTCDateTime(), nullable=True),
        sa.Column("renewal_date", sa.Date(), nullable=True),
        sa.Column("annual_value", sa.Numeric(precision=14, scale=2), nullable=True),
        sa.Column("alerts_enabled", sa.Boolean(), nullable=False),
        sa.Column("alerts_snoozed_until", UTCDateTime(), nullable=True),
        sa.Column("last_activity_at", UTCDateTime(), nullable=True),
        sa.Column("scored_day", sa.Date(), nullable=True),
        sa.Column("calculated_at", UTCDateTime(), nullable=True),
        sa.Column("policy_version", sa.SmallInteger(), nullable=True),
        sa.Column("score", sa.SmallInteger(), nullable=True),
        sa.Column("coverage", sa.SmallInteger(), nullable=True),
        sa.Column("light", one_of("light", "GREEN", "AMBER", "RED"), nullable=True),
        sa.Column("trend", one_of("trend", "IMPROVING", "STABLE", "DECLINING"), nullable=True),
        sa.Column("trend_delta", sa.SmallInteger(), nullable=True),
        sa.Column("risk", one_of("risk", "LOW", "MEDIUM", "HIGH"), nullable=True),
        sa.Column("login_score", sa.SmallInteger(), nullable=True),
        sa.Column("case_score", sa.SmallInteger(), nullable=True),
        sa.Column("campaign_score", sa.SmallInteger(), nullable=True),
        sa.Column("feature_score", sa.SmallInteger(), nullable=True),
        sa.Column("ticket_score", sa.SmallInteger(), nullable=True),
        sa.Column("tickets_tracked", sa.Boolean(), nullable=True),
        sa.Column("attestation_completion", sa.Float(), nullable=True),
        sa.Column("case_resolution_days", sa.Float(), nullable=True),
        sa.Column("weekly_login_rate", sa.Float(), nullable=True),
        sa.Column("feature_adoption", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_clients"),
        postgresql_with={"fillfactor": "80"},
    )
    op.create_index(
        "ix_clients_owner", "clients", ["owner"], unique=False, postgresql_where=sa.text("status <> 'CHURNED'")
    )
    op.create_index(
        "ix_clients_peers",
        "clients",
        ["industry", "size"],
        unique=False,
        postgresql_include=[
            "attestation_completion",
            "case_resolution_days",
            "weekly_login_rate",
            "feature_adoption",
            "scored_day",
            "id",
        ],
        postgresql_where=sa.text("status = 'ACTIVE' AND score IS NOT NULL"),
    )
    op.create_index(
        "ix_clients_portfolio_activity_asc",
        "clients",
        [
            sa.text("(COALESCE(light, ''::character varying))"),
            sa.text("(COALESCE(last_activity_at - to_timestamp(0::double precision), '3000000 days'::interval))"),
            "name_key",
            "id",
        ],
        unique=False,
        postgresql_where=sa.text("status <> 'CHURNED'"),
    )
    op.create_index(
        "ix_clients_portfolio_activity_desc",
        "clients",
        [
            sa.text("(COALESCE(light, ''::character varying))"),
            sa.text("(COALESCE(to_timestamp(0::double precision) - last_activity_at, '3000000 days'::interval))"),
            "name_key",
            "id",
        ],
        unique=False,
        postgresql_where=sa.text("status <> 'CHURNED'"),
    )
    op.create_index(
        "ix_clients_portfolio_name",
        "clients",
        [sa.text("(COALESCE(light, ''::character varying))"), "name_key", "id"],
        unique=False,
        postgresql_where=sa.text("status <> 'CHURNED'"),
    )
    op.create_index(
        "ix_clients_portfolio_renewal_asc",
        "clients",
        [
            sa.text("(COALESCE(light, ''::character varying))"),
            sa.text("(COALESCE(renewal_date - '2000-01-01'::date, 2147483647))"),
            "name_key",
            "id",
        ],
        unique=False,
        postgresql_where=sa.text("status <> 'CHURNED'"),
    )
    op.create_index(
        "ix_clients_portfolio_renewal_desc",
        "clients",
        [
            sa.text("(COALESCE(light, ''::character varying))"),
            sa.text("(COALESCE('2000-01-01'::date - renewal_date, 2147483647))"),
            "name_key",
            "id",
        ],
        unique=False,
        postgresql_where=sa.text("status <> 'CHURNED'"),
    )
    op.create_index(
        "ix_clients_portfolio_score_asc",
        "clients",
        [
            sa.text("(COALESCE(light, ''::character varying))"),
            sa.text("(COALESCE(score::integer, 32767))"),
            "name_key",
            "id",
        ],
        unique=False,
        postgresql_where=sa.text("status <> 'CHURNED'"),
    )
    op.create_index(
        "ix_clients_portfolio_score_desc",
        "clients",
        [
            sa.text("(COALESCE(light, ''::character varying))"),
            sa.text("(COALESCE((- score)::integer, 32767))"),
            "name_key",
            "id",
        ],
        unique=False,
        postgresql_where=sa.text("status <> 'CHURNED'"),
    )
    op.create_index(
        "ix_clients_portfolio_trend_asc",
        "clients",
        [
            sa.text("(COALESCE(light, ''::character varying))"),
            sa.text("(COALESCE(trend_delta::integer, 32767))"),
            "name_key",
            "id",
        ],
        unique=False,
        postgresql_where=sa.text("status <> 'CHURNED'"),
    )
    op.create_index(
        "ix_clients_portfolio_trend_desc",
        "clients",
        [
            sa.text("(COALESCE(light, ''::character varying))"),
            sa.text("(COALESCE((- trend_delta)::integer, 32767))"),
            "name_key",
            "id",
        ],
        unique=False,
        postgresql_where=sa.text("status <> 'CHURNED'"),
    )
    op.create_index("uq_clients_external_id", "clients", ["external_id"], unique=True)
    op.create_table(
        "members",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("client_id", sa.BigInteger(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=True),
        sa.Column("created_at_inferred", sa.Boolean(), nullable=False),
        sa.Column("deactivated_at", UTCDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["client_id"], ["clients.id"], name="fk_members_client_id_clients"),
        sa.PrimaryKeyConstraint("id", name="pk_members"),
        postgresql_with={"fillfactor": "90"},
    )
    op.create_index(
        "uq_members_client_id_external_id",
        "members",
        ["client_id", "external_id"],
        unique=True,
        postgresql_include=["id", "created_at", "deactivated_at"],
    )
    op.create_table(
        "features",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("category", one_of("category", "CORE", "ADVANCED", "INTEGRATION", "REPORTING"), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_features"),
    )
    op.create_index("uq_features_key", "features", ["key"], unique=True)
    op.create_table(
        "client_features",
        sa.Column("client_id", sa.BigInteger(), nullable=False),
        sa.Column("feature_id", sa.BigInteger(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("first_used_at", UTCDateTime(), nullable=True),
        sa.Column("last_used_at", UTCDateTime(), nullable=True),
        sa.CheckConstraint("last_used_at >= first_used_at", name="last_after_first"),
        sa.ForeignKeyConstraint(["client_id"], ["clients.id"], name="fk_client_features_client_id_clients"),
        sa.ForeignKeyConstraint(["feature_id"], ["features.id"], name="fk_client_features_feature_id_features"),
        sa.PrimaryKeyConstraint(
            "client_id",
            "feature_id",
            name="pk_client_features",
            postgresql_include=["enabled", "first_used_at", "last_used_at"],
        ),
    )
    op.create_table(
        "cases",
        sa.Column("client_id", sa.BigInteger(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("opened_at", UTCDateTime(), nullable=True),
        sa.Column("closed_at", UTCDateTime(), nullable=True),
        sa.Column("sla_due_at", UTCDateTime(), nullable=True),
        sa.CheckConstraint("closed_at >= opened_at", name="closed_after_opened"),
        sa.ForeignKeyConstraint(["client_id"], ["clients.id"], name="fk_cases_client_id_clients"),
        sa.PrimaryKeyConstraint("client_id", "external_id", name="pk_cases"),
    )
    op.create_index(
        "ix_cases_client_id_closed_at",
        "cases",
        ["client_id", "closed_at"],
        unique=False,
        postgresql_include=["opened_at", "sla_due_at"],
    )
    op.create_index("ix_cases_client_id_opened_at", "cases", ["client_id", "opened_at"], unique=False)
    op.create_table(
        "campaigns",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("client_id", sa.BigInteger(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("kind", one_of("kind", "ATTESTATION", "OTHER"), nullable=False),
        sa.Column("assigned", sa.Integer(), nullable=False),
        sa.Column("completed", sa.Integer(), nullable=False),
        sa.Column("closed_at", UTCDateTime(), nullable=True),
        sa.CheckConstraint("assigned >= 0", name="assigned_not_negative"),
        sa.CheckConstraint("completed BETWEEN 0 AND assigned", name="completed_within_assigned"),
        sa.ForeignKeyConstraint(["client_id"], ["clients.id"], name="fk_campaigns_client_id_clients"),
        sa.PrimaryKeyConstraint("id", name="pk_campaigns"),
    )
    op.create_index(
        "ix_campaigns_client_id_closed_at",
        "campaigns",
        ["client_id", "closed_at"],
        unique=False,
        postgresql_include=["kind", "assigned", "completed"],
    )
    op.create_index("uq_campaigns_client_id_external_id", "campaigns", ["client_id", "external_id"], unique=True)
    op.create_table(
        "campaign_responses",
        sa.Column("client_id", sa.BigInteger(), nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.Column("campaign_id", sa.BigInteger(), nullable=False),
        sa.Column("member_id", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaigns.id"], name="fk_campaign_responses_campaign_id_campaigns"),
        sa.ForeignKeyConstraint(["client_id"], ["clients.id"], name="fk_campaign_responses_client_id_clients"),
        sa.ForeignKeyConstraint(["member_id"], ["members.id"], name="fk_campaign_responses_member_id_members"),
        sa.PrimaryKeyConstraint("client_id", "at", "campaign_id", "member_id", name="pk_campaign_responses"),
    )
    op.create_table(
        "logins",
        sa.Column("client_id", sa.BigInteger(), nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.Column("member_id", sa.BigInteger(), nullable=False),
        sa.Column("duration_minutes", sa.Numeric(), nullable=True),
        sa.ForeignKeyConstraint(["client_id"], ["clients.id"], name="fk_logins_client_id_clients"),
        sa.ForeignKeyConstraint(["member_id"], ["members.id"], name="fk_logins_member_id_members"),
        sa.PrimaryKeyConstraint("client_id", "at", "member_id", name="pk_logins"),
    )
    op.create_table(
        "tickets",
        sa.Column("client_id", sa.BigInteger(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("opened_at", UTCDateTime(), nullable=True),
        sa.Column("closed_at", UTCDateTime(), nullable=True),
        sa.Column("priority", sa.Text(), nullable=True),
        sa.CheckConstraint("closed_at >= opened_at", name="closed_after_opened"),
        sa.ForeignKeyConstraint(["client_id"], ["clients.id"], name="fk_tickets_client_id_clients"),
        sa.PrimaryKeyConstraint("client_id", "external_id", name="pk_tickets"),
    )
    op.create_index(
        "ix_tickets_client_id_opened_at",
        "tickets",
        ["client_id", "opened_at"],
        unique=False,
        postgresql_include=["closed_at"],
    )


def downgrade() -> None:
    """Drop the tables, and their indexes with them."""
    op.drop_table("tickets")
    op.drop_table("logins")
    op.drop_table("campaign_responses")
    op.drop_table("campaigns")
    op.drop_table("cases")
    op.drop_table("client_features")
    op.drop_table("features")
    op.drop_table("members")
    op.drop_table("clients")
