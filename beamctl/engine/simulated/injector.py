"""Injector description to simulators: the one place where its engineering units become SI and back."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from beamctl.machine.injector import InjectorDescription, LebtCorrector, spread
from simulators.beam import rigidity_tm
from simulators.lebt import LebtGeometry
from simulators.lpi import CurrentMonitor, LpiSpec
from simulators.rfq import StepTable, step_table
from simulators.rfq_design import RfqParameters, design

Array = NDArray[np.float64]


def rfq_parameters(machine: InjectorDescription) -> RfqParameters:
    """What the RFQ is designed for."""
    rfq = machine.rfq
    return RfqParameters(
        frequency_hz=machine.frequency.si(),
        mass_ev=machine.source.mass.si(),
        input_energy_ev=machine.source.energy.si(),
        voltage_v=rfq.voltage.si(),
        r0_m=rfq.mean_radius.si(),
        modulation=rfq.modulation.si(),
        matcher_cells=rfq.matcher_cells,
        shaper_cells=rfq.shaper_cells,
        shaper_phase_rad=rfq.shaper_phase.si(),
        final_phase_rad=rfq.final_phase.si(),
        accelerator_cells=rfq.accelerator_cells,
    )


@lru_cache(maxsize=4)
def _step_table(parameters: RfqParameters) -> StepTable:
    return step_table(design(parameters))


def rfq_table(machine: InjectorDescription) -> StepTable:
    """The cells of the RFQ, cut into steps."""
    return _step_table(rfq_parameters(machine))


def lebt_geometry(machine: InjectorDescription) -> LebtGeometry:
    """Lengths and apertures of the LEBT."""
    lebt = machine.lebt
    first, second = lebt.stages
    return LebtGeometry(
        drift_m=(first.drift.si(), second.drift.si(), lebt.last_drift.si()),
        solenoid_m=lebt.solenoid.length.si(),
        edge_m=lebt.solenoid.edge.si(),
        pipe_m=lebt.pipe_radius.si(),
        cone_m=lebt.cone_radius.si(),
        energy_ev=machine.source.energy.si(),
    )


def nominal_spec(machine: InjectorDescription) -> LpiSpec:
    """How injectors differ, by the ranges of the description."""
    source, lebt = machine.source, machine.lebt
    voltage = machine.rfq.vane_voltage_error.si()
    return LpiSpec(
        emittance_m=spread(source.emittance),
        alpha=spread(source.alpha),
        beta_m=spread(source.beta),
        offset_m=source.offset.si(),
        angle_rad=source.angle.si(),
        current_a=spread(source.current),
        neutralisation=spread(source.neutralisation),
        h2_share=spread(source.h2_share),
        displacement_m=lebt.displacement.si(),
        vane_voltage=(1.0 - voltage, 1.0 + voltage),
        calibration=lebt.calibration_error.si(),
    )


def current_monitor(machine: InjectorDescription) -> CurrentMonitor:
    """What a current monitor adds."""
    m = machine.monitors
    return CurrentMonitor(m.noise.si(), m.drift.si(), m.drift_time.si(), m.glitch_probability.si())


def knob_scale(machine: InjectorDescription) -> Array:
    """Field in T per A of the solenoids, kick in rad per A of the correctors, in the order of the knobs, shape (6,)."""
    source = machine.source
    rigidity = float(rigidity_tm(source.energy.si(), source.mass.si(), 1.0))
    solenoid = machine.lebt.solenoid.calibration.si()
    return np.array(
        [
            knob.polarity * knob.calibration.si() / rigidity if isinstance(knob, LebtCorrector) else solenoid
            for knob in machine.lebt.knobs
        ]
    )


def settings(machine: InjectorDescription, current_a: Array) -> Array:
    """Solenoid fields in T and kicks in rad, in the order of :class:`simulators.lpi.Settings`.

    Args:
        machine: with calibrations and polarities.
        current_a: supply currents in the order of the knobs, A, shape (..., 6).
    """
    return np.asarray(current_a * knob_scale(machine))


def knob_limits(machine: InjectorDescription) -> tuple[Array, Array]:
    """Allowed setpoints of all knobs, A, shapes (6,)."""
    limits = [knob.limits for knob in machine.lebt.knobs]
    return np.array([x.lo for x in limits]), np.array([x.hi for x in limits])


def design_setting(machine: InjectorDescription) -> Array:
    """Where the error-free machine has its largest current behind the RFQ, A, shape (6,)."""
    return np.array([knob.design for knob in machine.lebt.knobs])
