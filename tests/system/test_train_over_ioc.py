"""Training over Channel Access sees what training in process sees; and never anything but a simulated machine."""

import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from beamctl.agent.registry import AgentFolder, load_agent
from beamctl.engine.simulated.engine import SimulatedEngine
from beamctl.engine.simulated.linac_plant import LinacPlant
from beamctl.errors import NotSimulatedError
from beamctl.settings import Settings
from beamctl.training.presets import FAST
from beamctl.wiring.deployment import Deployment
from beamctl.wiring.engines import simulated_environment

pytestmark = pytest.mark.system

SCENARIO = "published"  # no noise on BPMs, so that readings can be compared
STEPS = 200
SEED = 20260
PRESET = replace(FAST, readings=1)


def make_environments(ioc, engine):
    """The same machine twice: over Channel Access, and in process."""
    over_ca = Deployment(Settings(prefix=ioc.prefix)).orbit("cm1-orbit")
    in_process = Deployment(Settings()).orbit("cm1-orbit")
    ions = (in_process.design, in_process.ion)
    plant = LinacPlant(in_process.machine, ions, SCENARIO, SEED)
    return (
        simulated_environment(over_ca, engine, PRESET, 5.0),
        simulated_environment(in_process, SimulatedEngine(plant), PRESET, 5.0),
    )


def test_200_steps_give_the_same_observations_and_rewards(start_soft_ioc):
    from beamctl.engine.epics.engine import EpicsEngine

    ioc = start_soft_ioc("--scenario", SCENARIO, "--seed", str(SEED), "--speed", "25")
    engine = EpicsEngine()
    rng = np.random.default_rng(SEED)
    try:
        live, model = make_environments(ioc, engine)
        episode, ended = 0, True
        for step in range(STEPS):
            if ended:
                options = {"machine_seed": SEED + episode}
                seen, expected = live.reset(options=options)[0], model.reset(options=options)[0]
                np.testing.assert_allclose(seen, expected, rtol=1e-5, atol=1e-5, err_msg=f"reset of episode {episode}")
                episode += 1
            action = rng.uniform(-0.3, 0.3, live.action_space.shape).astype(np.float32)
            mine, theirs = live.step(action), model.step(action)
            np.testing.assert_allclose(mine[0], theirs[0], rtol=1e-5, atol=1e-5, err_msg=f"step {step}")
            assert mine[1:4] == (pytest.approx(theirs[1], abs=1e-6), theirs[2], theirs[3]), f"step {step}"
            ended = mine[2] or mine[3]
        assert episode >= STEPS // 50
    finally:
        engine.close()
        ioc.process.close()


def train_over(ioc, folder, *options):
    """The command, as a user would start it."""
    env = {**os.environ, "EPICS_CA_SERVER_PORT": str(ioc.ready["port"])}
    argv = [sys.executable, "-m", "beamctl", "--prefix", ioc.prefix, "train", "cm1-orbit", "--over", "ioc", *options]
    return subprocess.run(
        [*argv, "--out", str(folder)], capture_output=True, text=True, env=env, timeout=240, check=False
    )


def test_the_command_trains_and_exports(start_soft_ioc, tmp_path):
    ioc = start_soft_ioc("--scenario", "err5", "--seed", "3", "--speed", "25")
    try:
        done = train_over(ioc, tmp_path / "agent", "--steps", "20")
    finally:
        ioc.process.close()
    assert done.returncode == 0, done.stdout + done.stderr
    agent = load_agent(AgentFolder("agent", tmp_path / "agent"))
    assert agent.identity.startswith("cafe2-orbit@")


def test_a_machine_that_does_not_say_it_is_simulated_is_refused():
    d = Deployment(Settings()).orbit("cm1-orbit")
    plant = LinacPlant(d.machine, (d.design, d.ion), SCENARIO, SEED)
    puts = []
    plant.put = lambda pv, value: puts.append((pv, value))
    plant.machine = plant.machine.model_copy(
        update={"identity": plant.machine.identity.model_copy(update={"simulated": "CAFE2"})}
    )
    with pytest.raises(NotSimulatedError, match="CAFE2:Identity says 'CAFE2'"):
        simulated_environment(d, SimulatedEngine(plant), PRESET, 5.0)
    assert puts == []
