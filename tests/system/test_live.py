"""What the control process shows of a soft IOC that stops, dies and comes back; both are processes."""

import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from beamctl.store.live import SERVICE_ROW

pytestmark = pytest.mark.system

ROOT = Path(__file__).parents[2]
AT_THE_LATEST_S = 3.0
"""until a machine that stands still is not called fit any more"""


class Shown:
    """What a control process shows of the first cryomodule."""

    def __init__(self, control) -> None:
        self._control = control
        self.key = control.deployment.kit("cm1-orbit").key

    def rows(self):
        return self._control.store.live.read()

    def row(self):
        return self.rows().get(self.key)

    def payload(self):
        row = self.row()
        return None if row is None else row.payload

    def wait_until_fit(self):
        return self._control.wait_for(lambda: (now := self.payload()) and now["unfit"] == [] and now)

    def wait_for_unfit(self, words):
        """As soon as one of the reasons holds these words."""
        return self._control.wait_for(lambda: (now := self.payload()) and words in "".join(now["unfit"]) and now)

    def age_s(self):
        return (datetime.now(UTC) - self.row().time).total_seconds()


@pytest.fixture(scope="module")
def ioc(start_soft_ioc):
    """Its instruments are read ten times a second, as those of the machine."""
    one = start_soft_ioc("--scenario", "err5", "--seed", "7")
    yield one
    one.process.close()


@pytest.fixture
def control(make_control, ioc):
    one = make_control(ioc)
    one.start()
    return one


@pytest.fixture
def shown(control):
    return Shown(control)


def test_what_is_read_is_shown(control, shown):
    now = shown.wait_until_fit()
    assert (now["identity"], now["is_simulated"], now["permit"], now["enable"]) == (
        "CAFE2-SIMULATED", True, True, True,
    )  # fmt: skip
    assert all(now["valid"])
    assert now["figures"]["rms_mm"] > 0.5
    assert len(now["setpoint_a"]) == len(now["readback_a"]) == 10
    service = shown.rows()[SERVICE_ROW].payload
    assert service == {"is_halted": False, "pid": control.process.pid}
    assert set(shown.rows()) == {SERVICE_ROW, *control.deployment.sections}
    first, began = control.store.live.number(), time.monotonic()
    control.wait_for(lambda: control.store.live.number() >= first + 20)
    assert time.monotonic() - began < 10.0, "ten times a second where the host is idle"


def test_a_section_whose_ioc_was_never_there(control, shown):
    """This one is the linac's alone: the injector says so, and keeps nobody waiting."""
    key = next(key for key in control.deployment.sections if "lpi" in key)
    shown.wait_until_fit()
    row = control.wait_for(
        lambda: (row := shown.rows().get(key)) and "LPI:Heartbeat" in row.payload["unfit"][0] and row
    )
    assert set(row.payload["severity"]) == {4}
    control.wait_for(lambda: "LPI:Heartbeat" in control.log.read_text())
    assert control.log.read_text().count(f"{key} is not shown") == 1


def test_an_ioc_that_stands_still(control, shown, ioc):
    shown.wait_until_fit()
    ioc.process.freeze()
    try:
        now = shown.wait_for_unfit("has not moved for")
        assert now["heartbeat_age_s"] < AT_THE_LATEST_S
        assert (any(now["valid"]), now["permit"], now["figures"]) == (False, None, {})
        assert shown.age_s() < AT_THE_LATEST_S
    finally:
        ioc.process.thaw()
    assert all(shown.wait_until_fit()["valid"])


def test_an_ioc_that_dies_and_comes_back(start_ioc, start_soft_ioc, make_control):
    """Without a restart of the control process."""
    first = start_soft_ioc("--scenario", "err5", "--seed", "7")
    control = make_control(first)
    control.start()
    shown = Shown(control)
    shown.wait_until_fit()
    first.process.close()
    gone = time.monotonic()
    now = shown.wait_for_unfit("not connected: ")
    assert time.monotonic() - gone < 10.0
    assert set(now["setpoint_a"]) == {None}
    assert set(now["severity"]) == {4}
    argv = [sys.executable, "-m", "ioc", "--die-with-parent", "--prefix", first.prefix, "--scenario", "err5"]
    second = start_ioc(argv, ready="READY ", env={"PYTHONPATH": str(ROOT)})
    try:
        assert all(shown.wait_until_fit()["valid"])
    finally:
        second.close()


def test_an_ioc_that_comes_later(start_ioc, make_control):
    """The control process was first."""

    class Later:
        prefix = f"L{os.getpid()}:"

    control = make_control(Later)
    control.start()
    shown = Shown(control)
    shown.wait_for_unfit(f"{Later.prefix}CAFE2:Heartbeat")
    argv = [sys.executable, "-m", "ioc", "--die-with-parent", "--prefix", Later.prefix, "--scenario", "err5"]
    ioc = start_ioc(argv, ready="READY ", env={"PYTHONPATH": str(ROOT)})
    try:
        assert all(shown.wait_until_fit()["valid"])
    finally:
        ioc.close()


def test_a_control_process_that_dies(control, shown):
    """Its last word ages; the next one speaks again."""
    shown.wait_until_fit()
    control.kill()
    last = control.store.live.number()
    time.sleep(1.5)
    assert control.store.live.number() == last
    assert shown.age_s() >= 1.5
    control.start()
    shown.wait_until_fit()
    control.wait_for(lambda: shown.age_s() < 1.0)
    assert shown.rows()[SERVICE_ROW].payload["pid"] == control.process.pid
    assert control.store.live.number() > last


def test_the_end_is_prompt_though_a_section_is_away(control, shown):
    shown.wait_until_fit()
    control.process.terminate()
    assert control.process.wait(30.0) == 0
    assert "Traceback" not in control.log.read_text()
