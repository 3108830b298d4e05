"""The limits of documents: what front ends send passes, what grows beyond measure does not."""

from typing import Any

import pytest
import strawberry
from graphql import GraphQLError, GraphQLSchema, build_schema, get_introspection_query, parse, validate
from hypothesis import given
from hypothesis import strategies as st

from app.graphql.limits import DocumentLimits, Measure, Walk, check

SCHEMA = build_schema("""
    type Query {
      clients(first: Int = 50, after: String): ClientConnection!
      client(id: ID!): Client
      node(id: ID!): Node
      benchmarks: Int
      all: [Client!]!
    }
    interface Node { id: ID! }
    type ClientConnection { totalCount: Int! pageInfo: PageInfo! edges: [ClientEdge!]! }
    type PageInfo { hasNextPage: Boolean! hasPreviousPage: Boolean! startCursor: String endCursor: String }
    type ClientEdge { cursor: String! node: Client! }
    type Client implements Node {
      id: ID! name: String! size: String industry: String engagementModel: String owner: String renewalDate: String
      alertsEnabled: Boolean lastActivityAt: String
      health: HealthScore
      usage(days: Int! = 30): Usage!
      healthHistory(days: Int = 90): [HealthPoint!]!
      features: [Feature!]!
    }
    type HealthScore {
      score: Int trafficLight: String trend: String trendDelta: Int riskLevel: String coverage: Int!
      calculatedAt: String! components: [HealthComponent!]!
    }
    type HealthComponent {
      key: String label: String weight: Int score: Int trafficLight: String measured: Boolean contribution: Float
      explanation: String
    }
    type Usage { daily: [UsageDay!]! summary: UsageDay! }
    type UsageDay { date: String! logins: Int! }
    type HealthPoint { date: String! score: Int }
    type Feature { key: String! }
""")

HEALTH_CARD = """
    fragment HealthCard on Client {
      id name size industry engagementModel owner renewalDate alertsEnabled lastActivityAt health { ...Health }
    }
    fragment Health on HealthScore {
      score trafficLight trend trendDelta riskLevel coverage calculatedAt
      components { key label weight score trafficLight measured contribution explanation }
    }
"""

PORTFOLIO = (
    """query Portfolio($first: Int = 50, $after: String) {
      clients(first: $first, after: $after) {
        totalCount
        pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
        edges { cursor node { ...HealthCard } }
      }
    }"""
    + HEALTH_CARD
)

# One client of the portfolio: 9 plain fields, `health` with 7, `components` with 5 times 8; and its edge: 2.
CARD = 9 + 1 + 7 + 1 + 5 * 8 + 2


def measure(document: str, **variables: Any) -> Measure:
    return next(Walk(SCHEMA, parse(document), variables).measures())


def cost(document: str, **variables: Any) -> int:
    return measure(document, **variables).cost


def refusal(document: str, schema: GraphQLSchema = SCHEMA, **variables: Any) -> str:
    with pytest.raises(GraphQLError) as error:
        check(schema, parse(document), variables)
    assert error.value.extensions == {"code": "DOCUMENT_TOO_COMPLEX"}
    return error.value.message


def doubled(levels: int) -> str:
    """Fragments of which each uses the next one twice."""
    chain = "".join(f"fragment F{n} on Query {{ ...F{n + 1} ...F{n + 1} }}" for n in range(levels))
    return "{ ...F0 }" + chain + f"fragment F{levels} on Query {{ benchmarks }}"


def test_the_portfolio_costs_what_its_page_holds() -> None:
    page = 1 + 1 + 1 + 4 + 1
    assert cost(PORTFOLIO) == page + 50 * CARD
    assert cost(PORTFOLIO, first=1) == page + CARD
    assert cost(PORTFOLIO, first=100) == page + 100 * CARD
    check(SCHEMA, parse(PORTFOLIO), {"first": 100})


def test_a_page_size_that_the_resolver_refuses_is_left_to_the_resolver() -> None:
    for first in (0, -1, 101, 10**9, 1e300, float("nan"), True, "100", None, [1]):
        check(SCHEMA, parse(PORTFOLIO), {"first": first})
    assert cost(PORTFOLIO, first=101) == cost(PORTFOLIO, first=100)
    assert cost(PORTFOLIO, first="100") == cost(PORTFOLIO, first=100)
    assert cost(PORTFOLIO, first=-1) == cost(PORTFOLIO, first=0) == 8


@pytest.mark.parametrize(
    ("arguments", "days"),
    [("", 90), ("(days: 7)", 7), ("(days: $given)", 5), ("(days: $default)", 3), ("(days: $missing)", 730)],
)
def test_a_list_is_as_long_as_its_argument_says_or_its_default(arguments: str, days: int) -> None:
    document = f"""
      query ($given: Int, $default: Int = 3, $missing: Int) {{
        client(id: 1) {{ healthHistory{arguments} {{ date score }} }}
      }}"""
    assert cost(document, given=5) == 1 + 2 + days * 2


def test_of_two_defaults_of_one_variable_the_larger_counts() -> None:
    operation = "query {name}($days: Int = {days}) {{ client(id: 1) {{ healthHistory(days: $days) {{ date }} }} }}"
    shorter, longer = operation.format(name="A", days=10), operation.format(name="B", days=20)
    assert cost(shorter + longer) == cost(longer + shorter) == 1 + 2 + 20


def test_the_length_of_a_page_applies_to_its_lists_and_not_to_what_is_there_once() -> None:
    assert cost("{ client(id: 1) { usage(days: 365) { summary { date } } } }") == 1 + 5 + 2
    assert cost("{ client(id: 1) { usage(days: 365) { daily { date } } } }") == 1 + 5 + 1 + 365


def test_the_length_reaches_lists_inside_fragments() -> None:
    document = """
      { clients(first: 7) { ...Page ... on ClientConnection { edges { cursor } } } }
      fragment Page on ClientConnection { edges { ...Edge } } fragment Edge on ClientEdge { node { id } }"""
    assert cost(document) == 1 + 1 + 7 * 2 + 1 + 7


def test_lists_without_an_argument_have_an_assumed_length() -> None:
    assert cost("{ all { id } }") == 1 + 20
    assert cost("{ client(id: 1) { features { key } } }") == 1 + 1 + 50
    assert cost("{ benchmarks }") == 200


def test_lists_in_lists_are_multiplied_and_refused() -> None:
    document = "{ clients(first: 100) { edges { node { usage(days: 365) { daily { date logins } } } } } }"
    assert cost(document) == 1 + 1 + 100 * (1 + 5 + 1 + 365 * 2)
    assert refusal(document).startswith("The document may return too much: it costs more than 20,000 points;")
    assert refusal("{ all { id usage(days: 366) { daily { date logins } } healthHistory(days: 366) { date score } } }")
    check(SCHEMA, parse("{ clients(first: 100) { edges { node { healthHistory(days: 30) { date score } } } } }"), {})


def test_the_same_list_many_times_is_refused() -> None:
    pages = " ".join(f"p{n}: clients(first: 100) {{ edges {{ node {{ ...HealthCard }} }} }}" for n in range(4))
    assert refusal("{" + pages + "}" + HEALTH_CARD).startswith("The document may return too much")


def test_depth_is_limited_to_fifteen_fields() -> None:
    schema = build_schema("type Query { deeper: Query leaf: Int }")
    for levels, wrapping in ((14, "deeper {{ {} }}"), (14, "... on Query {{ deeper {{ {} }} }}")):
        document = "leaf"
        for _ in range(levels):
            document = wrapping.format(document)
        check(schema, parse("{" + document + "}"), {})
        assert refusal("{" + wrapping.format(document) + "}", schema) == (
            "The document nests fields more than 15 levels deep."
        )


def test_selections_aliases_and_directives_are_limited_as_often_as_they_are_used() -> None:
    check(SCHEMA, parse("{" + "__typename " * 1000 + "}"), {})
    assert refusal("{" + "__typename " * 1001 + "}").startswith("The document selects more than 1,000 fields;")
    twenty_five = "fragment F on Query {" + " ".join(f"a{n}: __typename" for n in range(25)) + "}"
    check(SCHEMA, parse("{ ...F ...F }" + twenty_five), {})
    assert refusal("{ ...F ...F b: __typename }" + twenty_five) == "The document uses more than 50 aliases."
    once = "@include(if: true) "
    check(SCHEMA, parse("{ __typename " + once * 50 + "}"), {})
    places = ["{ __typename " + once * 51 + "}", "query " + once * 51 + "{ __typename }"]
    places += ["query ($v: Int " + once * 51 + ") { __typename }", "{ ... on Query " + once * 51 + "{ __typename } }"]
    places += ["{ ...F } fragment F on Query " + once * 51 + "{ __typename }", "{ ...F " + once * 51 + "}"]
    for document in places:
        assert refusal(document) == "The document uses more than 50 directives."


def test_a_second_operation_and_an_unused_fragment_are_measured_too() -> None:
    wide = "{" + "__typename " * 1001 + "}"
    assert refusal("query A { __typename } query B " + wide).startswith("The document selects more than 1,000")
    assert refusal("{ __typename } fragment F on Query " + wide).startswith("The document selects more than 1,000")


def test_doubled_fragments_are_walked_once_each() -> None:
    walk = Walk(SCHEMA, parse(doubled(30)), {})
    first, *_ = walk.measures()
    assert first.selections == 2**31 - 2 + 2**30 + 1
    assert first.cost == 200 * 2**30
    assert walk.visits == 1 + 30 * 2 + 1
    assert refusal(doubled(30)).startswith("The document selects more than 1,000 fields;")


def test_long_chains_of_fragments_are_refused_in_either_order() -> None:
    chain = [f"fragment F{n} on Query {{ ...F{n + 1} }}" for n in range(600)] + [
        "fragment F600 on Query { all { id } }"
    ]
    assert refusal("{ ...F0 }" + "".join(chain)).startswith("The document nests its braces and fragments more than 100")
    # Backwards every fragment is known before it is used; the walk ends all the same.
    assert Walk(SCHEMA, parse("".join(reversed(chain)) + "{ __typename }"), {}).visits == 0
    check(SCHEMA, parse("".join(reversed(chain[-90:])) + "{ __typename }"), {})


def test_documents_that_are_wrong_are_walked_to_their_end() -> None:
    for document in (
        "{ ...F } fragment F on Query { ...F }",
        "{ ...A } fragment A on Query { ...B ...B } fragment B on Query { ...A ...A }",
        "{ ...Unknown }",
        "{ unknown { unknown(first: 5) { id } } }",
        "{ ... on Unknown { id } benchmarks { id } }",
        "{ client(id: 1, id: 2) { healthHistory(days: [1], days: {a: 1}) { date } } }",
        "{ clients(first: $undefined) { edges { node { id } } } }",
        "mutation { unknown }",
        "subscription { unknown }",
        "fragment F on Unknown { id }",
        "type Query { id: ID }",
    ):
        check(SCHEMA, parse(document), {})


@pytest.mark.parametrize("depth", [7, 9, 15])
def test_the_introspection_of_the_usual_tools_passes(depth: int) -> None:
    everything = get_introspection_query(
        specified_by_url=True,
        directive_is_repeatable=True,
        schema_description=True,
        input_value_deprecation=True,
        one_of=True,
        type_depth=depth,
    )
    check(SCHEMA, parse(everything), {})
    assert validate(SCHEMA, parse(everything)) == []


def test_introspection_that_goes_around_in_circles_is_refused_by_the_validator() -> None:
    circles = "{ __schema { types { fields { type { fields { type { fields { name } } } } } } } }"
    assert [error.message for error in validate(SCHEMA, parse(circles))] == ["Maximum introspection depth exceeded"]


def test_the_operations_of_the_front_end_keep_far_from_the_limits_in_size() -> None:
    found = measure(PORTFOLIO, first=100)
    assert (found.depth, found.aliases, found.directives) == (6, 0, 0)
    # The card in full, the edge, the page around it, and two spreads.
    assert found.selections == 9 + 1 + 7 + 1 + 8 + 2 + 8 + 2


def _parts(children: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    wrapped = st.lists(children, min_size=1, max_size=3).map(" ".join)
    return wrapped.map(lambda inner: f"clients(first: 3) {{ edges {{ node {{ {inner} }} }} }}") | wrapped.map(
        lambda inner: f"x: all {{ {inner} }}"
    )


_LEAVES = st.sampled_from(["id", "name @skip(if: true)", "...F0", "...F1", "...F2"])


@given(bodies=st.lists(st.recursive(_LEAVES, _parts, max_leaves=8), min_size=3, max_size=3))
def test_a_document_measures_as_much_as_the_same_with_its_fragments_written_out(bodies: list[str]) -> None:
    # A fragment may use those before it, which keeps the expansion finite; other spreads become a plain field.
    bodies = [_without_spreads(body, of=range(index, 3)) for index, body in enumerate(bodies)]
    spread = "{ ...F2 ...F1 }" + "".join(f"fragment F{n} on Query {{ {body} }}" for n, body in enumerate(bodies))
    written_out = "{ ...F2 ...F1 }"
    for n in (2, 1, 0):
        written_out = written_out.replace(f"...F{n}", f"... on Query {{ {bodies[n]} }}")
    assert measure(spread) == measure(written_out)


def _without_spreads(body: str, *, of: range) -> str:
    for n in of:
        body = body.replace(f"...F{n}", "__typename")
    return body


@strawberry.type
class Query:
    @strawberry.field
    def answer(self) -> int:
        return 42


async def test_the_extension_refuses_before_it_validates_and_keeps_what_it_knows() -> None:
    schema = strawberry.Schema(Query, extensions=[DocumentLimits])
    for _ in range(3):
        result = await schema.execute("{ answer }")
        assert (result.data, result.errors) == ({"answer": 42}, None)
        refused = await schema.execute("{" + "unknown " * 1001 + "}")
        assert [error.extensions for error in refused.errors or []] == [{"code": "DOCUMENT_TOO_COMPLEX"}]
        invalid = await schema.execute("{ unknown }")
        assert [error.message for error in invalid.errors or []] == ["Cannot query field 'unknown' on type 'Query'."]
        other = await strawberry.Schema(Query, extensions=[DocumentLimits]).execute("{ answer }")
        assert other.data == {"answer": 42}


async def test_tokens_and_comments_are_limited() -> None:
    schema = strawberry.Schema(Query, extensions=[DocumentLimits])
    long = await schema.execute("{" + "a " * 5000 + "}")
    assert [error.message for error in long.errors or []] == [
        "Syntax Error: Document contains more than 5000 tokens. Parsing aborted."
    ]
    commented = await schema.execute("#\n" * 501 + "{ answer }")
    assert commented.errors is not None
    assert "more than 500 comments" in commented.errors[0].message
    deep = await schema.execute("{ answer(x: " + "[" * 400 + "]" * 400 + ") }")
    assert deep.errors is not None
    assert "nested too deeply" in deep.errors[0].message


async def test_a_long_document_is_answered_like_a_short_one() -> None:
    schema = strawberry.Schema(Query, extensions=[DocumentLimits])
    result = await schema.execute("{ answer } #" + "x" * 6000)
    assert result.data == {"answer": 42}
    invalid = await schema.execute("{ unknown } #" + "x" * 6000)
    assert [error.message for error in invalid.errors or []] == ["Cannot query field 'unknown' on type 'Query'."]
