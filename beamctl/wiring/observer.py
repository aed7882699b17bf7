"""The observer of a deployment."""

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import replace

from beamctl.engine.base import Engine
from beamctl.engine.layout import SectionLayout
from beamctl.engine.reader import Measurement
from beamctl.run.observed import ObservedSection
from beamctl.run.observer import Observer
from beamctl.store.live import SERVICE_ROW
from beamctl.store.open import Store
from beamctl.task.orbit import orbit_rms
from beamctl.task.transmission import ACCT, MFC1, transmission
from beamctl.wiring.deployment import Deployment
from beamctl.wiring.kit import TaskKit
from beamctl.wiring.transmission import TransmissionKit


def observer(
    deployment: Deployment,
    store: Store,
    make_engine: Callable[[], Engine],
    is_halted: Callable[[], bool],
) -> Observer:
    """Watches every section that has a task.

    Args:
        deployment: whose sections.
        store: where what they read is published.
        make_engine: a fresh engine per section.
        is_halted: whether a person has frozen everything.
    """
    return Observer(
        observed_sections(deployment),
        make_engine,
        store.live.publish,
        lambda: (SERVICE_ROW, {"is_halted": is_halted(), "pid": os.getpid()}),
        deployment.settings.live_hz,
    )


def observed_sections(deployment: Deployment) -> list[ObservedSection]:
    """One per section, with the knobs and PVs of all its tasks."""
    kits: dict[str, list[TaskKit]] = {}
    for task in deployment.tasks:
        kit = deployment.kit(task)
        kits.setdefault(kit.key, []).append(kit)
    return [ObservedSection(key, _layout(of_section), _figures(of_section[0])) for key, of_section in kits.items()]


def _layout(kits: list[TaskKit]) -> SectionLayout:
    knobs = {knob.setpoint: knob for kit in kits for knob in kit.layout().knobs}
    return replace(kits[0].layout(), knobs=tuple(knobs.values()))


def _figures(kit: TaskKit) -> Callable[[Measurement], Mapping[str, float]]:
    if isinstance(kit, TransmissionKit):
        floor_ma = kit.problem().floor_ma
        return lambda measured: _currents(measured, floor_ma)
    return lambda measured: {"rms_mm": float(orbit_rms(measured.values, measured.valid))}


def _currents(measured: Measurement, floor_ma: float) -> Mapping[str, float]:
    """NaN where a monitor cannot be believed."""
    is_known = bool(measured.valid.all())
    values = [float(v) if ok else math.nan for v, ok in zip(measured.values, measured.valid, strict=True)]
    share = float(transmission(measured.values, floor_ma)) if is_known else math.nan
    return {"acct_ma": values[ACCT], "mfc1_ma": values[MFC1], "transmission": share}
