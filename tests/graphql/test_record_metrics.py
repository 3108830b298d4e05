"""Recording metrics over HTTP: who may, which day is meant, and which cannot be."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from app.auth.tokens import Role
from tests.graphql.answers import refusal, typed_refusal
from tests.graphql.conftest import SUBJECT, Api

RECORD = """
mutation Record($date: Date) {
  recordDailyMetrics(input: { date: $date }) {
    __typename
    ... on Run { id kind status total done failed requestedBy }
    ... on InvalidInputError { field }
    ... on Error { code message }
  }
}
"""


async def record(api: Api, **variables: object) -> dict[str, Any]:
    _, body = await api.ask(RECORD, variables, Role.PLATFORM_ADMIN)
    assert "errors" not in body, body
    answer: dict[str, Any] = body["data"]["recordDailyMetrics"]
    return answer


async def days_of_runs(api: Api) -> list[date]:
    connection = await asyncpg.connect(api.settings.database_url)
    try:
        return [row["day"] for row in await connection.fetch("SELECT day FROM runs ORDER BY id")]
    finally:
        await connection.close()


async def test_without_a_day_the_last_whole_one_is_meant(api: Api) -> None:
    before = datetime.now(UTC).date()
    run = await record(api)
    after = datetime.now(UTC).date()
    assert (run["__typename"], run["kind"], run["status"]) == ("Run", "RECORD_METRICS", "QUEUED")
    assert (run["total"], run["done"], run["failed"], run["requestedBy"]) == (None, 0, 0, SUBJECT)
    (day,) = await days_of_runs(api)
    assert day in {before - timedelta(days=1), after - timedelta(days=1)}
    # The same day by its name, while the run is unfinished, is the same run; another day is another.
    assert (await record(api, date=day.isoformat()))["id"] == run["id"]
    assert (await record(api, date="2026-01-31"))["id"] != run["id"]
    assert await days_of_runs(api) == [day, date(2026, 1, 31)]


@pytest.mark.usefixtures("nothing_happens")
async def test_a_day_that_is_not_over_or_too_long_ago_is_refused(api: Api) -> None:
    # Tomorrow and not today, which is yesterday if midnight passes meanwhile.
    tomorrow = datetime.now(UTC).date() + timedelta(days=1)
    for day in (tomorrow, date(9999, 12, 31), date(1969, 12, 31), date(1, 1, 1)):
        answer = await api.ask(RECORD, {"date": day.isoformat()}, Role.PLATFORM_ADMIN)
        assert typed_refusal(answer, "recordDailyMetrics") == ("INVALID_INPUT", "date"), day


@pytest.mark.parametrize("day", ["2026-02-30", "yesterday", "", 20260131, True])
@pytest.mark.usefixtures("nothing_happens")
async def test_what_is_no_day_is_refused(api: Api, day: object) -> None:
    status, body = await api.ask(RECORD, {"date": day}, Role.PLATFORM_ADMIN)
    assert refusal((status, body), status)[0] == "INVALID_INPUT"


@pytest.mark.parametrize(("role", "code"), [(Role.CLIENT_SUCCESS, "FORBIDDEN"), (None, "UNAUTHENTICATED")])
@pytest.mark.usefixtures("nothing_happens")
async def test_others_than_administrators_record_nothing(api: Api, role: Role | None, code: str) -> None:
    answer = await api.ask(RECORD, {"date": "2026-01-31"}, role)
    assert typed_refusal(answer, "recordDailyMetrics") == (code, None)
