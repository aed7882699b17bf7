"""Exported agents: found by name, and loaded only when they are what they say."""

import hashlib
import json
import pickle

import numpy as np
import onnx
import pytest
from onnx import external_data_helper

from beamctl.agent.manifest import Manifest
from beamctl.agent.registry import (
    MAX_POLICY_BYTES,
    SHIPPED,
    AgentFolder,
    Registry,
    load_agent,
    load_by_kind,
    load_manifest,
)
from beamctl.errors import AgentError, BeamControlError, IncompatibleAgentError, UnknownNameError
from beamctl.machine.loader import load_ion, load_machine
from beamctl.task.from_description import orbit_problem
from beamctl.task.problem import OrbitView

MACHINE = load_machine("cafe2")
ION = load_ion(MACHINE.ion)
HASH = "a" * 64


def rewrite(agent, change):
    path = agent.path / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))


def refusal(agent, **arguments):
    with pytest.raises(IncompatibleAgentError) as error:
        load_agent(agent, **arguments)
    assert isinstance(error.value, AgentError)
    return str(error.value)


class TestFinding:
    def test_shipped_agents_are_always_there(self):
        assert [a.id for a in Registry().list()] == sorted(p.parent.name for p in SHIPPED.glob("*/manifest.json"))
        assert "cafe2-orbit" in [a.id for a in Registry().list()]

    def test_agents_of_a_site_stand_beside_them_and_win(self, make_agent, tmp_path):
        make_agent("by-hand")
        make_agent("cafe2-orbit")
        registry = Registry([tmp_path])
        assert {"by-hand", "cafe2-orbit"} <= {a.id for a in registry.list()}
        assert registry.find("cafe2-orbit").path == tmp_path / "cafe2-orbit"
        assert len({a.id for a in registry.list()}) == len(registry.list())

    def test_a_folder_may_be_named_by_its_path(self, make_agent):
        agent = make_agent("somewhere/by-hand")
        assert Registry().find(str(agent.path)) == AgentFolder("by-hand", agent.path)

    def test_an_unknown_name_lists_the_known(self, make_agent, tmp_path):
        make_agent("by-hand")
        with pytest.raises(UnknownNameError, match=r"'nobody'.*by-hand, cafe2-orbit"):
            Registry([tmp_path]).find("nobody")

    @pytest.mark.parametrize("name", ["", ".", "..", "../cafe2-orbit", "/etc", "cafe2-orbit/..", "\0", "*", "cafe2*"])
    def test_path_tricks_find_nothing(self, name, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        with pytest.raises(UnknownNameError):
            Registry([tmp_path / "missing"]).find(name)

    @pytest.mark.parametrize("name", ["../outside", "a/b", "..", "", "CAFE", "-x", "a b", "x\n"])
    def test_a_manifest_cannot_call_itself_a_path(self, make_agent, name):
        assert "manifest" in refusal(make_agent(change=lambda m: m.update(id=name)))


class TestLoading:
    def test_a_sound_agent_is_loaded_and_proposes(self, make_agent):
        agent = load_agent(make_agent())
        digest = json.loads((make_agent("again").path / "manifest.json").read_text())["policy_sha256"]
        assert (agent.name, agent.identity) == ("tbsac", f"by-hand@{digest[:12]}")
        problem = orbit_problem(MACHINE, ION, ION, "cm2-orbit")
        agent.start(problem)
        change = agent.propose(OrbitView(np.ones((2, 3, 8)), np.ones((2, 8), bool), np.zeros((2, 8))))
        assert change.shape == (2, 8)
        assert np.abs(change).max() <= problem.step_a[0]

    def test_the_shipped_agents_are_sound(self):
        for agent in Registry().list():
            assert load_by_kind(agent).identity.startswith(load_manifest(agent).id)

    def test_the_step_is_the_share_of_the_machines_limit_that_it_was_trained_with(self, make_agent):
        problem = orbit_problem(MACHINE, ION, ION, "cm1-orbit")
        view = OrbitView(np.ones((1, 3, 10)), np.ones((1, 10), bool), np.zeros((1, 10)))
        proposals = []
        for name, units in (("full", None), ("unit", 1.0), ("many", 99.0)):
            agent = load_agent(make_agent(name, lambda m, u=units: m.update(step_units=u)), unit_share=1.85 / 15.0)
            agent.start(problem)
            proposals.append(agent.propose(view))
        np.testing.assert_allclose(proposals[1], proposals[0] * 1.85 / 15.0)
        np.testing.assert_allclose(proposals[2], proposals[0])  # never more than the machine allows

    def test_a_changed_byte_of_the_policy(self, make_agent):
        agent = make_agent()
        path = agent.path / "policy.onnx"
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
        assert "SHA-256" in refusal(agent)

    @pytest.mark.parametrize("change", [lambda h: "0" * 64, lambda h: h[:-1] + ("0" if h[-1] != "0" else "1")])
    def test_another_hash(self, make_agent, change):
        agent = make_agent(change=lambda m: m.update(policy_sha256=change(m["policy_sha256"])))
        assert "SHA-256" in refusal(agent)

    def test_a_truncated_policy_with_its_own_hash(self, make_agent, make_network):
        content = make_network()[0][:-100]
        agent = make_agent(policy=content, change=lambda m: m.update(policy_sha256=hashlib.sha256(content).hexdigest()))
        assert "not a usable ONNX file" in refusal(agent)

    @pytest.mark.parametrize("content", [b"", b"\x00" * 100, pickle.dumps({"a": 1}), b"PK\x03\x04 torch", b"text"])
    def test_what_is_no_onnx_is_never_unpickled(self, make_agent, content):
        digest = hashlib.sha256(content).hexdigest()
        assert "ONNX" in refusal(make_agent(policy=content, change=lambda m: m.update(policy_sha256=digest)))

    def test_a_pickle_that_would_run_something(self, make_agent, tmp_path):
        flag = tmp_path / "flag"

        class Bomb:
            def __reduce__(self):
                return (flag.write_text, ("exploded",))

        content = pickle.dumps(Bomb())
        digest = hashlib.sha256(content).hexdigest()
        refusal(make_agent(policy=content, change=lambda m: m.update(policy_sha256=digest)))
        assert not flag.exists()

    def test_weights_in_another_file_are_not_covered_by_the_hash(self, make_agent, make_network, tmp_path, monkeypatch):
        model = onnx.load_from_string(make_network(columns=40)[0])
        external_data_helper.convert_model_to_external_data(model, location="weights.bin", size_threshold=0)
        onnx.save_model(model, str(tmp_path / "policy.onnx"))
        content = (tmp_path / "policy.onnx").read_bytes()
        agent = make_agent(
            policy=content, columns=40, change=lambda m: m.update(policy_sha256=hashlib.sha256(content).hexdigest())
        )
        monkeypatch.chdir(tmp_path)
        assert "other files" in refusal(agent)

    def test_a_policy_that_is_far_too_large(self, make_agent):
        assert "bytes" in refusal(make_agent(policy=b"\x00" * (MAX_POLICY_BYTES + 1)))

    def test_a_missing_policy(self, make_agent):
        agent = make_agent()
        (agent.path / "policy.onnx").unlink()
        assert "policy.onnx" in refusal(agent)


class TestGoldenVectors:
    @pytest.mark.parametrize(
        "change",
        [
            lambda g: g["actions"][2].__setitem__(3, g["actions"][2][3] + 1e-3),
            lambda g: g.update(actions=g["actions"][:-1]),
            lambda g: g.update(actions=[row[:-1] for row in g["actions"]]),
            lambda g: g["actions"][0].pop(),
            lambda g: g["observations"][0].pop(),
            lambda g: g["observations"][0][0].pop(),
            lambda g: g.update(observations=[], actions=[]),
            lambda g: g.update(observations=[o[:2] for o in g["observations"]]),
            lambda g: g.update(observations=[[r[:5] for r in o] for o in g["observations"]]),
        ],
    )
    def test_wrong_ones_are_refused(self, make_agent, change):
        assert "golden vectors" in refusal(make_agent(change=lambda m: change(m["golden"])))

    def test_rounding_is_not_a_difference(self, make_agent):
        load_agent(
            make_agent(change=lambda m: m["golden"]["actions"][0].__setitem__(0, m["golden"]["actions"][0][0] + 5e-5))
        )


class TestLayout:
    @pytest.mark.parametrize(("columns", "actions"), [(8, 8), (10, 8), (12, 12)])
    def test_a_network_that_is_not_as_the_manifest_says(self, make_agent, make_network, columns, actions):
        content = make_network(columns, actions)[0]
        digest = hashlib.sha256(content).hexdigest()
        assert "network has inputs" in refusal(
            make_agent(policy=content, change=lambda m: m.update(policy_sha256=digest))
        )

    @pytest.mark.parametrize(("first_axis", "rows"), [(8, 3), ("batch", 2)])
    def test_one_that_takes_only_a_fixed_batch_or_other_rows(self, make_agent, make_network, first_axis, rows):
        content = make_network(first_axis=first_axis, rows=rows)[0]
        digest = hashlib.sha256(content).hexdigest()
        assert "network has inputs" in refusal(
            make_agent(policy=content, change=lambda m: m.update(policy_sha256=digest))
        )

    def test_normalised_columns_need_as_many_actions(self, make_agent):
        assert "as many actions" in refusal(make_agent(change=lambda m: m.update(actions=8)))

    def test_too_few_columns_for_the_task(self, make_agent):
        agent = load_agent(make_agent(columns=8))
        with pytest.raises(IncompatibleAgentError, match="8 normalised columns, cm1-orbit has 10"):
            agent.start(orbit_problem(MACHINE, ION, ION, "cm1-orbit"))

    @pytest.mark.parametrize(("columns", "task"), [(10, "cm2-orbit"), (8, "cm1-orbit")])
    def test_raw_columns_must_be_those_of_the_task(self, make_agent, columns, task):
        agent = load_agent(make_agent(columns=columns, kind="raw", machine_hash=HASH), HASH)
        with pytest.raises(IncompatibleAgentError, match="raw columns"):
            agent.start(orbit_problem(MACHINE, ION, ION, task))


class TestMachineBinding:
    def test_an_agent_of_raw_readings_runs_on_its_own_machine_only(self, make_agent):
        agent = make_agent(kind="raw", machine_hash=HASH)
        load_agent(agent, HASH)
        message = refusal(agent, machine_hash="b" * 64)
        assert "bound to machine description aaaaaaaaaaaa" in message
        assert "bbbbbbbbbbbb" in message

    def test_an_agent_of_raw_readings_has_to_be_bound(self, make_agent):
        assert "machine_hash" in refusal(make_agent(kind="raw", machine_hash=None))

    def test_a_normalised_agent_runs_on_any(self, make_agent):
        load_agent(make_agent(), "b" * 64)

    def test_a_normalised_agent_may_be_bound_as_well(self, make_agent):
        assert "bound" in refusal(make_agent(machine_hash=HASH), machine_hash="b" * 64)


class TestManifest:
    @pytest.mark.parametrize(
        "text", ["", "{", "[]", "null", "42", '{"format": 1}', "\ud800".encode("utf-8", "surrogatepass"), b"\xff\xfe"]
    )
    def test_what_is_no_manifest(self, make_agent, text):
        agent = make_agent()
        (agent.path / "manifest.json").write_bytes(text if isinstance(text, bytes) else text.encode())
        assert "not a valid manifest" in refusal(agent)

    @pytest.mark.parametrize(
        "change",
        [
            lambda m: m.update(format=2),
            lambda m: m.update(surprise=1),
            lambda m: m.update(policy_sha256="abc"),
            lambda m: m.update(task_kind="transmission"),
            lambda m: m.update(step_units=0.0),
            lambda m: m.update(step_units=-1.0),
            lambda m: m["observation"].update(columns=0),
            lambda m: m["observation"].update(kind="pixels"),
            lambda m: m["observation"].update(gain=float("nan")),
            lambda m: m["golden"]["actions"][0].__setitem__(0, float("inf")),
            lambda m: m.pop("training"),
        ],
    )
    def test_every_field_is_checked(self, make_agent, change):
        assert "not a valid manifest" in refusal(make_agent(change=change))

    def test_a_missing_one(self, tmp_path):
        with pytest.raises(BeamControlError, match="manifest"):
            load_manifest(AgentFolder("nobody", tmp_path))

    def test_survives_a_round_trip(self, make_agent):
        manifest = load_manifest(make_agent())
        assert Manifest.model_validate_json(manifest.model_dump_json()) == manifest
