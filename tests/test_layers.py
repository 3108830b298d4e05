"""Who may import whom: found in the source text, imports inside functions included."""

import ast
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
OURS = {"app", "workers", "migrations"}
MAX_LINES = 400

# The layer of a module is its file's name within a capability, where anything else is a part of the service that was
# split from it, and its package elsewhere. These files are as pure as rules.
PURE = {
    "app.health.explanations",
    "app.health.staleness",
    "app.alerts.causes",
    # The kinds of files, where their rows go, and what feed they are of: all are read by the import's queries.
    "app.ingest.formats",
    "app.ingest.targets",
    "app.ingest.feeds",
    # The demo portfolio is made up by pure functions of a seed and a day.
    "app.demo.accounts",
    "app.demo.days",
    "app.demo.habits",
    "app.demo.names",
    "app.demo.people",
    "app.demo.portfolio",
    "app.demo.rows",
    "app.demo.work",
}
LAYERS = {"rules", "models", "queries", "service"}
# Single modules below all capabilities, as layers of their own.
SHARED = {
    "app.database",
    "app.errors",
    "app.jobs",
    "app.settings",
    "app.logs",
    "app.processes",
    "app.migrate",
    "app.tables",
}
# What puts everything together, and may therefore import everything but the workers.
COMPOSITION = {
    "app.cli",
    "app.commands",
    "app.main",
    "app.supervisor",
    "app.embedded",
    "app.private_servers",
    "app.operations",
    "app.server",
}

# What each layer may import. "own" stands for modules of the same capability only.
ALLOWED: Mapping[str, set[str]] = {
    "rules": {"rules"},
    "models": {"models", "rules", "app.database"},
    "queries": {"own models", "own rules", "app.database"},
    "service": {
        "rules",
        "own queries",
        "models",
        "service",
        "app.jobs",
        "app.errors",
        "app.database",
    },
    "auth": {"auth", "app.errors", "app.settings", "app.database"},
    "loaders": {"graphql", "service", "queries", "rules", "models", "app.errors", "app.database"},
    "graphql": {"graphql", "loaders", "service", "rules", "models", "auth", "app.errors"},
    "dashboard": {"dashboard", "graphql", "auth", "app.errors"},
    # What is sent in over HTTP is stored many requests at a time.
    "intake": {"intake", "graphql", "service", "rules", "models", "auth", "app.errors", "app.database"},
    "workers": {
        "workers",
        "service",
        "app.tables",
        "app.database",
        "app.errors",
        "app.jobs",
        "app.settings",
        "app.logs",
        "app.processes",
    },
    "migrations": {"migrations", "app.database", "app.settings", "app.tables"},
    # Jobs are sent after the commit, which the database sees to.
    "app.database": {"app.jobs"},
    "app.tables": {"models"},
    "app.errors": set(),
    "app.jobs": set(),
    "app.settings": set(),
    "app.logs": set(),
    "app.processes": set(),
    "app.migrate": set(),
}

# Third-party packages: everything else may import any, except that the API's stay in the API.
THIRD_PARTY = {
    "rules": set[str](),
    "models": {"sqlalchemy", "sqlmodel"},
    "queries": {"sqlalchemy"},
    "service": {"orjson", "sqlalchemy", "structlog"},
}
# What a single module is there for.
THIRD_PARTY_OF = {
    "app.delivery.notify": {"apprise"},
    "app.delivery.webhooks": {"h11"},
}
OF_THE_API = {"strawberry", "graphql", "starlette"}
SPEAKING_HTTP = {"graphql", "loaders", "dashboard", "intake"}
# The packages below app/ that are no capability: each is a layer of its own.
PACKAGES = {"graphql", "auth", "dashboard", "intake"}

# Each exception with its reason; one that is no longer needed fails the test.
EXCEPTIONS = {
    # The context holds the database, from which resolvers and loaders take their connections.
    ("app.graphql.context", "app.database"),
    ("app.graphql.context", "app.settings"),
    # Sessions are tables of what knows the callers, which is no capability.
    ("app.tables", "app.auth.models"),
    # An enum that is written in files, stored in columns and compared by rules is declared once, beside its column.
    ("app.ingest.formats", "app.clients.models"),
    ("app.ingest.formats", "app.usage.models"),
    ("app.demo.accounts", "app.clients.models"),
    ("app.demo.names", "app.clients.models"),
    ("app.demo.names", "app.usage.models"),
    ("app.demo.people", "app.clients.models"),
    ("app.demo.work", "app.clients.models"),
    ("app.demo.work", "app.usage.models"),
    # The pace of a run is a setting; both carry out runs outside of a worker, too.
    ("app.runs.execution", "app.settings"),
    ("app.demo.service", "app.settings"),
}


def modules() -> dict[str, Path]:
    """Return every module of this project by its name."""
    found = {}
    for package in sorted(OURS):
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def capability(module: str) -> str | None:
    """Return the capability that a module belongs to."""
    parts = module.split(".")
    inside = len(parts) == 3 and parts[0] == "app" and parts[1] not in PACKAGES
    return parts[1] if inside else None


def layer(module: str) -> str:
    """Return the layer of a module; its own name for a shared one, and for what nobody has given a place."""
    if module == "app.graphql.loaders":
        return "loaders"
    if capability(module):
        name = module.rpartition(".")[2]
        return "rules" if module in PURE else name if name in LAYERS else "service"
    parts = module.split(".")
    if parts[0] != "app":
        return parts[0]
    return parts[1] if PACKAGES.intersection(parts[1:2]) else module


def imports(source: str) -> Iterator[str]:
    """Yield every module that a source text imports, wherever it does so."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            # A relative import would hide where it leads.
            assert node.level == 0, f"line {node.lineno}: a relative import"
            assert node.module is not None
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in MODULES else node.module


def is_allowed(importer: str, imported: str) -> bool:
    """Return whether the layers let one module of this project import another."""
    if importer in COMPOSITION:
        return not imported.startswith("workers")
    wanted = layer(imported)
    allowed = ALLOWED.get(layer(importer), set())
    own = capability(importer) is not None and capability(importer) == capability(imported)
    return wanted in allowed or (own and f"own {wanted}" in allowed)


def violations(importer: str, source: str) -> Iterator[str]:
    """Yield what a source text imports and must not, in its place in the project."""
    for imported in imports(source):
        top = imported.partition(".")[0]
        if top in OURS:
            if not is_allowed(importer, imported) and (importer, imported) not in EXCEPTIONS:
                yield f"{importer} imports {imported}"
        elif top not in sys.stdlib_module_names:
            known = THIRD_PARTY.get(layer(importer), set()) | THIRD_PARTY_OF.get(importer, set())
            outside = (
                layer(importer) not in {"graphql", "loaders", "dashboard", "intake"} and importer not in COMPOSITION
            )
            limited = layer(importer) in THIRD_PARTY
            if (limited and top not in known) or (outside and top in OF_THE_API):
                yield f"{importer} imports {imported}"


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_what_its_layer_may(module: str) -> None:
    assert list(violations(module, MODULES[module].read_text(encoding="utf-8"))) == []


def test_every_module_has_a_place() -> None:
    # Packages hold nothing but their docstring, or bind what is in them together.
    homeless = [
        module
        for module, path in MODULES.items()
        if path.name != "__init__.py" and module not in COMPOSITION and layer(module) not in ALLOWED
    ]
    assert homeless == []
    assert MODULES.keys() >= PURE | COMPOSITION | SHARED


def test_every_exception_is_needed() -> None:
    for importer, imported in EXCEPTIONS:
        assert imported in set(imports(MODULES[importer].read_text(encoding="utf-8"))), (importer, imported)
        assert not is_allowed(importer, imported), (importer, imported)


def test_nothing_is_called_utils() -> None:
    names = {part for module in MODULES for part in module.split(".")}
    assert not names & {"util", "utils", "helpers", "misc", "common"}


@pytest.mark.parametrize("folder", ["app", "benchmarks", "migrations", "tests", "workers"])
def test_files_are_shorter_than_400_lines(folder: str) -> None:
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in (ROOT / folder).rglob("*.py")
    }
    assert {name: length for name, length in lengths.items() if length >= MAX_LINES} == {}


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("app.health.rules", "import sqlalchemy"),
        ("app.health.rules", "from app.database import fetch"),
        ("app.health.rules", "from app.health import queries"),
        ("app.health.rules", "def late() -> None:\n    import orjson\n"),
        ("app.health.models", "from app.health.service import score_day"),
        ("app.health.queries", "from app.health.service import score_day"),
        ("app.health.queries", "import app.clients.queries"),
        ("app.health.service", "from app.clients import queries"),
        ("app.health.service", "if True:\n    import app.clients.queries as clients\n"),
        ("app.health.service", "from app.graphql.context import Context"),
        ("app.health.service", "import app.graphql.schema"),
        ("app.health.service", "import strawberry"),
        ("app.health.service", "from app.settings import get_settings"),
        ("app.health.service", "from workers.actors import execute_run"),
        ("app.graphql.clients", "from app.clients import queries"),
        ("app.graphql.clients", "from app.clients.queries import BY_IDS"),
        ("app.graphql.loaders", "from workers.broker import make_broker"),
        ("app.main", "import workers.actors"),
        ("app.cli", "def late() -> None:\n    from workers import actors\n"),
        ("app.database", "from app.clients.models import Client"),
        ("app.jobs", "import starlette"),
        ("app.brand_new", "from app.clients import service"),
        ("workers.actors", "from app.health import queries"),
        ("workers.actors", "from app.graphql.schema import schema"),
        ("workers.actors", "from app.main import create_app"),
        ("migrations.env", "from app.clients.service import page"),
    ],
)
def test_a_forbidden_import_is_found(module: str, source: str) -> None:
    assert len(list(violations(module, source))) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("app.health.rules", "from datetime import date\nfrom app.usage.rules import Day"),
        ("app.health.queries", "from sqlalchemy import text\nfrom app.health.models import HealthScore"),
        ("app.health.service", "from app.health import queries\nfrom app.clients import service, rules"),
        ("app.graphql.loaders", "from app.health import queries\nimport strawberry"),
        ("app.graphql.clients", "from app.clients import service\nfrom app.graphql.loaders import Loaders"),
        ("workers.actors", "from app.runs.execution import execute\nimport dramatiq"),
        ("app.main", "from app.graphql.schema import schema\nimport starlette"),
    ],
)
def test_an_allowed_import_is_none_of_them(module: str, source: str) -> None:
    assert list(violations(module, source)) == []


def test_a_relative_import_is_refused() -> None:
    with pytest.raises(AssertionError, match="relative import"):
        list(imports("from . import queries"))
