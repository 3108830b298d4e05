"""The members of a client, their logins, and the features that they found."""

import random
from dataclasses import dataclass
from datetime import datetime

from app.clients.models import ClientSize
from app.demo.accounts import DAYS, Account, Feed
from app.demo.days import HOUR, QUARTER_ENDS, Calendar, working_seconds
from app.demo.habits import Habit, active_share, adopted_share, level_at
from app.demo.rows import ClientFeatureRow, FeatureRow, LoginRow, MemberRow

# Features enabled for a client: fewest and most.
_ENABLED = {ClientSize.ENTERPRISE: (17, 22), ClientSize.MIDMARKET: (12, 17), ClientSize.SMB: (7, 12)}


@dataclass(frozen=True, slots=True)
class Person:
    """One member. Days are counted back from the end; `left` is None for one who still has the account."""

    external_id: str
    joined: int
    left: int | None
    # 0 to 1: the member is active while the client's share of active members is larger than this.
    reserve: float
    # The probability of logging in on a mean working day.
    rate: float

    def present(self, age: int) -> bool:
        """Return whether the member has the account on the whole of that day."""
        return self.joined >= age and (self.left is None or self.left < age)


def people(account: Account, rng: random.Random) -> list[Person]:
    """Return everybody who ever had an account; none where the feed is missing."""
    if Feed.LOGINS not in account.feeds:
        return []
    reserves = [(position + 0.5) / account.headcount for position in range(account.headcount)]
    rng.shuffle(reserves)
    made = []
    for number, reserve in enumerate(reserves, start=1):
        external_id = f"member-{number:03}"
        joined = _joined(account, first=number == 1, rng=rng)
        rate = rng.uniform(0.14, 0.55)
        left = rng.randint(account.last, joined - 1) if rng.random() < 0.05 and joined > account.last + 20 else None
        if number == 1:
            # The champion is the keenest user of all, from the first day on.
            left = account.turn if account.habit is Habit.LOST_CHAMPION else None
            made.append(Person(external_id, joined, left, reserve=0.0, rate=0.8))
        else:
            made.append(Person(external_id, joined, left, reserve, rate))
    return made


def _joined(account: Account, *, first: bool, rng: random.Random) -> int:
    if first:
        return account.signed
    if account.signed >= DAYS:
        return rng.randint(account.last, DAYS) if rng.random() < 0.15 else rng.randint(DAYS, account.signed)
    # A new client brings its people in over its first weeks.
    return max(account.last, account.signed - int(rng.triangular(0, 42, 4)))


def member_rows(account: Account, members: list[Person], calendar: Calendar) -> list[MemberRow]:
    """Return the members as rows; they join in the early morning and leave at noon."""
    return [
        MemberRow(
            account.external_id,
            member.external_id,
            calendar.at(member.joined, 6 * HOUR),
            None if member.left is None else calendar.at(member.left, 12 * HOUR),
        )
        for member in members
    ]


def logins(account: Account, members: list[Person], calendar: Calendar, rng: random.Random) -> list[LoginRow]:
    """Return every login of the history: at most two a day and member, far fewer on weekends."""
    ages = range(account.first, account.last - 1, -1)
    shares = {age: active_share(level_at(account.curve, age)) for age in ages}
    pace = {age: calendar.rhythm(age) * _season(account, calendar, age) for age in ages}
    rows = []
    for member in members:
        for age in ages:
            if member.reserve < shares[age] and rng.random() < member.rate * pace[age] and member.present(age):
                second = working_seconds(rng)
                rows.append(_login(account, member, calendar.at(age, second), rng))
                if rng.random() < 0.12:
                    second += HOUR * rng.uniform(1.5, 5)
                    rows.append(_login(account, member, calendar.at(age, second), rng))
    return rows


def _season(account: Account, calendar: Calendar, age: int) -> float:
    if account.habit is not Habit.SEASONAL:
        return 1.0
    return 1.5 if calendar.day(age).month in QUARTER_ENDS else 0.8


def _login(account: Account, member: Person, at: datetime, rng: random.Random) -> LoginRow:
    # A session that was never ended has no length.
    minutes = None if rng.random() < 0.04 else round(min(240.0, rng.lognormvariate(2.6, 0.8)), 1)
    return LoginRow(account.external_id, member.external_id, at, minutes)


def client_features(
    account: Account, catalogue: list[FeatureRow], calendar: Calendar, rng: random.Random
) -> list[ClientFeatureRow]:
    """Return which features the client may use and when it did: the better it does, the more it has found."""
    if Feed.FEATURES not in account.feeds:
        return []
    count = rng.randint(*_ENABLED[account.size])
    chosen = rng.sample(catalogue, count + 2)
    # The engagement needed to find a feature; the last two were switched off again, one of them after some use.
    needed = [(position + 0.5) / count for position in range(count)]
    rng.shuffle(needed)
    rows = []
    for position, (feature, threshold) in enumerate(zip(chosen, [*needed, 0.2, 2.0], strict=True)):
        first = _first_use(account, threshold, rng)
        first_at = last_at = None
        if first is not None:
            last = min(first, account.last + int(rng.expovariate(0.4)))
            first_at = calendar.at(first, working_seconds(rng))
            last_at = max(first_at, calendar.at(last, working_seconds(rng)))
        rows.append(ClientFeatureRow(account.external_id, feature.key, position < count, first_at, last_at))
    return rows


def _first_use(account: Account, threshold: float, rng: random.Random) -> int | None:
    """Return the first day on which the client's engagement was enough to find the feature; None if never."""
    for age in range(account.first, account.last - 1, -1):
        learnt = 0.06 * (1 - age / DAYS)
        if adopted_share(level_at(account.curve, age)) + learnt > threshold:
            found_before = age == DAYS - 1 and account.signed >= DAYS
            return rng.randint(DAYS, account.signed) if found_before else age
    return None
