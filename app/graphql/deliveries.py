"""Deliveries in the API: what was sent where, every attempt, and the channels; for administrators."""

from collections.abc import Sequence
from datetime import datetime, time
from typing import Annotated, Any

import strawberry
from sqlalchemy import Row

from app.auth.tokens import Role
from app.clients.models import EngagementModel
from app.delivery import service
from app.delivery.models import AttemptOutcome, ChannelKind, ChannelMode, DeliveryKind, DeliveryStatus
from app.delivery.rules import message_name
from app.delivery.service import Filter
from app.errors import InvalidInput
from app.graphql.context import Info, require
from app.graphql.errors import (
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    UnauthenticatedError,
    UnavailableError,
)
from app.graphql.pagination import PageInfo, check_first, decode, encode, global_id, key_of, page_info
from app.health.rules import RiskLevel


@strawberry.type(description="A place that alerts are delivered to, without its address and its secrets.")
class DeliveryChannel:
    """A channel of the configuration, and its state."""

    name: str = strawberry.field(description="The name that the operator has given it.")
    kind: ChannelKind = strawberry.field(description="How it is spoken to.")
    mode: ChannelMode | None = strawberry.field(
        description="Whether it takes each alert by itself; null: only those of HIGH_TOUCH clients."
    )
    engagement_models: list[EngagementModel] | None = strawberry.field(
        description="The engagement models whose clients it is for; null for all."
    )
    risks: list[RiskLevel] | None = strawberry.field(description="The risks that it is for; null for all.")
    to_owner: bool = strawberry.field(description="Whether each alert goes to the owner of its client.")
    digest_at: time = strawberry.field(description="When its digest leaves, in the time zone of the schedule.")
    configured: bool = strawberry.field(description="Whether it is still configured.")
    disabled_at: datetime | None = strawberry.field(
        description="When its receiver said that it is gone for good; null while it is enabled."
    )
    disabled_reason: str | None = strawberry.field(description="What the receiver said then.")


@strawberry.type(description="One attempt to deliver something.")
class DeliveryAttempt:
    """An attempt; it is there from its beginning."""

    number: int = strawberry.field(description="Which attempt it was, from 1.")
    started_at: datetime = strawberry.field(description="When it began.")
    finished_at: datetime | None = strawberry.field(
        description="When it ended; null while it is under way, and for ever if its worker was killed."
    )
    outcome: AttemptOutcome | None = strawberry.field(description="How it ended.")
    http_status: int | None = strawberry.field(description="The HTTP status of the answer, if there was one.")
    answer: str | None = strawberry.field(description="The first 500 bytes of the answer, as text.")
    problem: str | None = strawberry.field(description="One sentence that says what went wrong.")


@strawberry.type(description="Something that is to be told to one recipient.")
class Delivery:
    """A delivery; its attempts are read only when they are asked for."""

    key: strawberry.Private[int]
    id: strawberry.ID = strawberry.field(description="The delivery's id.")
    message_id: str = strawberry.field(description="The id that the receiver is told, the same in every attempt.")
    kind: DeliveryKind = strawberry.field(description="What it tells of.")
    channel: str = strawberry.field(description="The name of its channel.")
    recipient: str | None = strawberry.field(
        description="The owner that it is written to; null where the channel itself is the recipient."
    )
    alert_id: strawberry.ID | None = strawberry.field(
        description="The alert that it tells of; null for a digest and for a message about held alerts."
    )
    digest_id: strawberry.ID | None = strawberry.field(description="The delivery of the digest that it left with.")
    status: DeliveryStatus = strawberry.field(description="Where it stands.")
    created_at: datetime = strawberry.field(description="When it was queued.")
    next_attempt_at: datetime | None = strawberry.field(
        description="When it is next attempted, null unless it is pending."
    )
    finished_at: datetime | None = strawberry.field(description="When it was delivered or given up.")
    reason: str | None = strawberry.field(description="Why it was given up or discarded.")

    @strawberry.field(description="Every attempt, the first one first.")
    async def attempts(self, info: Info) -> list[DeliveryAttempt]:
        """Return the attempts, of all deliveries of a page at once."""
        return [attempt_of(row) for row in await info.context.loaders.delivery_attempts(self.key)]


@strawberry.type(description="A delivery in its list.")
class DeliveryEdge:
    """One delivery with its cursor."""

    cursor: str = strawberry.field(description="Where the delivery lies in the list, to page on from.")
    node: Delivery = strawberry.field(description="The delivery.")


@strawberry.type(description="A page of deliveries, newest first.")
class DeliveryConnection:
    """One page of deliveries."""

    edges: list[DeliveryEdge] = strawberry.field(description="The deliveries of this page.")
    page_info: PageInfo = strawberry.field(description="Where this page lies in the list.")


@strawberry.input(description="What a delivery must match; what is null is no condition.")
class DeliveryFilter:
    """The filter of deliveries."""

    status: list[DeliveryStatus] | None = strawberry.field(
        default=None, description="Where it may stand; an empty list matches nothing."
    )
    channel: str | None = strawberry.field(default=None, description="The name of its channel.")
    alert_id: strawberry.ID | None = strawberry.field(default=None, description="The alert that it tells of.")


@strawberry.input(description="Which channel to enable.")
class EnableChannelInput:
    """The input of enableChannel."""

    name: str = strawberry.field(description="The channel's name.")


EnableChannelResult = Annotated[
    DeliveryChannel | NotFoundError | InvalidInputError | ForbiddenError | UnauthenticatedError | UnavailableError,
    strawberry.union("EnableChannelResult", description="The enabled channel, or why nothing was changed."),
]


def channel_of(row: Row[Any]) -> DeliveryChannel:
    """Return a channel from its row."""
    return DeliveryChannel(
        name=row.name,
        kind=ChannelKind(row.kind),
        mode=None if row.mode is None else ChannelMode(row.mode),
        engagement_models=None
        if row.engagement_models is None
        else [EngagementModel(m) for m in row.engagement_models],
        risks=None if row.risks is None else [RiskLevel(risk) for risk in row.risks],
        to_owner=row.to_owner,
        digest_at=row.digest_at,
        configured=row.configured,
        disabled_at=row.disabled_at,
        disabled_reason=row.disabled_reason,
    )


def attempt_of(row: Row[Any]) -> DeliveryAttempt:
    """Return an attempt from its row."""
    return DeliveryAttempt(
        number=row.number,
        started_at=row.started_at,
        finished_at=row.finished_at,
        outcome=None if row.outcome is None else AttemptOutcome(row.outcome),
        http_status=row.http_status,
        answer=row.answer,
        problem=row.problem,
    )


def delivery_of(row: Row[Any]) -> Delivery:
    """Return a delivery from its row."""
    return Delivery(
        key=row.id,
        id=global_id("Delivery", row.id),
        message_id=message_name(row.message_id),
        kind=DeliveryKind(row.kind),
        channel=row.channel,
        recipient=row.recipient or None,
        alert_id=None if row.alert_id is None else global_id("Alert", row.alert_id),
        digest_id=None if row.digest_id is None else global_id("Delivery", row.digest_id),
        status=DeliveryStatus(row.status),
        created_at=row.created_at,
        next_attempt_at=row.next_attempt_at if row.status == DeliveryStatus.PENDING else None,
        finished_at=row.finished_at,
        reason=row.reason,
    )


def filter_of(filter_: DeliveryFilter | None) -> Filter:
    """Return the filter of the service that the API's filter means."""
    if filter_ is None:
        return Filter()
    alert_id = None if filter_.alert_id is None else key_of("alertId", filter_.alert_id, "Alert")
    return Filter(filter_.status, checked("channel", filter_.channel), alert_id)


def checked(field: str, text: str | None) -> str | None:
    """Return text that a database can hold. Raises InvalidInput."""
    if "\0" in (text or ""):
        raise InvalidInput(field, f"{field} must not contain the NUL character.")
    return text


def position_of(after: str | None) -> int | None:
    """Return the delivery that a cursor stands for. Raises InvalidInput for a cursor of another list."""
    if after is None:
        return None
    match decode("after", after):
        case ["delivery", int(delivery_id)] if 0 < delivery_id < 2**63:
            return delivery_id
        case _:
            raise InvalidInput("after", "after is not a cursor of the list of deliveries.")


def connection_of(rows: Sequence[Row[Any]], first: int, after: str | None) -> DeliveryConnection:
    """Return a page from up to `first` + 1 rows."""
    edges = [DeliveryEdge(cursor=encode(["delivery", row.id]), node=delivery_of(row)) for row in rows[:first]]
    cursors = [edge.cursor for edge in edges]
    return DeliveryConnection(edges=edges, page_info=page_info(cursors, more=len(rows) > first, after=after))


@strawberry.type
class DeliveryQuery:
    """The queries about deliveries."""

    @strawberry.field(description="What was and will be delivered, newest first; needs the role PLATFORM_ADMIN.")
    async def deliveries(
        self,
        info: Info,
        filter: Annotated[
            DeliveryFilter | None, strawberry.argument(description="What a delivery must match; null lists all.")
        ] = None,
        first: Annotated[
            int, strawberry.argument(description="How many deliveries to return at most, from 1 to 100.")
        ] = 20,
        after: Annotated[
            str | None, strawberry.argument(description="The cursor to continue behind, from an earlier page.")
        ] = None,
    ) -> DeliveryConnection:
        """Return one page."""
        require(info, Role.PLATFORM_ADMIN)
        wanted, position = filter_of(filter), position_of(after)
        async with info.context.database.read() as connection:
            rows = await service.page(connection, wanted, check_first(first), position)
        return connection_of(rows, first, after)

    @strawberry.field(description="Where alerts are delivered to, by name; needs the role PLATFORM_ADMIN.")
    async def delivery_channels(self, info: Info) -> list[DeliveryChannel]:
        """Return the channels that are or were configured."""
        require(info, Role.PLATFORM_ADMIN)
        async with info.context.database.read() as connection:
            return [channel_of(row) for row in await service.channels(connection)]


@strawberry.type
class DeliveryMutation:
    """The mutation of channels."""

    @strawberry.mutation(
        description="Enables a channel that its receiver has disabled, and sends what waits for it; needs the role "
        "PLATFORM_ADMIN."
    )
    async def enable_channel(
        self, info: Info, input: Annotated[EnableChannelInput, strawberry.argument(description="Which channel.")]
    ) -> EnableChannelResult:
        """Return the channel; one that is enabled stays as it is."""
        viewer, context = require(info, Role.PLATFORM_ADMIN), info.context
        name = checked("name", input.name) or ""
        async with context.database.begin() as session:
            row = await service.enable(
                session, name, actor=viewer.subject, now=context.now, request_id=context.request_id
            )
        return channel_of(row)
