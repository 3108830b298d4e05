"""Every SQL statement about clients: the portfolio's pages and counts, and single clients."""

from collections.abc import Mapping, Sequence

from sqlalchemy import TextClause, text

from app.clients.models import LIGHT_KEY, LISTED, LOWEST_KEYS, MISSING_KEYS, SORT_KEYS

COLUMNS = (
    "id, external_id, name, name_key, size, industry, status, engagement_model, owner, customer_since, renewal_date, "
    "annual_value, alerts_enabled, alerts_snoozed_until, last_activity_at, scored_day, calculated_at, policy_version, "
    "score, coverage, light, trend, trend_delta, risk, login_score, case_score, campaign_score, feature_score, "
    "ticket_score, tickets_tracked, stale"
)

# The four values that the light's key takes; the empty one stands for clients without an overall score.
LIGHT_KEYS = ("GREEN", "AMBER", "RED", "")

BY_IDS = text(f"SELECT {COLUMNS} FROM clients WHERE id = ANY(CAST(:ids AS bigint[]))")

BY_EXTERNAL_ID = text("SELECT id FROM clients WHERE external_id = :external_id")

LOCK = text(
    "SELECT id, name, status, alerts_enabled, alerts_snoozed_until FROM clients WHERE id = :id FOR NO KEY UPDATE"
)

SET_ALERTS = text("UPDATE clients SET alerts_enabled = :enabled WHERE id = :id")

# A client whose alerts are switched as wanted already is left alone, and gets no entry in the audit trail.
SET_ALERTS_OF = text(
    "WITH switched AS (UPDATE clients SET alerts_enabled = :enabled WHERE id = ANY(CAST(:ids AS bigint[])) "
    "AND alerts_enabled <> :enabled RETURNING id) "
    "INSERT INTO audit_events (at, actor, action, client_id, run_id, request_id, changes) "
    "SELECT :now, :actor, 'ALERTS_CHANGED', id, :run_id, :request_id, CAST(:changes AS jsonb) FROM switched"
)

LOCK_IN_ORDER = text("SELECT id FROM clients WHERE id = ANY(CAST(:ids AS bigint[])) ORDER BY id FOR NO KEY UPDATE")

SNOOZE = text("UPDATE clients SET alerts_snoozed_until = :until WHERE id = :id")

# What each filter demands of a row. Those in CELL_CONDITIONS can be answered from the counts as well.
CELL_CONDITIONS = {
    "lights": "light = ANY(CAST(:lights AS text[]))",
    "risks": "risk = ANY(CAST(:risks AS text[]))",
    "trends": "trend = ANY(CAST(:trends AS text[]))",
    "sizes": "size = ANY(CAST(:sizes AS text[]))",
    "industries": "industry = ANY(CAST(:industries AS text[]))",
    "engagement_model": "engagement_model = :engagement_model",
    "alerts_enabled": "alerts_enabled = :alerts_enabled",
}
ROW_CONDITIONS = CELL_CONDITIONS | {
    "owner": "owner = :owner",
    "search": "strpos(name_key, :search) > 0",
    "renewal_before": "renewal_date < :renewal_before",
}


def _where(conditions: Mapping[str, str], names: Sequence[str]) -> str:
    return "".join(f" AND {conditions[name]}" for name in names)


# The portfolio's orders: the sort key, null for the name itself, and whether the key's index is walked backwards.
ORDERS: dict[str, tuple[str | None, bool]] = {
    "score_desc": ("score_desc", False),
    "score_asc": ("score_desc", True),
    "trend_asc": ("trend_asc", False),
    "trend_desc": ("trend_asc", True),
    "activity_asc": ("activity_asc", False),
    "activity_desc": ("activity_asc", True),
    "renewal_asc": ("renewal_asc", False),
    "renewal_desc": ("renewal_asc", True),
    "name_asc": (None, False),
    "name_desc": (None, True),
}


def page(order: str, filters: Sequence[str], *, after: bool) -> TextClause:
    """Return the statement for one page of the portfolio in the order `order` of ORDERS, of the lights :light_keys.

    Each light walks one index from the cursor on, and what is found is merged, so that a page costs the same wherever
    it lies and whichever lights are asked for.
    """
    name, backwards = ORDERS[order]
    where = f"{LIGHT_KEY} = l.light AND {LISTED}{_where(ROW_CONDITIONS, filters)}"
    if name is None:
        walk, ordering = _by_name(where, backwards=backwards, after=after)
    elif backwards:
        walk, ordering = _by_key_backwards(name, where, after=after)
    else:
        walk, ordering = _by_key(SORT_KEYS[name], where, after=after)
    return text(
        "SELECT listed.* FROM unnest(CAST(:light_keys AS text[])) AS l(light) "
        f"CROSS JOIN LATERAL ({walk}) AS listed ORDER BY {ordering} LIMIT :limit"
    )


def _by_name(where: str, *, backwards: bool, after: bool) -> tuple[str, str]:
    direction, comparison = ("DESC", "<") if backwards else ("ASC", ">")
    ordering = f"name_key {direction}, id"
    if after:
        where += f" AND name_key {comparison}= :name_key AND (name_key {comparison} :name_key OR id > :id)"
    return f"SELECT {COLUMNS}, NULL AS key FROM clients WHERE {where} ORDER BY {ordering} LIMIT :limit", ordering


def _by_key(key: str, where: str, *, after: bool) -> tuple[str, str]:
    if after:
        where += f" AND ({key}, name_key, id) > (:key, :name_key, :id)"
    ordering = "key, name_key, id"
    return f"SELECT {COLUMNS}, {key} AS key FROM clients WHERE {where} ORDER BY {ordering} LIMIT :limit", ordering


def _by_key_backwards(name: str, where: str, *, after: bool) -> tuple[str, str]:
    """Walk the keys downwards, but the names and ids of equal keys upwards, and the clients without the value last.

    The edge is the key at which the page ends. Fewer clients than a page has lie above it; of those on it, as of those
    that share the cursor's key, the first by name are taken.
    """
    key, missing = SORT_KEYS[name], MISSING_KEYS[name]
    below = f"{key} < :key AND :key < {missing}" if after else f"{key} < {missing}"
    columns = f"SELECT {COLUMNS}, {key} AS key FROM clients WHERE {where}"
    by_name = "ORDER BY name_key, id LIMIT :limit"
    parts = [
        f"({columns} AND {below} AND {key} > edge ORDER BY {key} DESC LIMIT :limit)",
        f"({columns} AND {below} AND {key} = edge {by_name})",
    ]
    if after:
        parts.append(f"({columns} AND {key} = :key AND (name_key, id) > (:name_key, :id) {by_name})")
        parts.append(f"({columns} AND {key} = {missing} AND :key < {missing} {by_name})")
    else:
        parts.append(f"({columns} AND {key} = {missing} {by_name})")
    edge = (
        f"SELECT coalesce((SELECT {key} FROM clients WHERE {where} AND {below} ORDER BY {key} DESC "
        f"OFFSET :limit - 1 LIMIT 1), {LOWEST_KEYS[name]}) AS edge"
    )
    walk = f"SELECT found.* FROM ({edge}) AS e CROSS JOIN LATERAL ({' UNION ALL '.join(parts)}) AS found"
    return walk, f"key = {missing}, key DESC, name_key, id"


def counts(filters: Sequence[str]) -> TextClause:
    """Return the statement that counts the lights among the clients that match the filters.

    Where the filters allow, it adds up the counts that a trigger keeps instead of visiting the clients.
    """
    if set(filters) <= CELL_CONDITIONS.keys():
        where = _where(CELL_CONDITIONS, filters)
        return text(
            f"SELECT light, sum(clients)::integer AS clients FROM portfolio_counts WHERE true{where} GROUP BY 1"
        )
    where = _where(ROW_CONDITIONS, filters)
    return text(
        f"SELECT {LIGHT_KEY} AS light, count(*)::integer AS clients FROM clients WHERE {LISTED}{where} GROUP BY 1"
    )


def count_matching(filters: Sequence[str]) -> TextClause:
    """Return the statement that counts the listed clients that match the filters."""
    return text(f"SELECT count(*) AS clients FROM clients WHERE {LISTED}{_where(ROW_CONDITIONS, filters)}")


def next_matching(filters: Sequence[str]) -> TextClause:
    """Return the statement for the next listed clients, in id order, that match the filters."""
    where = f"{LISTED}{_where(ROW_CONDITIONS, filters)}"
    return text(f"SELECT id FROM clients WHERE id > :after AND {where} ORDER BY id LIMIT :size")


# From one owner to the next along the index, which costs a look for each owner however many clients they have.
OWNERS = text(
    "WITH RECURSIVE owners AS ("
    f"(SELECT owner FROM clients WHERE {LISTED} AND owner IS NOT NULL ORDER BY owner LIMIT 1) "
    f"UNION ALL SELECT (SELECT owner FROM clients WHERE {LISTED} AND owner > before.owner ORDER BY owner LIMIT 1) "
    "FROM owners AS before WHERE before.owner IS NOT NULL) "
    "SELECT owner FROM owners WHERE owner IS NOT NULL LIMIT :limit"
)

CALCULATED_AT = text(
    "SELECT max(finished_at) AS at FROM runs WHERE status = 'SUCCEEDED' "
    "AND kind IN ('RECALCULATE_ONE', 'RECALCULATE_ALL')"
)
