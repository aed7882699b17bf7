"""One simulated cryomodule as its supplies move it: ramps, true orbit, transmission."""

import math

import numpy as np

from beamctl.engine.simulated.channel import Device
from beamctl.engine.simulated.lattice import MM, section_lattice, solenoid_current_a
from beamctl.engine.simulated.ramp import Ramp
from beamctl.machine.description import MachineDescription
from simulators.beam import Array
from simulators.diagnostics import transmitted_fraction
from simulators.errors_model import Errors, ErrorSpec, apply_errors, draw, rewired
from simulators.lattice import Optics
from simulators.linac import Orbits, build, step


class SectionPlant:
    """One cryomodule of the plant."""

    def __init__(
        self,
        machine: MachineDescription,
        optics: Optics,
        section: str,
        spec: ErrorSpec,
        rng: np.random.Generator,
    ) -> None:
        self._machine = machine
        self._lattice = section_lattice(machine, section)
        self._design = optics
        self.errors: Errors = draw(self._lattice, optics.n_cell, spec, rng, 1)
        corrector, solenoid = machine.types.corrector, machine.types.solenoid
        self.ramps = {
            Device.CORRECTOR: Ramp(self.errors.initial_a[0], corrector.slew.value),
            Device.SOLENOID: Ramp(solenoid_current_a(machine, optics.solenoid_t[0]), solenoid.slew.value),
            Device.VOLTAGE: Ramp(1e-6 * optics.cavity_v[0], math.inf),
            Device.PHASE: Ramp(np.degrees(optics.cavity_phase_rad[0]), math.inf),
        }
        self._orbits: Orbits | None = None

    def advance(self, dt: float) -> None:
        """Ramp all supplies for ``dt`` seconds."""
        moved = {device: ramp.advance(dt) for device, ramp in self.ramps.items()}
        if moved[Device.SOLENOID] or moved[Device.VOLTAGE] or moved[Device.PHASE]:
            self._orbits = None

    @property
    def orbits(self) -> Orbits:
        """Bare orbit and response at the present solenoid and cavity settings."""
        if self._orbits is None:
            tesla_per_a = self._machine.types.solenoid.field.value / self._machine.types.solenoid.current.value
            optics = Optics(
                self._design.mass_ev,
                self._design.charge,
                self._design.energy_ev,
                self.ramps[Device.SOLENOID].actual[None] * tesla_per_a,
                self.ramps[Device.VOLTAGE].actual[None] * 1e6,
                np.radians(self.ramps[Device.PHASE].actual[None]),
            )
            orbits = build(self._lattice, apply_errors(self._lattice, optics, self.errors))
            self._orbits = rewired(orbits, self.errors)
        return self._orbits

    def true_orbit_mm(self) -> Array:
        """Centroid at the BPMs, mm, (x1, y1, x2, ...), shape (2 b,)."""
        return np.asarray(step(self.orbits, self.ramps[Device.CORRECTOR].actual[None])[0] * MM)

    def transmission(self) -> float:
        """Share of the beam that gets through."""
        orbit_m = self.true_orbit_mm()[None] / MM
        return float(transmitted_fraction(orbit_m, self.orbits.rms_m, self._lattice.bore_radius_m)[0])
