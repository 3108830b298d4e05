"""Random files, imported in random chunks, against a model that takes one row at a time."""

import csv
import json
import tempfile
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from app.database import Database
from tests.ingest.helpers import NOW, counts, load
from tests.ingest.model import DEFAULTS, KEYS, Model

# A cell is what the file says and what it means; None is a cell that costs its row.
Cell = tuple[str, Any] | None

NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8).map(str.strip).filter(bool)
EXTERNAL_IDS = st.sampled_from(["1", "1", "1", "2", "ü😀", 'q",'])


def plain(values: st.SearchStrategy[str]) -> st.SearchStrategy[Cell]:
    """Cells that mean what they say."""
    return values.map(lambda value: (value, value))


def words(*names: str, otherwise: str | None = None) -> st.SearchStrategy[Cell]:
    """Enum words in any case, and one that is not listed where another stands for it."""
    cells = [(written, name) for name in names for written in (name, name.lower(), name.title())]
    return st.sampled_from(cells if otherwise is None else [*cells, ("sundry", otherwise)])


def moment(hours: int) -> datetime:
    """Return a time some hours around NOW."""
    return NOW + timedelta(hours=hours)


MOMENTS = st.integers(-40, 40).flatmap(
    lambda hours: st.sampled_from(
        [
            (moment(hours).isoformat(), moment(hours)),
            (moment(hours).isoformat().replace("+00:00", "Z"), moment(hours)),
            (moment(hours).replace(tzinfo=None).isoformat(" "), moment(hours)),
            (moment(hours + 2).isoformat().replace("+00:00", "+02:00"), moment(hours)),
        ]
    )
)
TIMES: st.SearchStrategy[Cell] = st.one_of(MOMENTS, MOMENTS, st.just(("2025-06-30", moment(-24))))
DATES: st.SearchStrategy[Cell] = st.sampled_from(
    [("2025-06-30", date(2025, 6, 30)), ("2025-06-30T23:00:00-03:00", date(2025, 7, 1))]
)
COUNTS: st.SearchStrategy[Cell] = st.integers(0, 6).map(lambda value: (str(value), value))
NUMBERS: st.SearchStrategy[Cell] = st.sampled_from(
    [("0", Decimal(0)), ("12.5", Decimal("12.5")), ("12.50", Decimal("12.5")), ("1e2", Decimal(100))]
)
FLAGS: st.SearchStrategy[Cell] = st.sampled_from([("true", True), ("False", False)])
CATEGORIES = ("CORE", "ADVANCED", "INTEGRATION", "REPORTING")

CELLS: dict[str, st.SearchStrategy[Cell]] = {
    **dict.fromkeys(("external_id", "client", "member", "campaign", "key", "feature"), plain(EXTERNAL_IDS)),
    **dict.fromkeys(("name", "owner", "priority"), plain(NAMES)),
    "size": words("ENTERPRISE", "MIDMARKET", "SMB"),
    "industry": words("FINANCIAL", "HEALTHCARE", otherwise="OTHER"),
    "status": words("ACTIVE", "TRIAL", "CHURNED"),
    "engagement_model": words("HIGH_TOUCH", "PLG"),
    "kind": words("ATTESTATION", "OTHER"),
    "category": words(*CATEGORIES),
    **dict.fromkeys(("customer_since", "renewal_date"), DATES),
    **dict.fromkeys(("alerts_enabled", "enabled"), FLAGS),
    **dict.fromkeys(("assigned", "completed"), COUNTS),
    **dict.fromkeys(("annual_value", "duration_minutes"), NUMBERS),
    **dict.fromkeys(("at", "created_at", "deactivated_at", "churned_at", "sla_due_at"), TIMES),
    **dict.fromkeys(("opened_at", "closed_at", "first_used_at", "last_used_at"), TIMES),
}


EMPTY: Cell = ("", None)


@st.composite
def files(draw: st.DrawFn, kind: str) -> tuple[bool, list[str], list[list[Cell]]]:
    """Draw a file of one kind: whether it is JSON, its columns, and its rows, few of them with a spoilt cell."""
    values = [name for name in DEFAULTS[kind] if name != "created_at_inferred"]
    left_in = draw(st.lists(st.sampled_from(values), unique=True)) if values else []
    columns = KEYS[kind] + left_in
    cells = [CELLS[name] for name in KEYS[kind]] + [st.one_of(CELLS[name], st.just(EMPTY)) for name in left_in]
    lines = draw(st.lists(st.tuples(*cells).map(list), min_size=1, max_size=14))
    for line in lines:
        if draw(st.integers(0, 9)) == 9:
            at = draw(st.integers(0, len(line) - 1))
            # There is no wrong industry: whatever is not listed is OTHER.
            line[at] = EMPTY if columns[at] == "industry" else draw(st.sampled_from([None, EMPTY]))
    return draw(st.booleans()), columns, lines


IMPORTS = st.fixed_dictionaries({}, optional={kind: files(kind) for kind in KEYS}).filter(bool)


def write(folder: Path, kind: str, as_json: bool, columns: list[str], lines: list[list[Cell]]) -> None:
    """Write one file; a cell without a meaning is written as something that no column takes."""
    folder.mkdir(exist_ok=True)
    table = [["!" * 401 if cell is None else cell[0] for cell in line] for line in lines]
    if as_json:
        documents = [json.dumps(dict(zip(columns, line, strict=True))) for line in table]
        (folder / f"{kind}.jsonl").write_text("".join(f"{document}\n" for document in documents))
    else:
        with (folder / f"{kind}.csv").open("w", newline="", encoding="utf-8") as stream:
            csv.writer(stream).writerows([columns, *table])


def base() -> dict[str, Any]:
    """Return a first import that gives most random rows something to refer to."""
    some = ["1", "2"]
    pairs = [[("1", "1"), (name, name)] for name in some]
    return {
        "clients": (False, ["external_id", "name"], [[(name, name), ("N", "N")] for name in some]),
        "members": (False, ["client", "external_id"], pairs),
        "campaigns": (False, ["client", "external_id"], pairs),
        "features": (False, ["key"], [[(name, name)] for name in some]),
    }


JOINS = {
    "client": "JOIN clients client ON client.id = t.client_id",
    "member": "JOIN members member ON member.id = t.member_id",
    "campaign": "JOIN campaigns campaign ON campaign.id = t.campaign_id",
    "feature": "JOIN features feature ON feature.id = t.feature_id",
}


async def stored(database: Database, kind: str) -> dict[tuple[Any, ...], dict[str, Any]]:
    """Return what the database holds of one kind, in the model's form."""
    keys = [
        ("feature.key" if name == "feature" else f"{name}.external_id") if name in JOINS else f"t.{name}"
        for name in KEYS[kind]
    ]
    joins = " ".join(join for name, join in JOINS.items() if name in KEYS[kind])
    values = list(DEFAULTS[kind])
    async with database.read() as connection:
        found = await connection.execute(
            text(f"SELECT {', '.join(keys + [f't.{name}' for name in values])} FROM {kind} t {joins}")
        )
        width = len(keys)
        return {tuple(row[:width]): dict(zip(values, row[width:], strict=True)) for row in found}


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(imports=st.lists(IMPORTS, min_size=1, max_size=3), chunk_rows=st.sampled_from([1, 3, 5_000]))
async def test_the_database_holds_what_the_model_holds(
    database: Database, imports: list[dict[str, Any]], chunk_rows: int
) -> None:
    async with database.begin() as session:
        await session.execute(text("TRUNCATE clients, features, portfolio_counts CASCADE"))
    model = Model(NOW)
    for named in [base(), *imports]:
        with tempfile.TemporaryDirectory() as parent:
            folder = Path(parent, "data")
            expected = []
            for kind in KEYS:
                if kind not in named:
                    continue
                as_json, columns, lines = named[kind]
                write(folder, kind, as_json, columns, lines)
                fates = []
                for line in lines:
                    meant = {name: cell and cell[1] for name, cell in zip(columns, line, strict=True)}
                    fates.append(model.apply(kind, None if None in line else meant))
                outcomes = [fates.count(fate) for fate in ("new", "changed", "unchanged", "rejected")]
                expected.append((kind, (len(fates), *outcomes)))
            report = await load(database, folder, chunk_rows=chunk_rows)
            assert [(file.kind, counts(file)) for file in report.files] == expected
            assert report.exit_code == (3 if any(file.rejected for file in report.files) else 0)
    for kind in KEYS:
        assert await stored(database, kind) == model.stored[kind], kind
