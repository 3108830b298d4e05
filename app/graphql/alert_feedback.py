"""What people say of alerts, in the API: on each alert, and the share of useful ones over time."""

from datetime import date
from typing import Annotated, Any

import strawberry
from sqlalchemy import Row

from app.alerts import feedback
from app.alerts.feedback import Breakdown, Verdicts
from app.alerts.rules import AlertKind, AlertVerdict
from app.graphql.context import Info, require
from app.graphql.pagination import check_days
from app.health.rules import Component


@strawberry.type(description="How many verdicts of each sort people gave.")
class AlertVerdicts:
    """Verdicts with the share of useful ones."""

    useful: int = strawberry.field(description="How many said that an alert was worth knowing.")
    already_known: int = strawberry.field(description="How many knew already.")
    wrong_data: int = strawberry.field(description="How many found wrong data behind an alert.")
    useful_share: float | None = strawberry.field(
        description="The share of useful ones in percent, null without a verdict."
    )


@strawberry.type(description="What people say of one alert.")
class AlertFeedback:
    """The verdicts on an alert."""

    verdicts: AlertVerdicts = strawberry.field(description="Everybody's verdicts, one a person.")
    mine: AlertVerdict | None = strawberry.field(description="The caller's own verdict, null without one.")


@strawberry.type(description="The verdicts on the alerts of one kind.")
class AlertKindFeedback:
    """One kind with its verdicts."""

    kind: AlertKind = strawberry.field(description="The gravest reason for the alerts.")
    verdicts: AlertVerdicts = strawberry.field(description="The verdicts on them.")


@strawberry.type(description="The verdicts on the alerts about one component.")
class AlertComponentFeedback:
    """One component with its verdicts."""

    component: Component = strawberry.field(description="The component that lost most points.")
    verdicts: AlertVerdicts = strawberry.field(description="The verdicts on them.")


@strawberry.type(description="The verdicts on the alerts of one week.")
class AlertWeekFeedback:
    """One week with its verdicts."""

    week: date = strawberry.field(description="The Monday of the week, in UTC, that the alerts were raised in.")
    verdicts: AlertVerdicts = strawberry.field(description="The verdicts on all of them.")
    by_kind: list[AlertKindFeedback] = strawberry.field(description="By kind, as far as there are verdicts.")
    by_component: list[AlertComponentFeedback] = strawberry.field(
        description="By the component that lost most points, as far as there are verdicts."
    )


@strawberry.type(description="What people say of the alerts of a time.")
class AlertFeedbackReport:
    """The verdicts on all alerts of some days, and their course."""

    verdicts: AlertVerdicts = strawberry.field(description="The verdicts on all of them.")
    by_kind: list[AlertKindFeedback] = strawberry.field(description="By kind, as far as there are verdicts.")
    by_component: list[AlertComponentFeedback] = strawberry.field(
        description="By the component that lost most points, as far as there are verdicts."
    )
    by_week: list[AlertWeekFeedback] = strawberry.field(
        description="Week by week, oldest first, as far as there are verdicts."
    )


def verdicts_of(verdicts: Verdicts) -> AlertVerdicts:
    """Return verdicts for the API."""
    return AlertVerdicts(
        useful=verdicts.useful,
        already_known=verdicts.already_known,
        wrong_data=verdicts.wrong_data,
        useful_share=verdicts.useful_share,
    )


def feedback_of(row: Row[Any] | None) -> AlertFeedback:
    """Return what people say of an alert, from its row if anybody has said anything."""
    if row is None:
        return AlertFeedback(verdicts=verdicts_of(Verdicts()), mine=None)
    verdicts = Verdicts(row.useful, row.already_known, row.wrong_data)
    return AlertFeedback(verdicts=verdicts_of(verdicts), mine=row.mine and AlertVerdict(row.mine))


def kinds_of(breakdown: Breakdown) -> list[AlertKindFeedback]:
    """Return the verdicts by kind, the gravest first."""
    found = breakdown.by_kind
    return [AlertKindFeedback(kind=kind, verdicts=verdicts_of(found[kind])) for kind in AlertKind if kind in found]


def components_of(breakdown: Breakdown) -> list[AlertComponentFeedback]:
    """Return the verdicts by component."""
    found = breakdown.by_component
    return [
        AlertComponentFeedback(component=key, verdicts=verdicts_of(found[key])) for key in Component if key in found
    ]


@strawberry.type
class AlertFeedbackQuery:
    """The query about feedback."""

    @strawberry.field(description="What people say of the alerts that were raised in the last days.")
    async def alert_feedback(
        self,
        info: Info,
        days: Annotated[int, strawberry.argument(description="How many UTC days up to today, from 1 to 730.")] = 90,
    ) -> AlertFeedbackReport:
        """Return the report."""
        require(info)
        async with info.context.database.read() as connection:
            whole, weeks = await feedback.report(connection, check_days(days), info.context.now.date())
        return AlertFeedbackReport(
            verdicts=verdicts_of(whole.verdicts),
            by_kind=kinds_of(whole),
            by_component=components_of(whole),
            by_week=[
                AlertWeekFeedback(
                    week=week,
                    verdicts=verdicts_of(part.verdicts),
                    by_kind=kinds_of(part),
                    by_component=components_of(part),
                )
                for week, part in weeks.items()
            ],
        )
