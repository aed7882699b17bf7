"""The transmission agent that comes with beamctl, on tracked machines. Seed 81: never trained or selected on."""

import numpy as np
import pytest

from beamctl.agent.registry import Registry, load_transmission_agent
from beamctl.machine.loader import load_injector
from beamctl.task.transmission_from_description import transmission_problem
from beamctl.training.injectors import report_injectors
from beamctl.training.transmission_figures import transmission_figures
from beamctl.training.transmission_rollout import transmission_rollout

N = 24


@pytest.mark.parametrize(
    ("task", "step_percent"),
    [("rfq-transmission", 6.0), ("rfq-transmission", 3.0), ("rfq-transmission-fixed-orbit", 6.0)],
)
def test_raises_the_current_of_every_machine(task: str, step_percent: float) -> None:
    machine = load_injector("lpi")
    agent = load_transmission_agent(Registry().find("lpi-transmission"))
    problem = transmission_problem(machine, task, step_percent=step_percent)
    agent.start(problem)
    ran = transmission_rollout(agent, report_injectors(machine, task, "nominal", 81, N), problem)
    figures = transmission_figures(ran, np.ones(N), problem)
    print(figures)
    assert figures.worse == 0.0
    assert figures.eta > 0.88
    assert figures.reached > 0.8
