"""A simulated injector: six supplies, three current monitors.

The true currents change only when a supply does, so a shot of an injector that stands still costs next to nothing.
"""

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from beamctl.engine.simulated.channel import Device, Role
from beamctl.engine.simulated.injector import knob_limits, lebt_geometry, rfq_table, settings
from beamctl.engine.simulated.injector_channels import SECTION
from beamctl.engine.simulated.injector_scenarios import find_injector_scenario
from beamctl.engine.simulated.machine_plant import (
    READBACK_NOISE_SHARE,
    READBACK_OFFSET_SHARE,
    MachinePlant,
    readback_noise,
)
from beamctl.engine.simulated.plant import Sample
from beamctl.engine.simulated.ramp import Ramp
from beamctl.machine.injector import InjectorDescription
from simulators.lpi import LpiMachine, Settings, draw, drifted_zero, read_current, run
from simulators.lpi_starts import find_starts

Array = NDArray[np.float64]

MA = 1e3
"""mA per A"""
START_ROUNDS = 400
"""settings tried at most, half a millisecond each, for a start; 5 to 25 on average"""


class InjectorPlant(MachinePlant[InjectorDescription]):
    """An injector, see :class:`beamctl.engine.simulated.plant.Plant`.

    Attributes:
        injector: as it really is.

    Args:
        machine: what it is described as.
        scenario: name of the error scenario.
        seed: of errors, start and noise.
    """

    injector: LpiMachine
    _supplies: dict[Device, Ramp]
    _true_ma: Array | None
    _since_shot_s: float

    def __init__(self, machine: InjectorDescription, scenario: str, seed: int) -> None:
        super().__init__(machine, scenario)
        self._measured = [c for c in self.channels.values() if c.section and c.role is not Role.SETPOINT]
        self._errors = find_injector_scenario(machine, scenario)
        self.redraw(seed)

    @property
    def rate_hz(self) -> float:
        """How often instruments are read."""
        return float(self.machine.monitors.rate.value)

    @property
    def current_a(self) -> Array:
        """What the supplies deliver, A, in the order of the knobs, shape (6,)."""
        return np.concatenate([self._supplies[Device.SOLENOID].actual, self._supplies[Device.CORRECTOR].actual])

    def advance(self, dt: float) -> None:
        """Let ``dt`` seconds pass."""
        self._since_shot_s += dt
        for ramp in self._supplies.values():
            if ramp.advance(dt):
                self._true_ma = None

    def true_ma(self) -> Array:
        """True currents at the present settings, mA: extracted, ACCT, MFC1, shape (3,)."""
        if not self._has_permit:
            return np.zeros(3)
        if self._true_ma is None:
            extracted_a = (1.0 + self.injector.h2_share) * self.injector.source.current_a
            self._true_ma = MA * np.array([extracted_a, *self._run(self.current_a)])
        return self._true_ma

    def shot(self, sections: Collection[str] | None = None) -> dict[str, Sample]:
        """One reading of every instrument; arguments as :meth:`beamctl.engine.simulated.plant.Plant.shot`."""
        if sections is not None and SECTION not in sections:
            return self._beat()
        currents = self._current_readings()
        readbacks = {device: self._readbacks(device, ramp) for device, ramp in self._supplies.items()}
        samples = {
            c.pv: Sample(float(currents[c.index] if c.device is None else readbacks[c.device][c.index]))
            for c in self._measured
        }
        return samples | self._beat()

    def _draw(self, seeds: np.random.SeedSequence) -> None:
        errors, self._noise = (np.random.default_rng(stream) for stream in seeds.spawn(2))
        machine = self.machine
        self.injector = draw(rfq_table(machine), self._errors.spec, errors, lebt_geometry(machine))
        self._gain = 1.0 + self._errors.monitor_calibration * errors.uniform(-1.0, 1.0, 2)
        start, slew = self._start_a(errors), machine.lebt.supply.slew.value
        self._supplies = {Device.SOLENOID: Ramp(start[:2], slew), Device.CORRECTOR: Ramp(start[2:], slew)}
        self._true_ma = None
        self._since_shot_s = 0.0
        self._zero_a = self._errors.monitor.drift_a * self._noise.standard_normal(2)
        self._readback_offset = {
            device: self._readback_noise(READBACK_OFFSET_SHARE, ramp) for device, ramp in self._supplies.items()
        }

    def _start_a(self, rng: np.random.Generator) -> Array:
        """Where the supplies are found, A, shape (6,)."""

        def shares(_: NDArray[np.int64], tried_a: Array) -> Array:
            return np.array([self._run(one) for one in tried_a]) / self.injector.source.current_a

        lo, hi = knob_limits(self.machine)
        return np.asarray(find_starts(shares, 1, lo, hi, self._errors.start_transmission, rng, START_ROUNDS)[0])

    def _run(self, current_a: Array) -> tuple[float, float]:
        """True ACCT and MFC1 current, A, at supply currents in A."""
        seen = run(self.injector, Settings(*settings(self.machine, current_a)))
        return seen.acct_a, seen.mfc1_a

    def _ramps(self, _: str) -> dict[Device, Ramp]:
        return self._supplies

    def _current_readings(self) -> Array:
        """Extracted, ACCT, MFC1, mA; not clipped: around zero they are negative as often as positive."""
        extracted_ma, *behind_ma = self.true_ma()
        monitor = self._errors.monitor
        self._zero_a = drifted_zero(self._zero_a, self._since_shot_s, monitor, self._noise)
        self._since_shot_s = 0.0
        read_a = read_current(self._gain * np.array(behind_ma) / MA, self._zero_a, monitor, self._noise)
        return np.array([extracted_ma + MA * monitor.noise_a * self._noise.standard_normal(), *(MA * read_a)])

    def _readbacks(self, device: Device, ramp: Ramp) -> Array:
        return np.asarray(
            ramp.actual + self._readback_offset[device] + self._readback_noise(READBACK_NOISE_SHARE, ramp)
        )

    def _readback_noise(self, share: float, ramp: Ramp) -> Array:
        return readback_noise(self._noise, share * self.machine.lebt.supply.readback_noise.value, len(ramp.actual))
