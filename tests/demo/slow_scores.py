"""The health of a client from the demo's rows, counted one by one in plain Python and judged by the real rules."""

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from app.demo.rows import CampaignRow, CaseRow, ClientFeatureRow, ClientRow, LoginRow, MemberRow, Portfolio, TicketRow
from app.health.rules import Counts, Health, Policy, assess, end_of_day, window_start

POLICY = Policy()


@dataclass
class Facts:
    """The rows of one client."""

    client: ClientRow
    members: list[MemberRow] = field(default_factory=list)
    logins: list[LoginRow] = field(default_factory=list)
    cases: list[CaseRow] = field(default_factory=list)
    campaigns: list[CampaignRow] = field(default_factory=list)
    features: list[ClientFeatureRow] = field(default_factory=list)
    tickets: list[TicketRow] = field(default_factory=list)


def facts_by_client(portfolio: Portfolio) -> dict[str, Facts]:
    """Return the rows of each client under its external id."""
    facts = {client.external_id: Facts(client) for client in portfolio.clients}
    for member in portfolio.members:
        facts[member.client].members.append(member)
    for login in portfolio.logins:
        facts[login.client].logins.append(login)
    for case in portfolio.cases:
        facts[case.client].cases.append(case)
    for campaign in portfolio.campaigns:
        facts[campaign.client].campaigns.append(campaign)
    for feature in portfolio.client_features:
        facts[feature.client].features.append(feature)
    for ticket in portfolio.tickets:
        facts[ticket.client].tickets.append(ticket)
    return facts


def counts_on(facts: Facts, day: date) -> Counts:
    """Return what the client's score of that day is computed from."""
    as_of, since = end_of_day(day), window_start(day)
    present = {
        member.external_id
        for member in facts.members
        if member.created_at <= as_of and not (member.deactivated_at and member.deactivated_at <= as_of)
    }
    active = {login.member for login in facts.logins if since <= login.at <= as_of}
    closed = [case for case in facts.cases if case.closed_at and since <= case.closed_at <= as_of]
    ended = [c for c in facts.campaigns if c.assigned and c.closed_at and since <= c.closed_at <= as_of]
    enabled = [feature for feature in facts.features if feature.enabled]
    opened = [ticket.opened_at for ticket in facts.tickets if ticket.opened_at <= as_of]
    return Counts(
        members=len(present),
        active_members=len(present & active),
        cases_closed=len(closed),
        cases_on_time=sum(_on_time(case.closed_at, case.sla_due_at) for case in closed),
        campaigns_completed=[campaign.completed for campaign in ended],
        campaigns_assigned=[campaign.assigned for campaign in ended],
        features_enabled=len(enabled),
        features_used=sum(1 for f in enabled if f.first_used_at and f.first_used_at <= as_of),
        tickets_opened=sum(1 for at in opened if at >= since),
        tickets_before=sum(1 for at in opened if since - timedelta(days=90) <= at < since),
        tickets_tracked=bool(opened),
    )


def _on_time(closed_at: datetime | None, due_at: datetime | None) -> bool:
    assert closed_at is not None
    return due_at is None or closed_at <= due_at


def health_on(facts: Facts, day: date) -> Health | None:
    """Return the client's health at the end of that day, against the day before; None where it is not scored at all."""
    client = facts.client
    if client.customer_since > day or (client.churned_at and client.churned_at <= end_of_day(day)):
        return None
    before = day - timedelta(days=1)
    previous = assess(counts_on(facts, before), None, POLICY).score if client.customer_since <= before else None
    return assess(counts_on(facts, day), previous, POLICY)
