"""Scores runs and audit."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql
from sqlmodel.sql.sqltypes import UTCDateTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


# The weights (percent) and thresholds of the product specification.
FIRST_POLICY = {
    "version": 1,
    "login_weight": 20,
    "case_weight": 25,
    "campaign_weight": 25,
    "feature_weight": 15,
    "ticket_weight": 15,
    "full_login_share": 70,
    "green_from": 80,
    "amber_from": 60,
    "trend_step": 5,
    "high_risk_below": 40,
    "high_risk_declining_below": 60,
    "medium_risk_below": 70,
    "minimum_coverage": 50,
}


def one_of(name: str, *values: str) -> sa.Enum:
    """Return a text type with a CHECK that admits the values only."""
    return sa.Enum(*values, name=name, native_enum=False, create_constraint=True, length=24)


def upgrade() -> None:
    """Create the tables with their indexes."""
    policies = op.create_table(
        "health_policies",
        sa.Column("version", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("login_weight", sa.SmallInteger(), nullable=False),
        sa.Column("case_weight", sa.SmallInteger(), nullable=False),
        sa.Column("campaign_weight", sa.SmallInteger(), nullable=False),
        sa.Column("feature_weight", sa.SmallInteger(), nullable=False),
        sa.Column("ticket_weight", sa.SmallInteger(), nullable=False),
        sa.Column("full_login_share", sa.SmallInteger(), nullable=False),
        sa.Column("green_from", sa.SmallInteger(), nullable=False),
        sa.Column("amber_from", sa.SmallInteger(), nullable=False),
        sa.Column("trend_step", sa.SmallInteger(), nullable=False),
        sa.Column("high_risk_below", sa.SmallInteger(), nullable=False),
        sa.Column("high_risk_declining_below", sa.SmallInteger(), nullable=False),
        sa.Column("medium_risk_below", sa.SmallInteger(), nullable=False),
        sa.Column("minimum_coverage", sa.SmallInteger(), nullable=False),
        sa.PrimaryKeyConstraint("version", name="pk_health_policies"),
    )
    op.create_table(
        "health_scores",
        sa.Column("client_id", sa.BigInteger(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("as_of", UTCDateTime(), nullable=False),
        sa.Column("calculated_at", UTCDateTime(), nullable=False),
        sa.Column("policy_version", sa.SmallInteger(), nullable=False),
        sa.Column("score", sa.SmallInteger(), nullable=True),
        sa.Column("previous_score", sa.SmallInteger(), nullable=True),
        sa.Column("coverage", sa.SmallInteger(), nullable=False),
        sa.Column("light", one_of("light", "GREEN", "AMBER", "RED"), nullable=True),
        sa.Column("trend", one_of("trend", "IMPROVING", "STABLE", "DECLINING"), nullable=True),
        sa.Column("risk", one_of("risk", "LOW", "MEDIUM", "HIGH"), nullable=True),
        sa.Column("login_score", sa.SmallInteger(), nullable=True),
        sa.Column("case_score", sa.SmallInteger(), nullable=True),
        sa.Column("campaign_score", sa.SmallInteger(), nullable=True),
        sa.Column("feature_score", sa.SmallInteger(), nullable=True),
        sa.Column("ticket_score", sa.SmallInteger(), nullable=True),
        sa.Column("members", sa.Integer(), nullable=False),
        sa.Column("active_members", sa.Integer(), nullable=False),
        sa.Column("cases_closed", sa.Integer(), nullable=False),
        sa.Column("cases_on_time", sa.Integer(), nullable=False),
        sa.Column("campaigns_completed", postgresql.ARRAY(sa.Integer()), nullable=False),
        sa.Column("campaigns_assigned", postgresql.ARRAY(sa.Integer()), nullable=False),
        sa.Column("features_enabled", sa.Integer(), nullable=False),
        sa.Column("features_used", sa.Integer(), nullable=False),
        sa.Column("tickets_opened", sa.Integer(), nullable=False),
        sa.Column("tickets_before", sa.Integer(), nullable=False),
        sa.Column("tickets_tracked", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["client_id"], ["clients.id"], name="fk_health_scores_client_id_clients"),
        sa.ForeignKeyConstraint(
            ["policy_version"], ["health_policies.version"], name="fk_health_scores_policy_version_health_policies"
        ),
        sa.PrimaryKeyConstraint("client_id", "day", name="pk_health_scores"),
    )
    op.create_table(
        "daily_metrics",
        sa.Column("client_id", sa.BigInteger(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("active_users", sa.Integer(), nullable=False),
        sa.Column("logins", sa.Integer(), nullable=False),
        sa.Column("session_minutes", sa.Numeric(), nullable=False),
        sa.Column("cases_created", sa.Integer(), nullable=False),
        sa.Column("cases_resolved", sa.Integer(), nullable=False),
        sa.Column("cases_resolved_on_time", sa.Integer(), nullable=False),
        sa.Column("campaign_responses", sa.Integer(), nullable=False),
        sa.Column("campaign_completion_rate", sa.Float(), nullable=True),
        sa.Column("feature_adoption_rate", sa.Float(), nullable=True),
        sa.Column("support_tickets", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["client_id"], ["clients.id"], name="fk_daily_metrics_client_id_clients"),
        sa.PrimaryKeyConstraint("client_id", "day", name="pk_daily_metrics"),
    )
    op.create_table(
        "runs",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column(
            "kind",
            one_of("kind", "RECALCULATE_ONE", "RECALCULATE_ALL", "RECORD_METRICS", "SET_ALERTS", "IMPORT"),
            nullable=False,
        ),
        sa.Column("status", one_of("status", "QUEUED", "RUNNING", "SUCCEEDED", "FAILED"), nullable=False),
        sa.Column("client_id", sa.BigInteger(), nullable=True),
        sa.Column("day", sa.Date(), nullable=True),
        sa.Column("as_of", UTCDateTime(), nullable=True),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.Column("requested_at", UTCDateTime(), nullable=False),
        sa.Column("started_at", UTCDateTime(), nullable=True),
        sa.Column("finished_at", UTCDateTime(), nullable=True),
        sa.Column("total", sa.Integer(), nullable=True),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("failed", sa.Integer(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("attempt", sa.SmallInteger(), nullable=False),
        sa.Column("lease_until", UTCDateTime(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["client_id"], ["clients.id"], name="fk_runs_client_id_clients"),
        sa.PrimaryKeyConstraint("id", name="pk_runs"),
    )
    op.create_index(
        "ix_runs_finished_at", "runs", ["finished_at"], unique=False, postgresql_where=sa.text("status = 'SUCCEEDED'")
    )
    op.create_index(
        "uq_runs_unfinished",
        "runs",
        ["kind", sa.text("coalesce(client_id, 0)"), sa.text("coalesce(day, '-infinity')")],
        unique=True,
        postgresql_where=sa.text("status IN ('QUEUED', 'RUNNING')"),
    )
    op.create_table(
        "run_errors",
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("client_id", sa.BigInteger(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["client_id"], ["clients.id"], name="fk_run_errors_client_id_clients"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_run_errors_run_id_runs"),
        sa.PrimaryKeyConstraint("run_id", "client_id", name="pk_run_errors"),
    )
    op.create_table(
        "audit_events",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", one_of("action", "ALERTS_CHANGED", "RUN_REQUESTED"), nullable=False),
        sa.Column("client_id", sa.BigInteger(), nullable=True),
        sa.Column("run_id", sa.BigInteger(), nullable=True),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.Column("changes", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.ForeignKeyConstraint(["client_id"], ["clients.id"], name="fk_audit_events_client_id_clients"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_audit_events_run_id_runs"),
        sa.PrimaryKeyConstraint("id", name="pk_audit_events"),
    )
    op.create_index("ix_audit_events_client_id_at", "audit_events", ["client_id", "at"], unique=False)

    op.bulk_insert(policies, [FIRST_POLICY])


def downgrade() -> None:
    """Drop the tables, and their indexes with them."""
    op.drop_table("audit_events")
    op.drop_table("run_errors")
    op.drop_table("runs")
    op.drop_table("daily_metrics")
    op.drop_table("health_scores")
    op.drop_table("health_policies")
