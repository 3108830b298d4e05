"""The short way to plain fields answers exactly what the stock executor does, errors included."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import pytest
import strawberry
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from app.graphql.execution import Execution


@strawberry.enum
class Colour(StrEnum):
    """An enum."""

    GREEN = "GREEN"
    RED = "RED"


@strawberry.type
class Item:
    """A type with plain fields and one that has a resolver."""

    name: str
    number: int | None
    colour: Colour | None
    renamed: int = strawberry.field(name="other")

    @strawberry.field
    async def doubled(self) -> int:
        """Return twice the number."""
        return 2 * (self.number or 0)


@strawberry.interface
class Named:
    """What has a name."""

    name: str


@strawberry.type
class Leader(Named):
    """Says by itself which objects are its own, since it stands for an interface, too."""

    grade: float


@strawberry.type
class Group:
    """A type with nothing but plain fields, and lists and objects of such types."""

    leader: Leader | None
    tags: list[str]
    groups: "list[Group]"
    gaps: "list[Group | None] | None"


@dataclass
class Source:
    """Stands behind an Item; what is wrong with its values must come out as errors."""

    name: Any = "a"
    number: Any = 1
    colour: Any = Colour.GREEN
    renamed: Any = 2


DOCUMENT = "{ items { __typename name again: name number colour other doubled @include(if: true) } }"


async def awaited() -> str:
    """Return a name later."""
    return "late"


CASES = [
    pytest.param([], id="nothing is wrong"),
    pytest.param([("number", None), ("colour", None)], id="nulls where they may be"),
    pytest.param([("name", None)], id="null where it must not be"),
    pytest.param([("number", "x")], id="a value of another type"),
    pytest.param([("number", 2**40)], id="a number that is too large"),
    pytest.param([("colour", "BLUE")], id="no value of the enum"),
    pytest.param([("colour", "RED")], id="the value of an enum as text"),
    pytest.param([("renamed", ValueError("broken"))], id="an error instead of a value"),
    pytest.param([("name", awaited)], id="something to wait for"),
]


GROUP = """{
  group { ...Parts groups { ...Parts groups { kind: __typename } } gaps { tags leader { __typename } } }
}
fragment Parts on Group { tags leader { name ... on Leader { grade @skip(if: false) } } }
"""


def group(**changes: Any) -> Group:
    """Return a group without groups."""
    values: dict[str, Any] = {"leader": Leader(name="Ada", grade=1.5), "tags": ["a", "b"], "groups": [], "gaps": None}
    return Group(**values | changes)


GROUPS = [
    pytest.param(group(), id="no groups"),
    pytest.param(group(groups=[group(), group(leader=None, groups=[group()])]), id="groups in groups"),
    pytest.param(group(gaps=[None, group(tags=[])]), id="gaps"),
    pytest.param(group(gaps=[None, group(tags=[None])]), id="null in a list that must not hold it"),
    pytest.param(group(groups=[None]), id="null for an object"),
    pytest.param(group(groups=[group(tags=None)]), id="null for a list"),
    pytest.param(group(tags=("a",)), id="another kind of list"),
    pytest.param(group(tags="a"), id="no list"),
    pytest.param(group(leader=Source()), id="an object of another type"),
    pytest.param(group(groups=[group(), group(leader=Leader(name="Ada", grade="high"))]), id="a mistake deep inside"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize("found", GROUPS)
async def test_objects_in_lists_in_objects_come_out_as_from_the_stock_executor(found: Group) -> None:
    results = []
    for executor in (StrawberryGraphQLCoreExecutionContext, Execution):

        @strawberry.type
        class Query:
            @strawberry.field
            def group(self) -> Group:
                return found

        schema = strawberry.Schema(query=Query, execution_context_class=executor)
        result = await schema.execute(GROUP)
        results.append((result.data, [error.formatted for error in result.errors or ()]))
    assert results[0] == results[1]


async def test_what_is_ordinary_never_reaches_the_stock_executor(monkeypatch: pytest.MonkeyPatch) -> None:
    completed: list[str] = []
    stock = StrawberryGraphQLCoreExecutionContext.complete_value

    def complete(self: Any, return_type: Any, *arguments: Any) -> Any:
        completed.append(str(return_type))
        return stock(self, return_type, *arguments)

    monkeypatch.setattr(StrawberryGraphQLCoreExecutionContext, "complete_value", complete)

    @strawberry.type
    class Query:
        @strawberry.field
        def group(self) -> Group:
            return group(groups=[group(), group()], gaps=[None])

    result = await strawberry.Schema(query=Query, execution_context_class=Execution).execute(GROUP)
    assert result.errors is None
    assert set(completed) == {"Group!", "Group"}


async def execute(changes: list[tuple[str, Any]], executor: type) -> Any:
    """Return data and errors of the document, executed by `executor` on an item with these values."""

    @strawberry.type
    class Query:
        @strawberry.field
        def items(self) -> list[Item]:
            changed = {name: value() if value is awaited else value for name, value in changes}
            return [Source(), Source(**changed)]  # type: ignore[list-item]

    schema = strawberry.Schema(query=Query, execution_context_class=executor)
    result = await schema.execute(DOCUMENT)
    return result.data, [error.formatted for error in result.errors or ()]


@pytest.mark.parametrize("changes", CASES)
async def test_it_answers_as_the_stock_executor_does(changes: list[tuple[str, Any]]) -> None:
    expected = await execute(changes, StrawberryGraphQLCoreExecutionContext)
    assert await execute(changes, Execution) == expected


async def test_plain_values_come_out() -> None:
    data, errors = await execute([("number", 21)], Execution)
    assert errors == []
    assert data["items"][1] == {
        "__typename": "Item",
        "name": "a",
        "again": "a",
        "number": 21,
        "colour": "GREEN",
        "other": 2,
        "doubled": 42,
    }
