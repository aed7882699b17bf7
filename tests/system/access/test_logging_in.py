"""Logging in and out by password; cookies, other sites, guessing."""

from datetime import timedelta
from http.cookies import SimpleCookie

import httpx
import pytest

from beamctl.api.auth.sessions import COOKIE
from beamctl.api.auth.tokens import SESSION, token_hash
from beamctl.api.options import ServiceOptions
from beamctl.store.open import open_store
from beamctl.store.states import Role
from tests.system.access.conftest import PASSWORD, built

pytestmark = pytest.mark.system
NEW = "another good password"


def log_in(client: httpx.Client, name: str, password: str = PASSWORD, **more: str) -> httpx.Response:
    return client.post("/api/v1/session", json={"name": name, "password": password, **more})


def cookie_of(answer: httpx.Response) -> SimpleCookie:
    return SimpleCookie(answer.headers["set-cookie"])


def test_the_token_is_in_the_cookie_only(house):
    answer = log_in(house.client(), "viewer")
    assert answer.status_code == 201
    assert answer.json()["token"] is None
    cookie = cookie_of(answer)[COOKIE]
    assert cookie.value.startswith(SESSION)
    assert cookie.value not in answer.text
    assert (cookie["httponly"], cookie["samesite"], cookie["path"], cookie["secure"]) == (True, "strict", "/", "")
    assert "domain" not in answer.headers["set-cookie"].lower()


def test_programs_get_the_token_and_no_cookie(house):
    answer = log_in(house.client(), "viewer", carrier="bearer")
    assert "set-cookie" not in answer.headers
    told = house.client(answer.json()["token"]).get("/api/v1/session").json()
    assert (told["name"], told["role"], told["via"], told["token"]) == ("viewer", "viewer", "session", None)


def test_by_https_the_cookie_is_sent_by_https_only(tmp_path, deployment, hashed):
    with (
        open_store(f"sqlite:///{tmp_path}/a.db") as store,
        built(store, deployment, ServiceOptions(is_https=True)) as found,
    ):
        found.add("viewer", Role.VIEWER, hashed)
        assert cookie_of(log_in(found.client(), "viewer"))[COOKIE]["secure"] is True


def test_the_store_knows_no_token_and_no_password(house):
    answer = log_in(house.client(), "viewer", carrier="bearer")
    kept = b"".join(f.read_bytes() for f in house.store.database.file.parent.glob("*") if f.is_file())
    assert answer.json()["token"].encode() not in kept
    assert token_hash(answer.json()["token"]).encode() in kept
    assert PASSWORD.encode() not in kept


@pytest.mark.parametrize(("name", "password"), [("viewer", "wrong"), ("nobody", PASSWORD), ("disabled", PASSWORD)])
def test_wrong_is_wrong_whatever_is_wrong(fresh, hashed, name, password):
    fresh.add("viewer", Role.VIEWER, hashed)
    fresh.add("disabled", Role.VIEWER, hashed)
    fresh.store.users.change("disabled", enabled=False, principal="tests")
    answer = log_in(fresh.client(), name, password)
    assert answer.status_code == 401
    assert answer.json()["code"] == "bad-credentials"
    assert "set-cookie" not in answer.headers
    assert answer.json()["detail"] == log_in(fresh.client(), "who-else", "x").json()["detail"]


def test_an_account_without_password_is_not_entered_with_any(fresh):
    fresh.add("by-oidc", Role.ADMIN, None)
    for password in ("x", "None", "null", " "):
        assert log_in(fresh.client(), "by-oidc", password).status_code == 401


def test_names_that_nobody_has_are_not_written_down(fresh):
    log_in(fresh.client(), "MySecretPassword1", "x")
    assert [refusal.principal for refusal in fresh.store.audit.list()] == ["(unknown)"]


def test_every_login_has_a_new_token_and_ends_the_one_before(house, someone):
    browser = house.browser()
    tokens = set()
    for _ in range(3):
        assert log_in(browser, someone).status_code == 201
        tokens.add(browser.cookies[COOKIE])
    assert len(tokens) == 3
    alive = [token for token in tokens if house.client(token).get("/api/v1/session").status_code == 200]
    assert alive == [browser.cookies[COOKIE]]


def test_a_token_that_somebody_else_has_set_is_never_taken_over(house, someone):
    planted = f"{SESSION}{'A' * 43}"
    answer = house.client().post(
        "/api/v1/session", json={"name": someone, "password": PASSWORD}, headers={"Cookie": f"{COOKIE}={planted}"}
    )
    assert cookie_of(answer)[COOKIE].value != planted
    assert house.client(planted).get("/api/v1/session").status_code == 401


def test_logging_out_ends_the_session_everywhere(house, someone):
    browser = house.log_in(someone)
    token = browser.cookies[COOKIE]
    answer = browser.delete("/api/v1/session")
    assert answer.status_code == 204
    assert cookie_of(answer)[COOKIE].value == ""
    assert house.client(token).get("/api/v1/session").status_code == 401
    assert browser.delete("/api/v1/session").status_code == 401


def test_an_idle_session_ends_and_a_used_one_too(tmp_path, deployment, hashed, monkeypatch):
    """An hour: 15 minutes without use, 60 with."""
    from beamctl.api.auth import sessions
    from beamctl.store import sessions as stored

    options = ServiceOptions(session_hours=1.0)
    passed = timedelta()
    real = sessions.now
    for module in (sessions, stored):
        monkeypatch.setattr(module, "now", lambda: real() + passed)
    with open_store(f"sqlite:///{tmp_path}/a.db") as store, built(store, deployment, options) as found:
        found.add("viewer", Role.VIEWER, hashed)
        used, idle = (log_in(found.client(), "viewer", carrier="bearer").json()["token"] for _ in range(2))
        client = found.client(used)
        for minutes in (10, 20, 30, 40, 50, 59):
            passed = timedelta(minutes=minutes)
            assert client.get("/api/v1/session").status_code == 200, minutes
            expected = 200 if minutes < 15 else 401
            if minutes >= 15:
                assert found.client(idle).get("/api/v1/session").status_code == expected, minutes
        passed = timedelta(minutes=61)
        assert client.get("/api/v1/session").status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {}, {"X-Beamctl": "0"}, {"X-Beamctl": ""},
        {"X-Beamctl": "1", "Origin": "https://evil.example"}, {"X-Beamctl": "1", "Origin": "null"},
        {"X-Beamctl": "1", "Origin": "http://localhost"}, {"X-Beamctl": "1", "Sec-Fetch-Site": "cross-site"},
        {"X-Beamctl": "1", "Sec-Fetch-Site": "same-site"}, {"X-Beamctl": "1", "Origin": "http://[bad"},
    ],
)  # fmt: skip
def test_requests_of_other_sites_change_nothing(house, someone, headers):
    token = house.log_in(someone).cookies[COOKIE]
    answer = house.client().delete("/api/v1/session", headers={"Cookie": f"{COOKIE}={token}", **headers})
    assert answer.status_code == 403
    assert answer.json()["code"] == "cross-site"
    assert house.client(token).get("/api/v1/session").status_code == 200


def test_requests_of_our_pages_do(house, someone):
    token = house.log_in(someone).cookies[COOKIE]
    ours = {"X-Beamctl": "1", "Origin": house.url, "Sec-Fetch-Site": "same-origin", "Cookie": f"{COOKIE}={token}"}
    assert house.client().delete("/api/v1/session", headers=ours).status_code == 204


def test_another_site_cannot_log_one_in(house):
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        answer = house.client().post("/api/v1/session", json={"name": "viewer", "password": PASSWORD}, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "cross-site")


def test_no_other_site_may_read_anything(house):
    answer = house.client().options(
        "/api/v1/users", headers={"Origin": "https://evil.example", "Access-Control-Request-Method": "GET"}
    )
    assert answer.status_code == 405
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_the_password_is_changed_and_other_sessions_end(house, someone):
    browser, other = house.log_in(someone), house.log_in(someone)
    answer = browser.put("/api/v1/session/password", json={"old": PASSWORD, "new": NEW})
    assert answer.status_code == 200
    assert browser.get("/api/v1/session").status_code == 200
    assert other.get("/api/v1/session").status_code == 401
    assert log_in(house.client(), someone, PASSWORD).status_code == 401
    assert log_in(house.client(), someone, NEW).status_code == 201


def test_the_password_is_not_changed_without_the_old_one(house, someone):
    browser = house.log_in(someone)
    answer = browser.put("/api/v1/session/password", json={"old": "not it", "new": NEW})
    assert (answer.status_code, answer.json()["code"]) == (401, "bad-credentials")
    assert log_in(house.client(), someone).status_code == 201


@pytest.mark.parametrize("new", ["short", PASSWORD, "x" * 201])
def test_passwords_that_are_not_taken(house, someone, new):
    answer = house.log_in(someone).put("/api/v1/session/password", json={"old": PASSWORD, "new": new})
    assert answer.status_code == 422
    assert new not in answer.text


def test_a_key_changes_no_password_and_ends_no_session(house, someone):
    program = house.client(house.key(someone, Role.OPERATOR))
    assert program.put("/api/v1/session/password", json={"old": PASSWORD, "new": NEW}).status_code == 409
    assert program.delete("/api/v1/session").status_code == 409


def test_a_password_of_an_admin_has_to_be_changed(house, hashed):
    house.add("newcomer-2", Role.VIEWER, hashed, must_change=True)
    browser = house.log_in("newcomer-2")
    assert browser.get("/api/v1/session").json()["must_change_password"] is True
    assert browser.get("/api/v1/machine").json()["code"] == "must-change-password"
    answer = browser.put("/api/v1/session/password", json={"old": PASSWORD, "new": NEW})
    assert answer.json()["must_change_password"] is False
    assert browser.get("/api/v1/machine").status_code == 200


def test_guessing_gets_slower(fresh, hashed):
    fresh.add("viewer", Role.VIEWER, hashed)
    client = fresh.client()
    codes = [log_in(client, "viewer", f"guess {i}").status_code for i in range(8)]
    assert codes[:5] == [401] * 5
    assert 429 in codes
    answer = log_in(client, "viewer", PASSWORD)
    assert answer.status_code == 429
    assert 1 <= int(answer.headers["retry-after"]) <= 30
    assert answer.json()["code"] == "too-many"


def test_many_guesses_at_once_are_not_one(fresh, hashed):
    from concurrent.futures import ThreadPoolExecutor

    fresh.add("viewer", Role.VIEWER, hashed)
    client = fresh.client()
    with ThreadPoolExecutor(20) as pool:
        codes = list(pool.map(lambda i: log_in(client, "viewer", f"guess {i}").status_code, range(40)))
    assert codes.count(401) <= 8
    assert set(codes) == {401, 429}


def test_an_outdated_hash_is_renewed(house):
    from argon2 import PasswordHasher

    weak = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1).hash(PASSWORD)
    house.add("old-hand", Role.VIEWER, weak)
    assert log_in(house.client(), "old-hand").status_code == 201
    renewed = house.store.users.get("old-hand").password_hash
    assert renewed.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert log_in(house.client(), "old-hand").status_code == 201


def test_everything_is_an_event_and_none_holds_a_secret(fresh):
    admin = fresh.service.authentication.passwords.hash_now(PASSWORD)
    fresh.add("admin", Role.ADMIN, admin)
    browser = fresh.log_in("admin")
    browser.post("/api/v1/users", json={"name": "a", "role": "viewer", "password": NEW})
    key = browser.post("/api/v1/keys", json={"label": "b", "scope": "viewer"}).json()
    browser.delete(f"/api/v1/keys/{key['id']}")
    browser.delete("/api/v1/session")
    events = fresh.store.events.read()
    told = "".join(str(event.payload) for event in events)
    assert {event.kind for event in events} >= {"user", "key", "session"}
    for secret in (PASSWORD, NEW, "argon2", key["secret"], token_hash(key["secret"])):
        assert secret not in told
