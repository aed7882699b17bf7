"""Whatever is sent: an answer that says what is wrong, never a fault of the service."""

import socket
import time
from typing import Any

import httpx
import pytest

from beamctl.api.options import ServiceOptions
from beamctl.store.open import open_store
from beamctl.store.states import Role
from tests.system.access.conftest import built
from tests.system.access.routes import LEAST_ROLE

pytestmark = pytest.mark.system
JSON = {"Content-Type": "application/json"}
NOT_JSON = {
    "nothing in it": b"",
    "half": b'{"name":',
    "NaN": b'{"target": NaN}',
    "Infinity": b'{"target": Infinity}',
    "minus infinity": b'{"target": -Infinity}',
    "more than a double": b'{"target": 1e400}',
    "5000 digits": b'{"max_steps": ' + b"9" * 5000 + b"}",
    "nested": b"[" * 60_000,
    "nested and closed": b'{"a":' * 5000 + b"1" + b"}" * 5000,
    "not UTF-8": b'{"note": "\xff\xfe"}',
    "UTF-16": '{"note": "a"}'.encode("utf-16"),
    "byte order mark": b"\xef\xbb\xbf{}",
    "half a character": b'{"note": "\\ud800"}',
    "half a character as name": b'{"\\udfff": 1}',
    "a name twice": b'{"note": "a", "note": "b"}',
    "NUL": b"\x00",
    "XML": b"<a/>",
    "comment": b"{} // yes",
}
WRONG: dict[str, Any] = {
    "list": [],
    "number": 1,
    "text": "text",
    "true": True,
    "null": None,
    "unknown field": {"is_unknown": 1},
    "numbers for text": {
        "task": 1, "name": 1, "label": 1, "reason": 1, "old": 1, "new": 1, "password": 1, "note": 1, "of": 1,
        "role": 1, "scope": 1,
    },
    "text for numbers": {"task": "a", "target": "1", "max_steps": "3", "enabled": "true", "days": "1", "seed": "1"},
    "true for numbers": {"task": "a", "target": True, "max_steps": True, "seed": True, "preflight": True, "days": True},
    "too large": {"task": "a", "target": 1e300, "max_steps": 10**30, "seed": 2**63, "preflight": 2**53, "days": 10**9},
    "too small": {"task": "a", "target": -1, "max_steps": 0, "seed": -1, "preflight": -1, "step_percent": 0},
    "NUL in text": {"task": "a\0b", "name": "a\0", "note": "\0", "label": "\0", "reason": "\0"},
    "long text": {"task": "a" * 5000, "name": "a" * 5000, "note": "a" * 5000, "label": "a" * 5000},
    "markup": {"task": "<script>alert(1)</script>", "name": "<b>", "label": ""},
    "other letters": {"task": "задача", "name": "用户", "label": "\u202e", "note": "\u2028\n"},
    "objects": {"task": {}, "name": [], "note": {"a": []}, "password": {}, "enabled": []},
}  # fmt: skip
WITH_BODY = [
    route for route in LEAST_ROLE if route.split()[0] in ("POST", "PUT", "PATCH") and "{verb:verb}" not in route
]
NUMBERS = [
    "0",
    "-1",
    "1.5",
    "abc",
    "%00",
    "9007199254740993",
    "9" * 30,
    "9" * 5000,
    "1e3",
    "%ED%A0%80",
    "%FF",
    " ",
    "１",
]
NAMES = ["%00", "a" * 3000, "%ED%A0%80", "%FF%FE", "a%2Fb", "%0d%0aX:1", "'%22%3B--", "%20", "%F0%9F%9A%80"]
QUERIES = ["0", "-1", "abc", "NaN", "1e400", "9" * 30, "9" * 5000, "%00", "%FF", "", "1&{}=2", "[]"]


@pytest.fixture(scope="module")
def admin(house) -> httpx.Client:
    return house.client(house.session("admin"))


def path_of(route: str, **values: str) -> tuple[str, str]:
    method, path = route.split(" ")
    given = {
        "run": "1", "request": "1", "key": "1", "verb:verb": "pause", "section": "cafe2-cm1", "agent": "cafe2-orbit",
        "name": "viewer", "path:path": "a",
    } | values  # fmt: skip
    for name, value in given.items():
        path = path.replace(f"{{{name}}}", value)
    return method, path


def check(answer: httpx.Response, told: object = "") -> None:
    """A refusal as RFC 9457 has it, in words."""
    assert 400 <= answer.status_code < 500, (told, answer.status_code, answer.text[:300])
    assert answer.headers["content-type"] == "application/problem+json", (told, answer.text[:300])
    problem = answer.json()
    assert problem["type"] == f"urn:beamctl:problem:{problem['code']}"
    assert problem["status"] == answer.status_code
    assert len(problem["detail"]) > 5, told
    assert "Traceback" not in answer.text


@pytest.mark.parametrize("what", NOT_JSON)
def test_what_is_not_json(admin, what):
    for route in WITH_BODY:
        method, path = path_of(route)
        answer = admin.request(method, path, content=NOT_JSON[what], headers=JSON)
        check(answer, route)
        assert answer.status_code in (400, 422), route


@pytest.mark.parametrize("what", WRONG)
def test_json_that_is_no_message(admin, what):
    for route in WITH_BODY:
        method, path = path_of(route)
        answer = admin.request(method, path, json=WRONG[what])
        check(answer, route)
        assert answer.status_code in (400, 422, 428), (route, answer.text)


def test_faults_name_the_field_and_do_not_repeat_what_was_sent(house):
    secret = "a secret that nobody else should read"
    answer = house.client().post("/api/v1/session", json={"name": 5, "password": [secret], "more": secret})
    check(answer)
    assert secret not in answer.text
    assert {fault["where"] for fault in answer.json()["faults"]} == {"body.name", "body.password", "body.more"}


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "", "json"])
def test_what_is_not_said_to_be_json(admin, kind):
    for route in WITH_BODY:
        method, path = path_of(route)
        answer = admin.request(method, path, content=b"{}", headers={"Content-Type": kind})
        check(answer, route)
        assert answer.status_code == 415, route


def test_numbers_in_paths(admin):
    for route in LEAST_ROLE:
        for name in ("run", "request", "key"):
            if f"{{{name}}}" not in route:
                continue
            for number in NUMBERS:
                method, path = path_of(route, **{name: number})
                check(admin.request(method, path, headers={"If-Match": '"1"'}), (route, number))


def test_names_in_paths(admin):
    tried = 0
    for route in LEAST_ROLE:
        for name in ("section", "agent", "name", "verb:verb", "path:path"):
            if f"{{{name}}}" not in route:
                continue
            for word in NAMES:
                method, path = path_of(route, **{name: word})
                body = {"json": {}} if method in ("POST", "PUT", "PATCH") else {}
                check(admin.request(method, path, headers={"If-Match": '"1"'}, **body), (route, word))
                tried += 1
    assert tried > 50


def test_queries(house, admin):
    contract = admin.get("/api/v1/openapi.json").json()
    tried = 0
    for path, operations in contract["paths"].items():
        for parameter in operations.get("get", {}).get("parameters", []):
            if parameter["in"] != "query" or "/events" in path or "oidc" in path:
                continue
            for value in QUERIES:
                address = f"{path_of(f'GET {path}')[1]}?{parameter['name']}={value.format(parameter['name'])}"
                answer = admin.get(address)
                assert answer.status_code < 500, address
                tried += 1
    assert tried > 100


@pytest.mark.parametrize("tag", ["", "1", '"', '""', "W/", '"a"b', "*", '"\xff"', '"' + "9" * 5000 + '"', "x" * 900])
def test_versions_that_are_none(admin, tag):
    answer = admin.patch("/api/v1/users/viewer", json={}, headers={"If-Match": tag.encode("latin-1")})
    check(answer)
    assert answer.status_code in (412, 422, 428)


def test_methods_that_are_none(admin):
    for route in LEAST_ROLE:
        path = path_of(route)[1]
        for other in ("TRACE", "PROPFIND", "OPTIONS"):
            answer = admin.request(other, path)
            check(answer, route)
            assert answer.status_code == 405
            assert answer.headers["allow"]


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "127.0.0.1@evil", "[::2]", "", "a b", "127.0.0.1:99999999"],
)
def test_names_that_are_not_ours(house, host):
    answer = house.client().get("/healthz", headers={"Host": host})
    check(answer)
    assert answer.status_code == 421


@pytest.mark.parametrize("host", ["127.0.0.1", "LOCALHOST:8470", "[::1]:1", "localhost."])
def test_names_that_are_ours(house, host):
    assert house.client().get("/healthz", headers={"Host": host}).status_code == 200


def raw(house, *parts: bytes, patience_s: float = 20.0) -> bytes:
    """What comes back for bytes, until the service closes the connection."""
    found = b""
    with socket.create_connection(("127.0.0.1", house.port), patience_s) as connection:
        for part in parts:
            try:
                connection.sendall(part)
            except (BrokenPipeError, ConnectionResetError):
                break
        while True:
            try:
                more = connection.recv(65536)
            except ConnectionResetError:
                return found
            if not more:
                return found
            found += more


def test_a_large_body_is_refused_before_it_is_sent(house):
    head = (
        b"POST /api/v1/session HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: 100000000\r\n\r\n"
    )
    began = time.monotonic()
    answer = raw(house, head)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in answer.lower()
    assert time.monotonic() - began < 5.0


def test_a_large_body_in_chunks_is_not_read_to_its_end(house):
    head = (
        b"POST /api/v1/session HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n"
    )
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    sent = 0
    with socket.create_connection(("127.0.0.1", house.port), 20.0) as connection:
        connection.sendall(head)
        try:
            while sent < 100_000_000:
                connection.sendall(chunk)
                sent += len(chunk)
        except (BrokenPipeError, ConnectionResetError):
            pass
        else:
            pytest.fail("100 MB were read")
    assert sent < 20_000_000


def test_chunks_within_the_limit_are_read(house):
    body = (part for part in [b'{"name":"viewer",', b'"password":"wrong"}'])
    assert house.client().post("/api/v1/session", content=body, headers=JSON).status_code == 401


def test_a_body_that_does_not_arrive(tmp_path, deployment):
    options = ServiceOptions(body_timeout_s=0.2)
    with open_store(f"sqlite:///{tmp_path}/a.db") as store, built(store, deployment, options) as house:
        answer = raw(
            house,
            b"POST /api/v1/session HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b'Content-Length: 10\r\n\r\n{"',
        )
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"problem+json" in answer


@pytest.mark.parametrize(
    "request_line",
    [
        b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: \x7f\r\n\r\n",
        b"GARBAGE\r\n\r\n",
        b"GET / HTTP/x\r\nHost: localhost\r\n\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"POST /api/v1/session HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST /api/v1/session HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
)
def test_what_is_not_http(house, request_line):
    answer = raw(house, request_line + b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 4"), answer[:200]


def test_nothing_was_changed_by_all_this(house):
    assert {user.name: user.role for user in house.store.users.list()}.items() >= {r.value: r for r in Role}.items()
