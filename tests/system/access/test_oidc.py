"""Logging in at an identity provider that runs here."""

import socket
import time
from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest
from joserfc.jwk import OctKey, RSAKey

from beamctl.api.auth.oidc.trip import COOKIE as TRIP
from beamctl.api.auth.sessions import COOKIE
from beamctl.api.options import OidcOptions, ServiceOptions
from beamctl.store.open import open_store
from beamctl.store.states import Role
from tests.system.access.conftest import House, built
from tests.system.access.provider import CLIENT, SECRET, Provider

pytestmark = pytest.mark.system
BEGIN = "/api/v1/session/oidc"
ROLES = {"operators": "operator", "masters": "admin", "guests": "viewer"}


@pytest.fixture(scope="module")
def realm() -> Iterator[Provider]:
    found = Provider()
    yield found
    found.close()


@pytest.fixture(scope="module")
def building(realm, tmp_path_factory, deployment) -> Iterator[House]:
    """A service that the provider logs in to; its own address is not known before it runs."""
    options = OidcOptions(realm.issuer, CLIENT, SECRET, "http://nowhere", roles=dict(ROLES))
    url = f"sqlite:///{tmp_path_factory.mktemp('oidc')}/a.db"
    with open_store(url) as store, built(store, deployment, ServiceOptions(oidc=options)) as house:
        object.__setattr__(options, "public_url", house.url)
        house.add("root", Role.ADMIN)
        yield house


@pytest.fixture
def provider(realm) -> Iterator[Provider]:
    realm.reset()
    return realm


@pytest.fixture
def lab(building, provider) -> Iterator[House]:
    """The same with root's account only, and nothing remembered of the provider."""
    vars(building.service).pop("oidc", None)
    yield building
    for user in building.store.users.list():
        if user.name != "root":
            building.store.users.remove(user.name, "tests")


def trip(house: House, browser: httpx.Client | None = None) -> httpx.Response:
    """To the provider and back, to the answer of the service."""
    browser = browser or house.client()
    away = browser.get(BEGIN)
    assert away.status_code == 302, away.text
    back = httpx.get(away.headers["location"], verify=False)
    assert back.status_code == 302
    return browser.get(back.headers["location"])


def refused(answer: httpx.Response, status: int, words: str) -> None:
    assert (answer.status_code, words in answer.json()["detail"]) == (status, True), answer.text
    assert COOKIE not in answer.cookies


def test_the_login_page_knows_it(lab):
    assert lab.client().get("/api/v1/session/ways").json()["oidc"] == "Log in at the laboratory"


def test_the_first_login_makes_an_account_and_a_session(lab):
    browser = lab.client()
    answer = trip(lab, browser)
    assert (answer.status_code, answer.headers["location"]) == (302, "/")
    session = browser.get("/api/v1/session").json()
    assert (session["name"], session["role"], session["via"]) == ("ada", "operator", "session")
    assert lab.store.users.get("ada").password_hash is None
    assert TRIP not in browser.cookies
    assert answer.headers.get_list("set-cookie")[0].lower().count("samesite=strict") == 1


def test_the_cookie_of_the_trip_is_short_lived_and_out_of_reach(lab):
    cookie = lab.client().get(BEGIN).headers["set-cookie"]
    assert cookie.startswith(f"{TRIP}=")
    for part in ("HttpOnly", "SameSite=lax", "Max-Age=600", f"Path={BEGIN}"):
        assert part in cookie


@pytest.mark.parametrize(
    ("groups", "role"),
    [(["guests"], "viewer"), (["guests", "masters", "other"], "admin"), ("operators", "operator")],
)
def test_groups_grant_the_highest_role(lab, provider, groups, role):
    provider.person["groups"] = groups
    browser = lab.client()
    assert trip(lab, browser).status_code == 302
    assert browser.get("/api/v1/session").json()["role"] == role


def test_roles_follow_the_groups_at_every_login(lab, provider):
    lab.add("boss", Role.ADMIN)
    assert trip(lab).status_code == 302
    provider.person["groups"] = ["guests"]
    assert trip(lab).status_code == 302
    assert lab.store.users.get("ada").role is Role.VIEWER
    provider.person["groups"] = []
    refused(trip(lab), 403, "no group")


@pytest.mark.parametrize("groups", [[], ["strangers"], None, {"operators": 1}, [["operators"]], 5])
def test_no_group_no_account(lab, provider, groups):
    provider.change["groups"] = groups
    refused(trip(lab), 403, "no group")
    assert lab.store.users.find("ada") is None


@pytest.mark.parametrize("name", [None, "", "a b", "<script>", "a" * 101, 5, ["ada"], "\n"])
def test_names_that_are_none(lab, provider, name):
    provider.change["preferred_username"] = name
    refused(trip(lab), 403, "preferred_username")


def test_an_account_with_a_password_is_not_entered(lab):
    lab.add("ada", Role.ADMIN, lab.service.authentication.passwords.hash_now("something else"))
    refused(trip(lab), 403, "password")


def test_a_disabled_account_is_not_entered(lab):
    trip(lab)
    lab.store.users.change("ada", enabled=False, principal="tests")
    refused(trip(lab), 403, "disabled")


def test_where_groups_grant_nothing_an_admin_makes_the_accounts(lab, monkeypatch):
    for group in ROLES:
        monkeypatch.delitem(lab.service.options.oidc.roles, group)
    refused(trip(lab), 403, "no account ada")
    lab.add("ada", Role.VIEWER)
    browser = lab.client()
    assert trip(lab, browser).status_code == 302
    assert browser.get("/api/v1/session").json()["role"] == "viewer"


@pytest.mark.parametrize(
    "change",
    [
        {"iss": "https://other.example"}, {"iss": None}, {"aud": "another"}, {"aud": None}, {"azp": "another"},
        {"aud": [CLIENT, "another"]}, {"nonce": "another"}, {"nonce": None}, {"exp": None}, {"exp": "tomorrow"},
        {"sub": None}, {"iat": None}, {"exp": int(time.time()) - 3600}, {"nbf": int(time.time()) + 3600},
    ],
)  # fmt: skip
def test_tokens_that_are_not_to_be_believed(lab, provider, change):
    provider.change = change
    refused(trip(lab), 401, "not to be believed")
    assert lab.store.users.find("ada") is None


def test_a_token_of_another_key(lab, provider):
    provider.key = RSAKey.generate_key(2048, {"kid": "first"})
    refused(trip(lab), 401, "not to be believed")


def test_a_token_signed_with_what_everybody_knows(lab, provider):
    provider.key, provider.algorithm = OctKey.import_key("what everybody knows, for example", {"kid": "first"}), "HS256"
    refused(trip(lab), 401, "not to be believed")


def test_a_token_that_is_not_signed(lab, provider):
    provider.algorithm = "none"
    refused(trip(lab), 401, "not to be believed")


def test_a_key_that_the_provider_has_changed_is_fetched(lab, provider):
    assert trip(lab).status_code == 302
    provider.key = RSAKey.generate_key(2048, {"kid": "second"})
    provider.published = [provider.key]
    assert trip(lab).status_code == 302
    assert provider.asked.count("/realm/keys") == 2


@pytest.mark.parametrize("state", ["", "x", "é", "a" * 4000])
def test_answers_to_a_trip_that_was_not_begun_here(lab, state):
    browser = lab.client()
    browser.get(BEGIN)
    answer = browser.get(f"{BEGIN}/callback", params={"state": state, "code": "x"})
    refused(answer, 400, "begin again")


def test_the_trip_of_somebody_else(lab):
    """The answer that an attacker got for himself, opened by his victim."""
    attacker = lab.client()
    back = httpx.get(attacker.get(BEGIN).headers["location"], verify=False).headers["location"]
    refused(lab.client().get(back), 400, "begin again")
    victim = lab.client()
    victim.get(BEGIN)
    refused(victim.get(back), 400, "begin again")
    forged = lab.client()
    forged.cookies.set(TRIP, "made-up.99999999999", path=BEGIN)
    refused(forged.get(back), 400, "begin again")
    assert attacker.get(back).status_code == 302


def test_a_code_is_of_use_once(lab):
    browser = lab.client()
    back = httpx.get(browser.get(BEGIN).headers["location"], verify=False).headers["location"]
    cookie = browser.cookies[TRIP]
    assert browser.get(back).status_code == 302
    browser.cookies.set(TRIP, cookie, path=BEGIN)
    refused(browser.get(back), 401, "invalid_grant")


def test_a_trip_that_took_too_long(lab, monkeypatch):
    from beamctl.api.auth.oidc import trip as trips

    browser = lab.client()
    monkeypatch.setattr(trips, "LASTS_S", -1)
    back = httpx.get(browser.get(BEGIN).headers["location"], verify=False).headers["location"]
    browser.cookies.set(TRIP, "x", path=BEGIN)
    refused(browser.get(back), 400, "begin again")


def test_whoever_says_no_at_the_provider(lab, provider):
    provider.error = "access_denied"
    refused(trip(lab), 401, "access_denied")


def test_a_provider_that_is_not_there(lab, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    replaced = replace(lab.service.options, oidc=replace(lab.service.options.oidc, issuer=f"http://127.0.0.1:{port}"))
    monkeypatch.setattr(lab.service, "options", replaced)
    answer = lab.client().get(BEGIN)
    assert (answer.status_code, answer.json()["code"]) == (503, "provider-unavailable")
    assert SECRET not in answer.text


def test_a_provider_that_is_another_one(lab, provider):
    provider.name = "https://other.example"
    answer = lab.client().get(BEGIN)
    assert (answer.status_code, answer.json()["code"]) == (503, "provider-unavailable")


def test_without_a_provider(house):
    for path in (BEGIN, f"{BEGIN}/callback"):
        answer = house.client().get(path)
        assert (answer.status_code, answer.json()["code"]) == (404, "not-configured")
    assert house.client().get("/api/v1/session/ways").json()["oidc"] is None


def test_without_the_extra(lab, monkeypatch):
    import sys

    monkeypatch.delitem(sys.modules, "beamctl.api.auth.oidc.login", raising=False)
    monkeypatch.setitem(sys.modules, "beamctl.api.auth.oidc.provider", None)
    answer = lab.client().get(BEGIN)
    assert (answer.status_code, answer.json()["code"]) == (501, "missing-extra")
    assert "beamctl[oidc]" in answer.json()["detail"]


def test_the_secret_is_shown_nowhere(lab):
    assert SECRET not in repr(lab.service.options)
