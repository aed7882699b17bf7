"""Engines and what runs on them, put together."""

from dataclasses import replace
from typing import TYPE_CHECKING

from beamctl.engine.base import Engine
from beamctl.engine.fenced import FencedEngine, RequestingEngine
from beamctl.engine.guarded import GuardedSection
from beamctl.engine.layout import SectionLayout
from beamctl.errors import NotSimulatedError, WriteFailedError
from beamctl.settings import ensure_channel_access_environment
from beamctl.wiring.orbit import OrbitKit

if TYPE_CHECKING:
    from beamctl.env.tuning_env import TuningEnv
    from beamctl.training.presets import Preset

REDRAW_TIMEOUT_S = 30.0
SIMULATED_SETTLE_S = 0.05
"""a simulated field follows at once; readings that were on their way when the ramp ended must not count"""


def with_fences(engine: RequestingEngine, layout: SectionLayout) -> Engine:
    """The engine that writes through the fences of a section, where the description says that there are any."""
    fences = {knob.setpoint: knob.fence for knob in layout.knobs if knob.fence is not None}
    return FencedEngine(engine, fences) if fences else engine


def epics_engine() -> RequestingEngine:
    """Channel Access, on loopback unless the environment names a machine."""
    ensure_channel_access_environment()
    from beamctl.engine.epics.engine import EpicsEngine

    return EpicsEngine()


def simulated_environment(kit: OrbitKit, engine: Engine, preset: "Preset", timeout_s: float) -> "TuningEnv":
    """A training environment over an engine whose machine says that it is simulated.

    Raises:
        NotSimulatedError: it says anything else. Nothing has been written.
    """
    from beamctl.env.tuning_env import TuningEnv
    from beamctl.training.machines import preset_problem

    machine, prefix = kit.machine, kit.prefix
    identity, seed_pv = prefix + machine.identity.pv, prefix + machine.simulation.seed
    engine.start([identity], timeout_s)
    answer = engine.read([identity])[identity].value
    if answer != machine.identity.simulated:
        raise NotSimulatedError(
            f"{identity} says {answer!r}, not {machine.identity.simulated!r}: training explores, "
            "and never on a machine that is not simulated"
        )
    engine.start([seed_pv], timeout_s)

    def redraw(seed: int) -> None:
        result = engine.write({seed_pv: float(seed)}, REDRAW_TIMEOUT_S)[seed_pv]
        if result.outcome != "ok":
            raise WriteFailedError(f"{seed_pv}: {result.outcome.value} {result.message}")

    layout = replace(kit.layout(), settle_s=SIMULATED_SETTLE_S)
    if preset.readings is not None:
        layout = replace(layout, readings=preset.readings)
    problem = preset_problem(kit.site(), kit.name, preset)
    return TuningEnv(
        lambda: GuardedSection(engine, layout),
        problem,
        preset.normalisation,
        preset.observation,
        redraw,
        largest_mm=max(map(abs, layout.valid_range)),
    )
