"""What people say of alerts: one verdict a person and alert, and the share of useful ones over time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from app.alerts import queries
from app.alerts.rules import AlertKind, AlertVerdict
from app.alerts.service import by_ids
from app.database import fetch
from app.errors import NotFound
from app.health.rules import Component, start_of_day

# The bits of a row of the report say which of week, kind and component it sums over.
_ALL_WEEKS, _ALL_KINDS, _ALL_COMPONENTS = 0b100, 0b010, 0b001


@dataclass(frozen=True, slots=True)
class Verdicts:
    """How many verdicts of each sort were given."""

    useful: int = 0
    already_known: int = 0
    wrong_data: int = 0

    @property
    def useful_share(self) -> float | None:
        """The share of useful ones in percent, None without a verdict."""
        given = self.useful + self.already_known + self.wrong_data
        return 100 * self.useful / given if given else None


@dataclass(slots=True)
class Breakdown:
    """Verdicts on all alerts, and on those of each kind and of each component that lost most points."""

    verdicts: Verdicts = Verdicts()
    by_kind: dict[AlertKind, Verdicts] = field(default_factory=dict)
    by_component: dict[Component, Verdicts] = field(default_factory=dict)


async def give(session: AsyncSession, alert_id: int, verdict: AlertVerdict, *, subject: str, now: datetime) -> Row[Any]:
    """Record what a person says of an alert, in place of what that person said before, and return the alert.

    Raises NotFound for an unknown alert.
    """
    found = await by_ids(session, [alert_id])
    if alert_id not in found:
        raise NotFound("There is no alert with this id.")
    values = {"alert_id": alert_id, "subject": subject, "verdict": verdict, "now": now}
    await session.execute(queries.GIVE_FEEDBACK, values)
    return found[alert_id]


async def of_alerts(connection: AsyncConnection, alert_ids: Sequence[int], subject: str) -> Mapping[int, Row[Any]]:
    """Return the verdicts on those of the alerts that have any, and which of them is the subject's."""
    found = await fetch(connection, queries.FEEDBACK, ids=list(alert_ids), subject=subject)
    return {row.alert_id: row for row in found}


async def report(connection: AsyncConnection, days: int, today: date) -> tuple[Breakdown, Mapping[date, Breakdown]]:
    """Return the verdicts on the alerts raised in the `days` UTC days up to today: of all of them, and week by week.

    A week is named by its Monday; a week without a verdict is left out.
    """
    whole, weeks = Breakdown(), dict[date, Breakdown]()
    since = start_of_day(today - timedelta(days=days - 1))
    for row in await fetch(connection, queries.FEEDBACK_REPORT, since=since):
        place = whole if row.sort & _ALL_WEEKS else weeks.setdefault(row.week, Breakdown())
        verdicts = Verdicts(row.useful, row.already_known, row.wrong_data)
        if not row.sort & _ALL_KINDS:
            place.by_kind[AlertKind(row.kind)] = verdicts
        elif row.sort & _ALL_COMPONENTS:
            place.verdicts = verdicts
        elif row.component is not None:
            place.by_component[Component(row.component)] = verdicts
    return whole, weeks
