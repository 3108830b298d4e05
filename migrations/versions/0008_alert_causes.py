"""Why a score moved that raised an alert, and how the client stood before and after."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

LIGHTS = ("GREEN", "AMBER", "RED")
RISKS = ("LOW", "MEDIUM", "HIGH")
STANDINGS = {"light_before": LIGHTS, "light_after": LIGHTS, "risk_before": RISKS, "risk_after": RISKS}


def one_of(name: str, *values: str) -> sa.Enum:
    """Return a text type with a CHECK that admits the values only."""
    return sa.Enum(*values, name=name, native_enum=False, create_constraint=True, length=24)


def upgrade() -> None:
    """Create the table of causes, and the columns that the version before leaves empty."""
    for name, values in STANDINGS.items():
        op.add_column("alerts", sa.Column(name, one_of(name, *values), nullable=True))
    op.create_table(
        "alert_causes",
        sa.Column("alert_id", sa.BigInteger(), nullable=False),
        sa.Column(
            "component",
            one_of("component", "LOGIN", "CASE_RESOLUTION", "CAMPAIGN_COMPLETION", "FEATURE_ADOPTION", "TICKET_VOLUME"),
            nullable=False,
        ),
        sa.Column("points_before", sa.Numeric(4, 1), nullable=False),
        sa.Column("points_after", sa.Numeric(4, 1), nullable=False),
        sa.Column("explanation", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["alert_id"], ["alerts.id"], name=op.f("fk_alert_causes_alert_id_alerts"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("alert_id", "component", name=op.f("pk_alert_causes")),
    )


def downgrade() -> None:
    """Drop what was created."""
    op.drop_table("alert_causes")
    for name in STANDINGS:
        op.drop_column("alerts", name)
