"""Named error scenarios of an injector: how far simulated machines are from their description, and where they start."""

from dataclasses import dataclass, replace

from beamctl.engine.simulated.injector import current_monitor, nominal_spec
from beamctl.errors import UnknownNameError
from beamctl.machine.injector import InjectorDescription
from simulators.lpi import CurrentMonitor, LpiSpec

SHIFT = 1.75
"""``shifted`` machines differ by this much more than training ever sees"""


@dataclass(frozen=True)
class InjectorScenario:
    """One scenario.

    Attributes:
        spec: sizes of the errors.
        monitor: what the current monitors add.
        monitor_calibration: relative error of each monitor, half-width.
        start_transmission: the true transmission that a machine is found with lies in this interval; None: there is
            hardly any beam at the ACCT.
    """

    spec: LpiSpec
    monitor: CurrentMonitor
    monitor_calibration: float
    start_transmission: tuple[float, float] | None = (0.40, 0.75)


def injector_scenarios(machine: InjectorDescription) -> dict[str, InjectorScenario]:
    """All scenarios, by name.

    * ``ideal``: no error and no H2+; the monitors have their noise and nothing else
    * ``nominal``: everything in the ranges of the description
    * ``shifted``: every range 1.75 times as wide, twice the noise
    * ``reversed``: nominal, with one corrector of the opposite polarity
    * ``dark``: nominal, found at a setting with hardly any beam in front of the RFQ
    """
    spec, monitor = nominal_spec(machine), current_monitor(machine)
    nominal = InjectorScenario(spec, monitor, machine.monitors.calibration_error.si())
    return {
        "ideal": InjectorScenario(_without_errors(spec), CurrentMonitor(monitor.noise_a), 0.0),
        "nominal": nominal,
        "shifted": replace(nominal, spec=_widened(spec, SHIFT), monitor=replace(monitor, noise_a=2 * monitor.noise_a)),
        "reversed": replace(nominal, spec=replace(spec, reversed_correctors=1)),
        "dark": replace(nominal, start_transmission=None),
    }


def find_injector_scenario(machine: InjectorDescription, name: str) -> InjectorScenario:
    """A scenario by name.

    Raises:
        UnknownNameError: lists those that exist.
    """
    known = injector_scenarios(machine)
    if name not in known:
        raise UnknownNameError("scenario", name, known)
    return known[name]


def _wider(interval: tuple[float, float], factor: float) -> tuple[float, float]:
    middle, half = 0.5 * (interval[0] + interval[1]), 0.5 * factor * (interval[1] - interval[0])
    return middle - half, middle + half


def _widened(spec: LpiSpec, factor: float) -> LpiSpec:
    """Wider ranges; shares stay between 0 and 1."""
    lo, hi = _wider(spec.neutralisation, factor)
    return replace(
        spec,
        emittance_m=_wider(spec.emittance_m, factor),
        alpha=_wider(spec.alpha, factor),
        beta_m=_wider(spec.beta_m, factor),
        offset_m=factor * spec.offset_m,
        angle_rad=factor * spec.angle_rad,
        current_a=_wider(spec.current_a, factor),
        neutralisation=(lo, min(hi, 1.0)),
        h2_share=(0.0, factor * spec.h2_share[1]),
        displacement_m=factor * spec.displacement_m,
        vane_voltage=_wider(spec.vane_voltage, factor),
        calibration=factor * spec.calibration,
    )


def _without_errors(spec: LpiSpec) -> LpiSpec:
    def middle(interval: tuple[float, float]) -> tuple[float, float]:
        value = 0.5 * (interval[0] + interval[1])
        return value, value

    return LpiSpec(
        emittance_m=middle(spec.emittance_m),
        alpha=middle(spec.alpha),
        beta_m=middle(spec.beta_m),
        offset_m=0.0,
        angle_rad=0.0,
        current_a=middle(spec.current_a),
        neutralisation=middle(spec.neutralisation),
        h2_share=(0.0, 0.0),
        displacement_m=0.0,
        vane_voltage=(1.0, 1.0),
        calibration=0.0,
    )
