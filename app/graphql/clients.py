"""Clients in the API: the portfolio, a single client, and its alert settings."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any

import strawberry
from sqlalchemy import Row

from app.activity import service as activity_service
from app.clients import service
from app.clients.models import ClientSize, ClientStatus, EngagementModel, Industry
from app.clients.service import Filter, Order, Position, SortField
from app.errors import InvalidInput, NotFound
from app.graphql import activity
from app.graphql.context import Context, Info, require
from app.graphql.enums import OrderDirection
from app.graphql.errors import ForbiddenError, InvalidInputError, NotFoundError, UnauthenticatedError, UnavailableError
from app.graphql.feeds import Feed, feed_of
from app.graphql.health import HealthPoint, HealthScore, health_of, point_of
from app.graphql.pagination import (
    Node,
    PageInfo,
    check_days,
    check_first,
    decode,
    encode,
    global_id,
    key_of,
    page_info,
)
from app.graphql.usage import (
    ClientFeature,
    ClientUsage,
    FeatureAdoption,
    MetricPoint,
    adoption_of,
    feature_of,
    metric_point_of,
    usage_of,
)
from app.health.rules import HealthTrend, RiskLevel, TrafficLight
from app.usage.rules import MetricType

Days = Annotated[int, strawberry.argument(description="How many UTC days to return, from 1 to 730.")]
First = Annotated[int, strawberry.argument(description="How many items to return at most, from 1 to 100.")]
After = Annotated[str | None, strawberry.argument(description="The cursor to continue behind, from an earlier page.")]


@strawberry.type(description="An organisation that buys the platform.")
class Client(Node):
    """A client; its plain fields are read with its row, the others only when they are asked for."""

    key: strawberry.Private[int]
    external_id: str = strawberry.field(description="The id that the source system knows the client by.")
    name: str = strawberry.field(description="The client's name.")
    size: ClientSize | None = strawberry.field(description="How large the client is, null where it is not known.")
    industry: Industry = strawberry.field(description="What the client does.")
    status: ClientStatus = strawberry.field(description="Where the client stands commercially.")
    engagement_model: EngagementModel = strawberry.field(description="Whether somebody looks after it personally.")
    owner: str | None = strawberry.field(description="The e-mail address of its customer success manager.")
    customer_since: date | None = strawberry.field(description="Since when it has been a client.")
    renewal_date: date | None = strawberry.field(description="When its contract is up for renewal.")
    annual_value: Decimal | None = strawberry.field(description="The annual contract value.")
    alerts_enabled: bool = strawberry.field(description="Whether a drop of its score raises an alert.")
    alerts_snoozed_until: datetime | None = strawberry.field(description="Until when no alert is raised.")
    last_activity_at: datetime | None = strawberry.field(
        description="The latest fact that the last calculation saw: a login, a case, a campaign, a feature, a ticket."
    )
    health: HealthScore | None = strawberry.field(description="Its health, null only before its first calculation.")

    @strawberry.field(description="Its scores of the days that end with its scoring day, oldest first.")
    async def health_history(self, info: Info, days: Days = 90) -> list[HealthPoint]:
        """Return the past scores."""
        return [point_of(row) for row in await info.context.loaders.health_history(self.key, check_days(days))]

    @strawberry.field(description="When the five feeds delivered facts of it, and whether they deliver.")
    async def feeds(self, info: Info) -> list[Feed]:
        """Return its feeds."""
        return [feed_of(feed) for feed in await info.context.loaders.feeds(self.key)]

    @strawberry.field(description="Its usage over the days that end with its scoring day.")
    async def usage(self, info: Info, days: Days = 30) -> ClientUsage:
        """Return the usage series."""
        return usage_of(await info.context.loaders.usage(self.key, check_days(days)))

    @strawberry.field(description="How much of what it may use it has used.")
    async def feature_adoption(self, info: Info) -> FeatureAdoption:
        """Return the adoption of its features."""
        return adoption_of(await info.context.loaders.features(self.key))

    @strawberry.field(description="Its features by category, core features first, and by name.")
    async def features(self, info: Info) -> list[ClientFeature]:
        """Return its features."""
        return [feature_of(row) for row in await info.context.loaders.features(self.key)]

    @strawberry.field(description="What happened lately, newest first.")
    async def recent_activity(self, info: Info, first: First = 20, after: After = None) -> activity.ActivityConnection:
        """Return a page of its activity."""
        position = activity.position_of(after)
        async with info.context.database.read() as connection:
            rows = await activity_service.recent(connection, self.key, check_first(first), position, info.context.now)
        return activity.connection_of(rows, first, after)

    @strawberry.field(description="A metric as it was recorded day by day, oldest first.")
    async def metric_history(
        self,
        info: Info,
        metric: Annotated[MetricType, strawberry.argument(description="Which metric to return.")],
        days: Days = 30,
    ) -> list[MetricPoint]:
        """Return the recorded days of the metric."""
        points = await info.context.loaders.metric_history(self.key, metric, check_days(days))
        return [metric_point_of(point) for point in points]


@strawberry.type(description="A client in its list.")
class ClientEdge:
    """One client with its cursor."""

    cursor: str = strawberry.field(description="Where the client lies in the list, to page on from.")
    node: Client = strawberry.field(description="The client.")


@strawberry.type(description="A page of the portfolio.")
class ClientConnection:
    """One page of clients; the total is counted only where it is asked for."""

    wanted: strawberry.Private[Filter]
    edges: list[ClientEdge] = strawberry.field(description="The clients of this page.")
    page_info: PageInfo = strawberry.field(description="Where this page lies in the list.")

    @strawberry.field(description="How many clients match the filter.")
    async def total_count(self, info: Info) -> int:
        """Return the number of clients on all pages."""
        async with info.context.database.read() as connection:
            return (await service.summary(connection, self.wanted)).total


@strawberry.type(description="How many clients have each traffic light, and none of them.")
class PortfolioSummary:
    """The tiles above the portfolio."""

    total: int = strawberry.field(description="All clients that match: green, amber, red and unscored together.")
    green: int = strawberry.field(description="Clients with a score of 80 or more.")
    amber: int = strawberry.field(description="Clients with a score from 60 to 79.")
    red: int = strawberry.field(description="Clients with a score below 60.")
    unscored: int = strawberry.field(description="Clients without an overall score, for lack of evidence.")
    calculated_at: datetime | None = strawberry.field(
        description="When the latest completed calculation ended, null before the first."
    )


@strawberry.input(description="What a client must match; an absent or null condition matches every client.")
class ClientFilter:
    """The conditions of a portfolio view."""

    traffic_light: list[TrafficLight] | None = strawberry.field(default=None, description="Any of these lights.")
    risk_level: list[RiskLevel] | None = strawberry.field(default=None, description="Any of these risks.")
    trend: list[HealthTrend] | None = strawberry.field(default=None, description="Any of these trends.")
    size: list[ClientSize] | None = strawberry.field(default=None, description="Any of these sizes.")
    industry: list[Industry] | None = strawberry.field(default=None, description="Any of these industries.")
    engagement_model: EngagementModel | None = strawberry.field(default=None, description="This engagement model.")
    alerts_enabled: bool | None = strawberry.field(default=None, description="Alerts switched on, or off.")
    owner: str | None = strawberry.field(default=None, description="Exactly this owner's e-mail address.")
    search: str | None = strawberry.field(
        default=None, description="Any part of the name, whatever the case; % and _ are ordinary characters."
    )
    renewal_before: date | None = strawberry.field(default=None, description="A renewal date before this one.")


@strawberry.input(description="An order of the portfolio; equal clients are ordered by name.")
class ClientOrder:
    """What the portfolio is ordered by."""

    field: SortField = strawberry.field(default=SortField.SCORE, description="What to order by.")
    direction: OrderDirection = strawberry.field(default=OrderDirection.DESC, description="In which direction.")


@strawberry.input(description="Which client's alerts to switch, and how.")
class SetClientAlertsInput:
    """The input of setClientAlerts."""

    client_id: strawberry.ID = strawberry.field(description="The client's id.")
    enabled: bool = strawberry.field(description="Whether a drop of its score shall raise an alert.")


SetClientAlertsResult = Annotated[
    Client | NotFoundError | InvalidInputError | ForbiddenError | UnauthenticatedError | UnavailableError,
    strawberry.union("SetClientAlertsResult", description="The changed client, or why nothing was changed."),
]


async def clients_of(context: Context, rows: Sequence[Row[Any]]) -> list[Client]:
    """Return clients from their rows."""
    policies = await context.policies({row.policy_version for row in rows if row.policy_version is not None})
    return [
        Client(
            id=global_id("Client", row.id),
            key=row.id,
            external_id=row.external_id,
            name=row.name,
            size=row.size,
            industry=row.industry,
            status=row.status,
            engagement_model=row.engagement_model,
            owner=row.owner,
            customer_since=row.customer_since,
            renewal_date=row.renewal_date,
            annual_value=row.annual_value,
            alerts_enabled=row.alerts_enabled,
            alerts_snoozed_until=row.alerts_snoozed_until,
            last_activity_at=row.last_activity_at,
            health=health_of(row, policies),
        )
        for row in rows
    ]


async def client_by_key(context: Context, key: int) -> Client:
    """Return the client. Raises NotFound."""
    row = await context.loaders.client(key)
    if row is None:
        raise NotFound("There is no client with this id.")
    return (await clients_of(context, [row]))[0]


async def connection_of(
    context: Context, rows: Sequence[Row[Any]], *, wanted: Filter, order: Order, first: int, after: str | None
) -> ClientConnection:
    """Return a page from up to `first` + 1 rows."""
    cursors = [cursor_of(order, service.position_of(row)) for row in rows[:first]]
    nodes = await clients_of(context, rows[:first])
    return ClientConnection(
        wanted=wanted,
        edges=[ClientEdge(cursor=cursor, node=node) for cursor, node in zip(cursors, nodes, strict=True)],
        page_info=page_info(cursors, more=len(rows) > first, after=after),
    )


def order_of(order_by: ClientOrder | None) -> Order:
    """Return the order of the service that the API's order means."""
    return Order() if order_by is None else Order(order_by.field, order_by.direction is OrderDirection.DESC)


def filter_of(filter_: ClientFilter | None) -> Filter:
    """Return the filter of the service that the API's filter means."""
    if filter_ is None:
        return Filter()
    return Filter(
        lights=filter_.traffic_light,
        risks=filter_.risk_level,
        trends=filter_.trend,
        sizes=filter_.size,
        industries=filter_.industry,
        engagement_model=filter_.engagement_model,
        alerts_enabled=filter_.alerts_enabled,
        owner=filter_.owner,
        search=filter_.search,
        renewal_before=filter_.renewal_before,
    )


def cursor_of(order: Order, position: Position) -> str:
    """Return the cursor of a position, which is good for the same order only."""
    return encode([order.name, position.key, position.name_key, position.id])


def position_of(order: Order, after: str | None) -> Position | None:
    """Return the position that a cursor stands for. Raises InvalidInput for one of another order."""
    if after is None:
        return None
    match decode("after", after):
        case [str(name), int() | None as key, str(sorted_name), int(client_id)]:
            position = Position(key, sorted_name, client_id)
        case _:
            raise InvalidInput("after", "after is not a cursor of the portfolio.")
    if name != order.name:
        raise InvalidInput("after", "after is a cursor of another order; start again without it.")
    if not service.is_position(order, position):
        raise InvalidInput("after", "after is not a cursor of the portfolio.")
    return position


@strawberry.type
class ClientQuery:
    """The queries about clients."""

    @strawberry.field(description="One client by its id, whether it is listed in the portfolio or has left.")
    async def client(
        self, info: Info, id: Annotated[strawberry.ID, strawberry.argument(description="The client's id.")]
    ) -> Client | None:
        """Return the client; the error NOT_FOUND says that there is none."""
        require(info)
        return await client_by_key(info.context, key_of("id", id, "Client"))

    @strawberry.field(description="The portfolio: active and trial clients, page by page.")
    async def clients(
        self,
        info: Info,
        filter: Annotated[
            ClientFilter | None, strawberry.argument(description="What a client must match; null lists all.")
        ] = None,
        order_by: Annotated[
            ClientOrder | None, strawberry.argument(description="The order; without it the highest score first.")
        ] = None,
        first: First = 50,
        after: After = None,
    ) -> ClientConnection:
        """Return one page."""
        require(info)
        order = order_of(order_by)
        wanted, position = filter_of(filter), position_of(order, after)
        async with info.context.database.read() as connection:
            rows = await service.page(connection, wanted, order, check_first(first), position)
        return await connection_of(info.context, rows, wanted=wanted, order=order, first=first, after=after)

    @strawberry.field(description="The owners of listed clients, in alphabetical order, 500 at most.")
    async def owners(self, info: Info) -> list[str]:
        """Return what the portfolio can be filtered by."""
        require(info)
        async with info.context.database.read() as connection:
            return await service.owners(connection)

    @strawberry.field(description="How many clients have each light; the filter's own light is ignored.")
    async def portfolio_summary(
        self,
        info: Info,
        filter: Annotated[
            ClientFilter | None, strawberry.argument(description="What a client must match, except for its light.")
        ] = None,
    ) -> PortfolioSummary:
        """Return the tiles above the portfolio."""
        require(info)
        async with info.context.database.read() as connection:
            found = await service.summary(connection, replace(filter_of(filter), lights=None))
            calculated_at = await service.calculated_at(connection)
        return PortfolioSummary(
            total=found.total,
            green=found.green,
            amber=found.amber,
            red=found.red,
            unscored=found.unscored,
            calculated_at=calculated_at,
        )


@strawberry.type
class ClientMutation:
    """The mutations of clients."""

    @strawberry.mutation(description="Switches the alerts of one client on or off.")
    async def set_client_alerts(
        self, info: Info, input: Annotated[SetClientAlertsInput, strawberry.argument(description="What to switch.")]
    ) -> SetClientAlertsResult:
        """Return the changed client."""
        viewer, context = require(info), info.context
        key = key_of("clientId", input.client_id, "Client")
        async with context.database.begin() as session:
            row = await service.set_alerts(
                session,
                key,
                enabled=input.enabled,
                actor=viewer.subject,
                now=context.now,
                request_id=context.request_id,
            )
        return (await clients_of(context, [row]))[0]
