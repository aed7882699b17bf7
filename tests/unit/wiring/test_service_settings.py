"""Settings of the service that would let somebody in are refused."""

import pytest
from pydantic import ValidationError

from beamctl.errors import ServingError
from beamctl.settings import Settings
from beamctl.wiring.service import binding, is_loopback, service_options

OIDC = {"oidc_issuer": "https://id.example", "oidc_client_id": "beamctl", "http_public_url": "https://beam.example"}


@pytest.fixture
def pem(tmp_path):
    for name in ("cert", "key"):
        (tmp_path / f"{name}.pem").write_text("")
    return {"http_certificate": tmp_path / "cert.pem", "http_key": tmp_path / "key.pem"}


@pytest.mark.parametrize("interface", ["0.0.0.0", "::", "192.0.2.1", "beam.example", ""])
def test_without_tls_only_loopback(interface):
    with pytest.raises(ServingError, match="other hosts could read passwords"):
        binding(Settings(http_interface=interface))


@pytest.mark.parametrize("interface", ["127.0.0.1", "::1", "localhost", "127.1.2.3"])
def test_loopback(interface):
    assert is_loopback(interface)
    assert not binding(Settings(http_interface=interface)).is_tls


def test_with_tls_or_a_proxy_any(pem):
    assert binding(Settings(http_interface="0.0.0.0", **pem)).is_tls
    assert not binding(Settings(http_interface="0.0.0.0", http_proxy=True)).is_tls
    for more in (pem, {"http_proxy": True}):
        assert service_options(Settings(**more)).is_https
    assert not service_options(Settings()).is_https


def test_half_a_certificate(pem, tmp_path):
    for name in pem:
        with pytest.raises(ServingError, match="both"):
            binding(Settings(**{name: pem[name]}))
    with pytest.raises(ServingError, match="no file"):
        binding(Settings(**pem | {"http_key": tmp_path / "none.pem"}))


def test_names():
    assert service_options(Settings()).hosts == ("127.0.0.1", "localhost", "[::1]")
    more = Settings(http_hosts="Beam.example,b", http_public_url="https://c.example:8443", http_interface="::2")
    assert {"beam.example", "b", "c.example", "[::2]"} < set(service_options(more).hosts)


def test_whom_a_proxy_names():
    with pytest.raises(ServingError, match="behind-proxy"):
        service_options(Settings(http_user_header="X-User"))
    proxy = service_options(Settings(http_user_header="X-User", http_proxy=True)).proxy
    assert proxy.user_header == "X-User"
    assert "127.0.0.1" in proxy.addresses
    assert "192.0.2.1" not in proxy.addresses
    assert "127.0.0.1" not in service_options(Settings()).proxy.addresses
    with pytest.raises(ServingError, match="PROXY_ADDRESSES"):
        service_options(Settings(http_proxy=True, http_proxy_addresses="somewhere"))


def test_an_identity_provider(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("hush hush\n")
    settings = Settings(**OIDC, oidc_client_secret_file=secret, oidc_roles="ops=operator;cn=x,dc=y=admin")
    oidc = service_options(settings).oidc
    assert oidc.client_secret == "hush hush"
    assert oidc.roles == {"ops": "operator", "cn=x,dc=y": "admin"}
    assert oidc.redirect_uri == "https://beam.example/api/v1/session/oidc/callback"
    assert "hush" not in repr(service_options(settings))
    assert "hush" not in repr(Settings(**OIDC, oidc_client_secret="hush hush"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"oidc_client_id": ""}, "CLIENT_ID"), ({"http_public_url": None}, "PUBLIC_URL"),
        ({"oidc_issuer": "http://id.example"}, "https"), ({"http_public_url": "http://beam.example"}, "https"),
        ({"oidc_issuer": "file:///etc/passwd"}, "https"), ({"oidc_client_secret_file": "/nowhere/secret"}, "No such"),
    ],
)  # fmt: skip
def test_half_an_identity_provider(change, words):
    with pytest.raises(ServingError, match=words):
        service_options(Settings(**OIDC | change))


def test_roles_that_are_none():
    with pytest.raises(ValidationError):
        Settings(oidc_roles="ops=king")
