"""What a section is said to read, over a machine that is broken in every way; nobody may be told that all is well."""

import math
from dataclasses import replace

import numpy as np
import pytest

from beamctl.engine.base import Reading, Severity
from beamctl.engine.simulated.engine import SimulatedEngine
from beamctl.engine.simulated.factory import make_plant
from beamctl.errors import NoValidReadingError
from beamctl.run.observed import NOT_CONNECTED, ObservedSection, SectionView, unknown_payload
from beamctl.run.recent import RecentReadings
from beamctl.settings import Settings
from beamctl.wiring.deployment import Deployment
from beamctl.wiring.observer import observed_sections

D = Deployment(Settings())
SECTIONS = {section.key: section for section in observed_sections(D)}
CM1 = SECTIONS["cafe2-cm1"]
PERIOD_S = 0.1


class Watched:
    """A section that somebody looks at ten times a second."""

    def __init__(self, rig, section: ObservedSection = CM1) -> None:
        self.rig = rig
        self.layout = section.layout
        rig.engine.start(section.layout.all_pvs)
        self.view = SectionView(section, rig.engine)
        self.now = self.after(2.0)

    def after(self, seconds: float) -> dict:
        for _ in range(max(1, round(seconds / PERIOD_S))):
            self.rig.clock.sleep(PERIOD_S)
            self.now = self.view.payload()
        return self.now

    def said(self) -> str:
        return "; ".join(self.now["unfit"])


@pytest.fixture
def watched(rig):
    one = Watched(rig)
    yield one
    assert rig.puts == []
    assert set(rig.engine.calls) <= {"start", "latest"}, "nothing is written, nothing is asked of the IOC"


def test_a_healthy_section(watched):
    now, layout = watched.now, watched.layout
    truth = watched.rig.plant.sections["cm1"].true_orbit_mm()
    assert now["unfit"] == []
    assert (now["identity"], now["is_simulated"], now["permit"], now["enable"]) == (
        "CAFE2-SIMULATED", True, True, True,
    )  # fmt: skip
    assert now["heartbeat_age_s"] <= 2 * PERIOD_S
    assert now["current_ma"] == pytest.approx(2.4, abs=0.1)
    assert now["setpoint_a"] == pytest.approx(list(watched.rig.start.values()), abs=1e-6)
    assert np.abs(np.subtract(now["readback_a"], now["setpoint_a"])).max() < layout.knobs[0].tolerance
    assert now["valid"] == [True] * 10
    assert now["knob_severity"] == [0] * 10
    assert max(now["severity"]) < 3
    assert np.abs(np.array(now["median"]) - truth).max() < 0.5
    assert 0.01 < np.mean(now["noise"]) < 0.2, "about 0.06 mm"
    assert now["figures"]["rms_mm"] == pytest.approx(float(np.sqrt(np.mean(np.square(now["median"])))), abs=1e-6)
    assert max(now["channel_age_s"]) <= 2 * PERIOD_S


def test_arrays_are_in_the_order_of_the_section(watched):
    detail_keys = ["values", "median", "noise", "valid", "severity", "channel_age_s"]
    assert {len(watched.now[key]) for key in detail_keys} == {len(watched.layout.channels)}
    assert watched.now["knobs"] == [knob.name for knob in watched.layout.knobs]


def test_the_same_fields_when_nobody_answers(watched):
    nothing = unknown_payload(CM1, "why")
    assert nothing.keys() == watched.now.keys()
    assert {k: len(v) for k, v in nothing.items() if isinstance(v, list) and k != "unfit"} == {
        k: len(v) for k, v in watched.now.items() if isinstance(v, list) and k != "unfit"
    }


def test_a_heartbeat_has_to_be_seen_moving(rig):
    rig.engine.start(CM1.layout.all_pvs)
    now = SectionView(CM1, rig.engine).payload()
    assert now["heartbeat_age_s"] is None
    assert now["unfit"] == [f"{CM1.layout.heartbeat} has not been seen to move yet: nothing here can be believed"]
    assert (now["permit"], now["enable"], now["figures"], any(now["valid"])) == (None, None, {}, False)


def test_a_frozen_ioc(watched):
    """It looks alive: connected, no alarm, the last values. Only the heartbeat tells."""
    watched.rig.faults.frozen = True
    assert not any(watched.after(0.7)["valid"]), "readings are old sooner than the heartbeat is"
    now = watched.after(1.6)
    assert now["unfit"] == [
        f"{watched.layout.heartbeat} has not moved for {now['heartbeat_age_s']:.1f} s: nothing here can be believed"
    ]
    assert now["heartbeat_age_s"] > watched.layout.heartbeat_max_age_s
    assert (now["permit"], now["enable"], now["figures"]) == (None, None, {})
    watched.rig.faults.frozen = False
    assert watched.after(0.5)["unfit"] == []
    assert all(watched.after(1.0)["valid"])


@pytest.mark.parametrize("how", ["stuck", "not_finite", "invalid", "silent"])
def test_a_heartbeat_that_is_broken(watched, how):
    beat = watched.layout.heartbeat
    if how == "stuck":
        watched.rig.faults.stuck[beat] = 7.0
    else:
        getattr(watched.rig.faults, how).add(beat)
    now = watched.after(2.5)
    assert f"{beat} has not moved for" in watched.said()
    assert (now["permit"], any(now["valid"])) == (None, False)


@pytest.mark.parametrize(("how", "severity"), [("invalid", 3), ("not_finite", 0), ("silent", 0), ("lost", 4)])
def test_a_channel_that_cannot_be_believed(watched, how, severity):
    pv = watched.layout.channels[2]
    getattr(watched.rig.faults, how).add(pv)
    now = watched.after(1.0)
    assert [i for i, ok in enumerate(now["valid"]) if not ok] == [2]
    assert now["severity"][2] == severity
    assert math.isfinite(now["figures"]["rms_mm"])
    assert now["unfit"] == ([f"not connected: {pv}"] if how == "lost" else [])
    if how == "not_finite":
        assert now["values"][2] is None
    getattr(watched.rig.faults, how).clear()
    assert all(watched.after(1.0)["valid"])


def test_an_isolated_glitch_is_no_fault(watched):
    pv, before = watched.layout.channels[2], watched.now["median"][2]
    watched.rig.faults.stuck[pv] = 40.0
    now = watched.after(PERIOD_S)
    assert (now["values"][2], now["valid"][2]) == (40.0, True)
    assert now["median"][2] == pytest.approx(before, abs=0.2)
    assert not watched.after(2.0)["valid"][2], "out of range for good"


def test_too_few_channels(watched):
    watched.rig.faults.invalid |= set(watched.layout.channels[:6])
    watched.after(1.0)
    names = watched.layout.channel_names
    assert watched.now["unfit"] == [
        f"only 4 of 10 channels can be believed, 5 are needed: not {', '.join(names[:3])} and 3 more"
    ]
    watched.rig.faults.invalid |= set(watched.layout.channels)
    assert watched.after(1.0)["figures"] == {}


@pytest.mark.parametrize("how", ["invalid", "not_finite", "lost"])
@pytest.mark.parametrize("which", ["setpoint", "readback"])
def test_a_knob_that_cannot_be_read(watched, how, which):
    pv = getattr(watched.layout.knobs[1], which)
    getattr(watched.rig.faults, how).add(pv)
    if which == "setpoint":
        watched.rig.foreign(pv, watched.rig.start[pv] + 1e-3)  # a setpoint is published when it changes
    now = watched.after(0.5)
    assert pv in watched.said()
    if how == "lost":
        assert now["knob_severity"][1] == NOT_CONNECTED
        assert now[f"{which}_a"][1] is None
    if how == "invalid":
        assert now["knob_severity"][1] == 3


def test_a_setpoint_outside_the_limits(watched):
    watched.rig.foreign(watched.layout.knobs[3].setpoint, 74.0)
    knobs = (*watched.layout.knobs[:3], replace(watched.layout.knobs[3], hi=70.0))
    narrow = replace(CM1, layout=replace(CM1.layout, knobs=knobs))
    watched.view = SectionView(narrow, watched.rig.engine)
    watched.after(0.5)
    assert "74 A is outside [-74, 70] A" in watched.said()


@pytest.mark.parametrize(
    ("name", "value", "said"), [("permit", 0.0, "no beam permit"), ("enable", 0.0, "programs may not tune")]
)
def test_permits(watched, name, value, said):
    pv = getattr(watched.layout, name)
    watched.rig.foreign(pv, value)
    now = watched.after(0.3)
    assert now[name] is False
    assert f"{said}: {pv} is 0, must be 1" in watched.said()


@pytest.mark.parametrize("name", ["permit", "enable"])
@pytest.mark.parametrize("how", ["invalid", "not_finite", "lost"])
def test_a_permit_that_nobody_knows_is_none(watched, name, how):
    pv = getattr(watched.layout, name)
    getattr(watched.rig.faults, how).add(pv)
    watched.rig.foreign(pv, 0.0)  # it is published when it changes
    now = watched.after(0.5)
    assert now[name] is None
    assert pv in watched.said()


def test_without_an_enable_pv_nothing_may_be_written(rig):
    section = replace(CM1, layout=replace(CM1.layout, enable=""))
    watched = Watched(rig, section)
    assert watched.now["enable"] is None
    assert "names no tuner-enable PV" in watched.said()


def test_another_machine(rig):
    section = replace(CM1, layout=replace(CM1.layout, accepted=("CAFE2",)))
    watched = Watched(rig, section)
    assert "says 'CAFE2-SIMULATED', expected one of 'CAFE2': wrong machine?" in watched.said()


def test_beam_off(watched):
    watched.rig.permit(is_high=False)
    now = watched.after(0.5)
    assert now["current_ma"] < watched.layout.current_floor_ma
    assert f"no beam: {watched.layout.current} reads" in watched.said()
    assert "must be at least 1 mA" in watched.said()


def test_a_current_that_is_invalid_is_not_called_beam(watched):
    watched.rig.faults.invalid.add(watched.layout.current)
    now = watched.after(0.5)
    assert now["current_severity"] == 3
    assert f"nobody knows whether there is beam: {watched.layout.current}" in watched.said()


def test_everything_lost(watched):
    watched.rig.faults.lost |= set(watched.layout.all_pvs)
    now = watched.after(2.5)
    assert len(now["unfit"]) == 1
    assert now["unfit"][0].startswith("not connected: ")
    assert "and 32 more" in now["unfit"][0]
    assert (now["identity"], now["is_simulated"], now["permit"], now["figures"]) == ("", False, None, {})
    assert set(now["severity"]) == set(now["knob_severity"]) == {NOT_CONNECTED}


def test_readings_from_before_a_move_do_not_count(watched):
    """The median is that of the setting that is shown with it."""
    pv = watched.layout.knobs[0].setpoint
    watched.rig.foreign(pv, watched.rig.start[pv] + 10.0)
    watched.after(2.0)
    truth = watched.rig.plant.sections["cm1"].true_orbit_mm()
    assert np.abs(np.array(watched.now["median"]) - truth).max() < 0.5
    moved = watched.after(0.1)
    assert moved["setpoint_a"][0] == pytest.approx(watched.rig.start[pv] + 10.0)


def test_while_a_knob_moves_the_newest_reading_is_shown(watched):
    pv = watched.layout.knobs[0].setpoint
    watched.rig.foreign(pv, watched.rig.start[pv] - 60.0)
    now = watched.after(0.5)
    assert abs(now["readback_a"][0] - now["setpoint_a"][0]) > 1.0
    assert now["median"] == now["values"]
    assert now["noise"] == [None] * 10
    assert all(now["valid"])


def test_a_supply_that_hangs_keeps_nobody_from_a_median(watched):
    pv = watched.layout.knobs[0].setpoint
    watched.rig.faults.jammed.add(pv)
    watched.rig.foreign(pv, watched.rig.start[pv] + 5.0)
    now = watched.after(3.0)
    assert None not in now["noise"]


class TestRecentReadings:
    """Of a layout with ten channels; ten readings make a median."""

    def feed(self, recent, at, value, seq, setpoint=1.0, readback=1.0):
        of = {
            **{k.setpoint: setpoint for k in CM1.layout.knobs},
            **{k.readback: readback for k in CM1.layout.knobs},
            **dict.fromkeys(CM1.layout.channels, value),
        }
        recent.add({pv: Reading(v, Severity.NO_ALARM, 0, at, at, seq, connected=True) for pv, v in of.items()}, at)

    def first(self, recent, now):
        median, noise, most = recent.combined(now)
        return median[0], noise[0], most[0]

    def test_nothing_yet(self):
        assert np.isnan(self.first(RecentReadings(CM1.layout), 0.0)[:2]).all()
        assert not RecentReadings(CM1.layout).combined(0.0)[2].any()

    @pytest.mark.parametrize(("values", "median"), [([1, 2, 9], 2), ([1, 2, 9, 4], 3), ([7], 7)])
    def test_median_and_noise(self, values, median):
        recent = RecentReadings(CM1.layout)
        for i, value in enumerate(values):
            self.feed(recent, 0.1 * i, value, 2 * i + 1)  # some updates are missed
        found = self.first(recent, 0.3)
        assert found[0] == median
        assert found[1] == pytest.approx(np.std(values)) if len(values) > 1 else np.isnan(found[1])

    def test_the_last_ten(self):
        recent = RecentReadings(CM1.layout)
        for i in range(30):
            self.feed(recent, 0.1 * i, float(i // 20), 3 * i + 1)
        assert self.first(recent, 3.0) == (1.0, 0.0, True)

    def test_the_same_update_counts_once(self):
        recent = RecentReadings(CM1.layout)
        self.feed(recent, 0.0, 3.0, 1)
        for _ in range(5):
            self.feed(recent, 0.1, 4.0, 2)
        assert self.first(recent, 0.2)[0] == 3.5

    def test_old_ones_do_not_count_for_ever(self):
        """Whoever looks every two seconds does not show the median of twenty."""
        recent = RecentReadings(CM1.layout)
        for i in range(9):
            self.feed(recent, 0.1 * i, 1.0, i + 1)
        self.feed(recent, 100.0, 5.0, 10)
        assert self.first(recent, 100.1)[0] == 5.0

    @pytest.mark.parametrize(
        ("setpoint", "readback", "moves"),
        [
            (1.001, 1.0, True),
            (1.00005, 1.0, False),
            (1.0, 1.29, False),
            (1.0, 2.0, True),
            (math.nan, math.nan, False),
        ],
    )
    def test_what_is_a_move(self, setpoint, readback, moves):
        recent = RecentReadings(CM1.layout)
        for i in range(8):
            self.feed(recent, 0.1 * i, 1.0, i + 1)
        self.feed(recent, 0.8, 5.0, 9, setpoint, readback)
        assert self.first(recent, 0.9)[0] == (5.0 if moves else 1.0)

    def test_not_before_the_field_has_settled(self):
        recent = RecentReadings(CM1.layout)
        for i in range(20):
            now = 0.1 * i
            self.feed(recent, now, now, i + 1, setpoint=1.0 if i < 10 else 2.0, readback=1.0 if i < 10 else 2.0)
        settled = 1.0 + CM1.layout.settle_s
        assert self.first(recent, 1.9)[0] == pytest.approx(np.median(np.arange(settled, 1.95, 0.1)))


def test_figures_that_cannot_be_told(rig):
    def nothing(_):
        raise NoValidReadingError("nothing")

    assert Watched(rig, replace(CM1, figures=nothing)).now["figures"] == {}


class TestInjector:
    @pytest.fixture
    def lebt(self):
        section = SECTIONS["lpi-lebt"]
        engine = SimulatedEngine(make_plant(D.machines, None, ["err5"], 3))
        engine.start(section.layout.all_pvs)
        return section, engine, SectionView(section, engine)

    def look(self, engine, view, seconds=2.0):
        for _ in range(round(10 * seconds)):
            engine.clock.sleep(0.1)
            now = view.payload()
        return now

    def test_currents(self, lebt):
        _, engine, view = lebt
        now = self.look(engine, view)
        figures = now["figures"]
        assert now["unfit"] == []
        assert figures["transmission"] == pytest.approx(figures["mfc1_ma"] / figures["acct_ma"], abs=1e-5)

    def test_without_one_monitor_nobody_knows(self, lebt):
        section, engine, view = lebt
        engine.faults.invalid.add(section.layout.channels[0])
        now = self.look(engine, view)
        assert (now["figures"]["acct_ma"], now["figures"]["transmission"]) == (None, None)
        assert now["figures"]["mfc1_ma"] is not None
        assert now["unfit"] == ["only 1 of 2 channels can be believed, 2 are needed: not ACCT"]

    def test_knobs_of_all_its_tasks(self, lebt):
        section, _, _ = lebt
        tasks = ["rfq-transmission", "rfq-transmission-fixed-orbit"]
        knobs = {knob.setpoint for task in tasks for knob in D.kit(task).layout().knobs}
        assert knobs == {knob.setpoint for knob in section.layout.knobs}
