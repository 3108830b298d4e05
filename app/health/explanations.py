"""The sentence that explains a component, with the counts behind it, for a person to read aloud."""

from datetime import date

from app.health.rules import WINDOW_DAYS, Component, Counts, Kept, divide_half_up, mean_ratio
from app.health.staleness import FEED_OF

_WINDOW = f"in the last {WINDOW_DAYS} days"
# What a component measures, with its verb.
_MEASURED = {
    Component.LOGIN: ("logins", "were", "are"),
    Component.CASE_RESOLUTION: ("case resolution", "was", "is"),
    Component.CAMPAIGN_COMPLETION: ("campaign completion", "was", "is"),
    Component.FEATURE_ADOPTION: ("feature adoption", "was", "is"),
    Component.TICKET_VOLUME: ("ticket volume", "was", "is"),
}


def counted(number: int, noun: str) -> str:
    """Return the number with its noun, in the plural where it is not one."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _was(number: int) -> str:
    return "was" if number == 1 else "were"


def explain(component: Component, counts: Counts) -> str:
    """Return one whole sentence for the component."""
    match component:
        case Component.LOGIN:
            return _logins(counts)
        case Component.CASE_RESOLUTION:
            return _cases(counts)
        case Component.CAMPAIGN_COMPLETION:
            return _campaigns(counts)
        case Component.FEATURE_ADOPTION:
            return _features(counts)
        case Component.TICKET_VOLUME:
            return _tickets(counts)


def explain_kept(component: Component, kept: Kept, score: int | None) -> str:
    """Return one whole sentence for a component whose feed is silent; `score` is what it has now, None for none."""
    silent = f"The {FEED_OF[component].lower()} feed has been silent since {_date(kept.silent_since)}"
    what, was, is_ = _MEASURED[component]
    if kept.score is None:
        return f"{silent}, and {what} {was} not measured before."
    if not kept.lapsed:
        return f"{silent}, so this is the score of {_date(kept.day)}."
    if score is None:
        return f"{silent}, so {what} {is_} no longer measured."
    return (
        f"{silent}, so {what} {is_} no longer measured, but the score of {_date(kept.day)} still counts: "
        "the overall score would be higher without it."
    )


def _date(day: date) -> str:
    return f"{day.day} {day:%B}"


def _logins(counts: Counts) -> str:
    if not counts.members:
        return "No members are known, so logins were not measured."
    members = counted(counts.members, "member")
    return f"{counts.active_members} of {members} {_was(counts.active_members)} active {_WINDOW}."


def _cases(counts: Counts) -> str:
    if not counts.cases_closed:
        return f"No case was closed {_WINDOW}, so case resolution was not measured."
    closed = counted(counts.cases_closed, "case")
    return f"{counts.cases_on_time} of {closed} closed {_WINDOW} {_was(counts.cases_on_time)} closed on time."


def _campaigns(counts: Counts) -> str:
    mean = mean_ratio(counts.campaigns_completed, counts.campaigns_assigned)
    if mean is None:
        return f"No campaign closed {_WINDOW}, so campaign completion was not measured."
    done, assigned = sum(counts.campaigns_completed), sum(counts.campaigns_assigned)
    percent = divide_half_up(mean[0] * 100, mean[1])
    closed = len(counts.campaigns_assigned)
    if closed == 1:
        return f"The campaign that closed {_WINDOW} was {percent} % complete, {done} of {assigned} assignments."
    return (
        f"The {closed} campaigns that closed {_WINDOW} were {percent} % complete on average, "
        f"{done} of {assigned} assignments in all."
    )


def _features(counts: Counts) -> str:
    if not counts.features_enabled:
        return "No features are enabled, so feature adoption was not measured."
    enabled = counted(counts.features_enabled, "enabled feature")
    return f"{counts.features_used} of {enabled} {'has' if counts.features_used == 1 else 'have'} been used."


def _tickets(counts: Counts) -> str:
    if not counts.tickets_tracked:
        return "No support ticket was ever recorded, so ticket volume was not measured."
    opened = f"{counted(counts.tickets_opened, 'support ticket')} {_was(counts.tickets_opened)} opened {_WINDOW}"
    # The baseline in tenths of a ticket: see rules.ticket_score.
    tenths = divide_half_up(max(60, 3 * counts.members, 10 * counts.tickets_before), 3)
    baseline = f"{tenths // 10}.{tenths % 10}" if tenths % 10 else f"{tenths // 10}"
    return f"{opened}, against a usual {baseline}."
