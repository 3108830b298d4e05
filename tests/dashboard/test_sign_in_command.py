"""The command that lets a person in: the address that it prints, and what it refuses."""

from collections.abc import Mapping

import pytest

from app.settings import Settings
from tests.conftest import TEST_SECRET
from tests.dashboard.people import ask, enter
from tests.graphql.conftest import Api
from tests.test_cli import run

PERSON = ("--subject", "ann@example.com", "--role", "CLIENT_SUCCESS")


@pytest.fixture
def environment(settings: Settings) -> Mapping[str, str]:
    """The environment of a command that uses this test's servers."""
    assert settings.database_url is not None
    assert settings.redis_url is not None
    return {"database_url": settings.database_url, "redis_url": settings.redis_url, "auth_secret": TEST_SECRET}


async def test_the_printed_address_signs_its_person_in(api: Api, environment: Mapping[str, str]) -> None:
    ended = await run("sign-in", *PERSON, **environment)
    assert (ended.status, ended.errors) == (0, "")
    address, code = ended.output.strip().split("?code=")
    assert address == "http://127.0.0.1:8000/sign-in"
    assert (await enter(api, code)).status_code == 204
    viewer = {"subject": "ann@example.com", "role": "CLIENT_SUCCESS"}
    assert (await ask(api, "{ viewer { subject role } }")).json() == {"data": {"viewer": viewer}}


async def test_the_address_is_where_the_dashboard_is(environment: Mapping[str, str]) -> None:
    public = {**environment, "public_url": "https://Health.Example.com/"}
    known = await run("sign-in", *PERSON, **public)
    assert known.output.startswith("https://health.example.com/sign-in?code=")
    told = await run("sign-in", *PERSON, "--url", "http://localhost:9000/", **public)
    assert told.output.startswith("http://localhost:9000/sign-in?code=")


async def test_nobody_in_particular_gets_no_address(api: Api, environment: Mapping[str, str]) -> None:
    before = await api.rows()
    nobody = await run("sign-in", "--subject", " ", "--role", "CLIENT_SUCCESS", **environment)
    assert (nobody.status, nobody.output) == (2, "")
    assert nobody.errors == "client-health: The subject must be printable text, and not empty.\n"
    assert (await run("sign-in", "--subject", "ann", "--role", "ROOT", **environment)).status == 2
    assert await api.rows() == before


@pytest.mark.parametrize("url", ["health.example.com", "https://health.example.com/path", "ftp://x", "https://a@b"])
async def test_a_wrong_public_url_is_refused_by_name(environment: Mapping[str, str], url: str) -> None:
    ended = await run("sign-in", *PERSON, **{**environment, "public_url": url})
    assert ended.status == 2
    assert "PUBLIC_URL" in ended.errors
