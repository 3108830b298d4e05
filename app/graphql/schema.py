"""The schema: every capability's queries, mutations and subscriptions, and any object by its id."""

from typing import Annotated

import strawberry

from app.errors import InvalidInput
from app.graphql import limits
from app.graphql.alert_feedback import AlertFeedbackQuery
from app.graphql.alerts import Alert, AlertMutation, AlertQuery, alert_by_key
from app.graphql.benchmarks import BenchmarkQuery
from app.graphql.clients import Client, ClientMutation, ClientQuery, client_by_key
from app.graphql.context import Info, require
from app.graphql.deliveries import DeliveryMutation, DeliveryQuery
from app.graphql.erasure import ErasureMutation
from app.graphql.errors import TYPED_ERRORS
from app.graphql.events import EventQuery
from app.graphql.execution import Execution
from app.graphql.feeds import FeedQuery
from app.graphql.held_alerts import HeldAlertMutation
from app.graphql.http import Schema
from app.graphql.pagination import Node, split_id
from app.graphql.replay import ReplayMutation, ReplayQuery
from app.graphql.runs import Run, RunMutation, RunQuery, run_by_key
from app.graphql.subscriptions import Subscription
from app.graphql.viewer import ViewerQuery


@strawberry.type(description="What can be asked.")
class Query(
    ViewerQuery,
    ClientQuery,
    BenchmarkQuery,
    AlertQuery,
    AlertFeedbackQuery,
    ReplayQuery,
    DeliveryQuery,
    RunQuery,
    FeedQuery,
    EventQuery,
):
    """All queries."""

    @strawberry.field(description="Any object by its id, for a front end that holds one.")
    async def node(
        self, info: Info, id: Annotated[strawberry.ID, strawberry.argument(description="The object's id.")]
    ) -> Node | None:
        """Return the object; the error NOT_FOUND says that there is none."""
        require(info)
        type_name, key = split_id("id", id)
        match type_name:
            case "Client":
                return await client_by_key(info.context, key)
            case "Alert":
                return await alert_by_key(info.context, key)
            case "Run":
                return await run_by_key(info.context, key)
            case _:
                raise InvalidInput("id", "id is not an id that this API has given out.")


@strawberry.type(description="What can be changed.")
class Mutation(
    ClientMutation,
    AlertMutation,
    HeldAlertMutation,
    ReplayMutation,
    DeliveryMutation,
    RunMutation,
    ErasureMutation,
):
    """All mutations."""


schema = Schema(
    query=Query,
    mutation=Mutation,
    subscription=Subscription,
    types=[Client, Alert, Run],
    extensions=[limits.DocumentLimits],
    execution_context_class=Execution,
    exception_handlers=TYPED_ERRORS,
)
