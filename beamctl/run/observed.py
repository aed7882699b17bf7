"""What one section reads now, put together from subscriptions alone: nothing is asked for, nothing is written."""

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from beamctl.engine.base import Engine, Reading
from beamctl.engine.layout import SectionLayout
from beamctl.engine.reader import Measurement, in_range

NOT_CONNECTED = 4
"""beside the severities of EPICS"""
FEWEST = 10
"""readings behind a median and a noise at least, as soon as there are so many"""
DIGITS = 6
Payload = dict[str, object]


@dataclass(frozen=True)
class ObservedSection:
    """What is watched of a section.

    Attributes:
        key: its name in the deployment.
        layout: every knob and channel of any of its tasks.
        figures: what its task makes of a reading; may raise ValueError or a BeamControlError where nothing is valid.
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
        n = max(section.layout.readings, FEWEST)
        self._windows = {pv: deque[float](maxlen=n) for pv in section.layout.channels}
        self._seen: dict[str, int] = {}
        self._beat: float | str | None = None
        self._moved: float | None = None

    def payload(self) -> Payload:
        """Everything, as the service tells it; NaN where not known."""
        now, layout = self._engine.clock.now(), self._layout
        latest = self._engine.latest(layout.all_pvs)
        heartbeat_age = self._heartbeat_age(latest[layout.heartbeat], now)
        is_alive = heartbeat_age <= layout.heartbeat_max_age_s
        self._collect(latest)
        channels = [latest[pv] for pv in layout.channels]
        valid = np.array([is_alive and self._is_valid(r, now) for r in channels])
        windows = [self._windows[pv] for pv in layout.channels]
        median = np.array([_median(w, layout.valid_range) for w in windows])
        valid &= np.isfinite(median)
        identity = latest[layout.identity]
        current = latest[layout.current]
        return {
            "unfit": self._unfit(latest, heartbeat_age),
            "identity": str(identity.value) if identity.connected else "",
            "is_simulated": identity.connected and identity.value == layout.accepted[-1],
            "permit": _flag(latest[layout.permit]),
            "enable": _flag(latest[layout.enable]) if layout.enable else None,
            "heartbeat_age_s": _short(heartbeat_age),
            "current_ma": _short(current.number),
            "current_severity": _severity(current),
            "knobs": [knob.name for knob in layout.knobs],
            "setpoint_a": [_short(latest[knob.setpoint].number) for knob in layout.knobs],
            "readback_a": [_short(latest[knob.readback].number) for knob in layout.knobs],
            "knob_severity": [
                max(_severity(latest[knob.setpoint]), _severity(latest[knob.readback])) for knob in layout.knobs
            ],
            "values": [_short(r.number) for r in channels],
            "median": [_short(m) for m in median],
            "noise": [_short(_noise(w, layout.valid_range)) for w in windows],
            "valid": [bool(ok) for ok in valid],
            "severity": [_severity(r) for r in channels],
            "channel_age_s": [_short(now - r.received) for r in channels],
            "figures": self._figures(median, valid),
        }

    def _collect(self, latest: Mapping[str, Reading]) -> None:
        for pv, window in self._windows.items():
            reading = latest[pv]
            if reading.seq != self._seen.get(pv):
                self._seen[pv] = reading.seq
                window.append(reading.number if reading.is_valid else math.nan)

    def _heartbeat_age(self, beat: Reading, now: float) -> float:
        """Since it was seen to move, s; infinite before the first time."""
        if self._beat is not None and beat.value != self._beat:
            self._moved = beat.received
        self._beat = beat.value
        return math.inf if self._moved is None else now - self._moved

    def _is_valid(self, reading: Reading, now: float) -> bool:
        lo, hi = self._layout.valid_range
        return reading.is_valid and lo <= reading.number <= hi and now - reading.received <= self._layout.max_age_s

    def _unfit(self, latest: Mapping[str, Reading], heartbeat_age: float) -> list[str]:
        """Why nothing may be written now, a sentence each."""
        layout = self._layout
        why: list[str] = []
        lost = sorted(pv for pv, reading in latest.items() if not reading.connected)
        if lost:
            why.append(f"not connected: {_some(lost)}")
        if not heartbeat_age <= layout.heartbeat_max_age_s:
            age = f"{heartbeat_age:.1f} s" if math.isfinite(heartbeat_age) else "since we look"
            why.append(f"{layout.heartbeat} stands still ({age}): nothing here can be believed")
        identity = latest[layout.identity]
        if identity.connected and identity.value not in layout.accepted:
            why.append(f"{layout.identity} says {identity.value!r}: not the machine that is described")
        if _flag(latest[layout.permit]) is not True:
            why.append(f"no beam permit ({layout.permit})")
        if not layout.enable:
            why.append("the description names no tuner-enable PV, so nothing may be written")
        elif _flag(latest[layout.enable]) is not True:
            why.append(f"the control room has not enabled tuning ({layout.enable})")
        current = latest[layout.current]
        if not (current.is_valid and current.number >= layout.current_floor_ma):
            why.append(
                f"no beam: {layout.current} reads {current.number:.2f} mA, needed {layout.current_floor_ma:g} mA"
            )
        return why

    def _figures(self, median: np.ndarray, valid: np.ndarray) -> dict[str, float | None]:
        if not valid.any():
            return {}
        measured = Measurement(np.where(valid, median, 0.0), valid)
        return {name: _short(value) for name, value in self._section.figures(measured).items()}


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


def _short(value: float) -> float | None:
    return round(value, DIGITS) if math.isfinite(value) else None


def _believable(window: deque[float], valid_range: tuple[float, float]) -> np.ndarray:
    values = np.array(window)
    return values[in_range(values, valid_range)] if len(values) else values


def _median(window: deque[float], valid_range: tuple[float, float]) -> float:
    values = _believable(window, valid_range)
    return float(np.median(values)) if len(values) else math.nan


def _noise(window: deque[float], valid_range: tuple[float, float]) -> float:
    values = _believable(window, valid_range)
    return float(np.std(values)) if len(values) > 1 else math.nan


def _some(names: Sequence[str], most: int = 3) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
