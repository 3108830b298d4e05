"""The habits of real accounts: how engaged a client is on each day, from 0 (gone) to 1 (exemplary)."""

import random
from enum import StrEnum
from itertools import pairwise

# Points (days before the end, engagement) from the past to the end; straight lines between them, level beyond them.
Curve = tuple[tuple[int, float], ...]


class Habit(StrEnum):
    """What kind of story a client's facts tell."""

    STEADY = "STEADY"
    MIDDLING = "MIDDLING"
    STRUGGLING = "STRUGGLING"
    ONBOARDING = "ONBOARDING"
    SLOW_DECLINE = "SLOW_DECLINE"
    LOST_CHAMPION = "LOST_CHAMPION"
    RECOVERY = "RECOVERY"
    # Campaigns only at the ends of quarters, and busier months around them.
    SEASONAL = "SEASONAL"
    # A campaign that went badly closes on the last day.
    SETBACK = "SETBACK"
    # A pile of overdue cases is closed on the last day.
    BACKLOG = "BACKLOG"
    # After a campaign that went badly, a very good one closes on the last day.
    REBOUND = "REBOUND"
    # Nothing for a month or more, and no ticket ever.
    SILENT = "SILENT"
    BRAND_NEW = "BRAND_NEW"
    # Some of the feeds were never connected.
    MISSING_FEEDS = "MISSING_FEEDS"
    CHURNED = "CHURNED"


def curve_of(habit: Habit, turn: int, rng: random.Random) -> Curve:
    """Return the engagement of a client with this habit.

    `turn` is the day, in days before the end, on which something happens to a client that something happens to: the
    champion leaves, the recovery begins, the new client signs.
    """
    high, low = rng.uniform(0.76, 0.97), rng.uniform(0.03, 0.16)
    points: Curve = ((turn, high), (0, high - 0.03))
    match habit:
        case Habit.MIDDLING:
            level = rng.uniform(0.47, 0.64)
            points = ((turn, level), (0, level - 0.03))
        case Habit.STRUGGLING:
            points = ((turn, low + 0.04), (0, low / 2))
        case Habit.ONBOARDING:
            points = ((turn, 0.2), (turn - min(60, turn // 2), high), (0, high))
        case Habit.SLOW_DECLINE:
            points = ((turn, high), (0, low + 0.12))
        case Habit.CHURNED:
            points = ((turn, high), (turn - 60, low))
        case Habit.LOST_CHAMPION:
            points = ((turn, high), (turn - 4, low), (0, low))
        case Habit.RECOVERY:
            points = ((turn + 40, low + 0.25), (turn, low + 0.25), (max(0, turn - 45), high))
        case Habit.REBOUND:
            points = ((0, rng.uniform(0.70, 0.78)),)
        case Habit.SILENT:
            points = ((0, 0.6),)
    return points


def level_at(curve: Curve, age: int) -> float:
    """Return the engagement `age` days before the end, 0 to 1."""
    if age >= curve[0][0]:
        return curve[0][1]
    for (older, before), (newer, after) in pairwise(curve):
        if age >= newer:
            return after + (before - after) * (age - newer) / (older - newer)
    return curve[-1][1]


# How the engagement shows in each kind of fact. The lines are set so that a client near 1 scores green everywhere,
# one near 0.5 amber and one near 0.2 red, by the rules of the health score.


def active_share(level: float) -> float:
    """Return the share of members that use the platform at all, 0 to 1."""
    return 0.10 + 0.80 * level


def on_time_share(level: float) -> float:
    """Return the probability that a case is closed by its deadline, 0 to 1."""
    return min(0.98, 0.15 + 0.90 * level)


def completion_share(level: float) -> float:
    """Return the expected completion of a campaign, 0 to 1."""
    return min(0.98, 0.18 + 0.84 * level)


def adopted_share(level: float) -> float:
    """Return the share of the enabled features that a client has found its way to, 0 to 1."""
    return 0.28 + 0.68 * level


def ticket_factor(level: float) -> float:
    """Return how many times the usual number of support tickets is opened."""
    return 2.9 - 2.2 * level
