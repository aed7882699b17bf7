"""The observer of a deployment."""

import math
import os
from collections.abc import Callable, Mapping

from beamctl.engine.base import Engine
from beamctl.engine.reader import Measurement
from beamctl.run.observed import ObservedSection
from beamctl.run.observer import Observer
from beamctl.store.live import SERVICE_ROW
from beamctl.store.open import Store
from beamctl.task.orbit import orbit_rms
from beamctl.task.transmission import ACCT, MFC1, transmission
from beamctl.wiring.deployment import Deployment
from beamctl.wiring.kit import TaskKit, whole_layout
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
        deployment.settings.connect_timeout_s,
    )


def observed_sections(deployment: Deployment) -> list[ObservedSection]:
    """One per section, with the knobs and PVs of all its tasks."""
    return [ObservedSection(key, whole_layout(kits), _figures(kits[0])) for key, kits in deployment.sections.items()]


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
