"""The soft machine's time, with time that passes as fast as it can. Seed 5 throughout."""

import asyncio
import itertools
import math

import pytest

from beamctl.engine.simulated.channel import Role
from beamctl.engine.simulated.linac_plant import LinacPlant
from beamctl.machine.loader import load_ion, load_machine
from ioc.plant_clock import LoopTime, PlantClock
from ioc.records import make_records

MACHINE = load_machine("cafe2")
ION = load_ion(MACHINE.ion)
SETPOINT, READBACK, BPM = "HCM1_PS:DCH_01:ISet", "HCM1_PS:DCH_01:IMon", "Bpm:6-X11"
SLEW = MACHINE.types.corrector.slew.value
HEARTBEAT, SEED = MACHINE.heartbeat.pv, MACHINE.simulation.seed


class FastTime:
    """Passes only while somebody waits for it, and then at once."""

    def __init__(self):
        self.seconds = 100.0

    def now(self):
        return self.seconds

    async def wait(self, event, seconds):
        for _ in range(5):  # whoever was woken acts before time goes on
            await asyncio.sleep(0)
        if not event.is_set():
            self.seconds += max(seconds, 0.0)


class SoftMachine:
    def __init__(self, scenario="nominal", speed=1.0):
        self.plant = LinacPlant(MACHINE, (ION, ION), scenario, 5)
        self.records = make_records(self.plant.channels.values())
        self.time = FastTime()
        self.clock = PlantClock(self.plant, self.records, speed, self.time)
        self.published = []
        for pv, record in self.records.items():
            self._spy(pv, record)

    def _spy(self, pv, record):
        post = record.post

        async def spy(value, severity, stamp):
            self.published.append((pv, value, stamp))
            await post(value, severity, stamp)

        record.post = spy

    def values(self, pv):
        return [value for name, value, _ in self.published if name == pv]

    def play(self, scene):
        """Run a coroutine while the machine's time passes."""

        async def both():
            await self.clock.publish_held()
            running = asyncio.create_task(self.clock.run())
            try:
                return await scene(self)
            finally:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)

        return asyncio.run(both())

    async def shots(self, count):
        for _ in range(count):
            seen = len(self.values(HEARTBEAT))
            while len(self.values(HEARTBEAT)) == seen:
                await asyncio.sleep(0)


@pytest.mark.parametrize("speed", [1.0, 10.0])
def test_a_put_ends_exactly_when_its_ramp_does(speed):
    machine = SoftMachine(speed=speed)

    async def scene(m):
        await m.clock.put(SETPOINT, 0.0)
        begin = m.time.now()
        await m.clock.put(SETPOINT, 7.3)
        return m.time.now() - begin

    assert machine.play(scene) == pytest.approx(7.3 / SLEW / speed, abs=3e-3)
    assert machine.plant.is_settled(SETPOINT)


def test_the_setpoint_is_published_at_once_and_the_readback_follows():
    machine = SoftMachine("ideal")

    async def scene(m):
        await m.clock.put(SETPOINT, 0.0)
        await m.shots(1)
        del m.published[:]
        await m.clock.put(SETPOINT, 10.0)
        await m.shots(1)

    machine.play(scene)
    assert machine.published[0][:2] == (SETPOINT, 10.0)
    ramp = machine.values(READBACK)
    assert len(ramp) >= 9
    assert all(after - before < 1.5 for before, after in itertools.pairwise(ramp))
    assert ramp[-1] == pytest.approx(10.0, abs=0.3)


def test_a_put_of_the_held_value_ends_at_once_and_publishes_nothing():
    machine = SoftMachine()

    async def scene(m):
        held = m.plant.setpoint(SETPOINT)
        begin, count = m.time.now(), len(m.published)
        await m.clock.put(SETPOINT, held)
        assert m.time.now() == begin
        assert len(m.published) == count

    machine.play(scene)


@pytest.mark.parametrize(("pv", "change"), [(SETPOINT, 0.001), ("HCM1_RF:HWR_01:PSet", 90.0)])
def test_a_put_without_a_ramp_worth_the_name_ends_at_once(pv, change):
    machine = SoftMachine()

    async def scene(m):
        begin = m.time.now()
        await m.clock.put(pv, m.plant.setpoint(pv) + change)
        assert m.time.now() == begin
        assert m.plant.is_settled(pv)

    machine.play(scene)


def test_short_ramps_do_not_add_up_to_a_faster_machine():
    machine = SoftMachine()

    async def scene(m):
        await m.clock.put(SETPOINT, 0.0)
        begin = m.time.now()
        for i in range(1, 1001):
            await m.clock.put(SETPOINT, 0.005 * i)
        return m.time.now() - begin

    assert machine.play(scene) > 5.0 / SLEW - 2e-3


def test_overlapping_puts_share_the_ramp():
    machine = SoftMachine()

    async def scene(m):
        await m.clock.put(SETPOINT, 0.0)
        ends = []

        async def put(value):
            await m.clock.put(SETPOINT, value)
            ends.append((m.time.now(), m.plant.is_settled(SETPOINT)))

        first = asyncio.create_task(put(50.0))
        await m.shots(3)
        await asyncio.gather(first, put(-5.0))
        return ends

    (first_end, first_settled), (second_end, second_settled) = machine.play(scene)
    assert first_end == second_end
    assert first_settled
    assert second_settled
    assert machine.plant.setpoint(SETPOINT) == -5.0


def test_a_client_that_leaves_does_not_end_the_ramp_of_another():
    machine = SoftMachine()

    async def scene(m):
        await m.clock.put(SETPOINT, 0.0)
        leaving, staying = (asyncio.create_task(m.clock.put(SETPOINT, 20.0)) for _ in range(2))
        await m.shots(2)
        leaving.cancel()
        await staying
        assert m.plant.is_settled(SETPOINT)

    machine.play(scene)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_put_beyond_the_limits_is_clamped(sign):
    machine = SoftMachine()

    async def scene(m):
        await m.clock.put(SETPOINT, sign * 500.0)

    machine.play(scene)
    assert machine.records[SETPOINT].value == sign * 74.0


def test_a_put_that_is_not_finite_changes_nothing():
    machine = SoftMachine()

    async def scene(m):
        held = m.plant.setpoint(SETPOINT)
        with pytest.raises(ValueError, match="not a finite number"):
            await m.clock.put(SETPOINT, math.nan)
        assert m.plant.setpoint(SETPOINT) == held

    machine.play(scene)


def test_a_shot_reads_every_instrument_with_one_stamp():
    machine = SoftMachine()
    asyncio.run(machine.clock.publish_shot())
    read = {c.pv for c in machine.plant.channels.values() if not c.writable and not c.is_text}
    assert {pv for pv, _, _ in machine.published} == read
    assert len({bytes(stamp) for _, _, stamp in machine.published}) == 1


@pytest.mark.parametrize(("speed", "shots"), [(1.0, 30), (5.0, 150)])
def test_shots_keep_their_rate(speed, shots):
    machine = SoftMachine(speed=speed)

    async def scene(m):
        await m.shots(1)
        end = m.time.now() + 3.0
        count = len(m.values(HEARTBEAT))
        while m.time.now() < end:
            await asyncio.sleep(0)
        return len(m.values(HEARTBEAT)) - count

    assert machine.play(scene) == pytest.approx(shots, abs=2)


def test_missed_shots_are_not_made_up_for():
    machine = SoftMachine()

    async def scene(m):
        await m.shots(2)
        m.time.seconds += 60.0  # the process was stopped
        begin, count = m.time.now(), len(m.values(HEARTBEAT))
        await m.shots(5)
        assert len(m.values(HEARTBEAT)) - count == 5
        assert m.time.now() - begin == pytest.approx(0.4, abs=0.11)

    machine.play(scene)


def test_the_heartbeat_counts_by_one():
    machine = SoftMachine()
    machine.play(lambda m: m.shots(5))
    beats = machine.values(HEARTBEAT)
    assert beats == [beats[0] + i for i in range(len(beats))]


def test_a_new_seed_publishes_the_new_machine_before_its_put_ends():
    machine = SoftMachine("err5")

    async def scene(m):
        await m.shots(1)
        del m.published[:]
        await m.clock.put(SEED, 11)

    machine.play(scene)
    names = [pv for pv, _, _ in machine.published]
    setpoints = {c.pv for c in machine.plant.channels.values() if c.role is Role.SETPOINT}
    assert setpoints <= set(names[: names.index(HEARTBEAT)])
    assert machine.values(SEED) == [11.0]
    twin = LinacPlant(MACHINE, (ION, ION), "err5", 11)
    assert machine.values(SETPOINT) == [twin.setpoint(SETPOINT)]
    assert machine.values(BPM)[0] == pytest.approx(twin.shot()[BPM].value, abs=1e-3)


def test_a_new_seed_ends_the_ramps_of_the_old_machine():
    machine = SoftMachine()

    async def scene(m):
        ramping = asyncio.create_task(m.clock.put(SETPOINT, 70.0))
        await m.shots(1)
        assert not ramping.done()
        await m.clock.put(SEED, 12)
        await ramping

    machine.play(scene)


def test_the_loop_fails_aloud():
    machine = SoftMachine()
    machine.plant.shot = lambda: 1 / 0
    with pytest.raises(ZeroDivisionError):
        asyncio.run(machine.clock.run())


def test_real_time_waits_for_an_event_or_the_time():
    async def scene():
        event = asyncio.Event()
        time = LoopTime()
        begin = time.now()
        await time.wait(event, 0.01)
        assert time.now() > begin
        event.set()
        await time.wait(event, 3600.0)
        await time.wait(event, -1.0)

    asyncio.run(scene())
