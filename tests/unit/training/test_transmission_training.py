"""A whole transmission training in small: it ends, exports, loads, and repeats. Seeds are fixed."""

import numpy as np
import pytest
import torch

from beamctl.agent.registry import AgentFolder, load_transmission_agent
from beamctl.errors import AgentError, UnknownNameError
from beamctl.machine.injector import injector_hash
from beamctl.machine.loader import load_injector
from beamctl.training.injectors import FixedMachines, report_injectors, survival, whole_problem
from beamctl.training.train_transmission import look_at, train_transmission
from beamctl.training.transmission_presets import FAST, SMOKE, find_transmission_preset
from simulators import survival as survival_module
from simulators.survival import Grid


@pytest.fixture(scope="module")
def machine():
    return load_injector("lpi")


@pytest.fixture(scope="module")
def cache(machine, tmp_path_factory):
    """A coarse table where the fine one is looked for."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(survival_module, "Grid", lambda: Grid(n_radius=15, n_angle=4, n_phase=12))
        folder = tmp_path_factory.mktemp("cache")
        survival(machine, folder)
        yield folder


@pytest.fixture(scope="module")
def trained(machine, cache, tmp_path_factory):
    def run(seed=3, folder=None, **arguments):
        folder = folder or tmp_path_factory.mktemp("agent")
        return train_transmission(machine, SMOKE, seed, folder, agent_id="small", cache=cache, **arguments)

    return run


@pytest.fixture(scope="module")
def first(trained):
    told = []
    return trained(progress=lambda *now: told.append(now)), told


def test_ends_within_its_budget_and_exports_the_best_look(first):
    result, told = first
    assert [look.updates for look in result.looks] == [160, 320]
    assert [now[:2] for now in told] == [(160, 320), (320, 320)]
    assert result.best.score == max(look.score for look in result.looks)
    manifest = result.manifest
    assert (manifest.task_kind, manifest.observation.shape, manifest.actions) == ("transmission", (5, 9), 6)
    assert (manifest.machine, manifest.training.seed) == ("lpi", 3)
    assert manifest.machine_hash == injector_hash(load_injector("lpi")), "bound to the injector it knows"
    assert (manifest.envelope.runs, len(manifest.envelope.mean)) == (2 * 3 * SMOKE.selection_machines, 45)
    assert manifest.training.selection["eta"] == pytest.approx(result.best.eta, abs=1e-4)
    assert (result.folder / "policy.onnx").stat().st_size < 2**20


def test_the_exported_agent_does_what_was_judged(first, machine, cache):
    result, _ = first
    agent = load_transmission_agent(AgentFolder("small", result.folder))
    again = look_at(agent, FixedMachines(machine, SMOKE, survival(machine, cache)))
    assert again.eta == pytest.approx(result.best.eta, abs=1e-4)
    assert again.steps == result.best.steps


def test_the_same_seed_gives_the_same_agent(first, trained):
    same, other = trained(), trained(seed=4)
    golden = [r.manifest.golden.actions for r in (first[0], same, other)]
    np.testing.assert_array_equal(golden[0], golden[1])
    assert not np.allclose(golden[0], golden[2], atol=0.01)


def test_goes_on_from_its_checkpoint(first, trained, tmp_path):
    with pytest.raises(AgentError, match="nothing to resume"):
        trained(folder=tmp_path, resume=True)
    assert torch.get_num_threads() == 1


def test_report_machines_are_others_than_those_of_selection(machine, cache):
    fixed = FixedMachines(machine, SMOKE, survival(machine, cache))
    selected = np.concatenate([batch.source_ma for batch, _ in fixed.sets()])
    reported = report_injectors(machine, "rfq-transmission", "nominal", 1, 20).source_ma
    assert not np.isin(reported, selected).any()


def test_training_moves_every_knob(machine):
    assert whole_problem(machine).task == "rfq-transmission"
    assert whole_problem(machine).n_knob == 6


def test_presets_by_name():
    assert find_transmission_preset("fast") is FAST
    with pytest.raises(UnknownNameError, match="fast"):
        find_transmission_preset("slow")
