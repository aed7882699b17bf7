"""May this machine be moved now? Identity, permit, heartbeat, beam."""

from beamctl.engine.base import Engine
from beamctl.engine.layout import SectionLayout
from beamctl.errors import PermitLostError, StaleReadingError


class Conditions:
    """The conditions of one section; each check raises with the number that is wrong."""

    def __init__(self, engine: Engine, layout: SectionLayout) -> None:
        self._engine = engine
        self._layout = layout

    def wait_for_life(self) -> None:
        """Wait until the heartbeat has moved twice.

        Raises:
            StaleReadingError: it does not.
        """
        heartbeat = self._layout.heartbeat
        since = {heartbeat: self._engine.latest([heartbeat])[heartbeat].seq}
        self._engine.wait([heartbeat], since, 2, 2 * self._layout.heartbeat_max_age_s)

    def check_identity(self) -> str:
        """Whether the right machine answers; returns what it calls itself.

        Raises:
            PermitLostError: another machine.
        """
        pv, accepted = self._layout.identity, self._layout.accepted
        answer = self._engine.read([pv])[pv].value
        if answer not in accepted:
            raise PermitLostError(
                f"{pv} says {answer!r}, expected one of {', '.join(map(repr, accepted))}: wrong machine?"
            )
        return str(answer)

    def check_beam(self) -> None:
        """Permit, heartbeat and beam current.

        Raises:
            PermitLostError: no permit or no beam.
            StaleReadingError: the IOC stands still.
        """
        self.check_permit_and_heartbeat()
        current = self._engine.latest([self._layout.current])[self._layout.current]
        floor = self._layout.current_floor_ma
        if not (current.is_valid and current.number >= floor):
            raise PermitLostError(f"no beam: {self._layout.current} reads {current.number:.3f} mA, below {floor:g} mA")

    def check_permit_and_heartbeat(self) -> None:
        """Permit and heartbeat alone (enough for a restore); errors as :meth:`check_beam`."""
        latest = self._engine.latest([self._layout.permit, self._layout.heartbeat])
        permit, beat = latest[self._layout.permit], latest[self._layout.heartbeat]
        age = self._engine.clock.now() - beat.received
        if not (beat.connected and age <= self._layout.heartbeat_max_age_s):
            raise StaleReadingError(f"{self._layout.heartbeat} has not moved for {age:.1f} s: the IOC stands still")
        if not (permit.is_valid and permit.number == 1):
            raise PermitLostError(f"no beam permit: {self._layout.permit} is {permit.number:g}")
