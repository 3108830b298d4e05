"""The facts of a world, as contract/import.md lays them out, in plain values.

Nothing here comes from the product: the oracle must be able to disagree with it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal


@dataclass(frozen=True)
class Client:
    """A row of `clients`; enums are the API's words."""

    external_id: str
    name: str
    size: str | None = None
    industry: str = "OTHER"
    status: str = "ACTIVE"
    engagement_model: str = "PLG"
    owner: str | None = None
    customer_since: date | None = None
    churned_at: datetime | None = None
    renewal_date: date | None = None
    annual_value: Decimal | None = None
    alerts_enabled: bool | None = None


@dataclass(frozen=True)
class Member:
    """A row of `members`."""

    client: str
    external_id: str
    created_at: datetime | None = None
    deactivated_at: datetime | None = None


@dataclass(frozen=True)
class Login:
    """A row of `logins`."""

    client: str
    member: str
    at: datetime
    duration_minutes: Decimal | None = None


@dataclass(frozen=True)
class Case:
    """A row of `cases`."""

    client: str
    external_id: str
    opened_at: datetime | None = None
    closed_at: datetime | None = None
    sla_due_at: datetime | None = None


@dataclass(frozen=True)
class Campaign:
    """A row of `campaigns`."""

    client: str
    external_id: str
    name: str | None = None
    kind: str = "OTHER"
    assigned: int = 0
    completed: int = 0
    closed_at: datetime | None = None


@dataclass(frozen=True)
class CampaignResponse:
    """A row of `campaign_responses`."""

    client: str
    campaign: str
    member: str
    at: datetime


@dataclass(frozen=True)
class Feature:
    """A row of `features`."""

    key: str
    name: str
    category: str = "CORE"


@dataclass(frozen=True)
class ClientFeature:
    """A row of `client_features`."""

    client: str
    feature: str
    enabled: bool = True
    first_used_at: datetime | None = None
    last_used_at: datetime | None = None


@dataclass(frozen=True)
class Ticket:
    """A row of `tickets`."""

    client: str
    external_id: str
    opened_at: datetime | None = None
    closed_at: datetime | None = None
    priority: str | None = None


@dataclass
class Facts:
    """Everything that is known about one client."""

    client: Client
    members: list[Member] = field(default_factory=list)
    logins: list[Login] = field(default_factory=list)
    cases: list[Case] = field(default_factory=list)
    campaigns: list[Campaign] = field(default_factory=list)
    responses: list[CampaignResponse] = field(default_factory=list)
    features: list[ClientFeature] = field(default_factory=list)
    tickets: list[Ticket] = field(default_factory=list)


@dataclass
class World:
    """A feature catalogue and the clients, by external id."""

    catalogue: list[Feature] = field(default_factory=list)
    clients: dict[str, Facts] = field(default_factory=dict)

    def add(self, facts: Facts) -> Facts:
        """Add one client; its external id must be new."""
        if facts.client.external_id in self.clients:
            raise ValueError(f"client {facts.client.external_id} exists twice")
        self.clients[facts.client.external_id] = facts
        return facts


def everybody(facts: Facts) -> list[Member]:
    """Return the members, those included that only a login speaks of.

    "A login by a member that is not known yet creates the member." Such a member counts from its first login.
    """
    listed = {member.external_id for member in facts.members}
    first: dict[str, datetime] = {}
    for login in facts.logins:
        if login.member not in listed:
            first[login.member] = min(login.at, first.get(login.member, login.at))
    return facts.members + [
        Member(facts.client.external_id, external_id, created_at=at) for external_id, at in sorted(first.items())
    ]


def alerts_enabled(client: Client) -> bool:
    """Apply "by default it is on for HIGH_TOUCH and off for PLG"."""
    if client.alerts_enabled is not None:
        return client.alerts_enabled
    return client.engagement_model == "HIGH_TOUCH"


def at_or_before(moments: Iterable[datetime | None], as_of: datetime) -> list[datetime]:
    """Apply "facts later than `as_of` are not seen" to known moments."""
    return [moment for moment in moments if moment is not None and moment <= as_of]
