"""What can be watched: a run until it ends, and the alerts as they are raised."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated

import strawberry
from graphql import GraphQLError

from app.graphql.alerts import Alert, alert_of
from app.graphql.context import Info, require
from app.graphql.pagination import key_of
from app.graphql.runs import Run, run_of
from app.runs.models import RunStatus

FINISHED = {RunStatus.SUCCEEDED, RunStatus.FAILED}


@contextmanager
def located(info: Info) -> Iterator[None]:
    """Give errors the path of the field, which the executor does everywhere but between two events."""
    try:
        yield
    except Exception as error:
        raise GraphQLError(str(error), path=info.path.as_list(), original_error=error) from error


@strawberry.type(description="What can be watched, over WebSocket or as server-sent events.")
class Subscription:
    """All subscriptions."""

    @strawberry.subscription(
        description="The state of a run, at once and then after every change, until it has succeeded or failed."
    )
    async def run_progress(
        self, info: Info, id: Annotated[strawberry.ID, strawberry.argument(description="The run's id.")]
    ) -> AsyncIterator[Run]:
        """Yield the states; a slow reader misses some, but never the last one."""
        with located(info):
            require(info)
            with info.context.live.run(key_of("id", id, "Run")) as inbox:
                status = None
                while status not in FINISHED:
                    row = await inbox.take()
                    status = RunStatus(row.status)
                    info.context.renew(datetime.now(UTC))
                    yield run_of(row)

    @strawberry.subscription(description="Every alert that is raised from now on, once.")
    async def alert_raised(self, info: Info) -> AsyncIterator[Alert]:
        """Yield the alerts in the order in which they were written."""
        with located(info):
            require(info)
            with info.context.live.alerts() as inbox:
                await inbox.looked.wait()
                info.context.heard.set()
                while True:
                    raised = await inbox.take()
                    info.context.renew(datetime.now(UTC))
                    info.context.loaders.know_client(raised.alert.client_id, raised.client)
                    yield alert_of(raised.alert)
