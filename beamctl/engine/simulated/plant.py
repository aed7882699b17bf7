"""The simulated machine as its control system sees it: PVs, ramps, noise, permit.

One plant is one machine with its own errors. It has no clock: whoever owns it calls :meth:`Plant.advance`
(the soft IOC by wall clock, the in-process engine by virtual time).

Each section receives its own incoming beam: the warm sections between the cryomodules are taken to re-centre it.
"""

import itertools
import math
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from beamctl.engine.base import Severity
from beamctl.engine.simulated.channels import Channel, Device, Role, machine_channels
from beamctl.engine.simulated.lattice import MM, section_optics
from beamctl.engine.simulated.scenarios import find_scenario
from beamctl.engine.simulated.section_plant import Ramp, SectionPlant
from beamctl.machine.description import IonDescription, MachineDescription
from simulators.beam import Array

READBACK_OFFSET_SHARE = 0.7
"""share of the set-readback difference that stays constant in time"""


@dataclass(frozen=True)
class Sample:
    """A value as the IOC publishes it."""

    value: float | str
    severity: Severity = Severity.NO_ALARM


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
        self._measured = {
            name: [c for c in self.channels.values() if c.section == name and c.role is not Role.SETPOINT]
            for name in machine.sections
        }
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

    def shot(self, sections: Collection[str] | None = None) -> dict[str, Sample]:
        """One reading of every instrument: readbacks, BPMs, currents, heartbeat.

        Args:
            sections: whose instruments are looked at; all unless told.
        """
        samples: dict[str, Sample] = {}
        beam = self.machine.beam.current.value if self._permit else 0.0
        floor = self.machine.types.current_monitor.beam_floor.value
        for name, section in self.sections.items():
            upstream = beam
            beam = beam * section.transmission()
            if sections is not None and name not in sections:
                continue
            bpms = self._bpm_readings(name, section) if beam >= floor else None
            currents = [self._current(upstream), self._current(beam)]
            readbacks = {d: self._readbacks(name, d, ramp) for d, ramp in section.ramps.items()}
            for channel in self._measured[name]:
                if channel.device is not None:
                    samples[channel.pv] = Sample(float(readbacks[channel.device][channel.index]))
                elif channel.role is Role.CURRENT:
                    samples[channel.pv] = Sample(currents[channel.index])
                elif bpms is None:
                    samples[channel.pv] = Sample(self._noise.normal(0.0, 5.0), Severity.INVALID)
                else:
                    samples[channel.pv] = _with_alarm(float(bpms[channel.index]), channel)
        samples[self.machine.heartbeat.pv] = Sample(float(next(self._heartbeat) % 2**31))
        return samples

    def _ramp(self, channel: Channel) -> Ramp:
        if channel.device is None:
            raise ValueError(f"{channel.pv} holds no setpoint")
        return self.sections[channel.section].ramps[channel.device]

    def _bpm_readings(self, name: str, section: SectionPlant) -> Array:
        """Channels (x1, y1, ...), mm."""
        errors, rng = section.errors, self._noise
        n = errors.bpm_offset_m.shape[1]
        noise = rng.standard_normal(n) * errors.bpm_noise_m[0] * MM
        drift = self._drift_mm_s[name] * self._elapsed_s
        reading = errors.channel_sign[0] * section.true_orbit_mm() + errors.bpm_offset_m[0] * MM + noise + drift
        if self._spec.bpm_noise_m[1] > 0:
            reading = reading + self._glitches(n)
        return np.where(errors.dead_channel[0], 0.0, reading)

    def _glitches(self, n: int) -> Array:
        """Mostly 0, rarely a wrong reading of several mm."""
        bpm, rng = self.machine.types.bpm, self._noise
        lo, hi = bpm.glitch.range or (bpm.glitch.value, bpm.glitch.value)
        size = rng.choice([-1.0, 1.0], n) * rng.uniform(lo, hi, n)
        return np.where(rng.random(n) < bpm.glitch_probability.value, size, 0.0)

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
