"""Runs whose readings are unlike anything that the trained agent has seen: the fall-back proposes, and the run says so.

The judge is the machine's log of puts. Seeds are fixed.
"""

import numpy as np
import pytest

from beamctl.run.events import Advice, Outcome, Stepped
from beamctl.settings import Settings
from beamctl.wiring.deployment import Deployment

KIT = Deployment(Settings()).orbit("cm1-orbit")
TASKS = ["cm1-orbit", "cm2-orbit", "cm3-orbit"]


def notes(rig):
    return [event.note for event in rig.events if isinstance(event, Stepped)]


def misread(rig, wrong):
    """All BPMs read what a function makes of the true readings, mm."""
    channels = rig.layout.channels
    sound = rig.plant.shot

    def shot(*args, **kwargs):
        samples = sound(*args, **kwargs)
        values = wrong(np.array([samples[pv].value for pv in channels]))
        return samples | {
            pv: type(samples[pv])(float(v), samples[pv].severity) for pv, v in zip(channels, values, strict=True)
        }

    rig.plant.shot = shot


@pytest.mark.parametrize("task", TASKS)
def test_a_usual_machine_is_left_to_the_trained_agent(make_rig, task):
    rig = make_rig(task)
    result = rig.run(Deployment(Settings()).orbit(task).agent()).execute()
    assert result.outcome is Outcome.REACHED, result.reason
    assert set(notes(rig)) == {"", "first trend move"}


def test_unheard_of_readings_go_to_the_fall_back_and_the_run_says_so(rig):
    misread(rig, lambda mm: 12.0 + 0.01 * mm)
    agent = KIT.agent()
    result = rig.run(agent).execute()
    told = [note for note in notes(rig) if "bls" in note]
    assert result.outcome in (Outcome.NOT_REACHED, Outcome.FAILED)
    assert told[0].startswith("outside of what cafe2-orbit was trained on: ")
    assert told[0].endswith("; bls proposes")
    assert told[2].endswith("3 times in a row: bls proposes from here on")
    assert told[3:]
    assert set(told[3:]) == {"bls instead of cafe2-orbit"}
    assert rig.breaches() == []


def test_the_network_gets_nothing_of_it(rig, monkeypatch):
    misread(rig, lambda mm: 12.0 + 0.01 * mm)
    agent = KIT.agent()
    asked = []
    monkeypatch.setattr(agent._primary, "_infer", lambda observation: asked.append(observation))
    rig.run(agent, max_steps=4).execute()
    assert [n for n in notes(rig) if "bls" in n]
    assert asked == []


def test_advice_says_so_too(rig):
    misread(rig, lambda mm: 12.0 + 0.01 * mm)
    _, advice = rig.run(KIT.agent()).advise()
    assert isinstance(advice, Advice)
    assert advice.note.endswith("; bls proposes")
    assert rig.puts == []
