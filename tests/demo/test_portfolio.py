"""The demo portfolio is the same for the same seed, tells the stories it promises, and holds facts only."""

import hashlib
import re
import subprocess
import sys
from collections import Counter, defaultdict
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from app.clients.models import ClientSize, ClientStatus, EngagementModel, Industry
from app.demo.accounts import DAYS, NEWEST_CLIENT_DAYS, Account, accounts, external_ids
from app.demo.habits import Habit
from app.demo.portfolio import generate
from app.demo.rows import COLUMNS, Portfolio, tables, write_files
from app.health.rules import HealthTrend, RiskLevel, TrafficLight, end_of_day, start_of_day, window_start
from app.ingest.formats import FILE_KINDS
from app.usage.models import CampaignKind, FeatureCategory
from tests.demo.slow_scores import facts_by_client, health_on

# A Sunday: what happens on the last day must happen on a weekend too.
END = date(2026, 3, 1)
FIRST = END - timedelta(days=DAYS - 1)


@pytest.fixture(scope="module")
def portfolio() -> Portfolio:
    """The portfolio of the default seed."""
    return generate(1, END)


def with_habit(habit: Habit) -> list[Account]:
    """Return the accounts of the default seed that have the habit."""
    return [account for account in accounts(1) if account.habit is habit]


def digest_of(folder: Path) -> str:
    """Return a digest of the files in the folder, names and bytes."""
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def test_the_same_seed_and_end_give_the_same_bytes_in_another_process(portfolio: Portfolio, tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    write_files(portfolio, here)
    script = (
        "import sys; from datetime import date; from pathlib import Path; "
        "from app.demo.portfolio import generate; from app.demo.rows import write_files; "
        "write_files(generate(1, date.fromisoformat(sys.argv[1])), Path(sys.argv[2]))"
    )
    # Another order of sets and dictionaries, and another time zone, must not show.
    environment = {"PYTHONHASHSEED": "4711", "TZ": "Asia/Tokyo"}
    subprocess.run([sys.executable, "-c", script, END.isoformat(), str(there)], check=True, env=environment)  # noqa: S603
    assert sorted(path.name for path in here.iterdir()) == sorted(f"{kind.name}.csv" for kind in FILE_KINDS)
    assert digest_of(there) == digest_of(here)


def test_another_seed_gives_other_clients_and_other_facts(portfolio: Portfolio) -> None:
    other = generate(2, END)
    assert {client.name for client in other.clients} != {client.name for client in portfolio.clients}
    for (name, rows), (_, other_rows) in zip(tables(portfolio), tables(other), strict=True):
        assert (rows == other_rows) == (name == "features")


def test_every_column_is_one_of_the_import_format() -> None:
    known = {kind.name: set(kind.sources) for kind in FILE_KINDS}
    assert list(COLUMNS) == [kind.name for kind in FILE_KINDS]
    for name, columns in COLUMNS.items():
        assert set(columns) <= known[name]


def test_loading_takes_seconds_because_there_are_a_few_hundred_thousand_rows_at_most(portfolio: Portfolio) -> None:
    assert 150_000 < sum(len(rows) for _, rows in tables(portfolio)) < 300_000


def test_there_are_150_clients_with_names_of_their_own(portfolio: Portfolio) -> None:
    assert [client.external_id for client in portfolio.clients] == external_ids()
    assert len({client.name for client in portfolio.clients}) == len(portfolio.clients) == 150
    assert len({client.name[0] for client in portfolio.clients}) >= 20
    assert sum(not client.name.isascii() for client in portfolio.clients) >= 5
    assert len({client.owner for client in portfolio.clients if client.owner}) == 6
    assert all(client.owner.endswith("@csm.example") for client in portfolio.clients if client.owner)


def test_every_size_and_every_industry_has_at_least_six_listed_clients(portfolio: Portfolio) -> None:
    listed = [client for client in portfolio.clients if client.status != ClientStatus.CHURNED]
    sizes, industries = Counter(c.size for c in listed), Counter(c.industry for c in listed)
    assert set(sizes) == set(ClientSize)
    assert set(industries) == set(Industry)
    assert min([*sizes.values(), *industries.values()]) >= 6


def test_sizes_say_how_many_members_and_how_the_client_is_looked_after(portfolio: Portfolio) -> None:
    members = Counter(member.client for member in portfolio.members)
    for account in accounts(1):
        fewest, most = {"ENTERPRISE": (60, 120), "MIDMARKET": (15, 40), "SMB": (4, 12)}[account.size]
        assert members[account.external_id] == 0 or fewest <= members[account.external_id] <= most
    touch = {size: [a.engagement_model for a in accounts(1) if a.size is size] for size in ClientSize}
    assert set(touch[ClientSize.ENTERPRISE]) == {EngagementModel.HIGH_TOUCH}
    assert touch[ClientSize.SMB].count(EngagementModel.PLG) > 45


def test_every_habit_and_every_status_is_there() -> None:
    assert {account.habit for account in accounts(1)} == set(Habit)
    statuses = Counter(account.status for account in accounts(1))
    assert statuses[ClientStatus.CHURNED] == len(with_habit(Habit.CHURNED)) == 6
    assert statuses[ClientStatus.TRIAL] >= 3


def test_no_fact_is_later_than_the_end_or_earlier_than_the_history(portfolio: Portfolio) -> None:
    moments: list[datetime | None] = [login.at for login in portfolio.logins]
    moments += [at for case in portfolio.cases for at in (case.opened_at, case.closed_at)]
    moments += [at for ticket in portfolio.tickets for at in (ticket.opened_at, ticket.closed_at)]
    moments += [campaign.closed_at for campaign in portfolio.campaigns]
    moments += [response.at for response in portfolio.campaign_responses]
    known = [at for at in moments if at is not None]
    assert start_of_day(FIRST) <= min(known)
    assert start_of_day(END) <= max(known) <= end_of_day(END)
    states = [at for row in portfolio.client_features for at in (row.first_used_at, row.last_used_at)]
    states += [at for member in portfolio.members for at in (member.created_at, member.deactivated_at)]
    states += [client.churned_at for client in portfolio.clients]
    assert max(at for at in states if at is not None) <= end_of_day(END)
    assert max(client.customer_since for client in portfolio.clients) == END - timedelta(days=NEWEST_CLIENT_DAYS)


def test_the_end_may_be_a_leap_day() -> None:
    leap = date(2028, 2, 29)
    assert max(login.at for login in generate(1, leap).logins).date() == leap


def test_nobody_does_anything_before_joining_or_after_leaving(portfolio: Portfolio) -> None:
    members = {(member.client, member.external_id): member for member in portfolio.members}
    acts = [(login.client, login.member, login.at) for login in portfolio.logins]
    acts += [(response.client, response.member, response.at) for response in portfolio.campaign_responses]
    for client, name, at in acts:
        member = members[client, name]
        assert member.created_at <= at
        assert member.deactivated_at is None or at < member.deactivated_at
    since = {client.external_id: client.customer_since for client in portfolio.clients}
    assert all(member.created_at.date() >= since[member.client] for member in portfolio.members)


def test_a_campaign_has_as_many_responses_as_completions(portfolio: Portfolio) -> None:
    answered = Counter((response.client, response.campaign) for response in portfolio.campaign_responses)
    with_members = {member.client for member in portfolio.members}
    for campaign in portfolio.campaigns:
        responses = answered[campaign.client, campaign.external_id]
        assert responses == (campaign.completed if campaign.client in with_members else 0)
    assert {campaign.kind for campaign in portfolio.campaigns} == set(CampaignKind)
    assert any(campaign.closed_at is None for campaign in portfolio.campaigns)


def test_features_come_in_four_categories(portfolio: Portfolio) -> None:
    assert len(portfolio.features) == 24
    assert {feature.category for feature in portfolio.features} == set(FeatureCategory)


def test_weekends_are_quiet(portfolio: Portfolio) -> None:
    logins = Counter(login.at.date() for login in portfolio.logins)
    days = [FIRST + timedelta(days=n) for n in range(DAYS)]
    weekend = [logins[day] for day in days if day.weekday() >= 5]
    working = [logins[day] for day in days if day.weekday() < 5]
    assert 0 < sum(weekend) / len(weekend) < 0.35 * sum(working) / len(working)


def test_members_are_known_by_a_number_and_nothing_else(portfolio: Portfolio) -> None:
    assert COLUMNS["members"] == ("client", "external_id", "created_at", "deactivated_at")
    assert all(re.fullmatch(r"member-\d{3}", member.external_id) for member in portfolio.members)


def test_silent_clients_sent_nothing_for_a_month_and_never_a_ticket(portfolio: Portfolio) -> None:
    facts = facts_by_client(portfolio)
    silent = [facts[account.external_id] for account in with_habit(Habit.SILENT)]
    for client in silent:
        assert not client.tickets
        assert all(login.at < window_start(END) for login in client.logins)
        closed = [case.closed_at for case in client.cases] + [campaign.closed_at for campaign in client.campaigns]
        assert all(at is None or at < window_start(END) for at in closed)
    assert [client for client in silent if not (client.members or client.cases or client.features)]
    assert [client for client in silent if client.logins]


def test_new_clients_signed_lately_and_onboarding_ones_within_the_history() -> None:
    assert all(account.signed <= 10 for account in with_habit(Habit.BRAND_NEW))
    assert all(30 < account.signed < DAYS for account in with_habit(Habit.ONBOARDING))


def test_onboarding_clients_bring_their_members_in_by_and_by(portfolio: Portfolio) -> None:
    facts = facts_by_client(portfolio)
    for account in with_habit(Habit.ONBOARDING):
        joined = sorted(member.created_at for member in facts[account.external_id].members)
        assert joined[0].date() == END - timedelta(days=account.signed)
        assert joined[-1] - joined[0] > timedelta(days=5)


def test_a_lost_champion_left_and_took_most_of_the_use_along(portfolio: Portfolio) -> None:
    facts = facts_by_client(portfolio)
    for account in with_habit(Habit.LOST_CHAMPION):
        champion = facts[account.external_id].members[0]
        assert champion.deactivated_at is not None
        left = champion.deactivated_at
        logins = [login.at for login in facts[account.external_id].logins]
        days_since = (datetime.combine(END, datetime.max.time(), UTC) - left).days
        before = sum(left - timedelta(days=days_since) <= at < left for at in logins)
        assert sum(at >= left for at in logins) < before / 2


def test_seasonal_campaigns_close_in_the_last_months_of_the_quarters(portfolio: Portfolio) -> None:
    facts = facts_by_client(portfolio)
    closed = [c.closed_at for a in with_habit(Habit.SEASONAL) for c in facts[a.external_id].campaigns]
    assert {at.month for at in closed if at is not None} == {9, 12}


def test_churned_clients_leave_no_facts_behind_their_end(portfolio: Portfolio) -> None:
    facts = facts_by_client(portfolio)
    for account in with_habit(Habit.CHURNED):
        client = facts[account.external_id]
        assert client.client.churned_at is not None
        assert client.client.renewal_date is None
        assert max(login.at for login in client.logins).date() <= client.client.churned_at.date() < END


def test_each_kind_of_missing_feed_occurs(portfolio: Portfolio) -> None:
    facts = facts_by_client(portfolio)
    missing: Counter[str] = Counter()
    for account in with_habit(Habit.MISSING_FEEDS):
        client = facts[account.external_id]
        feeds = {
            "members": client.members,
            "cases": client.cases,
            "campaigns": client.campaigns,
            "features": client.features,
            "tickets": client.tickets,
        }
        missing.update(name for name, rows in feeds.items() if not rows)
    assert set(missing) == {"members", "cases", "campaigns", "features", "tickets"}


@pytest.mark.parametrize(("seed", "days_later"), [(1, 0), (1, 2), (1, 6), (2, 0)])
def test_all_lights_trends_and_risks_occur_on_the_last_day(seed: int, days_later: int) -> None:
    end = END + timedelta(days=days_later)
    facts = facts_by_client(generate(seed, end))
    lights: Counter[TrafficLight | None] = Counter()
    trends: Counter[HealthTrend | None] = Counter()
    risks: Counter[RiskLevel | None] = Counter()
    peers: Counter[tuple[str, str]] = Counter()
    habits: dict[Habit, list[HealthTrend | None]] = defaultdict(list)
    for account in accounts(seed):
        health = health_on(facts[account.external_id], end)
        if health is None:
            assert account.status is ClientStatus.CHURNED
            continue
        lights[health.light] += 1
        trends[health.trend] += 1
        risks[health.risk] += 1
        habits[account.habit].append(health.trend)
        if account.status is ClientStatus.ACTIVE and health.score is not None:
            peers[account.size, account.industry] += 1
    # Of 144 listed clients: about half are green, a quarter amber, an eighth red, a tenth unscored.
    assert lights.total() == 144
    assert 65 <= lights[TrafficLight.GREEN] <= 90
    assert 22 <= lights[TrafficLight.AMBER] <= 48
    assert 10 <= lights[TrafficLight.RED] <= 30
    assert 12 <= lights[None] <= 18
    assert trends[HealthTrend.IMPROVING] >= 4
    assert trends[HealthTrend.DECLINING] >= 5
    assert trends[HealthTrend.STABLE] >= 100
    assert min(risks[risk] for risk in RiskLevel) >= 1
    assert set(habits[Habit.SETBACK]) == set(habits[Habit.BACKLOG]) == {HealthTrend.DECLINING}
    assert set(habits[Habit.REBOUND]) == {HealthTrend.IMPROVING}
    assert set(habits[Habit.SILENT]) == set(habits[Habit.BRAND_NEW]) == {None}
    # With six, a client of any size and industry has the five peers that a benchmark needs.
    assert len(peers) == len(ClientSize) * len(Industry)
    assert min(peers.values()) >= 6
