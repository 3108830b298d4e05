"""Tokens that are not good: they open nothing, whatever is asked with them. Who may do what is in test_access.py."""

import base64
from datetime import timedelta

import jwt
import orjson
import pytest

from app.auth.tokens import Role
from tests.conftest import TEST_SECRET
from tests.graphql.answers import (
    ACTIVITY,
    BENCHMARKS,
    CLIENT,
    MUTATIONS,
    NODE,
    PORTFOLIO,
    RUNS,
    refusal,
    some_client,
    typed_refusal,
)
from tests.graphql.conftest import SUBJECT, Api, token_of

pytestmark = pytest.mark.usefixtures("nothing_happens")


def edited(token: str, **claims: object) -> str:
    """Return the token with other claims under the old signature."""
    header, payload, signature = token.split(".")
    old = orjson.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    changed = base64.urlsafe_b64encode(orjson.dumps(old | claims)).decode().rstrip("=")
    return f"{header}.{changed}.{signature}"


def bad_tokens() -> dict[str, str]:
    """Return tokens that were never, or are no longer, good for anything."""
    admin, nobody = token_of(Role.PLATFORM_ADMIN), token_of(Role.CLIENT_SUCCESS)
    claims = jwt.decode(admin, options={"verify_signature": False})
    return {
        "expired beyond the leeway": token_of(Role.PLATFORM_ADMIN, age=timedelta(hours=1, seconds=6)),
        "of another secret": token_of(Role.PLATFORM_ADMIN, secret="somebody else's secret of 32 bytes or more"),
        "with the role edited": edited(nobody, role="PLATFORM_ADMIN"),
        "with the time edited": edited(token_of(Role.PLATFORM_ADMIN, age=timedelta(days=1)), exp=2**40),
        "without a signature": admin.rpartition(".")[0] + ".",
        "of the algorithm none": jwt.encode(claims, "", algorithm="none"),
        "of an unknown role": jwt.encode(claims | {"role": "ROOT"}, TEST_SECRET, algorithm="HS256"),
        "no token at all": "x",
    }


@pytest.mark.parametrize("name", bad_tokens())
async def test_a_token_that_is_not_good_gets_nothing(api: Api, name: str) -> None:
    token = bad_tokens()[name]
    id_ = await some_client(api)
    api.statements.clear()
    for query in (CLIENT, NODE, BENCHMARKS, PORTFOLIO, RUNS, ACTIVITY):
        content = orjson.dumps({"query": query, "variables": {"id": id_}})
        assert refusal(await api.send(content, token=token)) == ("UNAUTHENTICATED", None)
    for field, mutation in MUTATIONS.items():
        content = orjson.dumps({"query": mutation, "variables": {"id": id_}})
        assert typed_refusal(await api.send(content, token=token), field) == ("UNAUTHENTICATED", None)
    assert api.statements == []


async def test_a_token_within_the_leeway_is_still_good(api: Api) -> None:
    token = token_of(Role.CLIENT_SUCCESS, age=timedelta(hours=1, seconds=1))
    _, body = await api.send(orjson.dumps({"query": "{ __typename }"}), token=token)
    assert body == {"data": {"__typename": "Query"}}
    assert jwt.decode(token, options={"verify_signature": False})["sub"] == SUBJECT
