"""The comparison itself: it must be able to say no."""

from datetime import UTC, date, datetime
from fractions import Fraction

import pytest

from tests.oracle.compare import Text, differences, fits


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (1, 1),
        (None, None),
        ("2025-03-14", date(2025, 3, 14)),
        ("2025-03-14T01:00:00+01:00", datetime(2025, 3, 14, tzinfo=UTC)),
        (33.333333333333336, Fraction(100, 3)),
        (1, Fraction(1)),
        ("14 of 20 members", Text("14", "20")),
    ],
)
def test_equal_values_fit(found: object, expected: object) -> None:
    assert fits(found, expected)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (1, 2),
        (1, True),
        (None, 0),
        (0, None),
        ("2025-03-15", date(2025, 3, 14)),
        ("2025-03-14T00:00:00.000001Z", datetime(2025, 3, 14, tzinfo=UTC)),
        (33.3333, Fraction(100, 3)),
        (None, Fraction(0)),
        ("20 of 14 members", Text("14", "20")),
        (" ", Text()),
    ],
)
def test_other_values_do_not(found: object, expected: object) -> None:
    assert not fits(found, expected)


def test_every_difference_is_named() -> None:
    found = {"a": [1, 2], "b": {"c": 3}, "d": 4}
    assert list(differences(found, {"a": [1, 3, 4], "b": {"c": 3}, "e": 5})) == [
        ": fields ['d', 'e']",
        ".a: 2 entries, expected 3",
        ".a[1]: found 2, expected 3",
        ".e: found None, expected 5",
    ]
