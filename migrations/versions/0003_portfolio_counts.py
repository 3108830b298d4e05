"""Portfolio counts, kept by a trigger."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

CELL = "size, industry, engagement_model, alerts_enabled, light, trend, risk"

# One statement on clients makes one statement here, with the cells in a fixed order: two transactions that each change
# clients once can therefore wait for each other, but never in a circle.
FUNCTION = f"""
CREATE FUNCTION count_portfolio() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    gone text := 'SELECT *, -1 AS n FROM old_rows';
    come text := 'SELECT *, 1 AS n FROM new_rows';
BEGIN
    EXECUTE format(
        'INSERT INTO portfolio_counts AS counts ({CELL}, clients)
         SELECT coalesce(size, ''''), industry, engagement_model, alerts_enabled,
                coalesce(light, ''''), coalesce(trend, ''''), coalesce(risk, ''''), sum(n)
         FROM (%s) AS changed
         WHERE status <> ''CHURNED''
         GROUP BY 1, 2, 3, 4, 5, 6, 7
         HAVING sum(n) <> 0
         ORDER BY 1, 2, 3, 4, 5, 6, 7
         ON CONFLICT ({CELL}) DO UPDATE SET clients = counts.clients + excluded.clients',
        CASE TG_OP WHEN 'INSERT' THEN come WHEN 'DELETE' THEN gone ELSE gone || ' UNION ALL ' || come END
    );
    RETURN NULL;
END
$$
"""

TRIGGERS = {
    "INSERT": "NEW TABLE AS new_rows",
    "UPDATE": "OLD TABLE AS old_rows NEW TABLE AS new_rows",
    "DELETE": "OLD TABLE AS old_rows",
}


COUNT_EXISTING = f"""
INSERT INTO portfolio_counts ({CELL}, clients)
SELECT coalesce(size, ''), industry, engagement_model, alerts_enabled,
       coalesce(light, ''), coalesce(trend, ''), coalesce(risk, ''), count(*)
FROM clients WHERE status <> 'CHURNED' GROUP BY 1, 2, 3, 4, 5, 6, 7
"""


def upgrade() -> None:
    """Create the counts, the triggers that keep them, and count what is there."""
    op.create_table(
        "portfolio_counts",
        sa.Column("size", sa.Text(), nullable=False),
        sa.Column("industry", sa.Text(), nullable=False),
        sa.Column("engagement_model", sa.Text(), nullable=False),
        sa.Column("alerts_enabled", sa.Boolean(), nullable=False),
        sa.Column("light", sa.Text(), nullable=False),
        sa.Column("trend", sa.Text(), nullable=False),
        sa.Column("risk", sa.Text(), nullable=False),
        sa.Column("clients", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint(
            "size",
            "industry",
            "engagement_model",
            "alerts_enabled",
            "light",
            "trend",
            "risk",
            name="pk_portfolio_counts",
        ),
    )
    # Nobody may write between the count and the triggers.
    op.execute("LOCK TABLE clients IN SHARE ROW EXCLUSIVE MODE")
    op.execute(COUNT_EXISTING)
    op.execute(FUNCTION)
    for operation, rows in TRIGGERS.items():
        op.execute(
            f"CREATE TRIGGER count_portfolio_{operation.lower()} AFTER {operation} ON clients "
            f"REFERENCING {rows} FOR EACH STATEMENT EXECUTE FUNCTION count_portfolio()"
        )


def downgrade() -> None:
    """Drop the triggers, their function and the counts."""
    for operation in TRIGGERS:
        op.execute(f"DROP TRIGGER count_portfolio_{operation.lower()} ON clients")
    op.execute("DROP FUNCTION count_portfolio()")
    op.drop_table("portfolio_counts")
