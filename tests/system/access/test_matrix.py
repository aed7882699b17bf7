"""Who may do what: every route of the application, with every kind of credential, over HTTP."""

from datetime import timedelta
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute

from beamctl.api.auth.sessions import COOKIE
from beamctl.api.auth.tokens import KEY, SESSION, new_token
from beamctl.store.states import Role
from tests.system.access.routes import BEFORE_THE_PASSWORD, LEAST_ROLE, PUBLIC

pytestmark = pytest.mark.system
OVER = timedelta(seconds=-1)
_PLACE = {
    "run": "900001", "request": "900001", "key": "900001", "verb:verb": "abort", "section": "no-section",
    "agent": "no-agent", "name": "nobody", "path:path": "nothing.js",
}  # fmt: skip
"""what does not exist, so that whoever is let in changes nothing"""


def routes(app: Any) -> list[str]:
    found = []
    for route in app.routes:
        assert isinstance(route, APIRoute), f"{route} has no gate"
        found += [f"{method} {route.path}" for method in sorted(route.methods)]
    return found


def ask(client: httpx.Client, route: str, **headers: str) -> httpx.Response:
    """Use a route; of a stream only the beginning is read."""
    method, path = route.split(" ")
    for name, value in _PLACE.items():
        path = path.replace(f"{{{name}}}", value)
    body = {"json": {}} if method in ("POST", "PUT", "PATCH") else {}
    with client.stream(method, path, headers=headers, **body) as answer:
        if "event-stream" not in answer.headers.get("content-type", ""):
            answer.read()
        return answer


@pytest.fixture(scope="module")
def strangers(house, hashed) -> dict[str, str]:
    """Tokens that open nothing, by what is wrong with them."""
    house.add("disabled", Role.ADMIN)
    of_disabled = house.key("disabled", Role.ADMIN)
    house.store.users.change("disabled", enabled=False, principal="tests")
    revoked, number = house.key_and_id("admin", Role.ADMIN)
    house.store.keys.revoke(number, "tests")
    ended = house.session("admin")
    session = house.service.authentication.sessions.find(ended)
    house.store.sessions.end(session.id)
    house.add("removed", Role.ADMIN)
    of_removed = house.session("removed")
    key_of_removed = house.key("removed", Role.ADMIN)
    house.store.users.remove("removed", "tests")
    good = house.session("admin")
    return {
        "session that nobody made": new_token(SESSION),
        "key that nobody made": new_token(KEY),
        "expired session": house.session("admin", OVER),
        "expired key": house.key("admin", Role.ADMIN, OVER),
        "revoked key": revoked,
        "ended session": ended,
        "key of a disabled account": of_disabled,
        "session of a removed account": of_removed,
        "key of a removed account": key_of_removed,
        "half a token": good[:-1],
        "token and more": good + "A",
        "session shown as a key": good.replace(SESSION, KEY),
        "password": "correct",
    }


def test_every_route_is_in_the_table_and_nothing_else(house):
    assert sorted(routes(house.app)) == sorted(LEAST_ROLE)


def test_nobody_gets_in_with_what_opens_nothing(house, strangers):
    clients = {"nothing": house.client()} | {what: house.client(token) for what, token in strangers.items()}
    tried = 0
    for what, client in clients.items():
        for route, least in LEAST_ROLE.items():
            answer = ask(client, route)
            tried += 1
            if least == PUBLIC:
                assert answer.status_code not in (401, 403) or route == "POST /api/v1/session", (what, route)
                continue
            assert answer.status_code == 401, (what, route, answer.text)
            assert answer.json()["code"] == "not-logged-in"
            assert answer.headers["www-authenticate"] == "Bearer"
    assert tried == len(LEAST_ROLE) * (len(strangers) + 1)


def test_the_same_in_a_cookie_and_in_other_places(house, strangers):
    good = house.session("admin")
    shown: list[dict[str, str]] = [{"Cookie": f"{COOKIE}={token}"} for token in strangers.values()]
    shown += [
        {"Authorization": f"Basic {good}"}, {"Authorization": good}, {"Authorization": f"Bearer {good} {good}"},
        {"Authorization": "Bearer"}, {"Cookie": f"session={good}"}, {"X-Api-Key": good},
        {"Authorization": f"Bearer {strangers['ended session']}", "Cookie": f"{COOKIE}={good}"},
    ]  # fmt: skip
    client = house.client()
    for headers in shown:
        for route, least in LEAST_ROLE.items():
            if least != PUBLIC:
                answer = ask(client, route, **headers, **{"X-Beamctl": "1"})
                assert answer.status_code == 401, (headers, route, answer.text)


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("way", ["bearer", "cookie", "key"])
def test_each_role_may_what_the_table_says(house, role, way):
    client = house.client()
    for route, least in LEAST_ROLE.items():
        token = house.key(role.value, role) if way == "key" else house.session(role.value)
        shown = {"Cookie": f"{COOKIE}={token}"} if way == "cookie" else {"Authorization": f"Bearer {token}"}
        answer = ask(client, route, **shown, **{"X-Beamctl": "1"})
        told = (route, answer.status_code, answer.headers.get("content-type"))
        assert answer.status_code < 500 or answer.status_code == 503, told
        if least == PUBLIC or role.covers(Role(least)):
            assert answer.status_code not in (401, 403), told
        else:
            assert answer.status_code == 403, told
            assert answer.json()["code"] == "not-allowed"


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("scope", list(Role))
def test_a_key_may_what_its_scope_and_its_owner_may(house, role, scope):
    owner = f"owner-{role.value}-{scope.value}"
    house.add(owner, Role.ADMIN)
    client = house.client(house.key(owner, scope))
    house.add(f"{owner}-2", Role.ADMIN)
    house.store.users.change(owner, role=role, principal="tests")
    for route, least in LEAST_ROLE.items():
        if least == PUBLIC:
            continue
        answer = ask(client, route)
        may = role.covers(Role(least)) and scope.covers(Role(least))
        assert (answer.status_code != 403) == may, (route, answer.status_code)


def test_before_the_password_is_changed_there_is_nothing_else(house):
    house.add("newcomer", Role.ADMIN, must_change=True)
    client = house.client()
    for route, least in LEAST_ROLE.items():
        if least == PUBLIC:
            continue
        answer = ask(client, route, Authorization=f"Bearer {house.session('newcomer')}")
        if route in BEFORE_THE_PASSWORD:
            assert answer.status_code not in (401, 403), route
        else:
            assert answer.status_code == 403, route
            assert answer.json()["code"] == "must-change-password"


def test_a_cookie_alone_changes_nothing(house):
    token = house.session("admin")
    client = house.client()
    for route, least in LEAST_ROLE.items():
        if least == PUBLIC or route.startswith("GET"):
            continue
        answer = ask(client, route, Cookie=f"{COOKIE}={token}")
        assert answer.status_code == 403, route
        assert answer.json()["code"] == "cross-site"
    assert house.client(token).get("/api/v1/session").status_code == 200


def test_whoever_is_refused_is_in_the_record(house, someone):
    client = house.client(house.session(someone))
    assert client.get("/api/v1/users").status_code == 403
    refusal = house.store.audit.list(principal=someone)[0]
    assert (refusal.action, refusal.reason) == ("GET /api/v1/users", f"{someone} is operator; this needs admin")
