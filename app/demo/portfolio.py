"""The demo portfolio: every fact of 150 invented clients over 180 days, made from a seed."""

from datetime import date

from app.demo.accounts import accounts, client_row
from app.demo.days import Calendar
from app.demo.names import feature_catalogue
from app.demo.people import client_features, logins, member_rows, people
from app.demo.rows import Portfolio, stream
from app.demo.work import campaigns, cases, tickets


def generate(seed: int, end: date) -> Portfolio:
    """Return the facts up to and including the UTC day `end`: the same for the same arguments, and no scores.

    Each client's kinds of facts have random numbers of their own, so that a change to one kind leaves the others as
    they were.
    """
    calendar = Calendar(end)
    catalogue = feature_catalogue()
    portfolio = Portfolio([], [], [], [], [], [], catalogue, [], [])
    for account in accounts(seed):
        members = people(account, stream(seed, account.external_id, "members"))
        portfolio.clients.append(client_row(account, end))
        portfolio.members.extend(member_rows(account, members, calendar))
        portfolio.logins.extend(logins(account, members, calendar, stream(seed, account.external_id, "logins")))
        portfolio.cases.extend(cases(account, calendar, stream(seed, account.external_id, "cases")))
        ran, answered = campaigns(account, members, calendar, stream(seed, account.external_id, "campaigns"))
        portfolio.campaigns.extend(ran)
        portfolio.campaign_responses.extend(answered)
        portfolio.client_features.extend(
            client_features(account, catalogue, calendar, stream(seed, account.external_id, "features"))
        )
        portfolio.tickets.extend(tickets(account, calendar, stream(seed, account.external_id, "tickets")))
    return portfolio
