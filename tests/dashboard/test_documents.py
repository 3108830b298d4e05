"""Every GraphQL document in the page's modules is one that the API accepts."""

import re
from pathlib import Path

import pytest
from graphql import (
    FragmentDefinitionNode,
    FragmentSpreadNode,
    NoUnusedFragmentsRule,
    OperationDefinitionNode,
    Visitor,
    build_schema,
    parse,
    specified_rules,
    validate,
    visit,
)

ROOT = Path(__file__).parents[2]
STATIC = ROOT / "app" / "dashboard" / "static"
SCHEMA = build_schema((ROOT / "schema.graphql").read_text(encoding="utf-8"))
MODULES = sorted(path for path in STATIC.rglob("*.js") if "vendor" not in path.parts)

CONSTANT = re.compile(r"const (\w+) = gql`([^`]*)`")
EXPORTED = re.compile(r"export const (\w+) = gql`")
PLACEHOLDER = re.compile(r"\$\{(\w+)\}")


def documents() -> tuple[dict[tuple[str, str], str], dict[str, str]]:
    """Return the documents by their modules and names, and the module of each that others may use."""
    found: dict[tuple[str, str], str] = {}
    shared: dict[str, str] = {}
    for module in MODULES:
        text, path = module.read_text(encoding="utf-8"), str(module.relative_to(STATIC))
        constants = CONSTANT.findall(text)
        # One that this test does not see is one that it does not look at; in prose the mark comes without a document.
        assert len(re.findall(r"= gql`|\(gql`", text)) == len(constants), path
        found |= {(path, name): document for name, document in constants}
        for name in EXPORTED.findall(text):
            assert name not in shared, f"{name} is exported twice"
            shared[name] = path
    return found, shared


DOCUMENTS, SHARED = documents()


def whole(path: str, name: str) -> str:
    """Return a document with the fragments that are put into it, its own module's or another's."""

    def fragment(match: re.Match[str]) -> str:
        other = match[1]
        return whole(path if (path, other) in DOCUMENTS else SHARED[other], other)

    return PLACEHOLDER.sub(fragment, DOCUMENTS[path, name])


class Spreads(Visitor):
    """Collects the names of the fragments that a document uses."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def enter_fragment_spread(self, node: FragmentSpreadNode, *_: object) -> None:
        """Note the name."""
        self.names.add(node.name.value)


def test_the_page_has_documents() -> None:
    assert len(DOCUMENTS) >= 8


@pytest.mark.parametrize(("path", "name"), DOCUMENTS)
def test_the_api_accepts_a_document(path: str, name: str) -> None:
    document = parse(whole(path, name))
    alone = not any(isinstance(one, OperationDefinitionNode) for one in document.definitions)
    rules = [rule for rule in specified_rules if not (alone and rule is NoUnusedFragmentsRule)]
    assert validate(SCHEMA, document, rules) == []


@pytest.mark.parametrize(("path", "name"), DOCUMENTS)
def test_a_document_has_one_operation_with_a_name(path: str, name: str) -> None:
    """Whoever looks at the page's requests, or at those of a slow server, sees what they are for."""
    operations = [one for one in parse(whole(path, name)).definitions if isinstance(one, OperationDefinitionNode)]
    assert len(operations) <= 1
    assert all(one.name is not None for one in operations)


def test_every_fragment_is_used() -> None:
    used, defined = Spreads(), set()
    for path, name in DOCUMENTS:
        document = parse(whole(path, name))
        visit(document, used)
        defined |= {one.name.value for one in document.definitions if isinstance(one, FragmentDefinitionNode)}
    assert defined == used.names
