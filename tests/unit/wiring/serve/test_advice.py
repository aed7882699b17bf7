"""Advice from a reading: what a run would do from the same one, and nothing is written."""

import json
from dataclasses import replace

import numpy as np
import pytest

from beamctl.api.schemas.advice import AskAdvice
from beamctl.engine.simulated.engine import SimulatedEngine
from beamctl.errors import RunError, StaleReadingError, StoreConflictError, UnknownNameError
from beamctl.run.events import Stepped
from beamctl.run.orbit_course import OrbitCourse
from beamctl.run.session import TuningRun
from beamctl.wiring.courses import course_of
from beamctl.wiring.kit import Choice

TASK, INJECTOR = "cm1-orbit", "rfq-transmission"
MODELS = {TASK: ["tbsac", "bls", "svd"], INJECTOR: ["tbsac+gp", "tbsac", "design+gp", "gp"]}


def advised(place, row, task=TASK, **asked):
    return place.machines.advise(AskAdvice(task=task, **asked), row)


def option(advice, algorithm):
    return next(one for one in advice.options if one.algorithm == algorithm)


def spoilt(row, **fields):
    """The reading with other fields; a function changes what is there."""
    payload = json.loads(json.dumps(row.payload))
    for name, change in fields.items():
        payload[name] = change(payload[name]) if callable(change) else change
    return replace(row, payload=payload)


def without(index):
    return lambda values: [None if i == index else v for i, v in enumerate(values)]


def instead(index, value):
    return lambda values: [value if i == index else v for i, v in enumerate(values)]


@pytest.fixture
def row(place):
    return place.look()


@pytest.mark.parametrize("task", ["cm1-orbit", "cm2-orbit", "cm3-orbit"])
def test_both_would_do_good(place, task):
    """On the linear model, and on the machine itself, which has errors that the model does not know."""
    row = place.look(task)
    at = place.at(task)
    advice = advised(place, row, task)
    assert [one.algorithm for one in advice.options] == ["tbsac", "bls", "nothing"]
    now = advice.figures["rms_mm"]
    assert now == pytest.approx(row.payload["figures"]["rms_mm"], abs=1e-5)
    for algorithm in ("tbsac", "bls"):
        one = option(advice, algorithm)
        assert one.error == ""
        assert one.predicted["rms_mm"] < now
        assert one.rollout[:2] == pytest.approx([now, one.predicted["rms_mm"]])
        assert one.rollout[-1] < advice.target
        assert len(one.rollout) <= 31
        assert np.sqrt(np.mean(np.square(one.final_values))) == pytest.approx(one.rollout[-1])
        place.move(task, np.array(one.setpoint_a) - at)
        assert place.look(task).payload["figures"]["rms_mm"] < now
        place.move(task, at - np.array(one.setpoint_a))
    assert option(advice, "tbsac").proposer.startswith("cafe2-orbit@")


def test_within_all_limits(place, row):
    knobs = place.layout(TASK).knobs
    for one in advised(place, row, algorithms=MODELS[TASK]).options:
        change = np.array(one.change_a)
        np.testing.assert_allclose(np.array(one.setpoint_a) - change, row.payload["setpoint_a"])
        assert (np.abs(change) <= [k.step * (1 + 1e-9) for k in knobs]).all()
        assert all(k.lo <= v <= k.hi for k, v in zip(knobs, one.setpoint_a, strict=True))


def test_near_a_limit(place):
    place._sound_put(place.layout(TASK).knobs[0].setpoint, 73.9)
    place.plant.advance(30.0)
    row = place.look()
    for one in advised(place, row, algorithms=MODELS[TASK]).options:
        assert one.error == ""
        assert one.setpoint_a[0] <= 74.0


def test_nothing_is_written(place, row):
    before = place.store.events.read(limit=1000)
    advised(place, row)
    assert place.puts == []
    assert place.store.events.read(limit=1000) == before


def test_do_nothing(place, row):
    one = option(advised(place, row), "nothing")
    assert one.change_a == [0.0] * 10
    assert one.setpoint_a == row.payload["setpoint_a"]
    assert one.predicted == {"rms_mm": pytest.approx(row.payload["figures"]["rms_mm"], abs=1e-5)}
    assert one.rollout == [one.predicted["rms_mm"]]
    assert one.final_values == one.predicted_values == row.payload["median"]


def same_reading(place, task, algorithm):
    """What a run proposes, and the reading that it has proposed it from, as the observer would show it."""
    kit, steps = place.deployment.kit(task), []
    course = course_of(place.store, kit, Choice(algorithm))[1]
    run = TuningRun(SimulatedEngine(place.plant), kit.layout(), course, steps.append)
    result = run.advise()[1]
    (seen,) = [event for event in steps if isinstance(event, Stepped)]
    row = place.look(task)
    readback = run._progress.visits[0].readback_a
    return result, spoilt(
        row, median=seen.values.tolist(), valid=seen.valid.tolist(), setpoint_a=seen.setpoint_a.tolist(),
        readback_a=readback.tolist(),
    )  # fmt: skip


@pytest.mark.parametrize(("task", "algorithm"), [(t, a) for t, names in MODELS.items() for a in names])
def test_the_same_as_a_run_proposes(place, task, algorithm):
    result, row = same_reading(place, task, algorithm)
    one = option(advised(place, row, task, algorithms=[algorithm], preflight=0), algorithm)
    np.testing.assert_allclose(one.setpoint_a, result.proposed_a, rtol=0, atol=1e-9)
    assert one.note == result.note
    assert one.predicted == pytest.approx(dict(result.predicted))


def test_deterministic(place, row):
    first, second = (advised(place, row).model_copy(update={"age_s": 0.0}) for _ in range(2))
    assert first == second


def test_already_reached(place, row):
    advice = advised(place, row, target=100.0)
    assert (advice.target, advice.is_reached) == (100.0, True)
    assert not advised(place, row).is_reached


def test_what_forbids_to_write_is_told(place):
    place._sound_put(place.layout(TASK).enable, 0.0)
    row = place.look()
    assert advised(place, row).unfit == row.payload["unfit"] != []


class TestChannels:
    def test_one_is_missing(self, place, row):
        broken = spoilt(row, valid=instead(3, False), median=without(3))
        advice = advised(place, broken)
        assert (advice.values[3], advice.valid[3]) == (None, False)
        for one in advice.options:
            assert one.predicted_values[3] is None
            assert one.final_values[3] is None
            assert one.error == ""
        assert option(advice, "bls").predicted["rms_mm"] < advice.figures["rms_mm"]

    @pytest.mark.parametrize("how", ["valid", "median"])
    def test_too_few(self, place, row, how):
        six = {"valid": lambda v: [False] * 6 + v[6:], "median": lambda v: [None] * 6 + v[6:]}
        with pytest.raises(StaleReadingError, match="only 4 of 10 channels can be believed: no advice"):
            advised(place, spoilt(row, **{how: six[how]}))

    def test_it_is_said_why(self, place, row):
        broken = spoilt(row, valid=[False] * 10, unfit=["CAFE2:Heartbeat has not moved for 9.0 s"])
        with pytest.raises(StaleReadingError, match=r"only 0 of 10 .*; CAFE2:Heartbeat has not moved for 9\.0 s"):
            advised(place, broken)

    def test_both_monitors_are_needed(self, place):
        row = place.look(INJECTOR)
        with pytest.raises(StaleReadingError, match="only 1 of 2 channels"):
            advised(place, spoilt(row, valid=[True, False]), INJECTOR)


class TestKnobs:
    @pytest.mark.parametrize(
        "fields",
        [{"setpoint_a": without(2)}, {"readback_a": without(2)}, {"knob_severity": instead(2, 3)},
         {"knob_severity": instead(2, 4)}],
    )  # fmt: skip
    def test_not_known(self, place, row, fields):
        name = place.layout(TASK).knobs[2].name
        with pytest.raises(StaleReadingError, match=f"nobody knows where these knobs are: {name}; no advice"):
            advised(place, spoilt(row, **fields))

    def test_on_their_way(self, place, row):
        name = place.layout(TASK).knobs[2].name
        with pytest.raises(StaleReadingError, match=rf"do not follow: {name} at .* A, set 50 \+- 0\.3 A"):
            advised(place, spoilt(row, setpoint_a=instead(2, 50.0)))

    @pytest.mark.parametrize(
        "fields",
        [{"knobs": lambda names: names[1:]}, {"knobs": []}, {"median": lambda v: v[2:]}, {"valid": []},
         {"setpoint_a": lambda v: v[1:]}, {"knob_severity": None}],
    )  # fmt: skip
    def test_another_description(self, place, row, fields):
        with pytest.raises(StaleReadingError, match="of another description of the section: restart beamctl operate"):
            advised(place, spoilt(row, **fields))

    def test_a_row_of_nothing(self, place, row):
        with pytest.raises(StaleReadingError, match="another description"):
            advised(place, replace(row, payload={}))

    def test_of_the_task_alone(self, place):
        """A section shows the knobs of all its tasks."""
        row = place.look(INJECTOR)
        assert len(row.payload["knobs"]) == 6
        advice = advised(place, row, "rfq-transmission-fixed-orbit")
        assert advice.knobs == ["SOL_01", "SOL_02"]
        assert {len(one.setpoint_a) for one in advice.options} == {2}


class TestInjector:
    def test_options(self, place):
        row = place.look(INJECTOR)
        advice = advised(place, row, INJECTOR)
        assert [one.algorithm for one in advice.options] == ["tbsac+gp", "design+gp", "nothing"]
        assert advice.figure == "transmission"
        assert advice.figures["transmission"] == pytest.approx(row.payload["figures"]["transmission"], abs=1e-4)
        for one in advice.options[:2]:
            assert one.error == ""
            assert np.abs(one.change_a).max() > 0
            assert (one.predicted, one.predicted_values, one.rollout, one.final_values) == ({}, [], [], [])
        assert option(advice, "nothing").rollout == []

    def test_without_beam_the_transmission_is_not_known(self, place):
        row = place.look(INJECTOR)
        advice = advised(place, spoilt(row, median=[0.0, 0.0]), INJECTOR)
        assert advice.figures["transmission"] is None
        json.loads(advice.model_dump_json())


class TestPreflight:
    def test_a_reversed_corrector_that_is_known(self, make_place):
        """With the signs that were found, the prediction is what the machine then does."""
        place = make_place(("reversed",), machine=("cafe2",))
        checked = place.run(algorithm="preflight")
        row, at = place.look(), place.at()
        blind, mapped = advised(place, row, preflight=0), advised(place, row)
        assert (blind.preflight, mapped.preflight) == (None, checked.id)
        for algorithm in ("tbsac", "bls"):
            off = {}
            for name, advice in (("blind", blind), ("mapped", mapped)):
                one = option(advice, algorithm)
                place.move(TASK, np.array(one.setpoint_a) - at)
                after = place.look().payload
                place.move(TASK, at - np.array(one.setpoint_a))
                off[name] = np.sqrt(np.mean(np.square(np.subtract(one.predicted_values, after["median"]))))
            assert off["mapped"] < 0.3 < off["blind"], (algorithm, off)
        assert option(mapped, "bls").proposer.endswith("+preflight")

    def test_of_another_section(self, place, row):
        checked = place.run("cm2-orbit", algorithm="preflight")
        with pytest.raises(StoreConflictError, match=f"run {checked.id} .*is no preflight of cafe2-cm1"):
            advised(place, row, preflight=checked.id)
        with pytest.raises(StoreConflictError, match="there is no run 99"):
            advised(place, row, preflight=99)


class TestWhoCannotSay:
    def test_an_unknown_one(self, place, row):
        for name in ("magic", "preflight", "snapshot"):
            with pytest.raises(UnknownNameError, match=f"unknown algorithm '{name}'; known: bls"):
                advised(place, row, algorithms=["bls", name])

    @pytest.mark.parametrize(("task", "algorithm"), [(TASK, "rcds"), (TASK, "bo"), (INJECTOR, "grid")])
    def test_one_that_knows_no_model(self, place, task, algorithm):
        one = option(advised(place, place.look(task), task, algorithms=[algorithm]), algorithm)
        assert "knows no model" in one.error
        assert one.setpoint_a == []

    def test_an_agent_that_is_switched_off(self, place, row):
        place.store.switches.set("cafe2-orbit", False, "odd", "anna", None)
        advice = advised(place, row)
        assert "cafe2-orbit was disabled by anna" in option(advice, "tbsac").error
        assert option(advice, "bls").error == ""

    def test_an_unknown_agent(self, place, row):
        advice = advised(place, row, agent="nobody")
        assert "unknown agent 'nobody'" in option(advice, "tbsac").error
        assert option(advice, "bls").error == ""

    @pytest.mark.parametrize(
        ("error", "said"),
        [
            (ValueError("singular"), "singular"),
            (RuntimeError("onnx"), "RuntimeError: onnx"),
            (np.linalg.LinAlgError("SVD"), "SVD"),
        ],
    )
    def test_one_that_fails(self, place, row, monkeypatch, error, said):
        def fail(*_):
            raise error

        monkeypatch.setattr(OrbitCourse, "propose", fail)
        one = option(advised(place, row, algorithms=["bls"]), "bls")
        assert one.error == said
        assert (one.title, one.setpoint_a, one.predicted) == ("Least squares within limits", [], {})

    @pytest.mark.parametrize("proposed", [np.full(10, np.nan), np.zeros(3), np.full(10, np.inf)])
    def test_one_that_proposes_nonsense(self, place, row, monkeypatch, proposed):
        monkeypatch.setattr(OrbitCourse, "propose", lambda *_: proposed)
        assert "not one finite number of A per knob" in option(advised(place, row, algorithms=["bls"]), "bls").error


def test_what_makes_no_sense(place, row):
    with pytest.raises(RunError, match=r"at least 0\.01 mm"):
        advised(place, row, target=0.001)
    with pytest.raises(UnknownNameError, match="unknown task"):
        advised(place, row, "cm9-orbit")


def test_each_once(place, row):
    advice = advised(place, row, algorithms=["bls", "nothing", "bls"])
    assert [one.algorithm for one in advice.options] == ["bls", "nothing"]


def test_travel_keeps_the_rollout_near(place, row, monkeypatch):
    """A run would be kept near where it found the knobs; so is what is expected of it."""
    kit = place.deployment.kit(TASK)
    whole = kit.layout()
    near = replace(whole, knobs=tuple(replace(k, travel=1.0) for k in whole.knobs))
    monkeypatch.setattr(type(kit), "layout", lambda _: near)
    one = option(advised(place, row), "bls")
    assert np.abs(one.change_a).max() <= 1.0 + 1e-9
    assert one.rollout[-1] > 0.5
