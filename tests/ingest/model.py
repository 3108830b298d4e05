"""What an import should do, written row by row over dictionaries and without a look at how it is done."""

from datetime import datetime
from typing import Any

Row = dict[str, Any]

PARENTS = {
    "members": ["client"],
    "logins": ["client"],
    "cases": ["client"],
    "campaigns": ["client"],
    "campaign_responses": ["client", "campaign", "member"],
    "client_features": ["client", "feature"],
    "tickets": ["client"],
}
KEYS = {
    "clients": ["external_id"],
    "members": ["client", "external_id"],
    "logins": ["client", "member", "at"],
    "cases": ["client", "external_id"],
    "campaigns": ["client", "external_id"],
    "campaign_responses": ["client", "campaign", "member", "at"],
    "features": ["key"],
    "client_features": ["client", "feature"],
    "tickets": ["client", "external_id"],
}
DEFAULTS: dict[str, Row] = {
    "clients": {"name": None, "size": None, "industry": "OTHER", "status": "ACTIVE", "engagement_model": "PLG"}
    | dict.fromkeys(("owner", "customer_since", "churned_at", "renewal_date", "annual_value", "alerts_enabled")),
    "members": {"created_at": None, "deactivated_at": None, "created_at_inferred": False},
    "logins": {"duration_minutes": None},
    "cases": {"opened_at": None, "closed_at": None, "sla_due_at": None},
    "campaigns": {"name": None, "kind": "OTHER", "assigned": 0, "completed": 0, "closed_at": None},
    "campaign_responses": {},
    "features": {"name": None, "category": "CORE"},
    "client_features": {"enabled": True, "first_used_at": None, "last_used_at": None},
    "tickets": {"opened_at": None, "closed_at": None, "priority": None},
}
NEVER_AFTER = {
    "cases": ("opened_at", "closed_at"),
    "tickets": ("opened_at", "closed_at"),
    "client_features": ("first_used_at", "last_used_at"),
    "campaigns": ("completed", "assigned"),
}


class Model:
    """The stored rows of every kind, by key."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.stored: dict[str, dict[tuple[Any, ...], Row]] = {kind: {} for kind in KEYS}

    def apply(self, kind: str, row: Row | None) -> str:
        """Store one row of parsed values, None standing for one with a bad cell; return what became of it."""
        if row is None or any(row.get(name) is None for name in KEYS[kind]) or not self._parents_known(kind, row):
            return "rejected"
        key = tuple(row[name] for name in KEYS[kind])
        old = self.stored[kind].get(key)
        given = {name: value for name, value in row.items() if name not in KEYS[kind] and value is not None}
        if kind == "clients":
            if old is None and "name" not in given:
                return "rejected"
            if "status" not in given and "churned_at" in given and given["churned_at"] <= self.now:
                given["status"] = "CHURNED"
            if old is None and "alerts_enabled" not in given:
                given["alerts_enabled"] = given.get("engagement_model") == "HIGH_TOUCH"
        if kind == "features" and old is None and "name" not in given:
            given["name"] = row["key"]
        if kind == "members" and "created_at" in given:
            given["created_at_inferred"] = False
        new = (DEFAULTS[kind] if old is None else old) | given
        if kind in NEVER_AFTER:
            low, high = (new[name] for name in NEVER_AFTER[kind])
            if low is not None and high is not None and low > high:
                return "rejected"
        if kind == "logins":
            self._log_in(row)
        self.stored[kind][key] = new
        return "new" if old is None else "unchanged" if new == old else "changed"

    def _parents_known(self, kind: str, row: Row) -> bool:
        stored = self.stored
        for parent in PARENTS.get(kind, []):
            known = {
                "client": (row["client"],) in stored["clients"],
                "member": (row["client"], row.get("member")) in stored["members"],
                "campaign": (row["client"], row.get("campaign")) in stored["campaigns"],
                "feature": (row.get("feature"),) in stored["features"],
            }
            if not known[parent]:
                return False
        return True

    def _log_in(self, row: Row) -> None:
        members = self.stored["members"]
        member = members.setdefault(
            (row["client"], row["member"]),
            {"created_at": row["at"], "deactivated_at": None, "created_at_inferred": True},
        )
        if member["created_at_inferred"]:
            member["created_at"] = min(member["created_at"], row["at"])
