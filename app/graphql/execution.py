"""The executor, with a shorter way through what is only read off objects.

A portfolio page has some 2,750 fields without a resolver, in lists of objects in objects. The stock executor describes
each one for its resolver, looks for a resolver's coroutine, and walks the type that the value is completed to, which is
nine tenths of what a page costs. Here the part of a document below a field is made into readers once, and each of them
turns an object into its part of the answer. Whatever is out of the ordinary, a null or a type that should not be there,
is left to the stock executor: it reads the same objects again, and reports what is wrong with its place.
"""

from collections.abc import Callable
from functools import cache, cached_property, partial
from operator import attrgetter
from typing import Any

from graphql import (
    GraphQLBoolean,
    GraphQLEnumType,
    GraphQLID,
    GraphQLInt,
    GraphQLList,
    GraphQLObjectType,
    GraphQLString,
    Undefined,
    get_nullable_type,
    is_leaf_type,
    is_non_null_type,
)
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext
from strawberry.schema.schema_converter import GraphQLCoreConverter

# Turns a value, or the object that holds it, into what goes into the answer.
Reader = Callable[[Any], Any]

INT_LIMIT = 2**31


class OutOfTheOrdinaryError(Exception):
    """What the stock executor has to look at."""


def _read_int(value: Any) -> Any:
    if type(value) is int and -INT_LIMIT <= value < INT_LIMIT:
        return value
    raise OutOfTheOrdinaryError


def _reader_of_exactly(type_: type) -> Reader:
    def read(value: Any) -> Any:
        if type(value) is type_:
            return value
        raise OutOfTheOrdinaryError

    return read


@cache
def _leaf_reader(type_: Any) -> Reader:
    """Return the reader of a scalar or an enum."""
    if type_ is GraphQLInt:
        return _read_int
    if type_ is GraphQLString or type_ is GraphQLID:
        return _reader_of_exactly(str)
    if type_ is GraphQLBoolean:
        return _reader_of_exactly(bool)
    if isinstance(type_, GraphQLEnumType):
        # A member of an enum of strings is equal to its value, which is what a row holds.
        names = {value.value: name for name, value in type_.values.items()}
        return names.__getitem__
    coerce = type_.coerce_output_value

    def read(value: Any) -> Any:
        completed = coerce(value)
        if completed is None or completed is Undefined:
            raise OutOfTheOrdinaryError
        return completed

    return read


def _checked(read: Reader, *, nullable: bool) -> Reader:
    """Return a reader that meets null before `read` does."""

    def read_value(value: Any) -> Any:
        if value is not None:
            return read(value)
        if nullable:
            return None
        raise OutOfTheOrdinaryError

    return read_value


def _list_reader(read: Reader) -> Reader:
    def read_items(value: Any) -> Any:
        if type(value) is not list:
            raise OutOfTheOrdinaryError
        return [read(item) for item in value]

    return read_items


def _field_reader(attribute: str, read: Reader, *, nullable: bool) -> Reader:
    get = attrgetter(attribute)

    # What `_checked` does is written out here: this is called for every field of an answer.
    def read_field(source: Any) -> Any:
        value = get(source)
        if value is not None:
            return read(value)
        if nullable:
            return None
        raise OutOfTheOrdinaryError

    return read_field


def _object_reader(type_: GraphQLObjectType, fields: list[tuple[str, Reader]]) -> Reader:
    # A type that stands for an interface somewhere says which objects are its own.
    origin = type_.extensions[GraphQLCoreConverter.DEFINITION_BACKREF].origin if type_.is_type_of else None

    def read(value: Any) -> Any:
        if origin is not None and type(value) is not origin:
            raise OutOfTheOrdinaryError
        return {name: read_field(value) for name, read_field in fields}

    return read


def _name_of(type_: GraphQLObjectType, _value: Any) -> str:
    return type_.name


class Execution(StrawberryGraphQLCoreExecutionContext):
    """Executes one operation."""

    @cached_property
    def _readers(self) -> dict[tuple[GraphQLObjectType, int], tuple[Any, Reader | None]]:
        return {}

    def execute_field(
        self, parent_type: Any, source: Any, field_details_list: Any, path: Any, position_context: Any
    ) -> Any:
        """Return the completed value of a field, or what the executor can await."""
        read = self._reader(parent_type, field_details_list)
        if read is not None:
            try:
                return read(source)
            except Exception:  # noqa: BLE001, S110 - The stock executor meets it again, and reports it with its place.
                pass
        return super().execute_field(parent_type, source, field_details_list, path, position_context)

    def _reader(self, parent_type: GraphQLObjectType, field_details_list: Any) -> Reader | None:
        """Return what reads the field off its object, None where a part of it has a resolver; made once a request."""
        key = (parent_type, id(field_details_list))
        known = self._readers.get(key)
        if known is None:
            # The list is kept, so that no other one gets its id meanwhile.
            known = self._readers[key] = (field_details_list, self._make_reader(parent_type, field_details_list))
        return known[1]

    def _make_reader(self, parent_type: GraphQLObjectType, field_details_list: Any) -> Reader | None:
        field = parent_type.fields.get(field_details_list[0].node.name.value)
        definition = field.extensions.get(GraphQLCoreConverter.DEFINITION_BACKREF) if field else None
        if field is None or definition is None or not definition.is_basic_field:
            return None
        read = self._value_reader(get_nullable_type(field.type), field_details_list)
        if read is None:
            return None
        return _field_reader(definition.python_name, read, nullable=not is_non_null_type(field.type))

    def _value_reader(self, type_: Any, field_details_list: Any) -> Reader | None:
        if isinstance(type_, GraphQLList):
            read = self._value_reader(get_nullable_type(type_.of_type), field_details_list)
            return _list_reader(_checked(read, nullable=not is_non_null_type(type_.of_type))) if read else None
        if is_leaf_type(type_):
            return _leaf_reader(type_)
        if not isinstance(type_, GraphQLObjectType):
            return None
        collected = self.collect_subfields(type_, field_details_list)
        if collected.new_defer_usages:
            return None
        fields: list[tuple[str, Reader]] = []
        for name, details in collected.grouped_field_set.items():
            if details[0].node.name.value == "__typename":
                fields.append((name, partial(_name_of, type_)))
                continue
            read_field = self._reader(type_, details)
            if read_field is None:
                return None
            fields.append((name, read_field))
        return _object_reader(type_, fields)
