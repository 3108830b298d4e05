"""Signing in at an OIDC issuer, which is a real HTTP server: the way there and back, and every way to be refused."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from http.cookies import SimpleCookie
from time import monotonic
from typing import Any

import httpx2
import pytest
from pydantic import ValidationError
from structlog.testing import capture_logs

from app.auth import discovery
from app.auth import oidc as module
from app.auth.keys import MAX_AGE, RETRY_PAUSE
from app.auth.oidc import Attempt, Issuer
from app.auth.tokens import verifier_from
from app.errors import Unavailable
from app.settings import Settings
from tests.dashboard import issuer as fake
from tests.dashboard.issuer import CLIENT_ID, SUBJECT, running_issuer
from tests.dashboard.people import ask
from tests.graphql.conftest import Api, running_api

VIEWER = "{ viewer { subject role } }"
ATTEMPT = "client-health-sign-in"
SESSION = "client-health-session"
SECRET = "50%+ secret"


@pytest.fixture
def issuer() -> Iterator[fake.Issuer]:
    """A running issuer."""
    with running_issuer() as running:
        yield running


@asynccontextmanager
async def running(settings: Settings, issuer: fake.Issuer, **more: Any) -> AsyncIterator[Api]:
    """Yield the application where people sign in at the issuer."""
    configured = {
        "auth_secret": None,
        "oidc_issuer": issuer.url,
        "oidc_client_id": CLIENT_ID,
        "oidc_client_secret": issuer.secret,
        "public_url": "http://api",
        **more,
    }
    async with running_api(Settings.model_validate(settings.model_dump() | configured)) as api:
        yield api


@pytest.fixture
async def api(settings: Settings, issuer: fake.Issuer) -> AsyncIterator[Api]:
    """That application, as a client without a secret."""
    async with running(settings, issuer) as running_one:
        yield running_one


async def leave(api: Api) -> str:
    """Go to the issuer; return the address there."""
    answer = await api.http.get("/sign-in/oidc")
    assert answer.status_code == 303
    return answer.headers["location"]


async def come_back(api: Api, brought: dict[str, str]) -> httpx2.Response:
    """Come back with what the issuer gave."""
    return await api.http.get("/sign-in/callback", params=brought)


async def refused(api: Api, brought: dict[str, str], word: str) -> str:
    """Come back and be refused; nothing is written, no session begins, and the log gets the reason that is returned."""
    before = await api.rows()
    with capture_logs() as logs:
        answer = await come_back(api, brought)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/sign-in?error={word}")
    assert SESSION not in answer.headers["set-cookie"]
    assert f'{ATTEMPT}="";' in answer.headers["set-cookie"]
    assert await api.rows() == before
    (reason,) = (entry["reason"] for entry in logs if entry["event"] == "sign_in_refused")
    return str(reason)


@pytest.mark.parametrize(("secret", "method"), [(None, "basic"), (SECRET, "basic"), (SECRET, "post")])
async def test_whoever_the_issuer_knows_is_signed_in(
    settings: Settings, issuer: fake.Issuer, secret: str | None, method: str
) -> None:
    issuer.secret, issuer.method = secret, method
    async with running(settings, issuer, oidc_scope="openid groups") as api:
        address = await leave(api)
        assert "scope=openid+groups&" in address
        with capture_logs() as logs:
            answer = await come_back(api, issuer.authorize(address))
        assert (answer.status_code, answer.headers["location"], issuer.problems) == (303, "/", [])
        assert answer.headers["cache-control"] == "no-store"
        assert [entry["event"] for entry in logs] == ["signed_in"]
        cookies = SimpleCookie(answer.headers["set-cookie"].replace(", client-health", "; client-health"))
        assert (cookies[SESSION]["samesite"], cookies[SESSION]["httponly"]) == ("strict", True)
        assert (await ask(api, VIEWER)).json() == {"data": {"viewer": {"subject": SUBJECT, "role": "CLIENT_SUCCESS"}}}
        assert len((await api.rows())["sessions"]) == 1
        assert (await api.http.delete("/session", headers={"Sec-Fetch-Site": "same-origin"})).status_code == 204
        assert "errors" in (await ask(api, VIEWER)).json()


async def test_people_can_be_named_by_their_address(settings: Settings, issuer: fake.Issuer) -> None:
    issuer.claims = {"email": "ann@work.example", "email_verified": True}
    async with running(settings, issuer, auth_subject_claim="email") as api:
        assert (await come_back(api, issuer.authorize(await leave(api)))).headers["location"] == "/"
        assert (await ask(api, VIEWER)).json()["data"]["viewer"]["subject"] == "ann@work.example"


async def test_the_attempt_waits_in_a_cookie_that_survives_the_way_back(api: Api) -> None:
    answer = await api.http.get("/sign-in/oidc")
    (cookie,) = SimpleCookie(answer.headers["set-cookie"]).values()
    assert {name: value for name, value in cookie.items() if value} == {
        "httponly": True,
        "max-age": "600",
        "path": "/",
        "samesite": "lax",
    }
    attempt = Attempt.from_cookie(cookie.value)
    assert attempt is not None
    # What proves that it is the same browser stays in it.
    assert attempt.verifier not in answer.headers["location"]
    assert api.statements == []
    again = (await api.http.get("/sign-in/oidc")).cookies[ATTEMPT]
    assert not set(again.split(".")) & set(cookie.value.split("."))


async def test_the_page_says_how_to_sign_in(api: Api, settings: Settings) -> None:
    assert '"oidc"' in (await api.http.get("/sign-in")).text
    async with running_api(settings) as without:
        page = (await without.http.get("/sign-in")).text
        assert '"oidc"' not in page
        assert '"code"' in page


async def test_an_answer_that_this_browser_did_not_ask_for_is_refused(api: Api, issuer: fake.Issuer) -> None:
    """Else a link could sign somebody in as somebody else."""
    for wrong in ("", "nonsense", "{}a", "a{}", "é{}"):
        brought = issuer.authorize(await leave(api))
        state = wrong.format(brought["state"])
        assert "no answer to a sign-in" in await refused(api, {**brought, "state": state}, "refused")
    # The refusal has forgotten the attempt, and leaving anew does not bring the old one back.
    await leave(api)
    assert "no answer to a sign-in" in await refused(api, brought, "refused")
    api.http.cookies.clear()
    assert "no answer to a sign-in" in await refused(api, brought, "refused")
    for value in ("", "..", "a.b", f"{brought['state']}.a.b.c", "nonsense"):
        api.http.cookies.set(ATTEMPT, value)
        assert "no answer to a sign-in" in await refused(api, {**brought, "state": value.split(".")[0]}, "refused")
        api.http.cookies.clear()
    assert issuer.asked == []


async def test_a_code_is_good_for_one_browser_and_once(api: Api, issuer: fake.Issuer) -> None:
    stolen = issuer.authorize(await leave(api))
    own = issuer.authorize(await leave(api))
    assert "did not accept the code" in await refused(api, {**own, "code": stolen["code"]}, "refused")
    assert issuer.problems == ["another verifier"]
    own = issuer.authorize(await leave(api))
    kept = api.http.cookies[ATTEMPT]
    assert (await come_back(api, own)).headers["location"] == "/"
    api.http.cookies.clear()
    api.http.cookies.set(ATTEMPT, kept)
    assert "did not accept the code" in await refused(api, own, "refused")


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"nonce": "another"}, "The ID token belongs to another sign-in."),
        ({"nonce": None}, "The ID token belongs to another sign-in."),
        ({"aud": "another client"}, "meant for another audience"),
        ({"aud": "client-health"}, "meant for another audience"),
        ({"aud": [CLIENT_ID, "other"], "azp": "other"}, "issued to another client"),
        ({"iss": "https://evil.example"}, "comes from another issuer"),
        ({"exp": 1}, "expired"),
        ({"iat": 2**35}, "not valid yet"),
        ({"sub": ""}, "sub claim is empty"),
        ({"role": None}, "no role claim"),
        ({"role": "ROOT"}, "role is not known"),
    ],
)
async def test_an_id_token_for_another_purpose_signs_nobody_in(
    api: Api, issuer: fake.Issuer, claims: dict[str, Any], reason: str
) -> None:
    issuer.claims = claims
    assert reason in await refused(api, issuer.authorize(await leave(api)), "refused")
    assert issuer.problems == []


async def test_an_id_token_is_no_bearer_token_and_the_other_way_round(api: Api, issuer: fake.Issuer) -> None:
    brought = issuer.authorize(await leave(api))
    attempt = Attempt.from_cookie(api.http.cookies[ATTEMPT])
    assert attempt is not None
    form = {
        "grant_type": "authorization_code",
        "code": brought["code"],
        "redirect_uri": "http://api/sign-in/callback",
        "code_verifier": attempt.verifier,
        "client_id": CLIENT_ID,
    }
    _, answer = issuer.exchange(form, "")
    answer = (await ask(api, VIEWER, {"Authorization": f"Bearer {answer['id_token']}"})).json()
    assert answer["errors"][0]["message"] == "The token is meant for another audience."


async def test_who_turns_back_at_the_issuer_is_told_so(api: Api, issuer: fake.Issuer) -> None:
    for answer in ({"error": "access_denied"}, {}):
        state = issuer.authorize(await leave(api))["state"]
        assert "The issuer answered" in await refused(api, {"state": state, **answer}, "denied")
    brought = issuer.authorize(await leave(api))
    assert "another issuer" in await refused(api, {**brought, "iss": "https://evil.example"}, "refused")
    assert issuer.asked == []


async def test_an_issuer_that_does_not_answer_is_called_unavailable(settings: Settings, issuer: fake.Issuer) -> None:
    async with running(settings, issuer) as api:
        brought = issuer.authorize(await leave(api))
        issuer.up = False
        assert "cannot be reached" in await refused(api, brought, "unavailable")
        # Leaving still works with what is known of the issuer.
        await leave(api)
    async with running(settings, issuer) as api:
        with capture_logs() as logs:
            answer = await api.http.get("/sign-in/oidc")
        assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in?error=unavailable")
        assert {entry["event"] for entry in logs} == {"oidc_issuer_not_reached", "sign_in_refused"}


async def test_the_issuer_is_asked_again_after_a_while_and_not_before(issuer: fake.Issuer) -> None:
    now = 0.0
    settings = Settings(oidc_issuer=issuer.url)
    asking = Issuer(
        issuer.url,
        verifier_from(settings),
        client_secret=None,
        redirect_uri="http://api/sign-in/callback",
        scope="openid",
        clock=lambda: now,
    )
    issuer.up = False
    for moment, up in ((0.0, False), (RETRY_PAUSE - 1, True)):
        now, issuer.up = moment, up
        with pytest.raises(Unavailable):
            await asking.address(Attempt.new())
    now = RETRY_PAUSE
    assert (await asking.address(Attempt.new())).startswith(f"{issuer.url}/authorize?tenant=a%20b&response_type=code&")
    now, issuer.up = RETRY_PAUSE + MAX_AGE, False
    assert (await asking.address(Attempt.new())).startswith(issuer.url)


async def test_an_issuer_that_stalls_in_the_middle_of_a_refusal_holds_nobody_else_up(
    api: Api, issuer: fake.Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discovery, "TIMEOUT", 3.0)
    brought = issuer.authorize(await leave(api))
    issuer.stalls = True
    coming = asyncio.create_task(refused(api, {**brought, "code": "unknown"}, "refused"))
    longest = 0.0
    while not coming.done():
        started = monotonic()
        await asyncio.sleep(0.01)
        longest = max(longest, monotonic() - started)
    assert "did not accept the code" in await coming
    assert longest < 2.5


async def test_an_issuer_that_keeps_everybody_waiting_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    now, asked = 0.0, []

    def hang(url: str) -> dict[str, Any]:
        nonlocal now
        asked.append(url)
        now += 2 * RETRY_PAUSE
        raise TimeoutError

    monkeypatch.setattr(module, "discover", hang)
    url = "https://issuer.example"
    verifier = verifier_from(Settings(oidc_issuer=url))
    asking = Issuer(url, verifier, client_secret=None, redirect_uri="", scope="openid", clock=lambda: now)
    found = await asyncio.gather(*(asking.address(Attempt.new()) for _ in range(5)), return_exceptions=True)
    assert [type(outcome) for outcome in found] == [Unavailable] * 5
    assert asked == [url]


@pytest.mark.parametrize(
    "settings",
    [
        {"oidc_client_id": "x"},
        {"oidc_client_id": "x", "oidc_issuer": "https://issuer.example"},
        {"oidc_client_id": "x", "public_url": "https://health.example.com"},
    ],
)
def test_a_client_id_needs_an_issuer_and_an_address_to_come_back_to(settings: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="OIDC_CLIENT_ID needs OIDC_ISSUER, and PUBLIC_URL"):
        Settings.model_validate(settings)
