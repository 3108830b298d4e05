"""The SQL of peer benchmarks: what is read leaves this package only where there are enough peers."""

from sqlalchemy import TextClause, text

METRICS = ("attestation_completion", "case_resolution_days", "weekly_login_rate", "feature_adoption")

PEERS = "status = 'ACTIVE' AND score IS NOT NULL AND id IS DISTINCT FROM CAST(:client_id AS bigint)"

OWN = text(f"SELECT {', '.join(METRICS)} FROM clients WHERE id = :client_id")


def _measures(metric: str) -> str:
    quartiles = ", ".join(
        f"percentile_cont({fraction}) WITHIN GROUP (ORDER BY {metric}) AS {metric}_{name}"
        for fraction, name in ((0.25, "p25"), (0.5, "median"), (0.75, "p75"))
    )
    own = f"CAST(:{metric} AS float8)"
    return (
        f"count({metric}) AS {metric}_peers, {quartiles}, "
        f"count(*) FILTER (WHERE {metric} < {own}) AS {metric}_below, "
        f"count(*) FILTER (WHERE {metric} = {own}) AS {metric}_ties"
    )


def group(*, by_size: bool, by_industry: bool) -> TextClause:
    """Return the statement that measures a peer group in one scan of a covering index."""
    where = PEERS + (" AND size = :size" if by_size else "") + (" AND industry = :industry" if by_industry else "")
    measures = ", ".join(_measures(metric) for metric in METRICS)
    return text(f"SELECT count(*) AS peers, max(scored_day) AS as_of, {measures} FROM clients WHERE {where}")
