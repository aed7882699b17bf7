"""Behind a reverse proxy: whom it names, and whom it speaks for."""

from collections.abc import Iterator

import pytest

from beamctl.api.options import Addresses, ProxyOptions, ServiceOptions
from beamctl.store.open import open_store
from beamctl.store.states import Role
from tests.system.access.conftest import House, built

pytestmark = pytest.mark.system
HEADER = "X-Remote-User"


def behind(folder, deployment, proxies: str) -> Iterator[House]:
    options = ServiceOptions(is_https=True, proxy=ProxyOptions(Addresses.of(proxies), HEADER))
    with open_store(f"sqlite:///{folder}/a.db") as store, built(store, deployment, options) as house:
        house.add("ada", Role.OPERATOR)
        house.add("gone", Role.ADMIN)
        house.add("boss", Role.ADMIN)
        house.store.users.change("gone", enabled=False, principal="tests")
        yield house


@pytest.fixture
def believed(tmp_path_factory, deployment) -> Iterator[House]:
    """We are the proxy."""
    yield from behind(tmp_path_factory.mktemp("believed"), deployment, "127.0.0.0/8")


@pytest.fixture
def doubted(tmp_path_factory, deployment) -> Iterator[House]:
    """The proxy is somebody else."""
    yield from behind(tmp_path_factory.mktemp("doubted"), deployment, "192.0.2.1")


def test_whom_the_proxy_names(believed):
    client = believed.client()
    told = client.get("/api/v1/session", headers={HEADER: "ada"}).json()
    assert (told["name"], told["role"], told["via"], told["expires"]) == ("ada", "operator", "proxy", None)
    assert client.get("/api/v1/users", headers={HEADER: "ada"}).status_code == 403
    assert client.post("/api/v1/runs", json={}, headers={HEADER: "ada", "X-Beamctl": "1"}).status_code == 422


@pytest.mark.parametrize("name", ["nobody", "gone", "", "a b", "ADA", "ada,boss", "x" * 5000, "ada\xff"])
def test_whom_nobody_knows(believed, name):
    answer = believed.client().get("/api/v1/session", headers={HEADER: name.encode("latin-1")})
    assert answer.status_code == 401


def test_two_names_are_none(believed):
    answer = believed.client().get("/api/v1/session", headers=[(HEADER, "ada"), (HEADER, "boss")])
    assert answer.status_code == 401


def test_other_sites_are_kept_out_here_too(believed):
    answer = believed.client().post("/api/v1/runs", json={}, headers={HEADER: "ada"})
    assert (answer.status_code, answer.json()["code"]) == (403, "cross-site")


def test_the_header_from_anywhere_else_is_refused(doubted):
    for headers in ({HEADER: "boss"}, {HEADER: "boss", "X-Forwarded-For": "192.0.2.1"}):
        answer = doubted.client().get("/api/v1/users", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "not-allowed")
    good = doubted.client(doubted.session("boss"))
    assert good.get("/api/v1/users").status_code == 200
    assert good.get("/api/v1/users", headers={HEADER: "ada"}).status_code == 403


def test_without_the_option_the_header_means_nothing(house):
    assert house.client().get("/api/v1/session", headers={HEADER: "admin"}).status_code == 401
    told = house.client(house.session("viewer")).get("/api/v1/session", headers={HEADER: "admin"}).json()
    assert told["name"] == "viewer"


def addresses(house: House) -> list[str]:
    return [refusal.detail["address"] for refusal in house.store.audit.list()]


def test_the_address_is_what_a_believed_proxy_says(believed):
    body = {"name": "nobody", "password": "x"}
    for forwarded in ("203.0.113.7", "198.51.100.1, 203.0.113.7", "198.51.100.1, 203.0.113.7, 127.0.0.1"):
        believed.client().post("/api/v1/session", json=body, headers={"X-Forwarded-For": forwarded})
    assert addresses(believed) == ["203.0.113.7"] * 3


def test_the_host_is_what_a_believed_proxy_says(believed, doubted):
    """So that the Origin of the browser is compared with what the browser has called."""
    said = {
        "Host": "inner.example:8470",
        "X-Forwarded-Host": "localhost",
        "Origin": "http://localhost",
        "X-Beamctl": "1",
    }
    assert (
        believed.client().post("/api/v1/runs", json={}, headers={HEADER: "ada", "X-Beamctl": "1", **said}).status_code
        == 422
    )
    assert believed.client().get("/healthz", headers={"X-Forwarded-Host": "evil.example"}).status_code == 421
    assert doubted.client().get("/healthz", headers=said).status_code == 421
    assert doubted.client().get("/healthz", headers={"X-Forwarded-Host": "evil.example"}).status_code == 200


def test_the_address_is_the_peer_where_nobody_is_believed(doubted):
    body = {"name": "nobody", "password": "x"}
    doubted.client().post("/api/v1/session", json=body, headers={"X-Forwarded-For": "203.0.113.7"})
    assert addresses(doubted) == ["127.0.0.1"]
