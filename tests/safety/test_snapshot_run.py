"""Runs that go back to a setting of an earlier run: built as the control process builds them, over a simulated linac.

The judge is the machine's log of puts.
"""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from beamctl.errors import (
    IncompatibleAgentError,
    SetpointLimitError,
    StoreConflictError,
    UnknownNameError,
)
from beamctl.run.events import Stepped
from beamctl.run.orders import Orders
from beamctl.run.replay import replay
from beamctl.run.visits import stored_visits
from beamctl.settings import Settings
from beamctl.store.open import open_store
from beamctl.store.states import RunState, Verb
from beamctl.wiring.control import check_enabled
from beamctl.wiring.courses import course_of
from beamctl.wiring.deployment import Deployment
from beamctl.wiring.kit import Choice
from beamctl.wiring.orbit import OrbitKit
from tests.simulated_site import SimulatedSite

TASK, INJECTOR = "cm1-orbit", "rfq-transmission"


@pytest.fixture
def site(tmp_path):
    with open_store(f"sqlite:///{tmp_path}/beamctl.db") as store:
        yield SimulatedSite(store, Deployment(Settings(agents=tmp_path / "agents")))


def in_order(site, task, puts) -> bool:
    """Within limits and steps."""
    knobs = {k.setpoint: k for k in site.layout(task).knobs}
    return all(knobs[pv].lo <= v <= knobs[pv].hi and abs(v - old) <= knobs[pv].step * (1 + 1e-6) for pv, v, old in puts)


@pytest.mark.parametrize(("task", "algorithm"), [(TASK, "bls"), (INJECTOR, "design+gp")])
def test_to_what_was_found(site, task, algorithm):
    found = site.at(task)
    tuned = site.run(task, algorithm=algorithm)
    assert np.abs(site.at(task) - found).max() > 1.0
    site.puts.clear()
    back = site.run(task, algorithm="snapshot", snapshot_of=tuned.id, of="found")
    assert (back.state, back.outcome) == (RunState.ACCEPTED, "reached")
    assert back.reason == f"back at the setting that run {tuned.id} found, in two independent measurements"
    np.testing.assert_allclose(site.at(task), found, atol=1e-6)
    assert back.agent == "snapshot"
    assert in_order(site, task, site.puts)
    assert Counter((pv, round(v, 9)) for pv, v, _ in site.puts) == site.intended(back), "written down first"


def test_to_the_best(site):
    """As the run itself has judged, whatever it ended at."""
    tuned = site.run(algorithm="svd", target=0.01, max_steps=4, preflight=0)
    visits = stored_visits(site.store, tuned.id)
    best = min(visits, key=lambda v: float(np.sqrt(np.mean(v.measured.values[v.measured.valid] ** 2))))
    site.move(TASK, 20.0)
    back = site.run(algorithm="snapshot", snapshot_of=tuned.id, of="best")
    assert back.outcome == "reached"
    np.testing.assert_allclose(site.at(), best.setpoint_a, atol=1e-6)
    assert f"the best setting of run {tuned.id}" in back.reason


def test_straight_and_all_together(site):
    """On the straight line an orbit is nowhere worse than at the worse of its ends."""
    tuned = site.run(algorithm="bls")
    site.run(algorithm="snapshot", snapshot_of=tuned.id)
    site.move(TASK, np.linspace(-40.0, 30.0, 10))
    way = []
    site.on_event = lambda event, _: way.append(event.setpoint_a) if isinstance(event, Stepped) else None
    back = site.run(algorithm="snapshot", snapshot_of=tuned.id)
    assert back.outcome == "reached"
    first, last = way[0], way[-1]
    shares = np.array([(at - first) / (last - first) for at in way])
    assert np.ptp(shares, axis=1).max() < 1e-6
    assert len(way) == 1 + np.ceil(40.0 / site.layout(TASK).knobs[0].step)


def test_already_there(site):
    tuned = site.run(algorithm="bls")
    site.run(algorithm="snapshot", snapshot_of=tuned.id)
    site.puts.clear()
    again = site.run(algorithm="snapshot", snapshot_of=tuned.id)
    assert (again.state, again.outcome, site.puts) == (RunState.ACCEPTED, "reached", [])
    assert again.reason.endswith("already at the start")


@pytest.mark.parametrize("verb", [Verb.ABORT, Verb.HALT, Verb.ACCEPT])
def test_in_mid_way(site, verb):
    tuned = site.run(algorithm="bls")
    site.move(TASK, 33.0)
    found = site.at()
    orders = Orders()
    site.on_event = lambda event, o: o.give(verb, "tester") if getattr(event, "step", 0) == 2 else None
    site.puts.clear()
    back = site.run(orders=orders, algorithm="snapshot", snapshot_of=tuned.id)
    assert in_order(site, TASK, site.puts)
    moved = np.abs(site.at() - found).max()
    if verb is Verb.ABORT:
        assert (back.state, back.outcome) == (RunState.RESTORED, "aborted")
        assert moved < 1e-6
    elif verb is Verb.HALT:
        assert (back.state, back.outcome) == (RunState.HALTED, "halted")
        assert moved > 1.0
    else:
        assert (back.state, back.outcome) == (RunState.ACCEPTED, "not reached")
        assert "accepted by tester" in back.reason
        assert moved > 1.0


def with_travel(monkeypatch, travel_a) -> None:
    """A description that keeps the knobs near where a run finds them."""
    whole = OrbitKit.layout
    monkeypatch.setattr(
        OrbitKit, "layout",
        lambda kit: replace(whole(kit), knobs=tuple(replace(k, travel=travel_a) for k in whole(kit).knobs)),
    )  # fmt: skip


def test_further_than_a_run_may_go(site, monkeypatch):
    """Known before anything moves."""
    tuned = site.run(algorithm="bls")
    site.move(TASK, np.where(np.arange(10) == 4, 40.0, 0.0))
    with_travel(monkeypatch, 30.0)
    found = site.at()
    site.puts.clear()
    back = site.run(algorithm="snapshot", snapshot_of=tuned.id)
    assert (back.state, back.outcome) == (RunState.RESTORED, "not reached")
    assert "further than one run may move a knob" in back.reason
    assert "(30 A)" in back.reason
    assert site.puts == []
    np.testing.assert_array_equal(site.at(), found)


def test_a_limit_of_the_ioc_in_the_way(site):
    """Half of the way is no setting that anybody has seen: back to where it began."""
    tuned = site.run(algorithm="bls")
    site.run(algorithm="snapshot", snapshot_of=tuned.id)
    knob = site.layout(TASK).knobs[4]
    goal = site.at()[4]
    site.move(TASK, np.where(np.arange(10) == 4, -np.sign(goal) * 30.0, 5.0))
    found = site.at()
    lo, hi = sorted((found[4] - np.sign(goal) * 1.0, goal - np.sign(goal) * 10.0))
    narrowed = {knob.setpoint: replace(site.plant.channels[knob.setpoint], lo=lo, hi=hi)}
    site.plant._channels = {**site.plant.channels, **narrowed}
    site.puts.clear()
    back = site.run(algorithm="snapshot", snapshot_of=tuned.id)
    assert (back.state, back.outcome) == (RunState.RESTORED, "not reached")
    assert "a limit of the IOC or of this run is in the way" in back.reason
    assert f"{knob.name} at {goal - np.sign(goal) * 10.0:.4g} A, {goal:.4g} A wanted" in back.reason
    assert len(site.puts) > 0
    np.testing.assert_allclose(site.at(), found, atol=1e-6)


def test_every_step_may_need_approval(site):
    tuned = site.run(algorithm="bls")
    site.move(TASK, 20.0)
    asked = []

    def approve(event, orders):
        if type(event).__name__ == "Proposed":
            asked.append(event)
            orders.give(Verb.APPROVE, "tester")

    site.on_event = approve
    back = site.run(algorithm="snapshot", snapshot_of=tuned.id, approval=True)
    assert back.outcome == "reached"
    assert len(asked) >= 2


def test_replay(site):
    tuned = site.run(algorithm="bls")
    back = site.run(algorithm="snapshot", snapshot_of=tuned.id)
    kit = site.deployment.kit(TASK)
    report = replay(site.store, back.id, kit.layout(), lambda c: course_of(site.store, kit, Choice(**c))[1])
    assert report.is_identical, report.lines
    assert report.decisions >= 1


class TestRefused:
    def refusal(self, site, error, task=TASK, **choice) -> str:
        before = site.at(task)
        with pytest.raises(error) as caught:
            site.run(task, algorithm="snapshot", **choice)
        np.testing.assert_array_equal(site.at(task), before)
        return str(caught.value)

    def test_no_such_run(self, site):
        assert self.refusal(site, StoreConflictError, snapshot_of=77) == "there is no run 77"

    @pytest.mark.parametrize("choice", [{}, {"snapshot_of": 1, "of": "worst"}])
    def test_half_a_choice(self, site, choice):
        assert "found or best" in self.refusal(site, StoreConflictError, **choice)

    def test_other_knobs(self, site):
        tuned = site.run(algorithm="bls", max_steps=1)
        said = self.refusal(site, StoreConflictError, "cm3-orbit", snapshot_of=tuned.id)
        assert f"run {tuned.id} was of other setpoints (HCM1_PS:DCH_01:ISet" in said

    def test_a_run_that_had_not_found_anything(self, site):
        permit = site.layout(TASK).permit
        site._sound_put(permit, 0.0)
        refused = site.run(algorithm="bls")
        assert refused.outcome == "not armed"
        site._sound_put(permit, 1.0)
        assert "ended before it had found anything" in self.refusal(
            site, StoreConflictError, snapshot_of=refused.id
        )  # fmt: skip

    def test_outside_of_what_is_allowed_now(self, site, monkeypatch):
        tuned = site.run(algorithm="bls")
        whole = OrbitKit.layout
        monkeypatch.setattr(
            OrbitKit, "layout",
            lambda kit: replace(whole(kit), knobs=tuple(replace(k, lo=-1.0, hi=1.0) for k in whole(kit).knobs)),
        )  # fmt: skip
        assert "limits -1 to 1 A" in self.refusal(site, SetpointLimitError, snapshot_of=tuned.id)

    def test_the_best_of_what_looked_for_none(self, site):
        checked = site.run(algorithm="preflight")
        assert "not looking for a best setting" in self.refusal(
            site, StoreConflictError, snapshot_of=checked.id, of="best"
        )
        assert site.run(algorithm="snapshot", snapshot_of=checked.id).outcome == "reached"


def test_another_description_is_told(site, monkeypatch):
    tuned = site.run(algorithm="bls")
    monkeypatch.setattr(OrbitKit, "section_hash", "another")
    back = site.run(algorithm="snapshot", snapshot_of=tuned.id)
    assert back.outcome == "reached"
    assert "(the description of the section has changed since)" in back.reason


def test_no_trained_agent_is_needed(site, monkeypatch):
    """The way back works where the agents are damaged or gone."""
    tuned = site.run(INJECTOR, algorithm="design+gp", max_steps=3)
    monkeypatch.setattr("beamctl.agent.registry.SHIPPED", site.deployment.settings.agents)
    site.deployment = Deployment(site.deployment.settings)
    with pytest.raises(UnknownNameError):
        site.run(INJECTOR, algorithm="design+gp")
    for of in ("found", "best"):
        assert site.run(INJECTOR, algorithm="snapshot", snapshot_of=tuned.id, of=of).outcome == "reached"


class TestPreflightThatIsReliedOn:
    def test_of_another_description(self, site, monkeypatch):
        """Its signs are relative to what was described then."""
        checked = site.run(algorithm="preflight")
        assert site.run(algorithm="bls", preflight=checked.id, max_steps=1).agent.endswith("+preflight")
        monkeypatch.setattr(OrbitKit, "section_hash", "another")
        with pytest.raises(StoreConflictError, match=f"preflight {checked.id} was made with another description"):
            site.run(algorithm="bls", preflight=checked.id)
        assert not site.run(algorithm="bls", max_steps=1).agent.endswith("+preflight")

    @pytest.mark.parametrize("task", ["cm3-orbit", INJECTOR])
    def test_of_another_section(self, site, task):
        checked = site.run(algorithm="preflight")
        with pytest.raises(StoreConflictError, match=f"run {checked.id} .*is no preflight of"):
            site.run(task, preflight=checked.id)

    def test_of_a_run_that_was_none(self, site):
        tuned = site.run(algorithm="bls", max_steps=1)
        with pytest.raises(StoreConflictError, match="is no preflight of cafe2-cm1"):
            site.run(algorithm="bls", preflight=tuned.id)


class TestDisabledAgents:
    @pytest.mark.parametrize(
        ("task", "agent", "off", "on"),
        [(TASK, "cafe2-orbit", [None, "tbsac"], ["bls", "svd"]),
         (INJECTOR, "lpi-transmission", [None, "tbsac", "tbsac+gp"], ["design+gp"])],
    )  # fmt: skip
    def test_until_enabled_again(self, site, task, agent, off, on):
        kit = site.deployment.kit(task)
        site.store.switches.set(agent, False, "odd steps in run 3", "anna", None)
        site.puts.clear()
        for algorithm in off:
            with pytest.raises(IncompatibleAgentError, match=rf"agent {agent} was disabled by anna at .* UTC: odd"):
                site.run(task, algorithm=algorithm)
        assert site.puts == []
        for algorithm in on:
            check_enabled(site.store, kit, Choice(algorithm))
        site.store.switches.set(agent, True, "", "anna", None)
        assert site.run(task, algorithm="tbsac", max_steps=1).agent.startswith(agent)

    def test_not_by_its_path_either(self, site):
        site.store.switches.set("cafe2-orbit", False, "", "anna", None)
        path = site.deployment.registry.find("cafe2-orbit").path
        with pytest.raises(IncompatibleAgentError, match="was disabled by anna"):
            site.run(algorithm="tbsac", agent=str(path))

    def test_another_one_goes_on(self, site):
        site.store.switches.set("another", False, "", "anna", None)
        check_enabled(site.store, site.deployment.kit(TASK), Choice())
