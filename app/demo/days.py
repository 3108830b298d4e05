"""Days counted back from the end, and the rhythm of the working week."""

import random
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from math import exp

# How busy each weekday is, Monday first; the working days average 1.
RHYTHM = (1.02, 1.10, 1.08, 1.00, 0.80, 0.08, 0.06)
SATURDAY = 5
HOUR = 3600
QUARTER_ENDS = (3, 6, 9, 12)


@dataclass(frozen=True, slots=True)
class Calendar:
    """Turns days before the end, day 0, into dates and times."""

    end: date

    def day(self, age: int) -> date:
        """Return the date `age` days before the end."""
        return self.end - timedelta(days=age)

    def at(self, age: int, seconds: float) -> datetime:
        """Return the moment `seconds` (0 to 86,399) into the day `age` days before the end, in whole seconds."""
        return datetime.combine(self.day(age), time.min, UTC) + timedelta(seconds=int(seconds))

    def rhythm(self, age: int) -> float:
        """Return how busy that day is, compared with a mean working day."""
        return RHYTHM[self.day(age).weekday()]

    def weekend_days(self, age: int) -> int:
        """Return how many days into the weekend that day is: 1 on Saturdays, 2 on Sundays, else 0."""
        return max(0, self.day(age).weekday() - SATURDAY + 1)


def working_seconds(rng: random.Random) -> float:
    """Return a time of day within 07:00 to 18:00, in seconds, most likely around 10:00."""
    return rng.triangular(7 * HOUR, 18 * HOUR - 1, 10 * HOUR)


def poisson(mean: float, rng: random.Random) -> int:
    """Return a Poisson-distributed count (Knuth's method, for means below some tens)."""
    limit, product, count = exp(-mean), rng.random(), 0
    while product > limit:
        product *= rng.random()
        count += 1
    return count
