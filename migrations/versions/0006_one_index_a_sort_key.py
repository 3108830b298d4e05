"""One index for each sort key of the portfolio, which is walked in both directions."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

# The four directions whose index is dropped; every index of the clients is written anew with every score.
DROPPED = {
    "score_asc": "COALESCE(score::integer, 32767)",
    "trend_desc": "COALESCE((- trend_delta)::integer, 32767)",
    "activity_desc": "COALESCE(to_timestamp(0::double precision) - last_activity_at, '3000000 days'::interval)",
    "renewal_desc": "COALESCE('2000-01-01'::date - renewal_date, 2147483647)",
}


def upgrade() -> None:
    """Drop the indexes of the other directions."""
    for name in DROPPED:
        op.drop_index(f"ix_clients_portfolio_{name}", "clients")


def downgrade() -> None:
    """Make them again."""
    for name, key in DROPPED.items():
        op.create_index(
            f"ix_clients_portfolio_{name}",
            "clients",
            [sa.text("(COALESCE(light, ''::character varying))"), sa.text(f"({key})"), "name_key", "id"],
            postgresql_where=sa.text("status <> 'CHURNED'"),
        )
