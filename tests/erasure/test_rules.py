"""Which ids became another one, by way of others too."""

import pytest

from app.erasure.rules import former_ids


@pytest.mark.parametrize(
    ("aliases", "ids", "expected"),
    [
        ([], ["ann"], set()),
        ([("phone", "ann"), ("tablet", "ann"), ("phone", "bob")], ["ann"], {"phone", "tablet"}),
        ([("ann", "eve")], ["ann"], set()),
        ([("b", "c"), ("a", "b"), ("c", "ann"), ("x", "y")], ["ann"], {"a", "b", "c"}),
        ([("a", "ann"), ("ann", "a"), ("ann", "ann")], ["ann"], {"a"}),
        ([("a", "ann"), ("ann", "bob"), ("b", "bob")], ["ann", "bob"], {"a", "b"}),
        ([("a", "ann")], [], set()),
    ],
)
def test_every_id_that_became_one_of_the_ids_is_found(
    aliases: list[tuple[str, str]], ids: list[str], expected: set[str]
) -> None:
    assert former_ids(aliases, ids) == expected
