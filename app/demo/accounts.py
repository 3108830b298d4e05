"""Who the clients of the demo are: size, industry, habit, contract, and which feeds they send."""

import random
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum

from app.clients.models import ClientSize, ClientStatus, EngagementModel, Industry
from app.demo.habits import Curve, Habit, curve_of
from app.demo.names import OWNERS, company_names
from app.demo.rows import ClientRow, stream

DAYS = 180
# The newest client signed this many days before the end, whatever the seed: the end can be told from the clients.
NEWEST_CLIENT_DAYS = 2

# How many clients of each size have each habit. The order matters: industries are dealt out in turn, so that a
# habit's clients are spread over the industries and every industry has as many clients as any other.
HABITS: dict[ClientSize, dict[Habit, int]] = {
    ClientSize.ENTERPRISE: {
        Habit.CHURNED: 1,
        Habit.SILENT: 1,
        Habit.MISSING_FEEDS: 2,
        Habit.SETBACK: 1,
        Habit.BACKLOG: 1,
        Habit.REBOUND: 1,
        Habit.LOST_CHAMPION: 2,
        Habit.SLOW_DECLINE: 3,
        Habit.RECOVERY: 2,
        Habit.ONBOARDING: 2,
        Habit.STRUGGLING: 1,
        Habit.SEASONAL: 4,
        Habit.MIDDLING: 7,
        Habit.STEADY: 12,
    },
    ClientSize.MIDMARKET: {
        Habit.CHURNED: 2,
        Habit.BRAND_NEW: 1,
        Habit.SILENT: 2,
        Habit.MISSING_FEEDS: 3,
        Habit.SETBACK: 2,
        Habit.BACKLOG: 1,
        Habit.REBOUND: 2,
        Habit.LOST_CHAMPION: 3,
        Habit.SLOW_DECLINE: 4,
        Habit.RECOVERY: 3,
        Habit.ONBOARDING: 3,
        Habit.STRUGGLING: 2,
        Habit.SEASONAL: 4,
        Habit.MIDDLING: 8,
        Habit.STEADY: 10,
    },
    ClientSize.SMB: {
        Habit.CHURNED: 3,
        Habit.BRAND_NEW: 4,
        Habit.SILENT: 4,
        Habit.MISSING_FEEDS: 4,
        Habit.SETBACK: 1,
        Habit.REBOUND: 1,
        Habit.LOST_CHAMPION: 3,
        Habit.SLOW_DECLINE: 3,
        Habit.RECOVERY: 3,
        Habit.ONBOARDING: 6,
        Habit.STRUGGLING: 4,
        Habit.SEASONAL: 2,
        Habit.MIDDLING: 11,
        Habit.STEADY: 11,
    },
}
CLIENTS = sum(count for habits in HABITS.values() for count in habits.values())


class Feed(StrEnum):
    """A kind of facts that a client sends, or does not."""

    LOGINS = "LOGINS"
    CASES = "CASES"
    CAMPAIGNS = "CAMPAIGNS"
    FEATURES = "FEATURES"
    TICKETS = "TICKETS"


ALL_FEEDS = frozenset(Feed)


@dataclass(frozen=True, slots=True)
class Account:
    """One client and what its facts follow from. Days are counted back from the end, which is day 0."""

    external_id: str
    name: str
    size: ClientSize
    industry: Industry
    habit: Habit
    status: ClientStatus
    engagement_model: EngagementModel
    owner: str | None
    annual_value: int | None
    # People with an account at the end.
    headcount: int
    # The day on which the client signed.
    signed: int
    # The last day with facts.
    last: int
    # The day of the event in the client's story: see habits.curve_of.
    turn: int
    curve: Curve
    feeds: frozenset[Feed]

    @property
    def first(self) -> int:
        """The first day with facts: the history is as long as DAYS."""
        return min(self.signed, DAYS - 1)


def external_ids() -> list[str]:
    """Return the external ids of all clients, in order."""
    return [f"demo-{number:03}" for number in range(1, CLIENTS + 1)]


def accounts(seed: int) -> list[Account]:
    """Return the clients of the demo, the same for the same seed."""
    industries = list(Industry)
    slots = [
        (size, industries[position % len(industries)], habit)
        for size, habits in HABITS.items()
        for position, habit in enumerate(habit for habit, count in habits.items() for _ in range(count))
    ]
    names = company_names(seed, [industry for _, industry, _ in slots])
    made: list[Account] = []
    for external_id, name, (size, industry, habit) in zip(external_ids(), names, slots, strict=True):
        nth = sum(account.habit is habit for account in made)
        made.append(_account(seed, external_id, name, size=size, industry=industry, habit=habit, nth=nth))
    return made


def client_row(account: Account, end: date) -> ClientRow:
    """Return the account as a row of `clients`, on the day `end`."""
    since = end - timedelta(days=account.signed)
    churned = account.status is ClientStatus.CHURNED
    churned_at = datetime.combine(end - timedelta(days=account.last), time(18), UTC) if churned else None
    return ClientRow(
        account.external_id,
        account.name,
        account.size,
        account.industry,
        account.status,
        account.engagement_model,
        account.owner,
        since,
        churned_at,
        None if churned else _renewal(account, since, end),
        account.annual_value,
    )


def _renewal(account: Account, since: date, end: date) -> date | None:
    """Return the end of the trial, or the first anniversary of the signature after `end`.

    Anniversaries are counted in years of 365 days, so that the 29th of February needs no thought.
    """
    if account.status is ClientStatus.TRIAL:
        return since + timedelta(days=45)
    if account.annual_value is None:
        return None
    years = (end - since).days // 365 + 1
    return since + timedelta(days=365 * years)


def _account(
    seed: int, external_id: str, name: str, *, size: ClientSize, industry: Industry, habit: Habit, nth: int
) -> Account:
    rng = stream(seed, external_id)
    status = ClientStatus.ACTIVE
    if habit is Habit.CHURNED:
        status = ClientStatus.CHURNED
    elif size is ClientSize.SMB and habit in {Habit.BRAND_NEW, Habit.ONBOARDING} and nth % 2:
        status = ClientStatus.TRIAL
    touch = {ClientSize.ENTERPRISE: 1.0, ClientSize.MIDMARKET: 0.8, ClientSize.SMB: 0.1}[size]
    model = EngagementModel.HIGH_TOUCH if rng.random() < touch else EngagementModel.PLG
    owned = model is EngagementModel.HIGH_TOUCH or rng.random() < 0.5
    signed, last, turn = _days(habit, status, nth, rng)
    return Account(
        external_id,
        name,
        size,
        industry,
        habit,
        status,
        model,
        rng.choice(OWNERS) if owned else None,
        None if status is ClientStatus.TRIAL or rng.random() < 0.05 else _annual_value(size, rng),
        _headcount(size, rng),
        signed,
        last,
        turn,
        curve_of(habit, turn, rng),
        _feeds(habit, nth, rng),
    )


def _days(habit: Habit, status: ClientStatus, nth: int, rng: random.Random) -> tuple[int, int, int]:
    """Return the days of the signature, of the last fact and of the turn."""
    signed, last, turn = rng.randint(220, 1900), 0, rng.randint(130, 170)
    match habit:
        case Habit.BRAND_NEW:
            signed = turn = NEWEST_CLIENT_DAYS + 2 * nth
        case Habit.ONBOARDING:
            signed = turn = rng.randint(32, 42) if status is ClientStatus.TRIAL else rng.randint(60, 120)
        case Habit.LOST_CHAMPION:
            turn = rng.randint(16, 50)
        case Habit.RECOVERY:
            turn = rng.randint(55, 90)
        case Habit.SILENT:
            last = 32 + 9 * nth
        case Habit.CHURNED:
            last, turn = 14 + 19 * nth, 74 + 19 * nth
    return signed, last, turn


def _feeds(habit: Habit, nth: int, rng: random.Random) -> frozenset[Feed]:
    if habit is Habit.SILENT:
        # The first silent client never sent anything at all.
        return frozenset() if nth == 0 else ALL_FEEDS - {Feed.TICKETS}
    if habit is Habit.BRAND_NEW:
        return frozenset({Feed.LOGINS, Feed.FEATURES})
    if habit is Habit.MISSING_FEEDS:
        missing = (
            {Feed.LOGINS},
            {Feed.CASES, Feed.TICKETS},
            {Feed.CASES, Feed.CAMPAIGNS, Feed.TICKETS},
            {Feed.CAMPAIGNS, Feed.FEATURES},
        )
        return ALL_FEEDS - missing[nth % len(missing)]
    if habit in {Habit.SETBACK, Habit.BACKLOG, Habit.REBOUND}:
        return ALL_FEEDS
    return ALL_FEEDS - {Feed.TICKETS} if rng.random() < 0.12 else ALL_FEEDS


def _headcount(size: ClientSize, rng: random.Random) -> int:
    match size:
        case ClientSize.ENTERPRISE:
            return rng.randint(60, 120)
        case ClientSize.MIDMARKET:
            return rng.randint(15, 40)
        case ClientSize.SMB:
            return rng.randint(4, 12)


def _annual_value(size: ClientSize, rng: random.Random) -> int:
    """Return the contract value of a year, in whole units of the currency."""
    match size:
        case ClientSize.ENTERPRISE:
            return 1000 * rng.randint(85, 420)
        case ClientSize.MIDMARKET:
            return 500 * rng.randint(30, 150)
        case ClientSize.SMB:
            return 60 * rng.randint(20, 200)
