"""May this machine be moved now? Identity, permit, heartbeat, beam.

Freshness never comes from ``connected``: a frozen IOC stays connected for half a minute. The heartbeat has to have
changed lately, and everything else is asked for over the network, so that a value is as new as its record.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence

from beamctl.engine.base import Engine, Reading, Severity
from beamctl.engine.layout import SectionLayout
from beamctl.errors import BeamLostError, ChannelConnectionError, EngineError, PermitLostError, StaleReadingError

READ_TIMEOUT_S = 2.0
LIFE_POLL_S = 0.2
FEW = 5
"""updates that show whether something changes"""
LOOK_BACK = 200
"""updates of one PV that are looked at, of the 256 that engines keep"""


class Conditions:
    """The conditions of one section; each check raises with the number that is wrong."""

    def __init__(self, engine: Engine, layout: SectionLayout) -> None:
        self._engine = engine
        self._layout = layout

    def wait_for_life(self, timeout_s: float | None = None) -> None:
        """Wait until the heartbeat moves.

        Args:
            timeout_s: at most, s; twice the age at which it counts as dead without it.

        Raises:
            StaleReadingError: it does not.
        """
        pv, clock = self._layout.heartbeat, self._engine.clock
        limit = 2 * self._layout.heartbeat_max_age_s if timeout_s is None else timeout_s
        deadline = clock.now() + limit
        first = self._engine.latest([pv])[pv]
        while True:
            now = self._engine.latest([pv])[pv]
            if now.is_valid and now.seq > first.seq and now.value != first.value:
                return
            if clock.now() >= deadline:
                raise StaleReadingError(f"{pv} has not moved for {limit:g} s: the IOC stands still")
            clock.sleep(LIFE_POLL_S)

    def inspect(self) -> tuple[str, float, list[EngineError]]:
        """What the machine calls itself, its beam current in mA, and everything that forbids to move it.

        Raises:
            StaleReadingError: no answer.
        """
        layout = self._layout
        readings = self.fresh((layout.identity, *layout.permits, layout.current))
        return str(readings[layout.identity].value), readings[layout.current].number, self.faults(readings)

    def faults(self, readings: Mapping[str, Reading]) -> list[EngineError]:
        """Everything in readings of identity, permits and current that forbids to move the machine.

        Args:
            readings: by PV; what is not among them is not judged.
        """
        layout = self._layout
        checks = (
            (self._check_identity, layout.identity),
            *((self._check_permit, pv) for pv in layout.permits),
            (self._check_current, layout.current),
        )
        faults: list[EngineError] = []
        for check, pv in checks:
            try:
                if pv in readings:
                    check(readings[pv], pv)
            except EngineError as error:
                faults.append(error)
        if not layout.enable:
            faults.append(
                PermitLostError("the description names no tuner-enable PV (enable:), so nothing may be written")
            )
        return faults

    def check_beam(self, also: Sequence[str] = ()) -> dict[str, Reading]:
        """Heartbeat, identity, permit and beam current, in one round trip with the PVs that are wanted besides.

        Returns:
            fresh network reads of ``also``.

        Raises:
            PermitLostError: no permit or no beam.
            StaleReadingError: the IOC stands still, or the current never changes.
            ChannelConnectionError: a PV was lost.
        """
        current = self._layout.current
        self._check_current(self._engine.latest([current])[current], current)  # no beam, no noise
        self._check_noise(current)
        readings = self.check_permit((current, *also))
        self._check_current(readings[current], current)
        return {pv: readings[pv] for pv in also}

    def check_permit(self, also: Sequence[str] = ()) -> dict[str, Reading]:
        """Heartbeat, identity and permit alone (enough for a restore); else as :meth:`check_beam`."""
        layout = self._layout
        self.check_heartbeat()
        readings = self.fresh((layout.identity, *layout.permits, *also))
        self._check_identity(readings[layout.identity], layout.identity)
        for pv in layout.permits:
            self._check_permit(readings[pv], pv)
        return {pv: readings[pv] for pv in also}

    def check_heartbeat(self) -> None:
        """Whether the IOC lives; no network traffic.

        Raises:
            StaleReadingError: the heartbeat has not changed for longer than it may.
        """
        pv, limit = self._layout.heartbeat, self._layout.heartbeat_max_age_s
        beat = self._engine.latest([pv])[pv]
        if not beat.connected:
            raise ChannelConnectionError(f"connection lost to: {pv}")
        updates = self._updates(pv, 0)
        changes = (newer for newer, older in itertools.pairwise(updates[::-1]) if newer.value != older.value)
        last_change = next(changes, updates[0])
        age = self._engine.clock.now() - last_change.received
        if not (beat.is_valid and age <= limit):
            raise StaleReadingError(
                f"{pv} is {state(beat)} and has not moved for {age:.1f} s, at most {limit:g} s: the IOC stands still"
            )

    def marks(self) -> dict[str, int]:
        """Where the updates of permit and current stand, for :meth:`check_since`."""
        watched = (*self._layout.permits, self._layout.current)
        return {pv: r.seq for pv, r in self._engine.latest(watched).items()}

    def check_since(self, marks: dict[str, int]) -> None:
        """That no update since ``marks`` said 'no permit' or 'no beam', however short.

        Raises:
            PermitLostError: it did, what was measured meanwhile is void.
        """
        checks: dict[str, Callable[[Reading, str], None]] = {
            **dict.fromkeys(self._layout.permits, self._check_permit),
            self._layout.current: self._check_current,
        }
        for pv, check in checks.items():
            for reading in self._updates(pv, marks[pv]):
                check(reading, pv)

    def fresh(self, pvs: Sequence[str]) -> dict[str, Reading]:
        """Network read.

        Raises:
            StaleReadingError: connected, but no answer: the IOC stands still.
            ChannelConnectionError: a PV was lost.
        """
        try:
            return self._engine.read(pvs, READ_TIMEOUT_S)
        except ChannelConnectionError as error:
            lost = [pv for pv, r in self._engine.latest(pvs).items() if not r.connected]
            if lost:
                raise ChannelConnectionError(f"connection lost to: {', '.join(lost)}") from error
            raise StaleReadingError(f"connected, but silent: {error}") from error

    def scanned(self, pvs: Sequence[str]) -> dict[str, Reading]:
        """Readings of scanned records: the last updates where they are recent, else fresh ones whose stamp moves.

        Raises:
            StaleReadingError: nothing new for as long as the heartbeat may stand still.
            ChannelConnectionError: a PV was lost.
        """
        now, limit = self._engine.clock.now(), self._layout.heartbeat_max_age_s
        latest = self._engine.latest(pvs)
        quiet = [pv for pv, r in latest.items() if not (r.connected and now - r.received <= limit / 2)]
        return latest | self._see_change(quiet, lambda r: r.stamp)

    def _check_noise(self, pv: str) -> None:
        """That a value with noise goes on changing; errors as :meth:`scanned`."""
        updates = self._updates(pv, self._engine.latest([pv])[pv].seq - FEW)
        is_recent = self._engine.clock.now() - updates[-1].received <= self._layout.heartbeat_max_age_s / 2
        if not (is_recent and (len(updates) == 1 or len({u.value for u in updates}) > 1)):
            self._see_change([pv], lambda r: r.number)

    def _see_change(self, pvs: Sequence[str], pulse: Callable[[Reading], float]) -> dict[str, Reading]:
        """Look at each until its pulse changes; the last readings."""
        if not pvs:
            return {}
        clock, limit = self._engine.clock, self._layout.heartbeat_max_age_s
        self.check_heartbeat()
        first = self.fresh(pvs)
        deadline = clock.now() + limit / 2
        while True:
            clock.sleep(LIFE_POLL_S)
            now = self.fresh(pvs)
            suspects = [pv for pv in pvs if pulse(now[pv]) == pulse(first[pv])]
            if not suspects:
                return now
            if clock.now() >= deadline:
                raise StaleReadingError(f"frozen, not changed for {limit:g} s: {', '.join(suspects)}")

    def _updates(self, pv: str, since: int) -> list[Reading]:
        """What arrived after update ``since``, as far as it is kept, without waiting."""
        last = self._engine.latest([pv])[pv].seq
        start = max(0, since, last - LOOK_BACK)
        return self._engine.wait([pv], {pv: start}, last - start, 0.0)[pv] if last > start else []

    def _check_identity(self, reading: Reading, pv: str) -> None:
        accepted = self._layout.accepted
        if reading.value not in accepted:
            raise PermitLostError(
                f"{pv} says {reading.value!r}, expected one of {', '.join(map(repr, accepted))}: wrong machine?"
            )

    def _check_permit(self, permit: Reading, pv: str) -> None:
        if not (permit.is_valid and permit.number == 1):
            what = "no beam permit" if pv == self._layout.permit else "programs may not tune"
            raise PermitLostError(f"{what}: {pv} is {state(permit)}, must be 1")

    def _check_current(self, current: Reading, pv: str) -> None:
        floor = self._layout.current_floor_ma
        if not current.is_valid:
            raise PermitLostError(f"nobody knows whether there is beam: {pv} is {state(current)}")
        if not current.number >= floor:
            raise BeamLostError(f"no beam: {pv} reads {state(current)}, must be at least {floor:g} mA")


def state(reading: Reading) -> str:
    """A reading for people: value and what is wrong with it."""
    if not reading.connected:
        return "disconnected"
    value = reading.value if isinstance(reading.value, str) else f"{reading.value:.6g}"
    return value if reading.severity < Severity.INVALID else f"{value} (INVALID)"
