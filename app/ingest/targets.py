"""Where the rows of each kind of file go: the SQL expressions that tell a new, a changed and an unusable row apart.

In the expressions `s` is a staged row with the ids of what it refers to (`client_id`, `member_id`, ...), null where
unknown, and `t` is the stored row, all null where there is none yet. A staged value is null where the file left it
out, so `coalesce(s.x, t.x)` is what the row will hold.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

# How a staged row finds what it refers to: the id that is gained, the table, and the condition. The order matters:
# members and campaigns are looked up inside their client.
PARENTS = {
    "client": ("clients", "client.external_id = s.client"),
    "member": ("members", "member.client_id = client.id AND member.external_id = s.member"),
    "campaign": ("campaigns", "campaign.client_id = client.id AND campaign.external_id = s.campaign"),
    "feature": ("features", "feature.key = s.feature"),
}


@dataclass(frozen=True, slots=True)
class Target:
    """The table that one kind of file is stored in."""

    table: str
    # The columns that know a row: their staged expression.
    key: Mapping[str, str]
    # The other columns: what a new row holds where the file leaves the column out.
    defaults: Mapping[str, str] = field(default_factory=dict)
    # Columns that do not follow the rule "what is left out stays": their expressions for a new and for a stored row.
    derived: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    # What must not be, over the row as it would be stored: the condition, and the reason as an SQL expression.
    refusals: tuple[tuple[str, str], ...] = ()
    # What the rows refer to, of PARENTS.
    parents: tuple[str, ...] = ("client",)


def _before(later: str, earlier: str) -> tuple[str, str]:
    return (
        f"coalesce(s.{later}, t.{later}) < coalesce(s.{earlier}, t.{earlier})",
        f"'{later} is before {earlier}, as this row or the stored one gives them'",
    )


_CLIENT_KEY = {"client_id": "s.client_id", "external_id": "s.external_id"}

TARGETS = {
    "clients": Target(
        "clients",
        key={"external_id": "s.external_id"},
        defaults={
            "name": "NULL",
            "name_key": "NULL",
            "size": "NULL",
            "industry": "'OTHER'",
            "status": "'ACTIVE'",
            "engagement_model": "'PLG'",
            "owner": "NULL",
            "customer_since": "NULL",
            "churned_at": "NULL",
            "renewal_date": "NULL",
            "annual_value": "NULL",
            # Somebody looks after a client with high touch, and wants to hear of it.
            "alerts_enabled": "coalesce(s.engagement_model = 'HIGH_TOUCH', false)",
        },
        refusals=(("t.external_id IS NULL AND s.name IS NULL", "'name is missing: a new client needs one'"),),
        parents=(),
    ),
    "members": Target(
        "members",
        key=_CLIENT_KEY,
        defaults={"created_at": "NULL", "deactivated_at": "NULL"},
        derived={"created_at_inferred": ("false", "t.created_at_inferred AND s.created_at IS NULL")},
    ),
    "logins": Target(
        "logins",
        key={"client_id": "s.client_id", "at": "s.at", "member_id": "s.member_id"},
        defaults={"duration_minutes": "NULL"},
        # A login of an unknown member creates the member, see service.store_chunk: only the client can be unknown.
        parents=("client", "member"),
    ),
    "cases": Target(
        "cases",
        key=_CLIENT_KEY,
        defaults={"opened_at": "NULL", "closed_at": "NULL", "sla_due_at": "NULL"},
        refusals=(_before("closed_at", "opened_at"),),
    ),
    "campaigns": Target(
        "campaigns",
        key=_CLIENT_KEY,
        defaults={"name": "NULL", "kind": "'OTHER'", "assigned": "0", "completed": "0", "closed_at": "NULL"},
        refusals=(
            (
                "coalesce(s.completed, t.completed, 0) > coalesce(s.assigned, t.assigned, 0)",
                "'completed (' || coalesce(s.completed, t.completed, 0) || ') is more than assigned ('"
                " || coalesce(s.assigned, t.assigned, 0) || ')'",
            ),
        ),
    ),
    "campaign_responses": Target(
        "campaign_responses",
        key={
            "client_id": "s.client_id",
            "at": "s.at",
            "campaign_id": "s.campaign_id",
            "member_id": "s.member_id",
        },
        parents=("client", "campaign", "member"),
    ),
    "features": Target(
        "features",
        key={"key": "s.key"},
        defaults={"name": "s.key", "category": "'CORE'"},
        parents=(),
    ),
    "client_features": Target(
        "client_features",
        key={"client_id": "s.client_id", "feature_id": "s.feature_id"},
        defaults={"enabled": "true", "first_used_at": "NULL", "last_used_at": "NULL"},
        refusals=(_before("last_used_at", "first_used_at"),),
        parents=("client", "feature"),
    ),
    "tickets": Target(
        "tickets",
        key=_CLIENT_KEY,
        defaults={"opened_at": "NULL", "closed_at": "NULL", "priority": "NULL"},
        refusals=(_before("closed_at", "opened_at"),),
    ),
    # A member that was seen exists. One that no file told of exists since it was first seen.
    "seen_members": Target(
        "members",
        key=_CLIENT_KEY,
        derived={
            "created_at": (
                "s.at",
                "CASE WHEN t.created_at_inferred THEN least(t.created_at, s.at) ELSE t.created_at END",
            ),
            "created_at_inferred": ("true", "t.created_at_inferred"),
        },
    ),
    # What was used is enabled where nothing else is known.
    "feature_uses": Target(
        "client_features",
        key={"client_id": "s.client_id", "feature_id": "s.feature_id"},
        derived={
            "enabled": ("true", "t.enabled"),
            "first_used_at": ("s.first_at", "least(t.first_used_at, t.last_used_at, s.first_at)"),
            "last_used_at": ("s.last_at", "greatest(t.last_used_at, t.first_used_at, s.last_at)"),
        },
        parents=("client", "feature"),
    ),
}
