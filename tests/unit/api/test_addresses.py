"""Who counts as a proxy, and which names are ours."""

import pytest

from beamctl.api.options import Addresses


@pytest.mark.parametrize(
    ("address", "is_in"),
    [
        ("127.0.0.1", True), ("::ffff:127.0.0.1", True), ("10.2.3.4", True), ("10.3.0.0", False), ("::1", False),
        ("", False), ("localhost", False), ("127.0.0.1:80", False), ("2001:db8::5", True), (None, False),
    ],
)  # fmt: skip
def test_addresses(address, is_in):
    assert (address in Addresses.of("127.0.0.1", "10.2.0.0/16", "2001:db8::/32")) is is_in


def test_nobody_is_in_nothing():
    assert "127.0.0.1" not in Addresses()


def test_what_is_no_address():
    with pytest.raises(ValueError, match="nonsense"):
        Addresses.of("nonsense")
