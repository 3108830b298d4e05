"""Random worlds: hundreds of clients whose facts crowd around every boundary that the specification draws.

A world is a function of its seed and its scoring days, so that a failure can be repeated.
"""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from random import Random

from tests.oracle.facts import (
    Campaign,
    CampaignResponse,
    Case,
    Client,
    ClientFeature,
    Facts,
    Feature,
    Login,
    Member,
    Ticket,
    World,
)
from tests.oracle.spec import end_of, midnight

TICK = timedelta(microseconds=1)
DAY = timedelta(days=1)
SIZES = ("ENTERPRISE", "MIDMARKET", "SMB")
INDUSTRIES = ("FINANCIAL", "HEALTHCARE", "TECHNOLOGY", "MANUFACTURING", "OTHER")
CATEGORIES = ("CORE", "ADVANCED", "INTEGRATION", "REPORTING")
OWNERS = ("ana@csm.example", "bo@csm.example", "çelik@csm.example")
CATALOGUE_SIZE = 12
# Accents composed and decomposed, letters whose case folding changes their length, the wildcards of SQL, quotes,
# separators of CSV, and names that differ by case alone.
NAMES = (
    "Acme",
    "ACME",
    "acme",
    "Ångström AB",
    "ångström ab",
    "A\u030angstro\u0308m AB",
    "Éclair & Fils",
    "éclair & fils",
    "Straße 100%",
    "STRASSE 100%",
    "İstanbul Sigorta",
    "ΣΊΣΥΦΟΣ",
    "σίσυφος",
    "under_score GmbH",
    "underXscore GmbH",
    "50% off_shore",
    "500 off-shore",
    'Quote "Ltd", Inc.',
    "O'Hara; Sons",
    "back\\slash",
    "株式会社テスト",
    "🚀 Rocket",
    "Zebra",
    "zebra",
    "Ørsted",
    "eclair",
)


def edges(day: date) -> list[datetime]:
    """Return the moments at which a fact enters or leaves what `day` can see, with their neighbours."""
    first = midnight(day)
    starts = [first - DAY * back for back in (6, 29, 59, 89, 119)] + [first, first + DAY]
    return [start + shift for start in starts for shift in (-TICK, timedelta(0), TICK)]


class Chance:
    """A seeded source of choices and of moments around the scoring days."""

    def __init__(self, seed: int, days: Sequence[date]) -> None:
        # The worlds need a repeatable generator, not an unpredictable one.
        self.random = Random(seed)  # noqa: S311
        self.days = list(days)
        self.edges = [moment for day in days for moment in edges(day)]

    def often(self, percent: int) -> bool:
        """Return True in `percent` of the cases."""
        return self.random.randrange(100) < percent

    def moment(self) -> datetime:
        """Return an edge, or any moment from 130 days before the first scoring day to 3 days after the last."""
        if self.often(40):
            return self.random.choice(self.edges)
        span = (self.days[-1] - self.days[0]).days + 133
        start = midnight(self.days[0]) - 130 * DAY
        return start + timedelta(seconds=self.random.randrange(span * 86_400), microseconds=self.random.choice((0, 7)))

    def recent(self) -> datetime:
        """Return a moment in the window of one of the scoring days."""
        day = midnight(self.random.choice(self.days))
        return day - DAY * self.random.randrange(30) + timedelta(seconds=self.random.randrange(86_400))

    def maybe(self, percent: int) -> datetime | None:
        """Return a moment in `percent` of the cases."""
        return self.moment() if self.often(percent) else None


def random_client(chance: Chance, number: int) -> Client:
    """Return a client row: every status, dates on the edges of the scoring days, unknowns."""
    choice = chance.random.choice
    status = choice(("ACTIVE",) * 8 + ("TRIAL", "CHURNED"))
    since = choice(
        [None] * 6 + [day + timedelta(days=shift) for day in chance.days for shift in (-400, 0, 1)]
        if chance.often(70)
        else [None]
    )
    return Client(
        # The ids run against the order of the names and of the files, so that no order holds by accident.
        external_id=f"c-{(number * 7919) % 100_003:06d}",
        name=choice(NAMES) + ("" if chance.often(30) else f" {chance.random.randrange(60)}"),
        size=choice((*SIZES, None)),
        industry=choice(INDUSTRIES),
        status=status,
        engagement_model=choice(("HIGH_TOUCH", "PLG")),
        owner=choice((*OWNERS, None)),
        customer_since=since,
        churned_at=choice([chance.moment(), None]) if status == "CHURNED" else None,
        renewal_date=chance.days[-1] + timedelta(days=chance.random.randrange(-20, 40)) if chance.often(70) else None,
        annual_value=Decimal(chance.random.randrange(10_000_000)) / 100 if chance.often(60) else None,
        alerts_enabled=choice((True, False, None)),
    )


def random_people(chance: Chance, facts: Facts) -> None:
    """Add members (some deactivated or created on an edge) and logins (some by members that no file lists)."""
    client = facts.client.external_id
    for number in range(chance.random.choice((0, 1, 2, 3, 5, 8, 16, 20))):
        created = chance.maybe(40)
        ended = chance.maybe(25)
        if created is not None and ended is not None:
            created, ended = sorted((created, ended))
        facts.members.append(Member(client, f"m{number}", created, ended))
    people = [member.external_id for member in facts.members if chance.often(75)]
    people += [f"unlisted{number}" for number in range(chance.random.choice((0, 0, 0, 1, 2)))]
    logins: dict[tuple[str, datetime], Login] = {}
    for person in people:
        for _ in range(chance.random.randrange(1, 6)):
            at = chance.recent() if chance.often(50) else chance.moment()
            minutes = Decimal(chance.random.randrange(0, 400)) / chance.random.choice((1, 2, 4, 10))
            logins[person, at] = Login(client, person, at, minutes if chance.often(80) else None)
    facts.logins.extend(logins.values())


def random_cases(chance: Chance, facts: Facts) -> None:
    """Add cases: closed on, just before and just after their deadline, without one, without an opening, open."""
    for number in range(chance.random.choice((0, 0, 1, 2, 3, 5, 8, 16))):
        closed = chance.recent() if chance.often(40) else chance.maybe(75)
        opened = chance.maybe(60)
        if closed is not None:
            # Multiples of 72 minutes are multiples of 0.05 days: the second decimal that half up turns on.
            opened = closed - timedelta(minutes=72) * chance.random.randrange(200) if chance.often(85) else None
        due = chance.maybe(50)
        if closed is not None and chance.often(50):
            due = closed + chance.random.choice((-DAY, -TICK, timedelta(0), TICK, DAY))
        facts.cases.append(Case(facts.client.external_id, f"case-{number}", opened, closed, due))


def random_campaigns(chance: Chance, facts: Facts) -> None:
    """Add campaigns (some with nobody assigned, some still open) and the responses to them."""
    client = facts.client.external_id
    for number in range(chance.random.choice((0, 0, 1, 1, 2, 3, 4, 6))):
        assigned = chance.random.choice((0, 1, 3, 8, 10, 16, 20, 125))
        closed = chance.recent() if chance.often(50) else chance.maybe(80)
        kind = chance.random.choice(("ATTESTATION", "OTHER"))
        completed = chance.random.randrange(assigned + 1)
        facts.campaigns.append(Campaign(client, f"camp-{number}", f"Wave {number}", kind, assigned, completed, closed))
    responses = set()
    for campaign in facts.campaigns:
        for member in facts.members:
            if chance.often(25):
                responses.add(CampaignResponse(client, campaign.external_id, member.external_id, chance.moment()))
    facts.responses.extend(sorted(responses, key=lambda row: (row.campaign, row.member, row.at)))


def random_features(chance: Chance, facts: Facts) -> None:
    """Add features: never used, used on an edge, used though not enabled, with only the last use known."""
    for number in sorted(chance.random.sample(range(CATALOGUE_SIZE), chance.random.choice((0, 1, 2, 4, 8, 12)))):
        first = chance.maybe(60)
        last = chance.maybe(15)
        if first is not None:
            last = first + DAY * chance.random.randrange(40) if chance.often(80) else None
        facts.features.append(
            ClientFeature(facts.client.external_id, f"feature-{number}", chance.often(80), first, last)
        )


def random_tickets(chance: Chance, facts: Facts) -> None:
    """Add tickets: none ever, only long ago, only later, or on every edge of the four windows."""
    last = midnight(chance.days[-1])
    shape = chance.random.choice(("none", "long ago", "later", "edges", "edges", "steady"))
    for number in range(0 if shape == "none" else chance.random.choice((1, 2, 3, 6, 12, 20))):
        opened = chance.moment()
        if shape == "long ago":
            opened = last - DAY * 300 - timedelta(hours=number)
        elif shape == "later":
            opened = last + DAY + timedelta(hours=number)
        elif shape == "steady":
            opened = last - DAY * chance.random.randrange(130)
        closed = opened + timedelta(hours=chance.random.randrange(200)) if chance.often(70) else None
        facts.tickets.append(
            Ticket(facts.client.external_id, f"t-{number}", opened, closed, chance.random.choice(("P1", "low", None)))
        )


def random_facts(chance: Chance, number: int) -> Facts:
    """Return one client with any mixture of feeds, missing ones included."""
    facts = Facts(random_client(chance, number))
    if chance.often(4):
        return facts
    for feed, percent in (
        (random_people, 85),
        (random_cases, 80),
        (random_campaigns, 80),
        (random_features, 80),
        (random_tickets, 85),
    ):
        if chance.often(percent):
            feed(chance, facts)
    return facts


def exact_half(external_id: str, name: str, day: date, part: int, whole: int) -> Facts:
    """Return a client whose shares are all `part` of `whole`, and whose tickets are 17 against a baseline of 16.

    With eighths every share ends in a half; 7 of 16 active members score 62.5 exactly; 17/16 of the usual tickets
    score 77.5.
    """
    at = midnight(day) - DAY
    client = external_id
    facts = Facts(Client(client, name, size="SMB", industry="FINANCIAL"))
    facts.members = [Member(client, f"m{number}") for number in range(whole * 2)]
    facts.logins = [Login(client, f"m{number}", at) for number in range(part)]
    for number in range(whole):
        late = number >= part
        facts.cases.append(Case(client, f"case-{number}", at - DAY, at, at - TICK if late else at))
        facts.features.append(ClientFeature(client, f"feature-{number}", True, None if late else at, None))
    facts.campaigns = [Campaign(client, "one", "One", "ATTESTATION", whole, part, at)]
    opened = [at - timedelta(minutes=number) for number in range(17)] + [
        at - DAY * (30 * back) - timedelta(minutes=number) for back in (1, 2, 3) for number in range(16)
    ]
    facts.tickets = [Ticket(client, f"t-{number}", moment) for number, moment in enumerate(opened)]
    return facts


def equal_sums(external_id: str, day: date, ratios: Sequence[tuple[int, int]], spans: Sequence[timedelta]) -> Facts:
    """Return a client with the given attestations (completed, assigned) and cases that took so long.

    Different ratios with the same mean, and spans with the same mean, must tie; sums of binary fractions do not.
    """
    at = midnight(day) - DAY
    facts = Facts(Client(external_id, f"Equal sums {external_id}", size="ENTERPRISE", industry="MANUFACTURING"))
    facts.campaigns = [
        Campaign(external_id, f"camp-{number}", None, "ATTESTATION", assigned, completed, at)
        for number, (completed, assigned) in enumerate(ratios)
    ]
    facts.cases = [Case(external_id, f"case-{number}", at - span, at) for number, span in enumerate(spans)]
    return facts


def make_world(seed: int, days: Sequence[date], clients: int) -> World:
    """Return a world of `clients` random clients and some thirty crafted ones, for scoring on `days` (ascending)."""
    chance = Chance(seed, days)
    world = World()
    for number in range(CATALOGUE_SIZE):
        world.catalogue.append(Feature(f"feature-{number}", f"Feature {number}", CATEGORIES[number % 4]))
    for number in range(clients):
        world.add(random_facts(chance, number))
    for part in range(9):
        # Two clients of each kind, of one name: equal in every order but the id.
        for twin in "ba":
            world.add(exact_half(f"half-{part}-{twin}", "Exactly half", days[-1], part, 8))
    # 72 minutes are 0.05 days: half up turns on the second decimal, and a microsecond less is another answer.
    step = timedelta(minutes=72)
    crafted: list[tuple[list[tuple[int, int]], list[timedelta]]] = [
        ([(1, 10), (2, 10)], [2 * step, 4 * step]),
        ([(3, 20)], [3 * step]),
        ([(15, 100)], [step, 5 * step]),
        ([(1, 20), (5, 20)], [3 * step, 3 * step, 3 * step]),
        ([(0, 1), (3, 10)], [7 * step]),
        ([(1, 3), (2, 3), (1, 2)], [21 * step]),
        ([(667, 2000)], [43 * step, 3 * step]),
        ([(667, 2000), (667, 2000)], [23 * step]),
        ([(1, 8), (3, 8)], [step - TICK]),
        ([(1999, 2000)], [3 * step - TICK, 3 * step]),
    ]
    for number, (ratios, spans) in enumerate(crafted):
        world.add(equal_sums(f"sum-{number}", days[-1], ratios, spans))
    return world


def last_moments(days: Sequence[date]) -> list[datetime]:
    """Return the `as_of` of each scoring day."""
    return [end_of(day) for day in days]
