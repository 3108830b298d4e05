"""Alerts in the API: the list, acknowledging and snoozing, and switching the alerts of many clients."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import strawberry
from sqlalchemy import Row

from app.alerts import feedback, service
from app.alerts.rules import AlertKind, AlertStatus, AlertVerdict
from app.alerts.service import Filter, Position
from app.clients import service as clients
from app.clients import switching
from app.errors import InvalidInput, NotFound
from app.graphql.alert_feedback import AlertFeedback, feedback_of
from app.graphql.clients import After, Client, ClientFilter, First, client_by_key, clients_of, filter_of
from app.graphql.context import Context, Info, require
from app.graphql.errors import (
    ConflictError,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    UnauthenticatedError,
    UnavailableError,
)
from app.graphql.pagination import Node, PageInfo, check_first, decode, encode, global_id, key_of, page_info
from app.graphql.runs import Run, run_by_key
from app.health.rules import Component, RiskLevel, TrafficLight


@strawberry.type(description="A component of the health score that moved when an alert was raised.")
class AlertCause:
    """One component with the points of the overall score that were and are its."""

    component: Component = strawberry.field(description="Which component moved.")
    points_before: float = strawberry.field(
        description="The points that it had of the previous scoring day's overall score, in whole tenths."
    )
    points_after: float = strawberry.field(description="The points that it has of the new score, in whole tenths.")
    change: float = strawberry.field(
        description="The difference of both. The changes of all causes add up exactly to that of the score."
    )
    explanation: str = strawberry.field(description="What was counted for it, and what had been counted before.")


@strawberry.type(description="Something that a customer success manager should look at.")
class Alert(Node):
    """An alert; its client and its causes are read only when they are asked for."""

    key: strawberry.Private[int]
    client_key: strawberry.Private[int]
    kind: AlertKind = strawberry.field(description="The gravest reason for the alert.")
    kinds: list[AlertKind] = strawberry.field(description="Every reason for the alert, the gravest first.")
    status: AlertStatus = strawberry.field(description="Where the alert stands.")
    message: str = strawberry.field(description="One sentence that says what happened, naming every reason.")
    score_before: int = strawberry.field(description="The score of the previous scoring day.")
    score_after: int = strawberry.field(description="The score that raised the alert.")
    light_before: TrafficLight | None = strawberry.field(
        description="The traffic light of the previous scoring day, null in alerts older than this field."
    )
    light_after: TrafficLight | None = strawberry.field(
        description="The traffic light of the score that raised the alert, null in alerts older than this field."
    )
    risk_before: RiskLevel | None = strawberry.field(
        description="The risk on the previous scoring day, null in alerts older than this field."
    )
    risk_after: RiskLevel | None = strawberry.field(
        description="The risk with the score that raised the alert, null in alerts older than this field."
    )
    raised_at: datetime = strawberry.field(description="When the alert was raised.")
    acknowledged_at: datetime | None = strawberry.field(description="When it was acknowledged, null if never.")
    acknowledged_by: str | None = strawberry.field(description="Who acknowledged it, null if nobody.")
    note: str | None = strawberry.field(description="What the person who acknowledged it wrote.")
    resolved_at: datetime | None = strawberry.field(
        description="When the light was green again, or the alert was discarded; null until then."
    )
    held: bool = strawberry.field(
        description="Whether nobody is told of it yet, because the recalculation that raised it is not over, or has "
        "raised so many that a feed has probably broken. Held alerts wait for releaseHeldAlerts or discardHeldAlerts."
    )
    releasing: bool = strawberry.field(
        description="Whether it is held for a moment only: it is decided that people are told of it, of very many a "
        "thousand at a time."
    )
    discarded_at: datetime | None = strawberry.field(
        description="When an administrator discarded it as the work of a broken feed, null unless that was done."
    )

    @strawberry.field(description="The client that the alert is about.")
    async def client(self, info: Info) -> Client:
        """Return the client."""
        return await client_by_key(info.context, self.client_key)

    @strawberry.field(description="Why the score moved: the components that did, the one that lost most points first.")
    async def causes(self, info: Info) -> list[AlertCause]:
        """Return the causes."""
        return [cause_of(row) for row in await info.context.loaders.causes(self.key)]

    @strawberry.field(description="What people say of the alert.")
    async def feedback(self, info: Info) -> AlertFeedback:
        """Return the verdicts."""
        return feedback_of(await info.context.loaders.feedback(self.key, require(info).subject))


@strawberry.type(description="An alert in its list.")
class AlertEdge:
    """One alert with its cursor."""

    cursor: str = strawberry.field(description="Where the alert lies in the list, to page on from.")
    node: Alert = strawberry.field(description="The alert.")


@strawberry.type(description="A page of alerts, newest first.")
class AlertConnection:
    """One page of alerts; the total is counted only where it is asked for."""

    wanted: strawberry.Private[Filter]
    edges: list[AlertEdge] = strawberry.field(description="The alerts of this page.")
    page_info: PageInfo = strawberry.field(description="Where this page lies in the list.")

    @strawberry.field(description="How many alerts match the filter.")
    async def total_count(self, info: Info) -> int:
        """Return the number of alerts on all pages."""
        async with info.context.database.read() as connection:
            return await service.count(connection, self.wanted)


@strawberry.input(description="What an alert must match; an absent or null condition matches every alert.")
class AlertFilter:
    """The conditions of a list of alerts."""

    status: list[AlertStatus] | None = strawberry.field(default=None, description="Any of these states.")
    client_id: strawberry.ID | None = strawberry.field(default=None, description="The client with this id.")
    owner: str | None = strawberry.field(default=None, description="Exactly this owner's e-mail address.")
    held: bool | None = strawberry.field(default=None, description="Held, or not.")


@strawberry.input(description="Which alert to acknowledge.")
class AcknowledgeAlertInput:
    """The input of acknowledgeAlert."""

    id: strawberry.ID = strawberry.field(description="The alert's id.")
    note: str | None = strawberry.field(default=None, description="What is known or done about it.")


@strawberry.input(description="What to say of which alert.")
class GiveAlertFeedbackInput:
    """The input of giveAlertFeedback."""

    id: strawberry.ID = strawberry.field(description="The alert's id.")
    verdict: AlertVerdict = strawberry.field(description="What the caller says of it.")


@strawberry.input(description="Which client's alerts to snooze, and until when.")
class SnoozeClientAlertsInput:
    """The input of snoozeClientAlerts."""

    client_id: strawberry.ID = strawberry.field(description="The client's id.")
    until: datetime | None = strawberry.field(
        default=None, description="When alerts start again, at most 366 days ahead; null ends a snooze at once."
    )


@strawberry.input(description="Which clients' alerts to switch, and how.")
class SetAlertsInput:
    """The input of setAlerts."""

    filter: ClientFilter = strawberry.field(description="What a listed client must match.")
    enabled: bool = strawberry.field(description="Whether a drop of a score shall raise an alert.")


AcknowledgeAlertResult = Annotated[
    Alert
    | NotFoundError
    | ConflictError
    | InvalidInputError
    | ForbiddenError
    | UnauthenticatedError
    | UnavailableError,
    strawberry.union("AcknowledgeAlertResult", description="The acknowledged alert, or why nothing was changed."),
]

GiveAlertFeedbackResult = Annotated[
    Alert | NotFoundError | InvalidInputError | ForbiddenError | UnauthenticatedError | UnavailableError,
    strawberry.union("GiveAlertFeedbackResult", description="The alert, or why nothing was recorded."),
]

SnoozeClientAlertsResult = Annotated[
    Client | NotFoundError | InvalidInputError | ForbiddenError | UnauthenticatedError | UnavailableError,
    strawberry.union("SnoozeClientAlertsResult", description="The changed client, or why nothing was changed."),
]

SetAlertsResult = Annotated[
    Run | InvalidInputError | ForbiddenError | UnauthenticatedError | UnavailableError,
    strawberry.union("SetAlertsResult", description="The accepted run, or why there is none."),
]


def cause_of(row: Row[Any]) -> AlertCause:
    """Return a cause from its row."""
    return AlertCause(
        component=Component(row.component),
        points_before=float(row.points_before),
        points_after=float(row.points_after),
        change=float(row.points_after - row.points_before),
        explanation=row.explanation,
    )


def alert_of(row: Row[Any]) -> Alert:
    """Return an alert from its row."""
    return Alert(
        id=global_id("Alert", row.id),
        key=row.id,
        client_key=row.client_id,
        kind=AlertKind(row.kind),
        kinds=[AlertKind(kind) for kind in row.kinds],
        status=AlertStatus(row.status),
        message=row.message,
        score_before=row.score_before,
        score_after=row.score_after,
        light_before=row.light_before and TrafficLight(row.light_before),
        light_after=row.light_after and TrafficLight(row.light_after),
        risk_before=row.risk_before and RiskLevel(row.risk_before),
        risk_after=row.risk_after and RiskLevel(row.risk_after),
        raised_at=row.raised_at,
        acknowledged_at=row.acknowledged_at,
        acknowledged_by=row.acknowledged_by,
        note=row.note,
        resolved_at=row.resolved_at,
        held=row.held,
        releasing=row.releasing,
        discarded_at=row.discarded_at,
    )


async def alert_by_key(context: Context, key: int) -> Alert:
    """Return the alert. Raises NotFound."""
    async with context.database.read() as connection:
        found = await service.by_ids(connection, [key])
    if key not in found:
        raise NotFound("There is no alert with this id.")
    return alert_of(found[key])


def alert_filter_of(filter_: AlertFilter | None) -> Filter:
    """Return the filter of the service that the API's filter means."""
    if filter_ is None:
        return Filter()
    if "\0" in (filter_.owner or ""):
        raise InvalidInput("owner", "owner must not contain the NUL character.")
    client_id = None if filter_.client_id is None else key_of("clientId", filter_.client_id, "Client")
    return Filter(filter_.status, client_id, filter_.owner, filter_.held)


def connection_of(rows: Sequence[Row[Any]], wanted: Filter, first: int, after: str | None) -> AlertConnection:
    """Return a page from up to `first` + 1 rows."""
    edges = [
        AlertEdge(cursor=encode(["alert", row.raised_at.isoformat(), row.id]), node=alert_of(row))
        for row in rows[:first]
    ]
    cursors = [edge.cursor for edge in edges]
    return AlertConnection(
        wanted=wanted, edges=edges, page_info=page_info(cursors, more=len(rows) > first, after=after)
    )


def position_of(after: str | None) -> Position | None:
    """Return the position that a cursor stands for. Raises InvalidInput for a cursor of another list."""
    if after is None:
        return None
    match decode("after", after):
        case ["alert", str(at), int(alert_id)] if 0 < alert_id < 2**63:
            try:
                moment = datetime.fromisoformat(at)
                if moment.tzinfo is not None:
                    return Position(moment.astimezone(UTC), alert_id)
            except (ValueError, OverflowError):
                pass
    raise InvalidInput("after", "after is not a cursor of the list of alerts.")


def aware(field: str, moment: datetime | None) -> datetime | None:
    """Return a moment that has an offset from UTC. Raises InvalidInput for one that could be any hour of a day."""
    if moment is not None and moment.tzinfo is None:
        raise InvalidInput(field, f"{field} must end with its offset from UTC, as in 2026-01-31T09:00:00Z.")
    return moment


@strawberry.type
class AlertQuery:
    """The query about alerts."""

    @strawberry.field(description="What was raised, newest first.")
    async def alerts(
        self,
        info: Info,
        filter: Annotated[
            AlertFilter | None, strawberry.argument(description="What an alert must match; null lists all.")
        ] = None,
        first: First = 50,
        after: After = None,
    ) -> AlertConnection:
        """Return one page."""
        require(info)
        wanted, position = alert_filter_of(filter), position_of(after)
        async with info.context.database.read() as connection:
            rows = await service.page(connection, wanted, check_first(first), position)
        return connection_of(rows, wanted, first, after)


@strawberry.type
class AlertMutation:
    """The mutations of alerts."""

    @strawberry.mutation(description="Says that somebody looks after an alert.")
    async def acknowledge_alert(
        self, info: Info, input: Annotated[AcknowledgeAlertInput, strawberry.argument(description="Which alert.")]
    ) -> AcknowledgeAlertResult:
        """Return the alert; who acknowledged it first stays on record."""
        viewer, context = require(info), info.context
        key = key_of("id", input.id, "Alert")
        async with context.database.begin() as session:
            row = await service.acknowledge(
                session,
                key,
                note=input.note,
                actor=viewer.subject,
                now=context.now,
                request_id=context.request_id,
            )
        return alert_of(row)

    @strawberry.mutation(description="Says what an alert was worth, in place of what the caller has said before.")
    async def give_alert_feedback(
        self, info: Info, input: Annotated[GiveAlertFeedbackInput, strawberry.argument(description="What to say.")]
    ) -> GiveAlertFeedbackResult:
        """Return the alert."""
        viewer, context = require(info), info.context
        key = key_of("id", input.id, "Alert")
        async with context.database.begin() as session:
            row = await feedback.give(session, key, input.verdict, subject=viewer.subject, now=context.now)
        return alert_of(row)

    @strawberry.mutation(description="Raises no alert for a client until a given time, or ends that.")
    async def snooze_client_alerts(
        self, info: Info, input: Annotated[SnoozeClientAlertsInput, strawberry.argument(description="Until when.")]
    ) -> SnoozeClientAlertsResult:
        """Return the changed client."""
        viewer, context = require(info), info.context
        key, until = key_of("clientId", input.client_id, "Client"), aware("until", input.until)
        async with context.database.begin() as session:
            row = await clients.snooze_alerts(
                session,
                key,
                until,
                actor=viewer.subject,
                now=context.now,
                request_id=context.request_id,
            )
        return (await clients_of(context, [row]))[0]

    @strawberry.mutation(description="Switches the alerts of all listed clients that match, in the background.")
    async def set_alerts(
        self, info: Info, input: Annotated[SetAlertsInput, strawberry.argument(description="What to switch.")]
    ) -> SetAlertsResult:
        """Accept the run and return it at once."""
        viewer, context = require(info), info.context
        async with context.database.begin() as session:
            run_id = await switching.set_alerts(
                session,
                filter_of(input.filter),
                enabled=input.enabled,
                requested_by=viewer.subject,
                now=context.now,
                request_id=context.request_id,
            )
        return await run_by_key(context, run_id)
