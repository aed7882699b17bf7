"""Passports of trained agents, as the service tells of them."""

import json
import shutil

import pytest

from beamctl.errors import UnknownNameError


def copied(place, name, change=lambda folder: None):
    """An agent of this site."""
    source = place.deployment.registry.find("cafe2-orbit").path
    folder = place.deployment.settings.agents / name
    shutil.copytree(source, folder)
    change(folder)
    return folder


def damaged(folder):
    policy = folder / "policy.onnx"
    content = bytearray(policy.read_bytes())
    content[len(content) // 2] ^= 1
    policy.write_bytes(content)


def test_those_that_come_with_beamctl(place):
    agents = {agent.id: agent for agent in place.machines.agents()}
    assert set(agents) == {"cafe2-orbit", "lpi-transmission"}
    orbit, transmission = agents["cafe2-orbit"], agents["lpi-transmission"]
    assert orbit.tasks == orbit.default_for == ["cm1-orbit", "cm2-orbit", "cm3-orbit"]
    assert set(transmission.tasks) == {"rfq-transmission", "rfq-transmission-fixed-orbit"}
    assert orbit.machine_hash is None
    assert transmission.machine_hash == place.deployment.kit("rfq-transmission").section_hash
    assert orbit.enabled
    assert transmission.enabled


@pytest.mark.parametrize("name", ["cafe2-orbit", "lpi-transmission"])
def test_a_passport(place, name):
    agent = place.machines.agent(name)
    assert agent.is_verified
    assert agent.verification.startswith("SHA-256, network and ")
    assert agent.verification.endswith(" golden vectors are in order")
    assert agent.has_envelope
    assert {"golden", "gp", "evaluation"} & set(agent.manifest) == set()
    assert "whitening" not in (agent.manifest["envelope"] or {})
    assert (agent.switched_by, agent.switched_at, agent.switch_reason) == (None, None, "")
    json.loads(agent.model_dump_json())


def test_an_unknown_one(place):
    with pytest.raises(UnknownNameError, match="known: cafe2-orbit, lpi-transmission"):
        place.machines.agent("nobody")


def test_a_damaged_policy(place):
    folder = copied(place, "ours", damaged)
    agent = place.machines.agent("ours")
    assert not agent.is_verified
    assert f"SHA-256 of {folder / 'policy.onnx'}" in agent.verification
    assert "install the agent anew" in agent.verification


def test_a_policy_that_is_gone(place):
    copied(place, "ours", lambda folder: (folder / "policy.onnx").unlink())
    agent = place.machines.agent("ours")
    assert not agent.is_verified
    assert "policy.onnx" in agent.verification


def test_it_is_looked_at_again_when_the_file_changes(place):
    folder = copied(place, "ours")
    assert place.machines.agent("ours").is_verified
    damaged(folder)
    assert not place.machines.agent("ours").is_verified


def test_a_folder_with_a_broken_manifest_hides_nobody_else(place):
    copied(place, "ours", lambda folder: (folder / "manifest.json").write_text("{"))
    assert [agent.id for agent in place.machines.agents()] == ["cafe2-orbit", "lpi-transmission"]
    assert place.machines.tasks["cm1-orbit"].agents == ["cafe2-orbit"]


def test_its_name_is_that_of_its_folder(place):
    """By which runs ask for it, and by which it is switched off, whatever its manifest says."""
    copied(place, "ours")
    assert [agent.id for agent in place.machines.agents()] == ["cafe2-orbit", "lpi-transmission", "ours"]
    place.store.switches.set("ours", False, "only to look at", "anna", None)
    agent = place.machines.agent("ours")
    assert (agent.enabled, agent.switched_by, agent.switch_reason) == (False, "anna", "only to look at")
    assert agent.switched_at is not None
    assert agent.default_for == []
    assert place.machines.agent("cafe2-orbit").enabled
    assert place.machines.tasks["cm1-orbit"].agents == ["cafe2-orbit"]
    place.store.switches.set("ours", True, "", "anna", None)
    assert place.machines.tasks["cm1-orbit"].agents == ["cafe2-orbit", "ours"], "the default first"


def test_one_that_is_bound_to_another_description_serves_nothing(place):
    def rebind(folder):
        manifest = json.loads((folder / "manifest.json").read_text())
        (folder / "manifest.json").write_text(json.dumps({**manifest, "machine_hash": "0" * 64}))

    copied(place, "ours", rebind)
    assert place.machines.agent("ours").tasks == []
    assert place.machines.tasks["cm1-orbit"].agents == ["cafe2-orbit"]
