"""``beamctl serve`` as a process."""

import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from beamctl.store.open import open_store

pytestmark = pytest.mark.system
PATIENCE_S = 60.0
END_S = 2.0
NEW = "another good password"
LOADED = """
import json, sys
from beamctl.api.server import Server
Server.run = lambda *_: print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
from beamctl.cli.app import main
main()
"""
HEAVY = {"epics", "caproto", "torch", "stable_baselines3", "matplotlib", "numba", "llvmlite", "authlib", "pyarrow"}


class Serve:
    """The process; its store is a file of its own."""

    def __init__(self, folder: Path, *options: str, **environment: str) -> None:
        self.store = f"sqlite:///{folder}/beamctl.db"
        env = {**os.environ, "BEAMCTL_STORE": self.store, **environment}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "beamctl", "serve", "--port", "0", *options],
            env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.lines: list[str] = []
        self.url = ""
        for line in self.process.stdout or ():
            self.lines.append(line.strip())
            if line.startswith("READY "):
                self.url = line.split()[1]
                break

    def stop(self) -> str:
        """End it as an init system does; what it has written to standard error."""
        self.process.terminate()
        errors = self.process.communicate(timeout=PATIENCE_S)[1]
        assert self.process.returncode == 0, errors
        return errors

    @property
    def password(self) -> str | None:
        found = [re.search(r"password (\S+)", line) for line in self.lines]
        return next((match.group(1) for match in found if match), None)

    def log_in(self, password: str, name: str = "admin") -> httpx.Response:
        return httpx.post(
            f"{self.url}/api/v1/session", json={"name": name, "password": password, "carrier": "bearer"}, timeout=30.0
        )


@pytest.fixture
def serve(tmp_path) -> Iterator:
    """Start it with options, and have it ended."""
    started: list[Serve] = []

    def start(*options: str, **environment: str) -> Serve:
        started.append(Serve(tmp_path, *options, **environment))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
        one.process.communicate()


def failed(folder: Path, *options: str, **environment: str) -> str:
    env = {**os.environ, "BEAMCTL_STORE": f"sqlite:///{folder}/beamctl.db", **environment}
    ended = subprocess.run(
        [sys.executable, "-m", "beamctl", "serve", *options],
        env=env,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert ended.returncode == 2, ended.stderr
    assert "Traceback" not in ended.stderr
    return " ".join(ended.stderr.split())


def test_the_first_start_and_the_second(serve):
    first = serve()
    assert first.url.startswith("http://127.0.0.1:")
    token = first.log_in(first.password).json()["token"]
    shown = {"Authorization": f"Bearer {token}"}
    assert httpx.get(f"{first.url}/api/v1/machine", headers=shown).json()["code"] == "must-change-password"
    changed = httpx.put(
        f"{first.url}/api/v1/session/password", headers=shown, json={"old": first.password, "new": NEW}, timeout=30.0
    )
    assert changed.status_code == 200
    assert httpx.get(f"{first.url}/api/v1/machine", headers=shown).status_code == 200
    errors = first.stop()
    assert first.password not in errors
    second = serve()
    assert second.password is None
    assert second.log_in(first.password).status_code == 401
    assert second.log_in(NEW).status_code == 201
    assert httpx.get(f"{second.url}/api/v1/machine", headers=shown).status_code == 200, "sessions survive a restart"


def test_whoever_has_lost_the_password_gets_another(serve, tmp_path):
    first = serve()
    reset = subprocess.run(
        [sys.executable, "-m", "beamctl", "serve", "--reset-admin"],
        env={**os.environ, "BEAMCTL_STORE": first.store},
        capture_output=True, text=True, timeout=PATIENCE_S, check=True,
    )  # fmt: skip
    again = re.search(r"password (\S+)", reset.stdout).group(1)
    assert first.log_in(first.password).status_code == 401
    assert first.log_in(again).json()["must_change_password"] is True


def test_it_ends_at_once_whoever_listens(serve):
    one = serve()
    token = one.log_in(one.password).json()["token"]
    shown = {"Authorization": f"Bearer {token}"}
    httpx.put(
        f"{one.url}/api/v1/session/password", headers=shown, json={"old": one.password, "new": NEW}, timeout=30.0
    ).raise_for_status()
    port = int(one.url.rpartition(":")[2])
    with (
        httpx.Client(base_url=one.url, headers=shown) as client,
        client.stream("GET", "/api/v1/events") as stream,
        client.stream("GET", "/api/v1/events") as deaf,
        socket.create_connection(("127.0.0.1", port)) as silent,
        socket.create_connection(("127.0.0.1", port)) as half,
    ):
        half.sendall(b"POST /api/v1/session HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n")
        lines = stream.iter_lines()
        assert next(lines)
        assert deaf.status_code == 200
        assert silent.fileno()
        began = time.monotonic()
        one.process.send_signal(signal.SIGTERM)
        assert one.process.wait(PATIENCE_S) == 0
        took = time.monotonic() - began
        assert all(line is not None for line in lines)
    assert took < END_S


def test_it_loads_nothing_that_moves_magnets_or_learns(tmp_path):
    ended = subprocess.run(
        [sys.executable, "-c", LOADED, "serve", "--port", "0"],
        env={**os.environ, "BEAMCTL_STORE": f"sqlite:///{tmp_path}/beamctl.db"},
        capture_output=True, text=True, timeout=PATIENCE_S, check=True,
    )  # fmt: skip
    loaded = set(json.loads(ended.stdout.splitlines()[-1]))
    assert {"beamctl", "fastapi", "uvicorn"} <= loaded
    assert not loaded & HEAVY


def test_nor_later(serve):
    one = serve()
    token = one.log_in(one.password).json()["token"]
    shown = {"Authorization": f"Bearer {token}"}
    with httpx.Client(base_url=one.url, headers=shown, timeout=60.0) as client:
        client.put("/api/v1/session/password", json={"old": one.password, "new": NEW}).raise_for_status()
        contract = client.get("/api/v1/openapi.json").json()
        for path in contract["paths"]:
            if "{" not in path and path != "/api/v1/events" and "get" in contract["paths"][path]:
                assert client.get(path).status_code < 600
        for agent in client.get("/api/v1/agents").json()["agents"]:
            assert client.get(f"/api/v1/agents/{agent['id']}").status_code == 200
    mapped = Path(f"/proc/{one.process.pid}/maps").read_text()
    for name in ("libca.so", "torch", "llvmlite", "matplotlib", "pyarrow"):
        assert name not in mapped, name


@pytest.mark.parametrize("interface", ["0.0.0.0", "::"])
def test_other_hosts_need_tls(tmp_path, interface):
    assert "other hosts could read passwords" in failed(tmp_path, "--interface", interface)
    assert not (tmp_path / "beamctl.db").exists()


def test_a_port_that_is_taken(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        told = failed(tmp_path, "--port", str(taken.getsockname()[1]))
    assert "cannot listen at 127.0.0.1" in told


def test_settings_that_are_none(tmp_path):
    assert "BEAMCTL_HTTP_PORT" in failed(tmp_path, BEAMCTL_HTTP_PORT="many")


def test_a_demonstration_lets_everybody_in_and_the_next_start_nobody(serve, tmp_path):
    one = serve("--demo")
    shown = httpx.get(f"{one.url}/api/v1/session/ways").json()["demo"]
    answer = one.log_in(shown["password"], shown["name"])
    assert (answer.json()["role"], answer.json()["must_change_password"]) == ("operator", False)
    token = {"Authorization": f"Bearer {answer.json()['token']}"}
    key = httpx.post(f"{one.url}/api/v1/keys", json={"label": "a", "scope": "operator"}, headers=token).json()["secret"]
    one.stop()
    two = serve()
    assert httpx.get(f"{two.url}/api/v1/session/ways").json()["demo"] is None
    assert two.log_in(shown["password"], shown["name"]).status_code == 401
    for shown in (token, {"Authorization": f"Bearer {key}"}):
        assert httpx.get(f"{two.url}/api/v1/session", headers=shown).status_code == 401
    assert "--demo" in failed(tmp_path, "--demo", "--behind-proxy")


def test_requests_are_logged_without_what_is_nobodys_business(serve):
    one = serve("--log-requests")
    httpx.get(f"{one.url}/healthz?token=hush", headers={"Authorization": "Bearer hush"})
    httpx.get(f"{one.url}/a%0Ab")
    errors = one.stop()
    assert "127.0.0.1 - GET /healthz 200" in errors
    assert "GET /a\\nb 404" in errors
    assert "hush" not in errors


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that nobody has signed, and its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "beamctl test")])
    now = datetime.now(UTC)
    import ipaddress

    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "cert.pem", folder / "key.pem"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return paths


def test_with_a_certificate_it_speaks_tls_only(serve, tmp_path):
    cert, key = certificate(tmp_path)
    one = serve(BEAMCTL_HTTP_CERTIFICATE=str(cert), BEAMCTL_HTTP_KEY=str(key))
    assert one.url.startswith("https://127.0.0.1:")
    trusted = ssl.create_default_context(cafile=str(cert))
    with httpx.Client(base_url=one.url, verify=trusted, timeout=30.0) as client:
        answer = client.post("/api/v1/session", json={"name": "admin", "password": one.password})
        assert answer.status_code == 201
        assert "; Secure" in answer.headers["set-cookie"]
        assert client.get("/api/v1/session").json()["name"] == "admin"
    with pytest.raises(httpx.HTTPError):
        httpx.get(one.url.replace("https", "http"))


def test_what_the_store_says_of_it(serve, tmp_path):
    serve().stop()
    with open_store(f"sqlite:///{tmp_path}/beamctl.db", read_only=True) as store:
        assert [user.name for user in store.users.list()] == ["admin"]
