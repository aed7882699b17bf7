"""The simulated machine as its control system sees it: PVs, ramps, noise, permit.

One plant is one machine with its own errors. It has no clock: whoever owns it calls :meth:`Plant.advance`
(the soft IOC by wall clock, the in-process engine by virtual time).

Each section receives its own incoming beam: the warm sections between the cryomodules are taken to re-centre it.
"""

import itertools
import math
from dataclasses import dataclass

import numpy as np

from beamctl.engine.base import Severity
from beamctl.engine.simulated.channels import Channel, Device, Role, machine_channels
from beamctl.engine.simulated.lattice import (
    MM,
    section_lattice,
    section_optics,
    solenoid_current_a,
)
from beamctl.engine.simulated.scenarios import find_scenario
from beamctl.machine.description import IonDescription, MachineDescription
from simulators.beam import Array
from simulators.diagnostics import transmitted_fraction
from simulators.errors_model import Errors, ErrorSpec, apply_errors, draw
from simulators.lattice import Optics
from simulators.linac import Orbits, build, step

READBACK_OFFSET_SHARE = 0.7
"""share of the set-readback difference that stays constant in time"""


@dataclass(frozen=True)
class Sample:
    """A value as the IOC publishes it."""

    value: float | str
    severity: Severity = Severity.NO_ALARM


class Ramp:
    """A bank of power supplies of one kind: targets, present values, common slew rate."""

    def __init__(self, start: Array, slew: float) -> None:
        self.target = start.astype(float).copy()
        self.actual = start.astype(float).copy()
        self._slew = slew

    def advance(self, dt: float) -> bool:
        """Move towards the targets for ``dt`` seconds; says whether anything moved."""
        gap = self.target - self.actual
        if not gap.any():
            return False
        reach = self._slew * dt
        self.actual = np.where(np.abs(gap) <= reach, self.target, self.actual + np.clip(gap, -reach, reach))
        return True

    def time_left(self) -> Array:
        """How long each supply still ramps, s."""
        return np.abs(self.target - self.actual) / self._slew


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
            self._orbits = build(self._lattice, apply_errors(self._lattice, optics, self.errors))
        return self._orbits

    def true_orbit_mm(self) -> Array:
        """Centroid at the BPMs, mm, (x1, y1, x2, ...), shape (2 b,)."""
        return step(self.orbits, self.ramps[Device.CORRECTOR].actual[None])[0] * MM

    def transmission(self) -> float:
        """Share of the beam that gets through."""
        orbit_m = self.true_orbit_mm()[None] / MM
        return float(transmitted_fraction(orbit_m, self.orbits.rms_m, self._lattice.bore_radius_m)[0])


class Plant:
    """The whole simulated machine.

    Args:
        machine: what it is described as.
        ions: the design ion and the ion that runs.
        scenario: name of the error scenario.
        seed: of errors and noise.
    """

    def __init__(
        self,
        machine: MachineDescription,
        ions: tuple[IonDescription, IonDescription],
        scenario: str,
        seed: int,
    ) -> None:
        self.machine = machine
        self.channels: dict[str, Channel] = {c.pv: c for c in machine_channels(machine)}
        self._ions = ions
        self.scenario = scenario
        self._spec = find_scenario(machine, scenario)
        self._permit = True
        self._heartbeat = itertools.count(1)
        self.seed = -1
        self.redraw(seed)

    def redraw(self, seed: int) -> None:
        """Become another machine of the same scenario; every supply jumps to its new start."""
        self.seed = seed
        self._elapsed_s = 0.0
        streams = np.random.SeedSequence(seed).spawn(len(self.machine.sections) + 1)
        self._noise = np.random.default_rng(streams[-1])
        self.sections = {
            name: SectionPlant(
                self.machine,
                section_optics(self.machine, *self._ions, name),
                name,
                self._spec,
                np.random.default_rng(stream),
            )
            for name, stream in zip(self.machine.sections, streams, strict=False)
        }
        self._readback_offset = {
            (name, device): self._readback_noise(device, READBACK_OFFSET_SHARE, len(ramp.actual))
            for name, section in self.sections.items()
            for device, ramp in section.ramps.items()
        }
        self._drift_mm_s = {
            name: self._noise.uniform(-1, 1, section.errors.bpm_offset_m.shape[1])
            * (self.machine.types.bpm.drift.value / 3600.0 if self._spec.bpm_noise_m[1] > 0 else 0.0)
            for name, section in self.sections.items()
        }

    def put(self, pv: str, value: float) -> float:
        """Take a setpoint, clamped to its limits as a record would; returns what is held.

        Raises:
            ValueError: the PV is read-only or the value is not finite.
        """
        channel = self.channels[pv]
        if not channel.writable:
            raise ValueError(f"{pv} is read-only")
        if not math.isfinite(value):
            raise ValueError(f"{pv}: {value} is not a finite number")
        held = min(max(value, channel.lo), channel.hi)
        if channel.role is Role.PERMIT:
            self._permit = bool(round(held))
            return float(self._permit)
        if channel.role is Role.SEED:
            self.redraw(int(held))
            return float(self.seed)
        self._ramp(channel).target[channel.index] = held
        return held

    def is_settled(self, pv: str) -> bool:
        """Whether a supply has reached its setpoint (True for everything that does not ramp)."""
        channel = self.channels[pv]
        if channel.role is not Role.SETPOINT:
            return True
        ramp = self._ramp(channel)
        return bool(ramp.actual[channel.index] == ramp.target[channel.index])

    def time_left(self, pv: str) -> float:
        """How long the supply behind a setpoint still ramps, s (0 for everything that does not ramp)."""
        channel = self.channels[pv]
        return float(self._ramp(channel).time_left()[channel.index]) if channel.role is Role.SETPOINT else 0.0

    def advance(self, dt: float) -> None:
        """Let ``dt`` seconds pass."""
        self._elapsed_s += dt
        for section in self.sections.values():
            section.advance(dt)

    def setpoint(self, pv: str) -> float | str:
        """What a setpoint, permit, seed or text PV holds."""
        channel = self.channels[pv]
        constants: dict[Role, float | str] = {
            Role.PERMIT: float(self._permit),
            Role.SEED: float(self.seed),
            Role.IDENTITY: self.machine.identity.simulated,
            Role.SCENARIO: self.scenario,
        }
        if channel.role in constants:
            return constants[channel.role]
        return float(self._ramp(channel).target[channel.index])

    def shot(self) -> dict[str, Sample]:
        """One reading of every instrument: readbacks, BPMs, currents, heartbeat."""
        samples: dict[str, Sample] = {}
        beam = self.machine.beam.current.value if self._permit else 0.0
        for name, section in self.sections.items():
            upstream = beam
            beam = beam * section.transmission()
            bpms = self._bpm_samples(
                name, section, has_beam=beam >= self.machine.types.current_monitor.beam_floor.value
            )
            readbacks = {d: self._readbacks(name, d, ramp) for d, ramp in section.ramps.items()}
            currents = [self._current(upstream), self._current(beam)]
            for channel in self.channels.values():
                if channel.section != name:
                    continue
                if channel.role is Role.BPM:
                    samples[channel.pv] = bpms[channel.index]
                elif channel.role is Role.CURRENT:
                    samples[channel.pv] = Sample(currents[channel.index])
                elif channel.role is Role.READBACK and channel.device is not None:
                    samples[channel.pv] = Sample(float(readbacks[channel.device][channel.index]))
        samples[self.machine.heartbeat.pv] = Sample(float(next(self._heartbeat) % 2**31))
        return samples

    def _ramp(self, channel: Channel) -> Ramp:
        if channel.device is None:
            raise ValueError(f"{channel.pv} holds no setpoint")
        return self.sections[channel.section].ramps[channel.device]

    def _bpm_samples(self, name: str, section: SectionPlant, *, has_beam: bool) -> list[Sample]:
        errors, bpm, rng = section.errors, self.machine.types.bpm, self._noise
        if not has_beam:
            return [Sample(float(v), Severity.INVALID) for v in rng.normal(0.0, 5.0, errors.bpm_offset_m.shape[1])]
        noise = rng.standard_normal(errors.bpm_offset_m.shape[1]) * errors.bpm_noise_m[0] * MM
        drift = self._drift_mm_s[name] * self._elapsed_s
        reading = section.true_orbit_mm() + errors.bpm_offset_m[0] * MM + noise + drift
        if self._spec.bpm_noise_m[1] > 0:
            glitch = rng.random(len(reading)) < bpm.glitch_probability.value
            size = rng.choice([-1.0, 1.0], len(reading)) * rng.uniform(*(bpm.glitch.range or (5.0, 9.0)), len(reading))
            reading = np.where(glitch, reading + size, reading)
        reading = np.where(errors.dead_channel[0], 0.0, reading)
        channels = (c for c in self.channels.values() if c.section == name and c.role is Role.BPM)
        return [_with_alarm(float(v), c) for v, c in zip(reading, channels, strict=True)]

    def _readbacks(self, name: str, device: Device, ramp: Ramp) -> Array:
        noise = self._readback_noise(device, math.sqrt(1 - READBACK_OFFSET_SHARE**2), len(ramp.actual))
        return np.asarray(ramp.actual + self._readback_offset[(name, device)] + noise)

    def _readback_noise(self, device: Device, share: float, n: int) -> Array:
        rms = {
            Device.CORRECTOR: self.machine.types.corrector.readback_noise.value,
            Device.SOLENOID: self.machine.types.corrector.readback_noise.value,
            Device.VOLTAGE: 1e-4,
            Device.PHASE: 0.02,
        }[device]
        return np.clip(self._noise.standard_normal(n), -3, 3) * rms * share

    def _current(self, current_ma: float) -> float:
        noisy = current_ma + self.machine.types.current_monitor.noise.value * self._noise.standard_normal()
        return max(float(noisy), 0.0)


def _with_alarm(value: float, channel: Channel) -> Sample:
    size = abs(value)
    severity = (
        Severity.MAJOR if size >= channel.major else Severity.MINOR if size >= channel.minor else Severity.NO_ALARM
    )
    return Sample(value, severity)
