"""The yardstick of a recalculation: one SQL statement that computes and stores the same scores."""

# A copy of the score table that is as dear to write: with its key, its checks and its references.
MAKE_TABLE = """
CREATE TABLE plain_scores (LIKE health_scores INCLUDING ALL,
    FOREIGN KEY (client_id) REFERENCES clients (id), FOREIGN KEY (policy_version) REFERENCES health_policies (version))
"""

# It stores scores and nothing else: no current row, no activity, no benchmark metric, no alert and no progress.
# $1 is the scoring day and $2 its `as_of`. Division of integers truncates, so (2 a + b) / (2 b) rounds a / b half up.
INSERT_SCORES = """
INSERT INTO plain_scores
WITH
bounds AS (
    SELECT $1::date AS day, $2::timestamptz AS as_of, ($1::date - 29)::timestamp AT TIME ZONE 'UTC' AS start,
        ($1::date - 119)::timestamp AT TIME ZONE 'UTC' AS before_start
),
active AS (
    SELECT DISTINCT member_id FROM logins, bounds WHERE at BETWEEN start AND as_of
),
counted_members AS (
    SELECT client_id, count(*) AS members, count(a.member_id) AS active
    FROM bounds, members AS m LEFT JOIN active AS a ON a.member_id = m.id
    WHERE (m.created_at IS NULL OR m.created_at <= as_of) AND (m.deactivated_at IS NULL OR m.deactivated_at > as_of)
    GROUP BY client_id
),
counted_cases AS (
    SELECT client_id, count(*) AS closed,
        count(*) FILTER (WHERE sla_due_at IS NULL OR closed_at <= sla_due_at) AS on_time
    FROM cases, bounds WHERE closed_at BETWEEN start AND as_of GROUP BY client_id
),
counted_campaigns AS (
    SELECT client_id, array_agg(completed ORDER BY closed_at, id) AS completed,
        array_agg(assigned ORDER BY closed_at, id) AS assigned,
        floor(avg(completed::numeric / assigned) * 100 + 0.5)::integer AS score
    FROM campaigns, bounds WHERE closed_at BETWEEN start AND as_of AND assigned > 0 GROUP BY client_id
),
counted_features AS (
    SELECT client_id, count(*) AS enabled,
        count(*) FILTER (WHERE coalesce(first_used_at, last_used_at) <= as_of) AS used
    FROM client_features, bounds WHERE enabled GROUP BY client_id
),
counted_tickets AS (
    SELECT client_id, count(*) FILTER (WHERE opened_at BETWEEN start AND as_of) AS opened,
        count(*) FILTER (WHERE opened_at >= before_start AND opened_at < start) AS before
    FROM tickets, bounds WHERE opened_at IS NULL OR opened_at <= as_of GROUP BY client_id
),
counts AS (
    SELECT c.id, coalesce(m.members, 0) AS members, coalesce(m.active, 0) AS active, coalesce(k.closed, 0) AS closed,
        coalesce(k.on_time, 0) AS on_time, coalesce(g.completed, '{}') AS completed,
        coalesce(g.assigned, '{}') AS assigned, g.score AS campaign_score, coalesce(f.enabled, 0) AS enabled,
        coalesce(f.used, 0) AS used, coalesce(t.opened, 0) AS opened, coalesce(t.before, 0) AS before,
        t.client_id IS NOT NULL AS tracked, greatest(60, 3 * m.members, 10 * t.before) AS baseline_30,
        (SELECT score FROM health_scores WHERE client_id = c.id AND day < $1::date AND score IS NOT NULL
            ORDER BY day DESC LIMIT 1) AS previous
    FROM bounds, clients AS c
    LEFT JOIN counted_members AS m ON m.client_id = c.id
    LEFT JOIN counted_cases AS k ON k.client_id = c.id
    LEFT JOIN counted_campaigns AS g ON g.client_id = c.id
    LEFT JOIN counted_features AS f ON f.client_id = c.id
    LEFT JOIN counted_tickets AS t ON t.client_id = c.id
    WHERE (customer_since IS NULL OR customer_since <= day) AND (status <> 'CHURNED' OR churned_at > as_of)
),
components AS (
    SELECT *,
        least(100, (2 * active * 10000 + members * 70) / (2 * nullif(members, 0) * 70)) AS login_score,
        (200 * on_time + closed) / (2 * nullif(closed, 0)) AS case_score,
        (200 * used + enabled) / (2 * nullif(enabled, 0)) AS feature_score,
        CASE WHEN NOT tracked THEN 100
            WHEN 30 * opened <= baseline_30
            THEN (2 * (100 * baseline_30 - 600 * opened) + baseline_30) / (2 * baseline_30)
            ELSE (2 * greatest(0, 120 * baseline_30 - 1200 * opened) + baseline_30) / (2 * baseline_30) END
            AS ticket_score
    FROM counts
),
weighed AS (
    SELECT *,
        coalesce(login_score * 20, 0) + coalesce(case_score * 25, 0) + coalesce(campaign_score * 25, 0)
            + coalesce(feature_score * 15, 0) + ticket_score * 15 AS points,
        CASE WHEN login_score IS NULL THEN 0 ELSE 20 END + CASE WHEN case_score IS NULL THEN 0 ELSE 25 END
            + CASE WHEN campaign_score IS NULL THEN 0 ELSE 25 END
            + CASE WHEN feature_score IS NULL THEN 0 ELSE 15 END AS weight
    FROM components
),
scored AS (
    SELECT *, weight + CASE WHEN tracked THEN 15 ELSE 0 END AS coverage,
        CASE WHEN weight + CASE WHEN tracked THEN 15 ELSE 0 END >= 50
            THEN (2 * points + weight + 15) / (2 * (weight + 15)) END AS score
    FROM weighed
)
SELECT id, $1, $2, clock_timestamp(), 1, score, previous, coverage,
    CASE WHEN score >= 80 THEN 'GREEN' WHEN score >= 60 THEN 'AMBER' WHEN score IS NOT NULL THEN 'RED' END,
    CASE WHEN score > previous + 5 THEN 'IMPROVING' WHEN score < previous - 5 THEN 'DECLINING'
        WHEN score IS NOT NULL THEN 'STABLE' END,
    CASE WHEN score < 40 OR score < 60 AND score < previous - 5 THEN 'HIGH'
        WHEN score < 70 OR score < previous - 5 THEN 'MEDIUM' WHEN score IS NOT NULL THEN 'LOW' END,
    login_score, case_score, campaign_score, feature_score, ticket_score,
    members, active, closed, on_time, completed, assigned, enabled, used, opened, before, tracked
FROM scored
"""

# Everything that a calculation of the same day must have in common with another.
COMPARED = (
    "client_id, day, as_of, policy_version, score, previous_score, coverage, light, trend, risk, login_score, "
    "case_score, campaign_score, feature_score, ticket_score, members, active_members, cases_closed, cases_on_time, "
    "campaigns_completed, campaigns_assigned, features_enabled, features_used, tickets_opened, tickets_before, "
    "tickets_tracked"
)

COUNT_DIFFERENCES = f"""
SELECT count(*) FROM (
    (SELECT {COMPARED} FROM plain_scores WHERE day = $1 EXCEPT SELECT {COMPARED} FROM health_scores WHERE day = $1)
    UNION ALL
    (SELECT {COMPARED} FROM health_scores WHERE day = $1 EXCEPT SELECT {COMPARED} FROM plain_scores WHERE day = $1)
) AS differing
"""
