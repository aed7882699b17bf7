"""Models of a linac's description: the only home of PV names, limits, polarity, calibration and assumptions.

Engineering units throughout (mm, mrad, A, MeV/u, T, MV, deg), written out in each quantity.
Read one with :func:`beamctl.machine.loader.load_machine`.
"""

from typing import Annotated, Literal

from pydantic import Field, FiniteFloat, PositiveInt

from beamctl.machine.machine import FencePvs, Machine, Name, PvName, content_hash
from beamctl.machine.quantity import (
    Amperes,
    CorrectorCalibration,
    DriftRate,
    Emittance,
    EnergyPerNucleon,
    Hertz,
    LengthMm,
    LimitsA,
    LimitsDeg,
    LimitsMm,
    LimitsMv,
    MegaElectronvolts,
    Megavolts,
    Milliamperes,
    Millimetres,
    Milliradians,
    Number,
    Seconds,
    SlewRate,
    Strict,
    Tesla,
)


class IonDescription(Strict):
    """An ion and how the sections are set for it.

    Attributes:
        name: for example ``40Ar12+``.
        mass: rest energy of the whole ion.
        nucleons: mass number A.
        charge_state: charge number q.
        energy: kinetic energy at a section's entrance where it differs from the description, by section.
        cavities_on: False where the beam is not accelerated (the resonators detuned).
    """

    name: str
    mass: MegaElectronvolts
    nucleons: PositiveInt
    charge_state: PositiveInt
    energy: dict[Name, EnergyPerNucleon] = Field(default_factory=dict)
    cavities_on: bool = True

    @property
    def mass_mev_u(self) -> float:
        """Rest energy per nucleon, MeV."""
        return self.mass.value / self.nucleons

    @property
    def charge_per_nucleon(self) -> float:
        """q/A."""
        return self.charge_state / self.nucleons


class CorrectorType(Strict):
    """A kind of corrector and its power supply.

    Attributes:
        unit_a: current of one published simulation unit.
        calibration: integrated field per ampere.
        limits: allowed setpoints.
        step_limit: largest change of a setpoint in one step.
        slew: ramp rate of the supply.
        tolerance: a readback further than this from its setpoint is a fault.
        readback_noise: rms difference of readback and setpoint.
        settle_time: wait between the end of the ramp and the first reading that counts.
        first_move: change of every setpoint before the first step, which gives the first trend row.
        travel_limit: largest distance of a setpoint from where a run found it; None: only the limits count.
        preflight_kick: size of the small kicks that check wiring and response before a run.
        length, edge: half-length and edge width of the field, centred on the solenoid.
    """

    unit_a: Amperes
    calibration: CorrectorCalibration
    limits: LimitsA
    step_limit: Amperes
    slew: SlewRate
    tolerance: Amperes
    readback_noise: Amperes
    settle_time: Seconds
    first_move: Amperes
    preflight_kick: Amperes
    travel_limit: Amperes | None = None
    half_length: LengthMm
    edge: LengthMm


class SolenoidType(Strict):
    """A kind of solenoid: B(z) = B0 sech(z / width)."""

    width: LengthMm
    field: Tesla
    current: Amperes
    map_length: LengthMm
    centre: LengthMm
    limits: LimitsA
    slew: SlewRate


class CavityType(Strict):
    """A kind of half-wave resonator: two Gaussian gaps.

    Attributes:
        voltage: int |E_z| dz at ke = 1.
    """

    length: LengthMm
    gap_distance: LengthMm
    gap_rms: LengthMm
    voltage: Megavolts
    limits: LimitsMv
    phase_limits: LimitsDeg


class BpmType(Strict):
    """A kind of beam position monitor and when to believe it.

    Attributes:
        rate: readings per second.
        noise: rms of one reading, beam jitter included; its range is what machines are drawn from.
        offset: largest offset of the electrical centre.
        drift: slow wander.
        glitch: size of isolated wrong readings.
        glitch_probability: per reading.
        valid: readings outside are not believed.
        readings_per_step: how many readings are averaged after each step.
        max_age: a reading older than this is stale.
    """

    rate: Hertz
    noise: Millimetres
    offset: Millimetres
    drift: DriftRate
    glitch: Millimetres
    glitch_probability: Number
    valid: LimitsMm
    readings_per_step: PositiveInt
    max_age: Seconds


class CurrentMonitorType(Strict):
    """An AC current transformer: noise and the current below which there is no beam."""

    noise: Milliamperes
    drift: Milliamperes
    beam_floor: Milliamperes


class Misalignment(Strict):
    """How machines of this kind are off, half-widths of uniform distributions."""

    solenoid_offset: Millimetres
    incoming_position: Millimetres
    incoming_angle: Milliradians


class Solenoid(Strict):
    """One solenoid; ``setting`` in units of ``SolenoidType.field``, with polarity."""

    name: Name
    setpoint: PvName
    readback: PvName
    setting: FiniteFloat


class Cavity(Strict):
    """One resonator; ``ke`` scales its field, ``phase`` is the synchronous phase in degrees."""

    name: Name
    amplitude_setpoint: PvName
    amplitude_readback: PvName
    phase_setpoint: PvName
    phase_readback: PvName
    ke: Annotated[FiniteFloat, Field(ge=0)]
    phase_deg: FiniteFloat


class Corrector(Strict):
    """One corrector.

    Attributes:
        plane: what it deflects.
        polarity: +1 where positive current deflects to the positive axis.
        fence: in front of the setpoint, where its IOC has one; then nothing is put to the setpoint itself.
    """

    name: Name
    plane: Literal["x", "y"]
    setpoint: PvName
    readback: PvName
    polarity: Literal[1, -1]
    fence: FencePvs | None = None


class Bpm(Strict):
    """One beam position monitor, a PV per plane, mm."""

    name: Name
    x: PvName
    y: PvName


class Cell(Strict):
    """One cell: drift, solenoid with its correctors, resonator; the BPM stands at its end."""

    solenoid: Solenoid
    cavity: Cavity
    correctors: list[Corrector] = Field(default_factory=list)
    bpm: Bpm | None = None


class Section(Strict):
    """One cryomodule.

    Attributes:
        title: for people.
        energy: kinetic energy per nucleon at the entrance, design ion.
        current_upstream, current_downstream: ACCT PVs in front and behind, mA.
        cells: along the beam.
    """

    title: str
    energy: EnergyPerNucleon
    current_upstream: PvName
    current_downstream: PvName
    cells: Annotated[list[Cell], Field(min_length=1)]

    @property
    def correctors(self) -> list[Corrector]:
        """All correctors along the beam, x before y."""
        return [c for cell in self.cells for c in cell.correctors]

    @property
    def bpms(self) -> list[Bpm]:
        """All BPMs along the beam."""
        return [cell.bpm for cell in self.cells if cell.bpm is not None]


class Beam(Strict):
    """The beam at the entrance of a section: current and round distribution."""

    current: Milliamperes
    emittance: Emittance
    rms: LengthMm
    divergence: Milliradians


class Geometry(Strict):
    """The cell: drift in front of the solenoid map, pitch, bore."""

    drift: LengthMm
    pitch: LengthMm
    bore_radius: LengthMm


class Types(Strict):
    """The kinds of hardware, once each."""

    corrector: CorrectorType
    solenoid: SolenoidType
    cavity: CavityType
    bpm: BpmType
    current_monitor: CurrentMonitorType


class OrbitTask(Strict):
    """Bring the orbit of a section below a target.

    Attributes:
        section: where.
        correctors, bpms: who takes part, names along the beam.
        target_mm: RMS below which the task is done.
        max_steps: budget.
    """

    kind: Literal["orbit"]
    title: str
    section: Name
    correctors: Annotated[list[Name], Field(min_length=1)]
    bpms: Annotated[list[Name], Field(min_length=1)]
    target_mm: Annotated[FiniteFloat, Field(gt=0)] = 0.5
    max_steps: PositiveInt = 50


class MachineDescription(Machine):
    """A superconducting linac: everything that beamctl knows about it."""

    kind: Literal["linac"] = "linac"
    ion: Name
    geometry: Geometry
    beam: Beam
    misalignment: Misalignment
    types: Types
    sections: Annotated[dict[Name, Section], Field(min_length=1)]
    tasks: Annotated[dict[Name, OrbitTask], Field(min_length=1)]


def description_hash(description: MachineDescription, ion: IonDescription, section: str) -> str:
    """SHA-256 of what a section's tuning depends on; comments, origins and other sections do not count.

    Nor does the size of the preflight kicks: no agent is trained on it.
    """
    content: dict[str, object] = {
        "ion": ion.model_dump(mode="json"),
        "design_ion": description.ion,
        "frequency": description.frequency.model_dump(mode="json"),
        "geometry": description.geometry.model_dump(mode="json"),
        "types": description.types.model_dump(mode="json", exclude={"corrector": {"preflight_kick", "travel_limit"}}),
        "section": description.sections[section].model_dump(mode="json"),
    }
    return content_hash(content)
