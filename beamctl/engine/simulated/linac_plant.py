"""A simulated linac: cryomodules, BPMs, current monitors.

Each section receives its own incoming beam: the warm sections between the cryomodules are taken to re-centre it.
"""

from collections.abc import Collection

import numpy as np

from beamctl.engine.base import Severity
from beamctl.engine.simulated.channel import Channel, Device, Role
from beamctl.engine.simulated.lattice import MM, section_optics
from beamctl.engine.simulated.machine_plant import (
    READBACK_NOISE_SHARE,
    READBACK_OFFSET_SHARE,
    MachinePlant,
    readback_noise,
)
from beamctl.engine.simulated.plant import Sample
from beamctl.engine.simulated.ramp import Ramp
from beamctl.engine.simulated.scenarios import find_scenario
from beamctl.engine.simulated.section_plant import SectionPlant
from beamctl.machine.description import IonDescription, MachineDescription
from simulators.beam import Array


class LinacPlant(MachinePlant[MachineDescription]):
    """A whole linac, see :class:`beamctl.engine.simulated.plant.Plant`.

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
        super().__init__(machine, scenario)
        self._measured = {
            name: [c for c in self.channels.values() if c.section == name and c.role is not Role.SETPOINT]
            for name in machine.sections
        }
        self._ions = ions
        self._spec = find_scenario(machine, scenario)
        self.redraw(seed)

    @property
    def rate_hz(self) -> float:
        """How often instruments are read."""
        return float(self.machine.types.bpm.rate.value)

    def advance(self, dt: float) -> None:
        """Let ``dt`` seconds pass."""
        self._elapsed_s += dt
        for section in self.sections.values():
            section.advance(dt)

    def shot(self, sections: Collection[str] | None = None) -> dict[str, Sample]:
        """One reading of every instrument: readbacks, BPMs, currents, heartbeat.

        Args:
            sections: whose instruments are looked at; all unless told.
        """
        samples: dict[str, Sample] = {}
        beam = self.machine.beam.current.value if self._has_permit else 0.0
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
        return samples | self._beat()

    def _draw(self, seeds: np.random.SeedSequence) -> None:
        self._elapsed_s = 0.0
        streams = seeds.spawn(len(self.machine.sections) + 1)
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

    def _ramps(self, section: str) -> dict[Device, Ramp]:
        return self.sections[section].ramps

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
        noise = self._readback_noise(device, READBACK_NOISE_SHARE, len(ramp.actual))
        return np.asarray(ramp.actual + self._readback_offset[(name, device)] + noise)

    def _readback_noise(self, device: Device, share: float, n: int) -> Array:
        rms = {
            Device.CORRECTOR: self.machine.types.corrector.readback_noise.value,
            Device.SOLENOID: self.machine.types.corrector.readback_noise.value,
            Device.VOLTAGE: 1e-4,
            Device.PHASE: 0.02,
        }[device]
        return readback_noise(self._noise, rms * share, n)

    def _current(self, current_ma: float) -> float:
        noisy = current_ma + self.machine.types.current_monitor.noise.value * self._noise.standard_normal()
        return max(float(noisy), 0.0)


def _with_alarm(value: float, channel: Channel) -> Sample:
    size = abs(value)
    severity = (
        Severity.MAJOR if size >= channel.major else Severity.MINOR if size >= channel.minor else Severity.NO_ALARM
    )
    return Sample(value, severity)
