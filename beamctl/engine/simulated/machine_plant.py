"""What all single machines have in common as a plant: permit, seed, heartbeat, supplies that ramp."""

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Collection
from typing import Generic, TypeVar

import numpy as np

from beamctl.engine.simulated.channel import Channel, Device, Role
from beamctl.engine.simulated.channels import machine_channels
from beamctl.engine.simulated.plant import Sample
from beamctl.engine.simulated.ramp import Ramp
from beamctl.machine.description import MachineDescription
from beamctl.machine.injector import InjectorDescription
from simulators.beam import Array

READBACK_OFFSET_SHARE = 0.7
"""share of the set-readback difference that stays constant in time"""
READBACK_NOISE_SHARE = math.sqrt(1 - READBACK_OFFSET_SHARE**2)
Described = TypeVar("Described", MachineDescription, InjectorDescription)


class MachinePlant(ABC, Generic[Described]):
    """One machine with its own errors, see :class:`beamctl.engine.simulated.plant.Plant`.

    Whoever inherits calls :meth:`redraw` when its own attributes are there.

    Args:
        machine: what it is described as.
        scenario: name of the error scenario.
    """

    def __init__(self, machine: Described, scenario: str) -> None:
        self.machine: Described = machine
        self.channels: dict[str, Channel] = {c.pv: c for c in machine_channels(machine)}
        self.scenario = scenario
        self.seed = -1
        self._has_permit = True
        self._is_enabled = True
        self._heartbeat = itertools.count(1)
        self._jammed: frozenset[str] = frozenset()

    @property
    @abstractmethod
    def rate_hz(self) -> float:
        """How often instruments are read."""

    def redraw(self, seed: int) -> None:
        """Become another machine of the same scenario; every supply jumps to its new start."""
        self.seed = seed
        self._draw(np.random.SeedSequence(seed))
        jammed, self._jammed = self._jammed, frozenset()
        self.jam(jammed)

    def put(self, pv: str, value: float) -> float:
        """See :meth:`beamctl.engine.simulated.plant.Plant.put`."""
        channel = self.channels[pv]
        if not channel.writable:
            raise ValueError(f"{pv} is read-only")
        if not math.isfinite(value):
            raise ValueError(f"{pv}: {value} is not a finite number")
        held = min(max(value, channel.lo), channel.hi)
        if channel.role is Role.PERMIT:
            self._has_permit = bool(round(held))
            return float(self._has_permit)
        if channel.role is Role.ENABLE:
            self._is_enabled = bool(round(held))
            return float(self._is_enabled)
        if channel.role is Role.SEED:
            self.redraw(int(held))
            return float(self.seed)
        self._ramp(channel).target[channel.index] = held
        return held

    def setpoint(self, pv: str) -> float | str:
        """What a setpoint, permit, seed or text PV holds."""
        channel = self.channels[pv]
        constants: dict[Role, float | str] = {
            Role.PERMIT: float(self._has_permit),
            Role.ENABLE: float(self._is_enabled),
            Role.SEED: float(self.seed),
            Role.IDENTITY: self.machine.identity.simulated,
            Role.SCENARIO: self.scenario,
        }
        if channel.role in constants:
            return constants[channel.role]
        return float(self._ramp(channel).target[channel.index])

    def is_settled(self, pv: str) -> bool:
        """Whether a supply moves no more (True for everything that does not ramp)."""
        channel = self.channels[pv]
        return channel.role is not Role.SETPOINT or self._ramp(channel).is_settled(channel.index)

    def time_left(self, pv: str) -> float:
        """How long the supply behind a setpoint still ramps, s (0 for everything that does not ramp)."""
        channel = self.channels[pv]
        return self._ramp(channel).time_left(channel.index) if channel.role is Role.SETPOINT else 0.0

    def jam(self, pvs: Collection[str]) -> None:
        """See :meth:`beamctl.engine.simulated.plant.Plant.jam`."""
        jammed = frozenset(pvs)
        for pv in jammed ^ self._jammed:
            channel = self.channels[pv]
            self._ramp(channel).jam(channel.index, pv in jammed)
        self._jammed = jammed

    @abstractmethod
    def advance(self, dt: float) -> None:
        """Let ``dt`` seconds pass."""

    @abstractmethod
    def shot(self, sections: Collection[str] | None = None) -> dict[str, Sample]:
        """See :meth:`beamctl.engine.simulated.plant.Plant.shot`."""

    @abstractmethod
    def _draw(self, seeds: np.random.SeedSequence) -> None:
        """Draw the machine's errors and put every supply to its start."""

    @abstractmethod
    def _ramps(self, section: str) -> dict[Device, Ramp]:
        """The supplies of a section."""

    def _ramp(self, channel: Channel) -> Ramp:
        if channel.device is None:
            raise ValueError(f"{channel.pv} holds no setpoint")
        return self._ramps(channel.section)[channel.device]

    def _beat(self) -> dict[str, Sample]:
        return {self.machine.heartbeat.pv: Sample(float(next(self._heartbeat) % 2**31))}


AnyMachinePlant = MachinePlant[MachineDescription] | MachinePlant[InjectorDescription]


def readback_noise(rng: np.random.Generator, rms: float, n: int) -> Array:
    """Differences between what supplies do and what they say, never more than three times ``rms``."""
    return np.asarray(np.clip(rng.standard_normal(n), -3, 3) * rms)
