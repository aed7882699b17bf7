"""The fence on a real EPICS base IOC: what it refuses, what its client says of it, what a frozen IOC applies late.

The judge is the IOC: its setpoint and the counters of its fence, never what the client believes.
"""

import json
import math
import re
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

from beamctl.engine.base import Outcome
from beamctl.engine.epics.engine import EpicsEngine
from beamctl.engine.fenced import FencedEngine, FenceStatus, fences_of
from beamctl.engine.layout import Fence, Knob

ROOT = Path(__file__).parents[2]
IOC = ROOT / "tests" / "contract" / "iocs" / "base_ioc.py"
PATIENCE_S = 60.0
IMPATIENCE_S = 0.1
LIFE_S = 0.4
COUNTERS = ("Accepted", "Expired", "OutOfRange", "NotFinite", "OtherRefused", "AppliedLate")
ROUNDS = 12
RECORD_TYPES = {"waveform", "subArray", "ai", "calc", "calcout", "fanout", "mbbi"}


class Bench:
    """One IOC and what the tests ask of it."""

    def __init__(self, start_ioc):
        self.prefix = f"t{secrets.token_hex(4)}"
        self.ioc = start_ioc([sys.executable, str(IOC), self.prefix])
        self.raw = EpicsEngine(readback_timeout_s=IMPATIENCE_S)
        self.setpoint = f"{self.prefix}:SET1"
        self.started = set()

    def fence(self, name="SET1:FENCE"):
        p = f"{self.prefix}:{name}:"
        return Fence(p + "Request", p + "Acknowledge", f"{self.prefix}:Clock")

    def engine(self, names=("SET1",), life_s=LIFE_S):
        fences = {f"{self.prefix}:{name}": self.fence(f"{name}:FENCE") for name in names}
        engine = FencedEngine(self.raw, fences, life_s, IMPATIENCE_S)
        engine.start([*fences], PATIENCE_S)
        return engine

    def get(self, *names):
        """Fresh values; numbers or text."""
        pvs = [f"{self.prefix}:{name}" for name in names]
        self.raw.start(pvs, PATIENCE_S)
        return [reading.value for reading in self.raw.read(pvs, PATIENCE_S).values()]

    def counts(self, name="SET1:FENCE"):
        return dict(zip(COUNTERS, self.get(*(f"{name}:{c}" for c in COUNTERS)), strict=True))

    def now(self):
        """The IOC's clock."""
        return self.get("Clock")[0]

    def request(self, *numbers, name="SET1:FENCE"):
        """Send numbers past every check of the client: as a faulty one would. The status, and what was counted."""
        pvs = self.fence(name)
        self.raw.start([pvs.request, f"{self.prefix}:{name}:Status"], PATIENCE_S)
        before = self.counts(name)
        channel = self.raw._channels[pvs.request]
        self.raw._put({channel.name: numbers}, PATIENCE_S)
        after = self.counts(name)
        counted = [c for c in COUNTERS if after[c] != before[c]]
        return FenceStatus(int(self.get(f"{name}:Status")[0])), counted


@pytest.fixture(scope="module")
def shared(start_ioc):
    bench = Bench(start_ioc)
    yield bench
    bench.raw.close()
    bench.ioc.close()


@pytest.fixture
def bench(shared):
    yield shared
    shared.ioc.thaw()


@pytest.fixture
def held(bench):
    """What the setpoint holds before; never one of the values that the tests ask for."""
    assert bench.request(0.125, bench.now() + 1.0, 1)[0] is FenceStatus.ACCEPTED
    return bench.get("SET1")[0]


class TestRefusals:
    """By the IOC alone, whatever a client sends."""

    def check(self, bench, held, numbers, status, counter, name="SET1:FENCE"):
        assert bench.request(*numbers, name=name) == (status, [counter])
        assert bench.get("SET1") == [held]

    @pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
    def test_not_finite(self, bench, held, value):
        self.check(bench, held, (value, bench.now() + 1.0, 7), FenceStatus.NOT_FINITE, "NotFinite")

    @pytest.mark.parametrize("expiry", [math.nan, math.inf, -math.inf])
    def test_without_an_expiry(self, bench, held, expiry):
        self.check(bench, held, (2.0, expiry, 7), FenceStatus.NOT_FINITE, "NotFinite")

    @pytest.mark.parametrize("value", [50.001, -50.001, 1e300])
    def test_out_of_range(self, bench, held, value):
        self.check(bench, held, (value, bench.now() + 1.0, 7), FenceStatus.OUT_OF_RANGE, "OutOfRange")

    @pytest.mark.parametrize("late_s", [0.001, 1.0, 1e6])
    def test_expired(self, bench, held, late_s):
        self.check(bench, held, (2.0, bench.now() - late_s, 7), FenceStatus.EXPIRED, "Expired")

    @pytest.mark.parametrize("life_s", [6.0, 1e6, 1e300])
    def test_a_life_that_is_too_long(self, bench, held, life_s):
        """Also what an old request looks like once the IOC's clock was set back."""
        self.check(bench, held, (2.0, bench.now() + life_s, 7), FenceStatus.LIFE_TOO_LONG, "OtherRefused")

    @pytest.mark.parametrize("count", [1, 2])
    def test_a_put_of_fewer_numbers_does_not_use_those_of_the_last_one(self, bench, held, count):
        expiry = bench.now() + 3.0
        assert bench.request(0.125, expiry, 8)[0] is FenceStatus.ACCEPTED
        self.check(bench, held, (2.0, expiry, 7)[:count], FenceStatus.MALFORMED, "OtherRefused")

    @pytest.mark.parametrize(
        ("name", "status", "counter"),
        [
            ("NOLIMITS", FenceStatus.OUT_OF_RANGE, "OutOfRange"),
            ("NOLINK", FenceStatus.BROKEN, "OtherRefused"),
            ("ASTRAY", FenceStatus.BROKEN, "OtherRefused"),
        ],
    )
    def test_a_fence_that_is_set_up_wrongly_lets_nothing_through(self, bench, held, name, status, counter):
        for value in (0.0, 2.0):
            self.check(bench, held, (value, bench.now() + 1.0, 7), status, counter, name)

    def test_a_disabled_setpoint_stays_disabled(self, bench):
        before = bench.get("REFUSING")
        status = bench.request(before[0] + 1.0, bench.now() + 1.0, 7, name="REFUSING:FENCE")
        assert status == (FenceStatus.BUSY, ["OtherRefused"])
        assert bench.get("REFUSING") == before

    def test_a_busy_setpoint(self, bench):
        bench.ioc.command("hold")
        try:
            gated = f"{bench.prefix}:GATED"
            engine = bench.engine(["GATED"])
            result = engine.write({gated: 1.0}, IMPATIENCE_S)[gated]
            assert (result.outcome, result.held) == (Outcome.UNKNOWN, 1.0)
            assert "applied" in result.message
            assert result.safe_after <= engine.clock.now()
            plain = f"{bench.prefix}:GATED:FENCE:Request"
            # Another client: this one's own request is still outstanding.
            assert other_client(bench, plain, 2.0) == FenceStatus.BUSY
            assert bench.get("GATED") == [1.0]
        finally:
            bench.ioc.command("release")

    def test_the_reason_is_there_for_people(self, bench):
        bench.request(2.0, bench.now() - 1.0, 7)
        assert bench.get("SET1:FENCE:Reason") == [float(FenceStatus.EXPIRED)]


OTHER_CLIENT = """
import sys
from beamctl.engine.epics.engine import EpicsEngine
request, value = sys.argv[1], float(sys.argv[2])
status, clock = request.replace("Request", "Status"), sys.argv[3]
engine = EpicsEngine()
engine.start([request, status, clock], 30.0)
expiry = engine.read([clock])[clock].number + 2.0
engine.write_with_requests({}, {request: (value, expiry, 5.0)}, 5.0)
print(engine.read([status])[status].number)
"""


def other_client(bench, request, value):
    argv = [sys.executable, "-c", OTHER_CLIENT, request, str(value), f"{bench.prefix}:Clock"]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=PATIENCE_S)
    return FenceStatus(int(float(done.stdout)))


class TestEngine:
    def write(self, bench, value, **options):
        engine = bench.engine(**options)
        return engine.write({bench.setpoint: value}, PATIENCE_S)[bench.setpoint]

    def test_the_request_goes_through_the_fence(self, bench, held):
        before = bench.counts()
        result = self.write(bench, 2.5)
        assert (result.outcome, result.held) == (Outcome.OK, 2.5)
        assert bench.get("SET1") == [2.5]
        assert bench.counts() == before | {"Accepted": before["Accepted"] + 1}

    def test_the_limits_of_the_record_alter(self, bench, held):
        result = self.write(bench, 9.0)
        assert (result.outcome, result.held) == (Outcome.ALTERED, 5.0)

    def test_the_limits_of_the_fence_refuse(self, bench, held):
        result = self.write(bench, 51.0)
        assert (result.outcome, result.held) == (Outcome.REFUSED, held)
        assert "outside its limits" in result.message

    def test_a_life_beyond_the_largest_is_refused(self, bench, held):
        result = self.write(bench, 2.0, life_s=10.0)
        assert (result.outcome, result.held) == (Outcome.REFUSED, held)

    def test_a_broken_fence_is_unknown_and_settled(self, bench, held):
        engine = FencedEngine(bench.raw, {bench.setpoint: bench.fence("NOLINK")})
        engine.start([bench.setpoint], PATIENCE_S)
        result = engine.write({bench.setpoint: 2.0}, PATIENCE_S)[bench.setpoint]
        assert (result.outcome, result.held) == (Outcome.UNKNOWN, held)
        assert result.safe_after <= engine.clock.now()
        assert bench.get("SET1") == [held]

    def test_a_group_with_and_without_fences(self, bench):
        fenced, plain = f"{bench.prefix}:SET1", f"{bench.prefix}:FREE"
        engine = bench.engine()
        engine.start([plain], PATIENCE_S)
        results = engine.write({fenced: 1.5, plain: 2.5}, PATIENCE_S)
        assert [(pv, r.outcome, r.held) for pv, r in results.items()] == [
            (fenced, Outcome.OK, 1.5),
            (plain, Outcome.OK, 2.5),
        ]
        results = engine.write({fenced: math.nan, plain: 3.5}, PATIENCE_S)
        assert {r.outcome for r in results.values()} == {Outcome.BLOCKED}
        assert bench.get("SET1", "FREE") == [1.5, 2.5]

    def test_nothing_is_sent_to_an_ioc_that_stands_still(self, bench, held):
        engine = bench.engine()
        before = bench.counts()
        bench.ioc.freeze()
        engine.clock.sleep(1.2)
        result = engine.write({bench.setpoint: 2.0}, IMPATIENCE_S)[bench.setpoint]
        assert result.outcome is Outcome.BLOCKED
        assert "stands still" in result.message
        bench.ioc.thaw()
        assert bench.counts() == before

    def test_frozen_and_thawed_within_the_life_it_is_applied(self, bench, held):
        engine = bench.engine(life_s=4.9)
        bench.ioc.freeze()
        result = engine.write({bench.setpoint: 3.0}, IMPATIENCE_S)[bench.setpoint]
        assert (result.outcome, math.isnan(result.held)) == (Outcome.UNKNOWN, True)
        since = {bench.setpoint: engine.latest([bench.setpoint])[bench.setpoint].seq}
        bench.ioc.thaw()
        (update,) = engine.wait([bench.setpoint], since, 1, PATIENCE_S)[bench.setpoint]
        assert update.number == 3.0

    def test_frozen_and_thawed_after_the_life_it_is_not(self, bench, held):
        engine, acknowledge = bench.engine(), bench.fence().acknowledge
        since = {acknowledge: engine.latest([acknowledge])[acknowledge].seq}
        bench.ioc.freeze()
        sent = engine.clock.now()
        result = engine.write({bench.setpoint: 3.0}, IMPATIENCE_S)[bench.setpoint]
        assert result.outcome is Outcome.UNKNOWN
        assert "never later" in result.message
        assert sent + LIFE_S <= result.safe_after <= engine.clock.now() + LIFE_S + 0.2
        engine.clock.sleep(result.safe_after - engine.clock.now())
        bench.ioc.thaw()
        (answer,) = engine.wait([acknowledge], since, 1, PATIENCE_S)[acknowledge]
        assert answer.number % 16 == FenceStatus.EXPIRED
        assert bench.get("SET1") == [held]

    def test_thawed_while_the_writer_waits_it_is_refused(self, bench, held):
        engine = bench.engine(life_s=0.05)
        thaw = subprocess.Popen(["sh", "-c", f"sleep 0.5; kill -CONT {bench.ioc._process.pid}"])
        bench.ioc.freeze()
        result = engine.write({bench.setpoint: 3.0}, PATIENCE_S)[bench.setpoint]
        thaw.wait()
        assert result.outcome is Outcome.REFUSED
        assert result.message == "expired in the IOC, not applied"
        assert result.held == held

    def test_what_is_done_after_its_expiry_is_told(self, bench):
        """The setpoint takes 0.3 s to process, after the check: as if the IOC had been frozen between check and put."""
        pv = f"{bench.prefix}:TARDY"
        before = bench.counts("TARDY:FENCE")
        result = bench.engine(["TARDY"], life_s=0.15).write({pv: 2.0}, PATIENCE_S)[pv]
        assert (result.outcome, result.held) == (Outcome.OK, 2.0)
        assert "after its expiry" in result.message
        expected = {"Accepted": before["Accepted"] + 1, "AppliedLate": before["AppliedLate"] + 1}
        assert bench.counts("TARDY:FENCE") == before | expected

    def test_the_limits_are_those_of_the_setpoint(self, bench):
        meta = bench.engine().meta([bench.setpoint], PATIENCE_S)[bench.setpoint]
        assert (meta.writable, meta.lo, meta.hi) == (True, -5.0, 5.0)

    def test_a_setpoint_may_be_closed_to_everything_but_its_fence(self, bench):
        pv = f"{bench.prefix}:READONLY"
        engine = bench.engine(["READONLY"])
        assert not bench.raw.meta([pv], PATIENCE_S)[pv].writable
        assert bench.raw.write({pv: 3.5}, PATIENCE_S)[pv].outcome is Outcome.BLOCKED
        assert engine.meta([pv], PATIENCE_S)[pv].writable
        assert engine.write({pv: 3.5}, PATIENCE_S)[pv].outcome is Outcome.OK
        assert bench.get("READONLY") == [3.5]

    def test_a_life_has_to_be_a_time(self, bench):
        for life_s in (0.0, -1.0, math.nan, math.inf):
            with pytest.raises(ValueError, match="live"):
                FencedEngine(bench.raw, {}, life_s)

    def test_fences_come_with_the_knobs(self, bench):
        knobs = [
            Knob("a", "A:ISet", "A:IMon", -1.0, 1.0, 0.1, 0.1, bench.fence()),
            Knob("b", "B:ISet", "B:IMon", -1.0, 1.0, 0.1, 0.1),
        ]
        assert fences_of(knobs) == {"A:ISet": bench.fence()}


def test_no_late_write_with_the_fence_and_late_ones_without():
    """The campaign of the benchmark, short: IOC frozen, writer killed or waiting, IOC thawed after the expiry."""
    argv = [sys.executable, "-m", "tests.bench.bench_fence", str(ROUNDS)]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]
    figures = json.loads(done.stdout.splitlines()[-1])
    assert (figures["rounds"], figures["fence_late"], figures["fence_expired"]) == (ROUNDS, 0, ROUNDS)
    assert figures["healthy"] == ROUNDS
    assert figures["plain_late"] > 0


def test_the_templates_suit_every_base_7():
    """EPICS base has parsed them for the other tests; this is what only older versions of base 7 would trip over."""
    for name in ("fence.db", "fence_clock.db"):
        text = (ROOT / "deploy" / "epics" / name).read_text(encoding="utf-8")
        lines = [line for line in text.splitlines() if line.strip().startswith(("field(CALC", "field(OCAL"))]
        assert [line for line in lines if len(line.split('"')[1]) > 79] == []
        assert set(re.findall(r"^record\((\w+)", text, re.MULTILINE)) <= RECORD_TYPES
        assert set(re.findall(r"field\(INP([M-U]),", text)) == set()


@pytest.mark.parametrize(
    ("name", "macros"),
    [("fence.db", "P=x:,SETPOINT=ps:ISet,LO=-5,HI=ps:ISet.DRVH"), ("fence_clock.db", "P=x:")],
)
def test_the_templates_parse_alone(name, macros):
    """By EPICS base, in a process of its own, with nothing but the macros that must be given."""
    code = (
        "import sys; from softioc import softioc;"
        "softioc.dbLoadDatabase(sys.argv[1], substitutions=sys.argv[2]); softioc.dbl()"
    )
    path = ROOT / "deploy" / "epics" / name
    done = subprocess.run([sys.executable, "-c", code, str(path), macros], capture_output=True, text=True, check=True)
    records = re.findall(r'^record\(\w+, "\$\(P\)(\w+)"', path.read_text(encoding="utf-8"), re.MULTILINE)
    assert {f"x:{record}" for record in records} <= set(done.stdout.split())
    assert done.stderr == ""
