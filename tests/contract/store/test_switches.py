"""Switches of agents, on every database."""

import pytest

from beamctl.errors import StaleVersionError


def test_agents_may_be_used_unless_switched_off(store, other):
    assert store.switches.enabled("cafe2-orbit")
    assert store.switches.get("cafe2-orbit") is None
    switch = store.switches.set("cafe2-orbit", False, "drifts", "anna", version=0)
    assert (switch.enabled, switch.reason, switch.principal, switch.version) == (False, "drifts", "anna", 1)
    assert not other.switches.enabled("cafe2-orbit")
    assert other.switches.enabled("lpi-transmission")
    assert other.switches.get("cafe2-orbit") == switch
    other.switches.set("cafe2-orbit", True, "", "bert", version=1)
    assert store.switches.enabled("cafe2-orbit")
    store.switches.set("a", True, "", "bert", version=None)
    assert [(one.agent, one.version) for one in store.switches.list()] == [("a", 1), ("cafe2-orbit", 2)]


def test_switches_are_told(store):
    store.switches.set("cafe2-orbit", False, "drifts", "anna", version=0)
    [event] = store.events.read()
    assert (event.kind, event.principal) == ("agent", "anna")
    assert event.payload == {"agent": "cafe2-orbit", "enabled": False, "reason": "drifts", "version": 1}


@pytest.mark.parametrize("seen", [0, 2, -1])
def test_a_switch_that_was_not_seen_so_is_left_alone(store, other, seen):
    other.switches.set("cafe2-orbit", False, "", "anna", version=0)
    before = store.events.end()
    with pytest.raises(StaleVersionError, match=f"agent cafe2-orbit .*version 1 now, {seen} when seen"):
        store.switches.set("cafe2-orbit", True, "", "bert", version=seen)
    assert store.events.end() == before
    assert not store.switches.enabled("cafe2-orbit")


def test_an_agent_that_was_never_switched_has_version_0(store):
    with pytest.raises(StaleVersionError, match="version 0 now, 1 when seen"):
        store.switches.set("cafe2-orbit", True, "", "bert", version=1)
