"""What one section reads now, put together from subscriptions alone: nothing is asked for, nothing is written."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from beamctl.engine.base import Engine, Reading
from beamctl.engine.conditions import Conditions
from beamctl.engine.guarded import knob_faults
from beamctl.engine.layout import SectionLayout
from beamctl.engine.reader import Array, Mask, Measurement
from beamctl.errors import BeamControlError
from beamctl.run.recent import RecentReadings

NOT_CONNECTED = 4
"""beside the severities of EPICS"""
DIGITS = 6
MOST_NAMES = 3
Payload = dict[str, object]


@dataclass(frozen=True)
class ObservedSection:
    """What is watched of a section.

    Attributes:
        key: its name in the deployment.
        layout: every knob and channel of any of its tasks.
        figures: what its task makes of a reading with at least one channel to believe; may raise BeamControlError.
    """

    key: str
    layout: SectionLayout
    figures: Callable[[Measurement], Mapping[str, float]]


class SectionView:
    """The newest state of one section; for one thread.

    Args:
        section: what is watched.
        engine: on which every PV of it has been started.
    """

    def __init__(self, section: ObservedSection, engine: Engine) -> None:
        self._section = section
        self._layout = section.layout
        self._engine = engine
        self._conditions = Conditions(engine, section.layout)
        self._recent = RecentReadings(section.layout)
        self._beat: float | str | None = None
        self._moved = -math.inf

    def payload(self) -> Payload:
        """Everything, as the service tells it; None where not known."""
        now, layout = self._engine.clock.now(), self._layout
        latest = self._engine.latest(layout.all_pvs)
        heartbeat_age = self._heartbeat_age(latest[layout.heartbeat], now)
        is_alive = heartbeat_age <= layout.heartbeat_max_age_s
        self._recent.add(latest, now)
        median, noise, most = self._recent.combined(now)
        channels = [latest[pv] for pv in layout.channels]
        fresh = [is_alive and r.is_valid and now - r.received <= layout.max_age_s for r in channels]
        valid = most & np.array(fresh)
        identity, current = latest[layout.identity], latest[layout.current]
        return {
            "unfit": self._unfit(latest, heartbeat_age, valid),
            "identity": str(identity.value) if identity.connected else "",
            "is_simulated": identity.connected and identity.value == layout.accepted[-1],
            "permit": _flag(latest[layout.permit]) if is_alive else None,
            "enable": _flag(latest[layout.enable]) if is_alive and layout.enable else None,
            "heartbeat_age_s": _short(heartbeat_age),
            "current_ma": _number(current),
            "current_severity": _severity(current),
            "knobs": [knob.name for knob in layout.knobs],
            "setpoint_a": [_number(latest[knob.setpoint]) for knob in layout.knobs],
            "readback_a": [_number(latest[knob.readback]) for knob in layout.knobs],
            "knob_severity": [
                max(_severity(latest[knob.setpoint]), _severity(latest[knob.readback])) for knob in layout.knobs
            ],
            "values": [_number(r) for r in channels],
            "median": [_short(m) for m in median.tolist()],
            "noise": [_short(n) for n in noise.tolist()],
            "valid": valid.tolist(),
            "severity": [_severity(r) for r in channels],
            "channel_age_s": [_short(now - r.received) for r in channels],
            "figures": self._figures(median, valid),
        }

    def _heartbeat_age(self, beat: Reading, now: float) -> float:
        """Since it was seen to move, s; infinite before the first time."""
        if beat.is_valid and beat.value != self._beat:
            self._moved = -math.inf if self._beat is None else beat.received
            self._beat = beat.value
        return now - self._moved

    def _unfit(self, latest: Mapping[str, Reading], heartbeat_age: float, valid: Mask) -> list[str]:
        """Why nothing may be written now, a sentence each; what is lost or stands still hides the rest."""
        layout = self._layout
        lost = sorted({pv for pv, reading in latest.items() if not reading.connected})
        why = [f"not connected: {_some(lost)}"] if lost else []
        if heartbeat_age > layout.heartbeat_max_age_s:
            if layout.heartbeat not in lost:
                why.append(f"{layout.heartbeat} {_standing(heartbeat_age)}: nothing here can be believed")
            return why
        there = {pv: reading for pv, reading in latest.items() if reading.connected}
        faults = [*self._conditions.faults(there), *knob_faults(layout.knobs, there)]
        return [*why, *map(str, faults), *self._too_few(valid)]

    def _too_few(self, valid: Mask) -> list[str]:
        names, share = self._layout.channel_names, self._layout.least_share
        if valid.mean() >= share:
            return []
        bad = [name for name, is_valid in zip(names, valid, strict=True) if not is_valid]
        needed = math.ceil(share * len(names))
        return [f"only {valid.sum()} of {len(names)} channels can be believed, {needed} are needed: not {_some(bad)}"]

    def _figures(self, median: Array, valid: Mask) -> dict[str, float | None]:
        if not valid.any():
            return {}
        measured = Measurement(np.where(valid, median, 0.0), valid)
        try:
            return {name: _short(value) for name, value in self._section.figures(measured).items()}
        except BeamControlError:
            return {}


def unknown_payload(section: ObservedSection, why: str) -> Payload:
    """Of a section that cannot be reached."""
    layout = section.layout
    k, n = len(layout.knobs), len(layout.channels)
    return {
        "unfit": [why],
        "identity": "",
        "is_simulated": False,
        "permit": None,
        "enable": None,
        "heartbeat_age_s": None,
        "current_ma": None,
        "current_severity": NOT_CONNECTED,
        "knobs": [knob.name for knob in layout.knobs],
        "setpoint_a": [None] * k,
        "readback_a": [None] * k,
        "knob_severity": [NOT_CONNECTED] * k,
        "values": [None] * n,
        "median": [None] * n,
        "noise": [None] * n,
        "valid": [False] * n,
        "severity": [NOT_CONNECTED] * n,
        "channel_age_s": [None] * n,
        "figures": {},
    }


def _severity(reading: Reading) -> int:
    return int(reading.severity) if reading.connected else NOT_CONNECTED


def _flag(reading: Reading) -> bool | None:
    return reading.number == 1 if reading.is_valid else None


def _number(reading: Reading) -> float | None:
    return _short(reading.number) if reading.connected else None


def _short(value: float) -> float | None:
    return round(value, DIGITS) if math.isfinite(value) else None


def _standing(age: float) -> str:
    return f"has not moved for {age:.1f} s" if math.isfinite(age) else "has not been seen to move yet"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + more
