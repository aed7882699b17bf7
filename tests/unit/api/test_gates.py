"""A route without a gate cannot be made."""

import pytest

from beamctl.api.access import PUBLIC, Admin, Viewer
from beamctl.api.routing import resource


def test_no_gate():
    with pytest.raises(TypeError, match="needs one of the gates"):

        @resource("a").get("/a")
        def open_to_all() -> None: ...


def test_two_gates():
    with pytest.raises(TypeError, match="has 2"):

        @resource("a").get("/a", dependencies=[PUBLIC])
        def both(who: Viewer) -> None: ...


@pytest.mark.parametrize("gate", [Viewer, Admin])
def test_one_gate(gate):
    router = resource("a")

    @router.get("/a")
    def one(who: gate) -> None: ...

    assert router.routes[0].gate.role is not None
