"""The work of a client: its compliance cases, its campaigns, its support tickets."""

import random
from datetime import datetime

from app.clients.models import ClientSize
from app.demo.accounts import Account, Feed
from app.demo.days import HOUR, QUARTER_ENDS, Calendar, poisson, working_seconds
from app.demo.habits import Habit, completion_share, level_at, on_time_share, ticket_factor
from app.demo.names import ATTESTATIONS, OTHER_CAMPAIGNS
from app.demo.people import Person
from app.demo.rows import CampaignRow, CaseRow, ResponseRow, TicketRow
from app.usage.models import CampaignKind

# Cases opened in 30 days: fewest and most.
_CASES = {ClientSize.ENTERPRISE: (16, 32), ClientSize.MIDMARKET: (7, 14), ClientSize.SMB: (4, 8)}
# Days from the close of one campaign to the close of the next.
_CAMPAIGN_INTERVAL = {ClientSize.ENTERPRISE: 19, ClientSize.MIDMARKET: 24, ClientSize.SMB: 32}
_CAMPAIGN_DAYS = 14
_CLOSING_SECOND = 17 * HOUR
# How the last two campaigns of a client with a sudden turn went: (day of the close, completion).
_TURNS = {
    Habit.SETBACK: ((0, 0.06), (18, 0.96)),
    Habit.REBOUND: ((0, 0.98), (18, 0.08)),
}
# Working days are five of seven: this makes up for the quiet weekends in a rate per 30 days.
_PER_WORKING_DAY = 7 / (5.14 * 30)


def cases(account: Account, calendar: Calendar, rng: random.Random) -> list[CaseRow]:
    """Return every case of the history; those that would close after the end are still open."""
    if Feed.CASES not in account.feeds:
        return []
    monthly = rng.uniform(*_CASES[account.size])
    rows: list[CaseRow] = []
    for age in range(account.first, account.last - 1, -1):
        for _ in range(poisson(monthly * _PER_WORKING_DAY * calendar.rhythm(age), rng)):
            rows.append(_case(account, f"case-{len(rows) + 1:04}", age, calendar, rng))
    if account.habit is Habit.BACKLOG:
        for _ in range(int(monthly) + 3):
            age = rng.randint(14, 24)
            opened_at = calendar.at(age, working_seconds(rng))
            closed_at = calendar.at(0, working_seconds(rng))
            external_id = f"case-{len(rows) + 1:04}"
            rows.append(
                CaseRow(account.external_id, external_id, opened_at, closed_at, calendar.at(age - 5, 18 * HOUR))
            )
    return rows


def _case(account: Account, external_id: str, age: int, calendar: Calendar, rng: random.Random) -> CaseRow:
    opened = working_seconds(rng)
    sla_days = rng.choice((3, 5, 5, 10))
    if rng.random() < on_time_share(level_at(account.curve, age)):
        closed = age - rng.randint(0, sla_days - 1)
        # What would close on a weekend closes on the Friday before, unless it was opened that very weekend.
        closed = min(age, closed + calendar.weekend_days(closed))
    else:
        closed = age - rng.randint(sla_days + 1, 2 * sla_days + 4)
        closed -= (3 - calendar.weekend_days(closed)) % 3
    closed_at = None
    if closed >= account.last:
        second = rng.uniform(opened, 18 * HOUR - 1) if closed == age else working_seconds(rng)
        closed_at = calendar.at(closed, second)
    # Some kinds of case have no deadline.
    due_at = None if rng.random() < 0.08 else calendar.at(age - sla_days, 18 * HOUR)
    return CaseRow(account.external_id, external_id, calendar.at(age, opened), closed_at, due_at)


def campaigns(
    account: Account, members: list[Person], calendar: Calendar, rng: random.Random
) -> tuple[list[CampaignRow], list[ResponseRow]]:
    """Return the campaigns of the history with their responses, of which each has as many as it has completions."""
    rows: list[CampaignRow] = []
    responses: list[ResponseRow] = []
    if Feed.CAMPAIGNS not in account.feeds:
        return rows, responses
    attestation_next = rng.random() < 0.5
    for closing, planned in sorted(_closings(account, calendar, rng), reverse=True):
        opening = closing + _CAMPAIGN_DAYS
        # Where the feed of members is missing, only the platform's own count of people is known.
        assigned = [
            member for member in members if member.present(opening) and member.present(max(closing, account.last))
        ]
        total = len(assigned) if Feed.LOGINS in account.feeds else account.headcount
        if not total:
            continue
        share = planned
        if share is None:
            share = completion_share(level_at(account.curve, closing)) + rng.gauss(0, 0.04)
        # A campaign that is still open is only partly done.
        elapsed = min(1.0, (opening - account.last + 1) / _CAMPAIGN_DAYS)
        completed = int(total * min(1.0, max(0.05, share)) * elapsed + 0.5)
        kind = CampaignKind.ATTESTATION if attestation_next else CampaignKind.OTHER
        attestation_next = not attestation_next
        title = rng.choice(ATTESTATIONS if kind is CampaignKind.ATTESTATION else OTHER_CAMPAIGNS)
        external_id = f"campaign-{len(rows) + 1:02}"
        closed_at = calendar.at(closing, _CLOSING_SECOND) if closing >= account.last else None
        name = f"{title} {calendar.day(closing):%Y-%m}"
        rows.append(CampaignRow(account.external_id, external_id, name, kind, total, completed, closed_at))
        # The members with least reserve answer, give or take a few.
        keen = sorted(assigned, key=lambda member: member.reserve + rng.uniform(0, 0.2))[:completed]
        responses.extend(
            ResponseRow(
                account.external_id,
                external_id,
                member.external_id,
                _response_at(opening, max(closing, account.last), calendar, rng),
            )
            for member in keen
        )
    return rows, responses


def _response_at(opening: int, closing: int, calendar: Calendar, rng: random.Random) -> datetime:
    """Return when a member answers: many at once, the others towards the reminder at the end."""
    span = opening - closing
    days_in = rng.expovariate(0.5) if rng.random() < 0.6 else span - rng.expovariate(0.8)
    age = opening - min(span, max(0, int(days_in)))
    age = min(opening, age + calendar.weekend_days(age))
    return calendar.at(age, rng.triangular(8 * HOUR, _CLOSING_SECOND - 1, 10 * HOUR))


def _closings(account: Account, calendar: Calendar, rng: random.Random) -> list[tuple[int, float | None]]:
    """Return (day, completion if it is decided already) of each campaign's close; days below 0 are in the future."""
    oldest = account.first - _CAMPAIGN_DAYS
    if account.habit is Habit.SEASONAL:
        ages = [
            age
            for age in range(oldest, -_CAMPAIGN_DAYS, -1)
            if calendar.day(age).month in QUARTER_ENDS and calendar.day(age).day in {14, 21, 27}
        ]
        return [(_on_working_day(age, calendar), None) for age in ages]
    turns = _TURNS.get(account.habit, ())
    interval = _CAMPAIGN_INTERVAL[account.size]
    closings: list[tuple[int, float | None]] = list(turns)
    age = turns[-1][0] + interval + 14 if turns else account.last + rng.randint(3 - _CAMPAIGN_DAYS, interval)
    while age <= oldest:
        closings.append((_on_working_day(age, calendar), None))
        age += interval + rng.randint(-3, 3)
    return closings


def _on_working_day(age: int, calendar: Calendar) -> int:
    return age + calendar.weekend_days(age) if age > 0 else age


def tickets(account: Account, calendar: Calendar, rng: random.Random) -> list[TicketRow]:
    """Return every support ticket of the history."""
    if Feed.TICKETS not in account.feeds:
        return []
    usual = max(1.3, 0.07 * account.headcount)
    rows: list[TicketRow] = []
    for age in range(account.first, account.last - 1, -1):
        mean = usual * ticket_factor(level_at(account.curve, age)) * _PER_WORKING_DAY * calendar.rhythm(age)
        for _ in range(poisson(mean, rng)):
            opened = working_seconds(rng)
            closed = age - int(rng.expovariate(0.3))
            closed_at = None
            if closed >= account.last:
                second = rng.uniform(opened, 18 * HOUR - 1) if closed == age else working_seconds(rng)
                closed_at = calendar.at(closed, second)
            priority = rng.choices(("LOW", "NORMAL", "HIGH", "URGENT"), (25, 50, 20, 5))[0]
            external_id = f"ticket-{len(rows) + 1:04}"
            rows.append(TicketRow(account.external_id, external_id, calendar.at(age, opened), closed_at, priority))
    return rows
