"""Accounts and keys."""

import pytest

from beamctl.api.auth.sessions import COOKIE
from beamctl.store.states import Role
from tests.system.access.conftest import PASSWORD

pytestmark = pytest.mark.system
NEW = "another good password"


@pytest.fixture
def admin(house):
    return house.log_in("admin")


def tag(client, name: str) -> dict[str, str]:
    return {"If-Match": client.get(f"/api/v1/users/{name}").headers["etag"]}


def test_an_account_from_its_making_to_its_end(house, admin):
    asked = {"name": "ada@lab.example", "role": "viewer", "password": NEW}
    made = admin.post("/api/v1/users", json=asked)
    assert made.status_code == 201
    assert made.headers["location"] == "/api/v1/users/ada@lab.example"
    assert made.headers["etag"] == '"1"'
    assert made.json()["must_change_password"] is True
    found = admin.get(made.headers["location"])
    assert found.json() == made.json()
    assert NEW not in found.text
    assert "argon2" not in found.text
    assert asked["name"] in [user["name"] for user in admin.get("/api/v1/users").json()["users"]]
    assert admin.post("/api/v1/users", json=asked).status_code == 409
    changed = admin.patch(
        made.headers["location"], json={"role": "operator"}, headers={"If-Match": found.headers["etag"]}
    )
    assert (changed.json()["role"], changed.headers["etag"]) == ("operator", '"2"')
    gone = admin.delete(made.headers["location"], headers={"If-Match": changed.headers["etag"]})
    assert gone.status_code == 204
    assert admin.get(made.headers["location"]).status_code == 404


def test_whoever_decides_has_to_have_looked(admin, someone):
    place = f"/api/v1/users/{someone}"
    seen = tag(admin, someone)
    for method in ("PATCH", "DELETE"):
        body = {"json": {"role": "viewer"}} if method == "PATCH" else {}
        answer = admin.request(method, place, **body)
        assert (answer.status_code, answer.json()["code"]) == (428, "version-needed")
    assert admin.patch(place, json={"role": "viewer"}, headers=seen).status_code == 200
    answer = admin.patch(place, json={"role": "admin"}, headers=seen)
    assert (answer.status_code, answer.json()["code"]) == (412, "changed-meanwhile")
    assert admin.delete(place, headers=seen).status_code == 412


def test_a_new_role_counts_at_once(house, admin, someone):
    client = house.log_in(someone)
    key = house.client(house.key(someone, Role.OPERATOR))
    assert client.post("/api/v1/runs", json={}).status_code == 422
    admin.patch(f"/api/v1/users/{someone}", json={"role": "viewer"}, headers=tag(admin, someone))
    for one in (client, key):
        assert one.post("/api/v1/runs", json={}).status_code == 403
        assert one.get("/api/v1/machine").status_code == 200


def test_a_disabled_account_is_out_at_once(house, admin, someone):
    client = house.log_in(someone)
    key = house.client(house.key(someone, Role.OPERATOR))
    admin.patch(f"/api/v1/users/{someone}", json={"enabled": False}, headers=tag(admin, someone))
    for one in (client, key):
        assert one.get("/api/v1/session").status_code == 401
    admin.patch(f"/api/v1/users/{someone}", json={"enabled": True}, headers=tag(admin, someone))
    assert client.get("/api/v1/session").status_code == 401
    assert key.get("/api/v1/session").status_code == 200


def test_a_password_set_by_an_admin_ends_sessions_and_has_to_be_changed(house, admin, someone):
    client = house.log_in(someone)
    answer = admin.patch(f"/api/v1/users/{someone}", json={"password": NEW}, headers=tag(admin, someone))
    assert answer.json()["must_change_password"] is True
    assert client.get("/api/v1/session").status_code == 401
    assert house.log_in(someone, NEW).get("/api/v1/machine").json()["code"] == "must-change-password"


def test_the_last_admin_stays(fresh, hashed):
    fresh.add("admin", Role.ADMIN, hashed)
    fresh.add("other", Role.VIEWER, hashed)
    admin = fresh.log_in("admin")
    place = "/api/v1/users/admin"
    for change in ({"role": "viewer"}, {"role": "operator"}, {"enabled": False}):
        answer = admin.patch(place, json=change, headers=tag(admin, "admin"))
        assert (answer.status_code, answer.json()["code"]) == (409, "conflict"), change
    assert admin.delete(place, headers=tag(admin, "admin")).status_code == 409
    admin.patch("/api/v1/users/other", json={"role": "admin"}, headers=tag(admin, "other"))
    assert admin.delete(place, headers=tag(admin, "admin")).status_code == 204
    assert admin.get("/api/v1/session").status_code == 401


def test_a_key_is_shown_once_and_works_until_it_is_revoked(house, someone):
    browser = house.log_in(someone)
    made = browser.post("/api/v1/keys", json={"label": "night watch", "scope": "viewer", "days": 1})
    assert made.status_code == 201
    key = made.json()
    program = house.client(key["secret"])
    told = program.get("/api/v1/session").json()
    assert (told["name"], told["role"], told["via"]) == (someone, "viewer", "key")
    assert program.post("/api/v1/runs", json={}).status_code == 403
    listed = browser.get("/api/v1/keys")
    assert key["secret"] not in listed.text
    assert [(k["id"], k["prefix"]) for k in listed.json()["keys"]] == [(key["id"], key["secret"][:12])]
    assert browser.delete(f"/api/v1/keys/{key['id']}").status_code == 204
    assert program.get("/api/v1/session").status_code == 401
    assert browser.get("/api/v1/keys").json()["keys"][0]["revoked"] is True


@pytest.mark.parametrize(("role", "scope"), [("viewer", "operator"), ("viewer", "admin"), ("operator", "admin")])
def test_no_key_is_mightier_than_who_makes_it(house, role, scope):
    answer = house.log_in(role).post("/api/v1/keys", json={"label": "a", "scope": scope})
    assert (answer.status_code, answer.json()["code"]) == (403, "not-allowed")


def test_a_key_makes_no_keys(house, someone):
    program = house.client(house.key(someone, Role.OPERATOR))
    answer = program.post("/api/v1/keys", json={"label": "a", "scope": "viewer"})
    assert (answer.status_code, answer.json()["code"]) == (403, "not-allowed")


def test_keys_of_others_are_not_there(house, admin, someone):
    _, number = house.key_and_id(someone, Role.VIEWER)
    viewer = house.log_in("viewer")
    assert number not in [key["id"] for key in viewer.get("/api/v1/keys").json()["keys"]]
    assert viewer.delete(f"/api/v1/keys/{number}").status_code == 404
    assert viewer.delete("/api/v1/keys/900001").status_code == 404
    assert number in [key["id"] for key in admin.get("/api/v1/keys").json()["keys"]]
    assert admin.delete(f"/api/v1/keys/{number}").status_code == 204


def test_refusals_are_for_admins(house, admin, someone):
    browser = house.log_in(someone)
    for _ in range(2):
        browser.get("/api/v1/users")
    page = admin.get("/api/v1/audit/refusals", params={"limit": 1}).json()
    assert page["refusals"][0]["principal"] == someone
    assert page["next"] == page["refusals"][0]["id"]
    second = admin.get("/api/v1/audit/refusals", params={"limit": 1, "before": page["next"]}).json()
    assert second["refusals"][0]["principal"] == someone
    assert second["refusals"][0]["id"] < page["next"]


def test_refusals_do_not_fill_the_store(house, someone):
    browser = house.log_in(someone)
    for _ in range(30):
        assert browser.get("/api/v1/users").status_code == 403
    assert len(house.store.audit.list(principal=someone)) == 10


def test_the_password_of_the_cookie_is_needed_nowhere_else(house, someone):
    browser = house.log_in(someone)
    assert PASSWORD not in browser.cookies[COOKIE]


def test_the_contract_and_its_page_are_behind_the_login(house):
    assert house.client().get("/api/v1/docs").status_code == 401
    browser = house.log_in("viewer")
    page = browser.get("/api/v1/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert "http" not in page.text.replace("html", "")
    for name, kind in (("swagger-ui.css", "css"), ("swagger-ui-bundle.js", "javascript"), ("start.js", "javascript")):
        file = browser.get(f"/api/v1/docs/{name}")
        assert (file.status_code, kind in file.headers["content-type"]) == (200, True)
        assert "frame-ancestors 'none'" in file.headers["content-security-policy"]
    assert browser.get("/api/v1/docs/LICENSE").status_code == 422
    assert browser.get("/api/v1/openapi.json").json()["openapi"].startswith("3.1")


def test_headers_are_on_every_answer(house):
    browser = house.log_in("viewer")
    for path in ("/", "/healthz", "/api/v1/session", "/api/v1/nothing", "/web/nothing.js", "/api/v1/users"):
        headers = browser.get(path).headers
        assert headers["x-content-type-options"] == "nosniff", path
        assert headers["referrer-policy"] == "no-referrer", path
        assert headers["cross-origin-resource-policy"] == "same-origin", path
        assert "script-src 'self';" in headers["content-security-policy"], path
        assert headers["cache-control"] == ("no-cache" if path in ("/", "/web/nothing.js") else "no-store"), path
        assert "server" not in headers, path
