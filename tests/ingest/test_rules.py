"""What a cell may hold, in literal tables."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from app.ingest import rules


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("2025-03-31T14:05:00Z", datetime(2025, 3, 31, 14, 5, tzinfo=UTC)),
        ("2025-03-31T14:05:00", datetime(2025, 3, 31, 14, 5, tzinfo=UTC)),
        ("2025-03-31 14:05", datetime(2025, 3, 31, 14, 5, tzinfo=UTC)),
        ("2025-03-31T14:05:00.123456Z", datetime(2025, 3, 31, 14, 5, 0, 123456, tzinfo=UTC)),
        ("2025-03-31T23:05:00-02:00", datetime(2025, 4, 1, 1, 5, tzinfo=UTC)),
        ("2025-03-31T01:05:00+0530", datetime(2025, 3, 30, 19, 35, tzinfo=UTC)),
        ("20250331T140500Z", datetime(2025, 3, 31, 14, 5, tzinfo=UTC)),
        ("2025-03-31", datetime(2025, 3, 31, tzinfo=UTC)),
        ("1970-01-01T00:00:00Z", datetime(1970, 1, 1, tzinfo=UTC)),
        ("1969-12-31T23:00:00-01:00", None),
        ("2200-12-31T23:59:59Z", datetime(2200, 12, 31, 23, 59, 59, tzinfo=UTC)),
        ("2201-01-01T00:30:00+01:00", datetime(2200, 12, 31, 23, 30, tzinfo=UTC)),
        ("2200-12-31T23:30:00-01:00", None),
        ("1969-12-31T23:59:59Z", None),
        ("0001-01-01T00:00:00+14:00", None),
        ("9999-12-31T23:59:59-14:00", None),
        ("2025-02-29T00:00:00Z", None),
        ("2025-03-31-10:00", None),
        ("31.03.2025", None),
        ("03/31/2025", None),
        ("1743429900", None),
        ("yesterday", None),
        ("2025-03-31T25:00:00Z", None),
    ],
)
def test_timestamp(written: str, expected: datetime | None) -> None:
    check(rules.timestamp, written, expected)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("2025-03-31", date(2025, 3, 31)),
        ("20250331", date(2025, 3, 31)),
        ("2025-03-31T23:30:00-01:00", date(2025, 4, 1)),
        ("2025-03-31T10:00:00", date(2025, 3, 31)),
        ("1970-01-01", date(1970, 1, 1)),
        ("1969-12-31", None),
        ("2201-01-01", None),
        ("2025-13-01", None),
        ("31/03/2025", None),
        ("soon", None),
    ],
)
def test_day(written: str, expected: date | None) -> None:
    check(rules.day, written, expected)


@pytest.mark.parametrize(
    ("written", "expected"),
    [("true", True), ("FALSE", False), ("True", True), ("1", None), ("yes", None), ("t", None)],
)
def test_boolean(written: str, expected: bool | None) -> None:
    check(rules.boolean, written, expected)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("0", 0),
        ("007", 7),
        ("12.0", 12),
        ("1e3", 1000),
        ("2147483647", 2147483647),
        ("2147483648", None),
        ("1e999", None),
        ("-1", None),
        ("-0", 0),
        ("1.5", None),
        ("1_000", None),
        ("1,000", None),
        ("٣", None),
        ("NaN", None),
        ("Infinity", None),
        ("0x10", None),
        ("ten", None),
    ],
)
def test_count(written: str, expected: int | None) -> None:
    check(rules.count, written, expected)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("12.5", Decimal("12.5")),
        ("0.1", Decimal("0.1")),
        (".5", Decimal("0.5")),
        ("5.", Decimal(5)),
        ("1e-3", Decimal("0.001")),
        ("999999999.999", Decimal("999999999.999")),
        ("1000000000", None),
        ("1e-21", None),
        ("1e-9999", None),
        ("-0.5", None),
        ("nan", None),
    ],
)
def test_minutes(written: str, expected: Decimal | None) -> None:
    check(rules.minutes, written, expected)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("1200", Decimal("1200.00")),
        ("0.125", Decimal("0.13")),
        ("0.135", Decimal("0.14")),
        ("999999999999.99", Decimal("999999999999.99")),
        ("1000000000000", None),
        ("-1", None),
        ("12 EUR", None),
    ],
)
def test_amount(written: str, expected: Decimal | None) -> None:
    check(rules.amount, written, expected)


def test_a_choice_is_known_in_any_case_and_otherwise_refused_or_replaced() -> None:
    strict = rules.choice(("SMB", "ENTERPRISE"))
    lenient = rules.choice(("FINANCIAL", "OTHER"), otherwise="OTHER")
    assert strict("smb") == "SMB"
    assert strict("Enterprise") == "ENTERPRISE"
    assert lenient("financial") == "FINANCIAL"
    assert lenient("Mining") == "OTHER"
    with pytest.raises(ValueError, match="is not one of SMB, ENTERPRISE"):
        strict("large")


def test_text_is_kept_up_to_its_limit() -> None:
    assert rules.text("=ä😀%_") == "=ä😀%_"
    assert rules.text("x" * 400) == "x" * 400
    with pytest.raises(ValueError, match="longer than 400"):
        rules.text("x" * 401)


def test_cells_that_are_no_text_are_found() -> None:
    assert rules.text_problem(["a", "ä", "😀"]) is None
    assert rules.text_problem(["a", "b\x00"]) == "the row holds a NUL character"
    assert rules.text_problem(["a", "\udcff"]) == "the row is not valid UTF-8"


def test_what_is_shown_is_short_and_without_control_characters() -> None:
    assert rules.printable("a\x1b[31m\udcffb") == "a?[31m?b"
    assert rules.printable("x" * 61) == "x" * 57 + "..."


def check(parse: Callable[[str], object], written: str, expected: object) -> None:
    """Check the parsed value, or that the parser refuses in words where nothing is expected."""
    if expected is None:
        with pytest.raises(ValueError, match=r"^(is|has) "):
            parse(written)
    else:
        assert parse(written) == expected
