"""Usage, features and recorded metrics in the API."""

from datetime import date, datetime
from typing import Any

import strawberry
from sqlalchemy import Row

from app.usage import rules
from app.usage.models import FeatureCategory
from app.usage.service import Usage


@strawberry.type(description="What happened at a client on one UTC day.")
class UsageDay:
    """One day of a usage series."""

    day: date = strawberry.field(name="date", description="The UTC day.")
    logins: int = strawberry.field(description="How often members logged in.")
    cases_created: int = strawberry.field(description="How many cases were opened.")
    cases_resolved: int = strawberry.field(description="How many cases were closed.")
    campaign_responses: int = strawberry.field(description="How many responses to campaigns came in.")


@strawberry.type(description="What the days of a usage series come to.")
class UsageSummary:
    """The figures above a usage chart."""

    total_logins: int = strawberry.field(description="How often members logged in.")
    unique_users: int = strawberry.field(description="How many different members logged in.")
    avg_session_minutes: float | None = strawberry.field(
        description="The mean length of a session in minutes, null with no session of known length."
    )
    peak_day: date | None = strawberry.field(
        description="The day with most logins, the latest of equals, null with no login."
    )


@strawberry.type(description="How a client used the platform over a number of days.")
class ClientUsage:
    """A usage series with its summary."""

    daily: list[UsageDay] = strawberry.field(description="One entry a day, days without usage included, oldest first.")
    summary: UsageSummary = strawberry.field(description="What the days come to.")


@strawberry.type(description="A feature of the platform and how a client uses it.")
class ClientFeature:
    """One feature of a client."""

    key: str = strawberry.field(description="The feature's key in the catalogue.")
    name: str = strawberry.field(description="The feature's name for people.")
    category: FeatureCategory = strawberry.field(description="The part of the platform that the feature belongs to.")
    enabled: bool = strawberry.field(description="Whether the client may use the feature.")
    adopted: bool = strawberry.field(description="Whether the feature is enabled and has been used at least once.")
    first_used_at: datetime | None = strawberry.field(
        description="When the client first used it, null where that is not known."
    )
    last_used_at: datetime | None = strawberry.field(
        description="When the client last used it, null where that is not known."
    )


@strawberry.type(description="How much of what a client may use it has used.")
class FeatureAdoption:
    """The adoption of a client's enabled features."""

    enabled_count: int = strawberry.field(description="How many features are enabled.")
    used_count: int = strawberry.field(description="How many of the enabled features have been used at least once.")
    adoption_rate: float | None = strawberry.field(
        description="Used features as a percentage of the enabled ones, null with none enabled."
    )


@strawberry.type(description="A recorded value of one day.")
class MetricPoint:
    """One day of a recorded metric."""

    day: date = strawberry.field(name="date", description="The UTC day that the value was recorded for.")
    value: float | None = strawberry.field(description="The value, null for a rate with nothing to divide by.")
    change_percent: float | None = strawberry.field(
        description="The change in percent against the previous recorded day, null where that was zero or missing."
    )
    revised_at: datetime | None = strawberry.field(
        description="When data that came late last changed a figure of the day, null where all stand as first recorded."
    )


def usage_of(usage: Usage) -> ClientUsage:
    """Return a client's usage as the API shows it."""
    return ClientUsage(
        daily=[
            UsageDay(
                day=day.date,
                logins=day.logins,
                cases_created=day.cases_created,
                cases_resolved=day.cases_resolved,
                campaign_responses=day.campaign_responses,
            )
            for day in usage.daily
        ],
        summary=UsageSummary(
            total_logins=sum(day.logins for day in usage.daily),
            unique_users=usage.unique_members,
            avg_session_minutes=usage.session_minutes,
            peak_day=rules.peak_day(usage.daily),
        ),
    )


def feature_of(row: Row[Any]) -> ClientFeature:
    """Return one feature from its row."""
    return ClientFeature(
        key=row.key,
        name=row.name,
        category=row.category,
        enabled=row.enabled,
        adopted=row.enabled and row.used,
        first_used_at=row.first_used_at,
        last_used_at=row.last_used_at,
    )


def adoption_of(rows: list[Row[Any]]) -> FeatureAdoption:
    """Return what a client's features come to."""
    enabled = [row for row in rows if row.enabled]
    used = sum(row.used for row in enabled)
    return FeatureAdoption(
        enabled_count=len(enabled),
        used_count=used,
        adoption_rate=used * 100 / len(enabled) if enabled else None,
    )


def metric_point_of(point: rules.MetricPoint) -> MetricPoint:
    """Return one recorded day as the API shows it."""
    return MetricPoint(
        day=point.date, value=point.value, change_percent=point.change_percent, revised_at=point.revised_at
    )
