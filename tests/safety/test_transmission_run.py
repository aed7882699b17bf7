"""Whole runs on a simulated injector: every bad input has a defined answer, and the machine is where it should be."""

import itertools
import math

import numpy as np
import pytest

from beamctl.engine.simulated.engine import Faults, SimulatedEngine
from beamctl.engine.simulated.injector_plant import InjectorPlant
from beamctl.machine.loader import load_injector
from beamctl.run.events import Outcome, Stepped
from beamctl.run.session import TuningRun
from beamctl.run.transmission_course import TransmissionCourse
from beamctl.settings import Settings
from beamctl.wiring.deployment import Deployment
from beamctl.wiring.kit import Choice

MACHINE = load_injector("lpi")
KIT = Deployment(Settings(machine=("lpi",))).kit("rfq-transmission")
SEED = 11


class Injector:
    """One simulated injector with switches to break it."""

    def __init__(self, scenario: str = "nominal", seed: int = SEED) -> None:
        self.plant = InjectorPlant(MACHINE, scenario, seed)
        self.faults = Faults()
        self.engine = SimulatedEngine(self.plant, self.faults)
        self.layout = KIT.layout()
        self.start = {k.setpoint: float(self.plant.setpoint(k.setpoint)) for k in self.layout.knobs}
        self.steps: list[Stepped] = []

    def run(self, agent=None, **choice):
        problem = KIT.problem(Choice(**choice))
        course = TransmissionCourse(problem, agent or KIT.agent(Choice(algorithm="tbsac")))
        return TuningRun(self.engine, self.layout, course, self._listen).execute()

    def _listen(self, event):
        if isinstance(event, Stepped):
            self.steps.append(event)

    def held(self):
        return {pv: float(self.plant.setpoint(pv)) for pv in self.start}


class Pushing:
    """Proposes one fixed change, A."""

    name = identity = "pushing"

    def __init__(self, change_a):
        self._change = np.asarray(change_a, dtype=float)

    def start(self, problem):
        pass

    def propose(self, view):
        return self._change[None]


def test_the_current_rises_and_the_best_setting_is_kept():
    injector = Injector()
    result = injector.run()
    print(f"seed {SEED}: {result.initial} -> {result.final}")
    assert result.outcome is Outcome.REACHED, result.reason
    assert result.final["mfc1_ma"] > 3 * result.initial["mfc1_ma"]
    assert result.final["transmission"] >= 0.85
    assert result.steps == 30
    best = max(s.figures["mfc1_ma"] for s in injector.steps)
    assert result.final["mfc1_ma"] == pytest.approx(best, abs=0.06)


def test_a_machine_without_beam_at_the_acct_finds_it():
    injector = Injector("dark")
    result = injector.run()
    assert math.isnan(result.initial["transmission"]), result.initial
    assert result.initial["acct_ma"] < MACHINE.monitors.beam_floor.value
    assert result.final["mfc1_ma"] > 1.0, result.reason
    assert all(math.isfinite(s.figures["acct_ma"]) for s in injector.steps)


def test_no_beam_from_the_source_refuses_to_arm():
    injector = Injector()
    injector.plant.put(MACHINE.permit, 0.0)
    with pytest.raises(Exception, match="no beam permit"):
        injector.run()
    assert injector.held() == injector.start


@pytest.mark.parametrize("value", [0.0, -0.03])
def test_an_acct_at_zero_or_below_is_never_divided_by(value):
    """Its reading counts as no beam: the transmission is undefined, the run still ends in order."""
    injector = Injector()
    injector.engine.start(injector.layout.all_pvs)
    real = injector.plant.shot
    injector.plant.shot = lambda sections=None: _with(real(sections), MACHINE.monitors.acct, value)
    result = injector.run(max_steps=3)
    assert math.isnan(result.initial["transmission"])
    assert math.isnan(result.final["transmission"])
    assert result.outcome is not Outcome.REACHED, "no transmission, no goal"


def test_more_behind_the_rfq_than_in_front_is_shown_as_it_is():
    injector = Injector()
    injector.engine.start(injector.layout.all_pvs)
    real = injector.plant.shot

    def shot(sections=None):
        samples = real(sections)
        return _with(samples, MACHINE.monitors.mfc1, 1.03 * samples[MACHINE.monitors.acct].value)

    injector.plant.shot = shot
    injector.run(max_steps=3)
    assert all(s.figures["transmission"] == pytest.approx(1.03, abs=0.05) for s in injector.steps)


def test_a_stuck_solenoid_ends_the_run_and_everything_else_is_restored():
    injector = Injector()
    stuck = injector.layout.knobs[0].setpoint
    injector.faults.jammed.add(stuck)
    result = injector.run(Pushing([10.0, 10.0, 2.0, 2.0, 2.0, 2.0]))
    assert result.outcome is Outcome.FAILED
    assert injector.layout.knobs[0].readback in result.reason
    assert injector.held() == pytest.approx(injector.start)


def test_a_knob_at_its_limit_stays_there():
    injector = Injector()
    result = injector.run(Pushing([100.0, -100.0, 100.0, -100.0, 100.0, -100.0]), max_steps=25)
    for step in injector.steps:
        for knob, value in zip(injector.layout.knobs, step.setpoint_a, strict=True):
            assert knob.lo <= value <= knob.hi
    assert result.outcome in (Outcome.NOT_REACHED, Outcome.REACHED)


def test_a_run_that_gains_nothing_restores_what_it_found():
    injector = Injector("ideal", 4)
    result = injector.run(Pushing(np.zeros(6)), max_steps=2)
    assert injector.held() == pytest.approx(injector.start)
    assert result.outcome is Outcome.NOT_REACHED


def test_an_invalid_faraday_cup_refuses_to_arm():
    injector = Injector()
    injector.faults.invalid.add(MACHINE.monitors.mfc1)
    with pytest.raises(Exception, match="MFC1"):
        injector.run()
    assert injector.held() == injector.start


JITTER = itertools.cycle([0.0, 1e-4, -1e-4])
"""a monitor whose value never changes is frozen, not low"""


def _with(samples, pv, value):
    sample = samples[pv]
    return samples | {pv: type(sample)(value + next(JITTER), sample.severity)}


def test_exchanged_monitors_are_nothing_for_the_trained_agent_and_the_run_says_so():
    injector = Injector()
    injector.engine.start(injector.layout.all_pvs)
    real, (acct, mfc1) = injector.plant.shot, (MACHINE.monitors.acct, MACHINE.monitors.mfc1)

    def shot(sections=None):
        samples = real(sections)
        return samples | {acct: samples[mfc1], mfc1: samples[acct]}

    injector.plant.shot = shot
    injector.run(max_steps=6)
    told = [step.note for step in injector.steps]
    assert told[1].startswith("outside of what lpi-transmission was trained on: ")
    assert "design" in told[1]
    assert told[4].startswith("design")
    assert told[4].endswith("instead of lpi-transmission")
