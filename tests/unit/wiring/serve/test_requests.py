"""What clients ask for, as it is asked of the control process, or refused at once."""

import math

import pytest

from beamctl.api.schemas.runs import NewRequest, RestoreSnapshot, StartPreflight
from beamctl.errors import (
    BeamControlError,
    IncompatibleAgentError,
    RunError,
    StoreConflictError,
    UnknownNameError,
)
from beamctl.wiring.control import choice_of
from beamctl.wiring.kit import Choice

TASK = "cm1-orbit"


def ask(place, task=TASK, **asked):
    return place.machines.request(NewRequest(task=task, **asked), "anna", "a-key")


def claimed(place, new):
    place.store.requests.submit(new)
    return place.store.requests.claim()


def test_as_the_control_process_understands_it(place):
    asked = {
        "algorithm": "bls", "target": 0.3, "max_steps": 7, "step_percent": 2.5, "seed": 4, "preflight": 0,
    }  # fmt: skip
    new = ask(place, **asked, review=True, approval=True, dry_run=True, note="after the trip")
    assert choice_of(claimed(place, new)) == Choice(agent="cafe2-orbit", **asked)
    assert (new.section, new.principal, new.idempotency_key) == ("cafe2-cm1", "anna", "a-key")
    assert (new.dry_run, new.needs_approval, new.note) == (True, True, "after the trip")
    assert new.budgets["review"] is True


def test_defaults_are_those_of_the_task(place):
    new = ask(place)
    assert (new.algorithm, new.agent, new.target) == ("tbsac", "cafe2-orbit", None)
    assert ask(place, "rfq-transmission").algorithm == "tbsac+gp"


def test_the_prefix_is_part_of_the_section(make_place):
    assert ask(make_place(prefix="T:")).section == "T:cafe2-cm1"


@pytest.mark.parametrize(("task", "low", "high"), [(TASK, 0.0099, None), ("rfq-transmission", None, 0.9991)])
def test_goals_that_make_no_sense(place, task, low, high):
    for target in filter(None, (low, high)):
        with pytest.raises(RunError, match=rf"target {target:g}.*, at (least|most)"):
            ask(place, task, target=target)
    ask(place, task, target=0.5)


def test_a_goal_that_is_not_a_number(place):
    broken = NewRequest(task=TASK).model_copy(update={"target": math.nan})
    with pytest.raises(RunError, match="target nan mm"):
        place.machines.request(broken, "anna", "a-key")


@pytest.mark.parametrize("task", ["HCM1_PS:DCH_01:ISet", "T:HCM1_PS:DCH_01:ISet"])
def test_a_pv_is_no_task(place, task):
    with pytest.raises(RunError, match=r"looks like a PV; what can be tuned are tasks: cm1-orbit, "):
        ask(place, task)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"task": "cm9-orbit"}, "unknown task 'cm9-orbit'; known: cm1-orbit"),
        ({"algorithm": "magic"}, "unknown algorithm 'magic'; known: bls"),
        ({"algorithm": "preflight"}, "unknown algorithm 'preflight'"),
        ({"algorithm": "snapshot"}, "unknown algorithm 'snapshot'"),
        ({"agent": "nobody"}, "unknown agent 'nobody'; known: cafe2-orbit"),
        ({"task": "rfq-transmission", "algorithm": "bls"}, "unknown algorithm 'bls'"),
    ],
)
def test_unknown_names_list_the_known_ones(place, asked, said):
    with pytest.raises(UnknownNameError, match=said):
        ask(place, **asked)


def test_an_agent_of_another_kind(place):
    with pytest.raises(IncompatibleAgentError, match="lpi-transmission is for transmission"):
        ask(place, agent="lpi-transmission")


def test_an_agent_that_is_switched_off(place):
    place.store.switches.set("cafe2-orbit", False, "odd", "anna", None)
    with pytest.raises(IncompatibleAgentError, match=r"cafe2-orbit was disabled by anna at .* UTC: odd"):
        ask(place)
    ask(place, algorithm="bls")
    place.store.switches.set("cafe2-orbit", True, "", "anna", None)
    ask(place)


class TestPreflight:
    def test_its_own(self, place):
        new = place.machines.preflight_request("cafe2-cm1", StartPreflight(note="new shift"), "anna", "a-key")
        assert (new.task, new.section, new.algorithm, new.note) == (TASK, "cafe2-cm1", "preflight", "new shift")
        assert choice_of(claimed(place, new)).algorithm == "preflight"

    def test_of_a_section_that_has_none(self, place):
        with pytest.raises(UnknownNameError, match="unknown section with a preflight 'lpi-lebt'"):
            place.machines.preflight_request("lpi-lebt", StartPreflight(), "anna", "a-key")

    def test_that_a_run_relies_on(self, place):
        checked, tuned = place.run(algorithm="preflight"), place.run(algorithm="bls", max_steps=1)
        assert ask(place, preflight=checked.id).budgets["preflight"] == checked.id
        for task, run in ((TASK, tuned), ("cm2-orbit", checked), ("rfq-transmission", checked)):
            with pytest.raises(StoreConflictError, match=rf"run {run.id} .*is no preflight of"):
                ask(place, task, preflight=run.id)
        with pytest.raises(StoreConflictError, match="there is no run 99"):
            ask(place, preflight=99)

    def test_that_did_not_come_to_its_end(self, place):
        place.on_event = lambda event, orders: orders.give("abort") if getattr(event, "step", 0) == 3 else None
        stopped = place.run(algorithm="preflight")
        with pytest.raises(StoreConflictError, match=f"run {stopped.id} is no complete preflight"):
            ask(place, preflight=stopped.id)


class TestSnapshot:
    @pytest.mark.parametrize("of", ["found", "best"])
    def test_of_a_run(self, place, of):
        run = place.run(algorithm="bls", max_steps=1)
        new = place.machines.snapshot_request(run, RestoreSnapshot(of=of, review=True, approval=True), "anna", "a-key")
        choice = choice_of(claimed(place, new))
        assert (choice.algorithm, choice.snapshot_of, choice.of) == ("snapshot", run.id, of)
        assert new.budgets["review"] is True
        assert new.needs_approval

    def test_of_a_run_without_one(self, place):
        place._sound_put(place.layout(TASK).permit, 0.0)
        run = place.run(algorithm="bls")
        with pytest.raises(BeamControlError, match="nothing to go back to"):
            place.machines.snapshot_request(run, RestoreSnapshot(), "anna", "a-key")

    def test_of_a_task_that_is_no_more(self, place, make_place):
        run = place.run(algorithm="bls", max_steps=1)
        with pytest.raises(UnknownNameError, match="unknown task 'cm1-orbit'"):
            make_place(("nominal",), machine=("lpi",)).machines.snapshot_request(
                run, RestoreSnapshot(), "anna", "a-key"
            )
