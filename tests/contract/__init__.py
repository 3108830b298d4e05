"""The operations that front ends send, by name."""

from pathlib import Path

from graphql import parse, print_ast
from graphql.utilities import separate_operations


def _operations() -> dict[str, str]:
    """Return every operation of the contract by its name, each with the fragments that it uses."""
    found: dict[str, str] = {}
    for path in sorted(Path(__file__).parent.glob("*.graphql")):
        separated = separate_operations(parse(path.read_text()))
        found |= {name: print_ast(document) for name, document in separated.items()}
    return found


OPERATIONS = _operations()
