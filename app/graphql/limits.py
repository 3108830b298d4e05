"""What a document may ask for at most, found in one walk over it before anything else happens to it.

The walk comes before validation, because some validation rules take a time that grows with the square of the
document. It therefore reads documents that may be wrong in any way: unknown fields cost one point, unknown
fragments nothing, and a fragment that contains itself is counted once around.
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from graphql import (
    DirectiveNode,
    DocumentNode,
    FieldNode,
    FloatValueNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLArgument,
    GraphQLError,
    GraphQLField,
    GraphQLList,
    GraphQLNamedType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    ValueNode,
    VariableNode,
    get_named_type,
    get_nullable_type,
    is_composite_type,
    parse,
    specified_rules,
)
from strawberry.extensions import SchemaExtension
from strawberry.schema.schema import validate_document

from app.graphql.pagination import MAX_DAYS, MAX_PAGE

TOO_COMPLEX = "DOCUMENT_TOO_COMPLEX"

# Under which a result's extensions, which stay inside this service, say whether the document was valid.
VALID = "valid"

# Tokens and comments that the parser reads before it gives up.
MAX_TOKENS = 5_000
MAX_COMMENTS = 500

# Levels of fields, fields and fragments written out, aliases and directives of one operation. Fragments count as
# often as they are used.
MAX_DEPTH = 15
MAX_SELECTIONS = 1_000
MAX_ALIASES = 50
MAX_DIRECTIVES = 50

# Points that one operation may cost: roughly the number of values that it can return.
MAX_COST = 20_000

# Levels of braces and fragments together, far above what MAX_DEPTH leaves room for in an honest document.
MAX_NESTING = 100

# Arguments that say how many items a list may have, with the most that the resolvers accept. A larger number is
# counted as this one: the resolver refuses it with an error that names the argument.
SIZE_ARGUMENTS = {"first": MAX_PAGE, "last": MAX_PAGE, "days": MAX_DAYS}

# Items that a list is taken to have when no argument says how many.
ASSUMED_SIZE = 20
SIZES = {
    "HealthScore.components": 5,
    "Alert.causes": 5,
    "Delivery.attempts": 11,
    "AlertReplay.byDay": 90,
    "AlertFeedbackReport.byKind": 3,
    "AlertFeedbackReport.byComponent": 5,
    "AlertWeekFeedback.byKind": 3,
    "AlertWeekFeedback.byComponent": 5,
    "Client.features": 50,
    "Client.feeds": 5,
    "Query.feeds": 5,
    "PeerBenchmarks.metrics": 4,
    "Run.errors": 50,
}

# Points of fields that cost more than reading a value.
WEIGHTS = {
    "Query.benchmarks": 200,
    "Query.owners": 500,
    "Client.usage": 5,
    "Client.healthHistory": 2,
    "Client.metricHistory": 2,
    "Client.recentActivity": 150,
}

# Documents are kept parsed and validated if they are short, since an entry takes up to 300 bytes a character.
CACHED_DOCUMENTS = 64
MAX_CACHED_CHARACTERS = 5_000


class Measure(NamedTuple):
    """What a selection set amounts to, everything below it included.

    The cost is kept in three parts, because a fragment does not know the argument above it that says how long its
    lists are: what is there once, one item of every plain list, and those lists at the length assumed for them.
    """

    depth: int = 0
    selections: int = 0
    aliases: int = 0
    directives: int = 0
    once: int = 0
    item: int = 0
    assumed: int = 0

    @property
    def cost(self) -> int:
        """Points, when no argument above says how long the lists are."""
        return self.once + self.assumed


NOTHING = Measure()


class Walk:
    """One walk over a document; every fragment is measured once, however often it is used.

    `visits` counts the selections that were looked at.
    """

    def __init__(self, schema: GraphQLSchema, document: DocumentNode, variables: Mapping[str, Any]) -> None:
        self._schema = schema
        self._fragments = {
            definition.name.value: definition
            for definition in document.definitions
            if isinstance(definition, FragmentDefinitionNode)
        }
        self._operations = [
            definition for definition in document.definitions if isinstance(definition, OperationDefinitionNode)
        ]
        self._variables = {**_defaults(self._operations), **variables}
        self._measured: dict[str, Measure] = {}
        self.visits = 0

    def measures(self) -> Iterator[Measure]:
        """Yield the measure of every operation, and of every fragment: validation reads the unused ones, too."""
        for operation in self._operations:
            measure = self._selection_set(
                operation.selection_set, self._schema.get_root_type(operation.operation), nesting=0
            )
            written = [*(operation.directives or ()), *_directives_of_variables(operation)]
            yield measure._replace(directives=measure.directives + len(written))
        for name in self._fragments:
            yield self._fragment(name, nesting=0)

    def _selection_set(
        self, selection_set: SelectionSetNode | None, parent: GraphQLNamedType | None, *, nesting: int
    ) -> Measure:
        if selection_set is None:
            return NOTHING
        if nesting > MAX_NESTING:
            raise _refusal(f"The document nests its braces and fragments more than {MAX_NESTING} levels deep.")
        parts = []
        for selection in selection_set.selections:
            self.visits += 1
            match selection:
                case FieldNode():
                    part = self._field(selection, parent, nesting=nesting)
                case FragmentSpreadNode():
                    part = self._fragment(selection.name.value, nesting=nesting)
                case InlineFragmentNode(type_condition=condition):
                    narrowed = self._schema.get_type(condition.name.value) if condition else parent
                    part = self._selection_set(selection.selection_set, narrowed, nesting=nesting + 1)
            parts.append(
                part._replace(
                    selections=part.selections + 1, directives=part.directives + len(selection.directives or ())
                )
            )
        return _together(parts)

    def _fragment(self, name: str, *, nesting: int) -> Measure:
        fragment = self._fragments.get(name)
        if fragment is None:
            return NOTHING
        if name not in self._measured:
            # The entry is made before the fragment is measured, so that one which contains itself ends here.
            self._measured[name] = NOTHING
            condition = self._schema.get_type(fragment.type_condition.name.value)
            measure = self._selection_set(fragment.selection_set, condition, nesting=nesting + 1)
            self._measured[name] = measure._replace(directives=measure.directives + len(fragment.directives or ()))
        return self._measured[name]

    def _field(self, node: FieldNode, parent: GraphQLNamedType | None, *, nesting: int) -> Measure:
        name = node.name.value
        field = self._schema.get_field(parent, name) if parent is not None and is_composite_type(parent) else None
        below = self._selection_set(
            node.selection_set, get_named_type(field.type) if field else None, nesting=nesting + 1
        )
        # A rule of the validator bounds introspection, and its tools ask for long chains of `ofType`.
        introspection = parent is not None and parent.name.startswith("__")
        place = f"{parent.name}.{name}" if parent is not None else name
        once, item, assumed = WEIGHTS.get(place, 1), 0, 0
        is_list = field is not None and isinstance(get_nullable_type(field.type), GraphQLList)
        size = self._size(node, field)
        if introspection or field is None:
            once += below.cost
        elif is_list and size is not None:
            once += size * below.cost
        elif is_list:
            item = below.cost
            assumed = SIZES.get(place, ASSUMED_SIZE) * item
        elif size is not None:
            once += below.once + size * below.item
        else:
            once += below.cost
        return below._replace(
            depth=below.depth + (0 if introspection else 1),
            aliases=below.aliases + (1 if node.alias else 0),
            once=once,
            item=item,
            assumed=assumed,
        )

    def _size(self, node: FieldNode, field: GraphQLField | None) -> int | None:
        """Return how many items the arguments of a field let its lists have; None if none of them speaks of that."""
        if field is None:
            return None
        written = {argument.name.value: argument.value for argument in node.arguments or ()}
        sizes = [
            self._number(written.get(name), argument, SIZE_ARGUMENTS[name])
            for name, argument in field.args.items()
            if name in SIZE_ARGUMENTS
        ]
        return max(sizes) if sizes else None

    def _number(self, value: ValueNode | None, argument: GraphQLArgument, most: int) -> int:
        if isinstance(value, VariableNode):
            number = self._variables.get(value.name.value)
        elif isinstance(value, IntValueNode):
            number = int(value.value)
        elif value is None:
            number = _default_of(argument)
        else:
            number = None
        # Whatever is no number is refused later; until then it counts as the most there can be.
        if isinstance(number, bool) or not isinstance(number, int | float) or not number <= most:
            return most
        return max(int(number), 0)


def _together(parts: list[Measure]) -> Measure:
    if not parts:
        return NOTHING
    depths, *sums = zip(*parts, strict=True)
    return Measure(max(depths), *map(sum, sums))


def _defaults(operations: list[OperationDefinitionNode]) -> dict[str, float]:
    """Return the default values of all variables that are numbers; of two with one name the larger."""
    defaults: dict[str, float] = {}
    for operation in operations:
        for variable in operation.variable_definitions or ():
            value = variable.default_value
            if isinstance(value, IntValueNode | FloatValueNode):
                name = variable.variable.name.value
                defaults[name] = max(defaults.get(name, 0), float(value.value))
    return defaults


def _directives_of_variables(operation: OperationDefinitionNode) -> list[DirectiveNode]:
    return [directive for variable in operation.variable_definitions or () for directive in variable.directives or ()]


def _default_of(argument: GraphQLArgument) -> Any:
    if argument.default is None:
        return argument.default_value
    if isinstance(argument.default.literal, IntValueNode):
        return int(argument.default.literal.value)
    return argument.default.value


def _refusal(message: str) -> GraphQLError:
    return GraphQLError(message, extensions={"code": TOO_COMPLEX})


def check(schema: GraphQLSchema, document: DocumentNode, variables: Mapping[str, Any]) -> None:
    """Check every operation and fragment of `document` against the limits.

    Raises GraphQLError with the code DOCUMENT_TOO_COMPLEX, whose message names the limit.
    """
    for measure in Walk(schema, document, variables).measures():
        if measure.depth > MAX_DEPTH:
            raise _refusal(f"The document nests fields more than {MAX_DEPTH} levels deep.")
        if measure.selections > MAX_SELECTIONS:
            raise _refusal(
                f"The document selects more than {MAX_SELECTIONS:,} fields; a fragment counts as often as it is used."
            )
        if measure.aliases > MAX_ALIASES:
            raise _refusal(f"The document uses more than {MAX_ALIASES} aliases.")
        if measure.directives > MAX_DIRECTIVES:
            raise _refusal(f"The document uses more than {MAX_DIRECTIVES} directives.")
        if measure.cost > MAX_COST:
            raise _refusal(
                f"The document may return too much: it costs more than {MAX_COST:,} points; "
                "ask for fewer items, fewer days or fewer fields."
            )


def _parse(query: str) -> DocumentNode:
    return parse(query, max_lexical_tokens=MAX_TOKENS, max_comments=MAX_COMMENTS)


def _errors(schema: GraphQLSchema, document: DocumentNode) -> list[GraphQLError]:
    return validate_document(schema, document, tuple(specified_rules))


_parse_cached = lru_cache(CACHED_DOCUMENTS)(_parse)


@lru_cache(CACHED_DOCUMENTS)
def _check_cached(schema: GraphQLSchema, query: str, numbers: tuple[tuple[str, float | None], ...]) -> None:
    # A refusal is raised and therefore not kept: only honest documents are worth their place.
    check(schema, _parse_cached(query), dict(numbers))


@lru_cache(CACHED_DOCUMENTS)
def _errors_cached(schema: GraphQLSchema, query: str) -> list[GraphQLError]:
    return _errors(schema, _parse_cached(query))


class DocumentLimits(SchemaExtension):
    """Parses, measures and validates the document of a request, in this order.

    What short documents came to is kept. This stands for the parser cache, the validation cache and the token
    limiter of Strawberry, whose order among each other would leave the costly validation before the limits.
    """

    valid = False

    def on_parse(self) -> Iterator[None]:
        """Parse the document within the limits of tokens and comments."""
        query = self.execution_context.query or ""
        short = len(query) <= MAX_CACHED_CHARACTERS
        self.execution_context.graphql_document = _parse_cached(query) if short else _parse(query)
        yield

    def on_validate(self) -> Iterator[None]:
        """Measure the document, and validate it if it keeps the limits."""
        context = self.execution_context
        schema, document, query = context.schema._schema, context.graphql_document, context.query or ""
        if document is None:
            raise ValueError("a document is parsed before it is validated")
        # Variables other than numbers are all the same to the limits; which of them are given is not.
        numbers = tuple(
            (name, value if isinstance(value, int | float) else None)
            for name, value in sorted((context.variables or {}).items())
        )
        try:
            if len(query) <= MAX_CACHED_CHARACTERS:
                _check_cached(schema, query, numbers)
                errors = _errors_cached(schema, query)
            else:
                check(schema, document, dict(numbers))
                errors = _errors(schema, document)
        except GraphQLError as refusal:
            errors = [refusal]
        context.pre_execution_errors = list(errors)
        self.valid = not errors
        yield

    def get_results(self) -> dict[str, Any]:
        """Tell whoever executes the document whether it was valid: the errors of a subscription do not say."""
        return {VALID: self.valid}
