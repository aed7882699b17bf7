"""Models of an injector's description: source, low-energy beam transport (LEBT), RFQ, two current monitors.

Engineering units throughout, as in :mod:`beamctl.machine.description`, which holds what both kinds of machine share.
"""

from typing import Annotated, Literal

from pydantic import Field, FiniteFloat, PositiveInt

from beamctl.machine.machine import FencePvs, Machine, Name, PvName, content_hash
from beamctl.machine.quantity import (
    Amperes,
    CorrectorCalibration,
    Degrees,
    Emittance,
    EnergyPerNucleon,
    Hertz,
    Kilovolts,
    LengthM,
    LengthMm,
    LimitsA,
    LimitsMa,
    MegaElectronvolts,
    Milliamperes,
    Millimetres,
    Milliradians,
    Number,
    Quantity,
    Seconds,
    SlewRate,
    SolenoidCalibration,
    Strict,
)


class IonSource(Strict):
    """The beam behind the extraction; the ranges of the numbers are what machines are drawn from.

    Attributes:
        current: of protons.
        emittance: normalised, rms, per plane.
        alpha, beta: Twiss parameters, alike in both planes.
        offset, angle: of the beam, half-width, in x and in y.
        h2_share: H2+ current relative to the protons.
        neutralisation: share of the space charge that the residual gas compensates in the LEBT.
        monitor: PV of the extracted current, mA: says that there is a beam that can be lost.
        current_floor: extracted current below which the source is off.
    """

    mass: MegaElectronvolts
    energy: EnergyPerNucleon
    current: Milliamperes
    emittance: Emittance
    alpha: Number
    beta: LengthM
    offset: Millimetres
    angle: Milliradians
    h2_share: Number
    neutralisation: Number
    monitor: PvName
    current_floor: Milliamperes


class Supply(Strict):
    """One magnet and its power supply.

    Attributes:
        limits: setpoints that are allowed.
        design: setpoint at which the error-free model has its largest current behind the RFQ, A.
        fence: in front of the setpoint, where its IOC has one; then nothing is put to the setpoint itself.
    """

    name: Name
    setpoint: PvName
    readback: PvName
    limits: LimitsA
    design: FiniteFloat
    fence: FencePvs | None = None


class LebtSolenoid(Supply):
    """One solenoid."""


class LebtCorrector(Supply):
    """One corrector: what it deflects, and +1 where positive current deflects to the positive axis."""

    plane: Literal["x", "y"]
    polarity: Literal[1, -1]
    calibration: CorrectorCalibration


class LebtStage(Strict):
    """A drift, a solenoid, and the corrector pair directly behind it, x before y."""

    drift: LengthMm
    solenoid: LebtSolenoid
    correctors: Annotated[list[LebtCorrector], Field(min_length=2, max_length=2)]


class SolenoidSupply(Strict):
    """What the solenoids have in common.

    Attributes:
        calibration: field per ampere.
        length: effective, int B^2 dz / B0^2.
        edge: width w of the field's tanh edge, which sets the spherical aberration.
    """

    calibration: SolenoidCalibration
    length: LengthMm
    edge: LengthMm


class SupplyType(Strict):
    """What the supplies have in common; the meaning is that of a cryomodule's corrector.

    Attributes:
        step_share: largest change of a setpoint in one step, as a share of its allowed interval.
        travel_share: largest distance of a setpoint from where a run found it, as a share of its allowed interval;
            None: only the limits count.
        settle_time: wait between the end of a ramp and the first reading that counts.
    """

    slew: SlewRate
    tolerance: Amperes
    readback_noise: Amperes
    step_share: Number
    travel_share: Number | None = None
    settle_time: Seconds


class Lebt(Strict):
    """Low-energy beam transport: two stages, a drift, the entrance cone of the RFQ."""

    stages: Annotated[list[LebtStage], Field(min_length=2, max_length=2)]
    last_drift: LengthMm
    pipe_radius: LengthMm
    cone_radius: LengthMm
    solenoid: SolenoidSupply
    supply: SupplyType
    displacement: Millimetres
    calibration_error: Number

    @property
    def knobs(self) -> list[Supply]:
        """Everything that can be moved: both solenoids, then the corrector pairs along the beam."""
        solenoids: list[Supply] = [stage.solenoid for stage in self.stages]
        return [*solenoids, *(c for stage in self.stages for c in stage.correctors)]


class Rfq(Strict):
    """Design of the radio-frequency quadrupole, see :mod:`simulators.rfq_design`.

    Attributes:
        vane_voltage_error: of the voltage, relative, half-width.
    """

    voltage: Kilovolts
    mean_radius: LengthMm
    modulation: Number
    matcher_cells: PositiveInt
    shaper_cells: PositiveInt
    shaper_phase: Degrees
    final_phase: Degrees
    accelerator_cells: PositiveInt
    vane_voltage_error: Number


class Monitors(Strict):
    """The two current monitors and when to believe them.

    Attributes:
        acct, mfc1: PVs of the current in front of the RFQ and behind it, mA.
        rate: readings per second.
        noise: rms of one reading.
        drift: rms of the slow wander of the zero.
        drift_time: its time constant.
        glitch_probability: share of readings whose pulse was missed.
        calibration_error: relative, half-width.
        valid: readings outside are not believed.
        readings_per_step: how many are combined after each step.
        max_age: an older reading is stale.
        beam_floor: ACCT current below which there is no beam in front of the RFQ.
    """

    acct: PvName
    mfc1: PvName
    rate: Hertz
    noise: Milliamperes
    drift: Milliamperes
    drift_time: Seconds
    glitch_probability: Number
    calibration_error: Number
    valid: LimitsMa
    readings_per_step: PositiveInt
    max_age: Seconds
    beam_floor: Milliamperes


class TransmissionTask(Strict):
    """Raise the current behind the RFQ.

    Attributes:
        knobs: who takes part, in the order of :attr:`Lebt.knobs`.
        max_steps: budget.
        target_transmission: a run that ends at or above it has reached its goal; it goes on to the end of its budget
            in any case, as what is raised is the current.
    """

    kind: Literal["transmission"]
    title: str
    knobs: Annotated[list[Name], Field(min_length=1)]
    max_steps: PositiveInt = 30
    target_transmission: Annotated[FiniteFloat, Field(gt=0, lt=1)] = 0.85


class InjectorDescription(Machine):
    """An injector: everything that beamctl knows about it."""

    kind: Literal["injector"]
    source: IonSource
    lebt: Lebt
    rfq: Rfq
    monitors: Monitors
    tasks: Annotated[dict[Name, TransmissionTask], Field(min_length=1)]


def injector_hash(description: InjectorDescription) -> str:
    """SHA-256 of what tuning the injector depends on; supplies' ramps, monitors, titles and origins do not count."""
    return content_hash(
        {
            "frequency": description.frequency.model_dump(mode="json"),
            "beam": description.source.model_dump(mode="json", exclude={"monitor", "current_floor"}),
            "lebt": description.lebt.model_dump(mode="json", exclude={"supply"}),
            "rfq": description.rfq.model_dump(mode="json"),
        }
    )


def spread(quantity: Quantity) -> tuple[float, float]:
    """The range of a quantity in SI; its value twice where it has none."""
    scale = quantity.si() / quantity.value if quantity.value else 1.0
    lo, hi = quantity.range or (quantity.value, quantity.value)
    return lo * scale, hi * scale
