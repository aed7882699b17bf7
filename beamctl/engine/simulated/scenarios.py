"""Named error scenarios: how far simulated machines are from their description."""

from dataclasses import replace

import numpy as np

from beamctl.errors import UnknownNameError
from beamctl.machine.description import MachineDescription
from simulators.errors_model import ErrorSpec

ACTIVE_START_UNITS = 2.0
"""corrector currents found at the start, in published units: a machine that was tuned for the previous beam"""


def _relative(spec: ErrorSpec, size: float) -> ErrorSpec:
    """All relative errors of one size; phase and energy keep the proportion 5 % : 5 deg : 1 %."""
    return replace(
        spec,
        solenoid_common=size,
        solenoid_each=size,
        calibration=size,
        cavity_voltage=size,
        cavity_phase_rad=float(np.radians(100 * size)),
        energy=0.2 * size,
    )


def scenarios(machine: MachineDescription) -> dict[str, ErrorSpec]:
    """All scenarios of a machine, by name.

    * ``ideal``: no error at all
    * ``published``: the misalignments of the TBSAC paper and nothing else
    * ``published5``: with its common solenoid error of 5 %
    * ``nominal``: stated misalignments, noise and offsets
    * ``err5``, ``err10``: nominal, and relative errors of 5 % or 10 % (each solenoid and all together, calibration,
      resonators; phase 5 or 10 deg, energy 1 or 2 %)
    * ``dead``: err5 with one BPM that reads 0
    * ``mis6``: nominal with twice the misalignments
    * ``weak``, ``reversed``, ``crossed``, ``dead-corrector``: err5 with one such corrector or pair
    * ``reversed3``: err5 with three reversed correctors
    * ``swapped``: err5 with two correctors of different cells exchanged
    * ``reversed-bpm``: err5 with one BPM channel that reads with the wrong sign
    """
    bpm, off = machine.types.bpm, machine.misalignment
    noise = bpm.noise.range or (bpm.noise.value, bpm.noise.value)
    nominal = ErrorSpec(
        solenoid_offset_m=off.solenoid_offset.si(),
        incoming_m=off.incoming_position.si(),
        incoming_rad=off.incoming_angle.si(),
        initial_a=ACTIVE_START_UNITS * machine.types.corrector.unit_a.value,
        bpm_offset_m=bpm.offset.si(),
        bpm_noise_m=(1e-3 * noise[0], 1e-3 * noise[1]),
    )
    err5 = _relative(nominal, 0.05)
    published = ErrorSpec(solenoid_offset_m=nominal.solenoid_offset_m, incoming_m=nominal.incoming_m)
    return {
        "ideal": ErrorSpec(),
        "published": published,
        "published5": replace(published, solenoid_common=0.05),
        "nominal": nominal,
        "err5": err5,
        "err10": _relative(nominal, 0.10),
        "dead": replace(err5, dead_bpms=1),
        "mis6": replace(
            nominal,
            solenoid_offset_m=2 * nominal.solenoid_offset_m,
            incoming_m=2 * nominal.incoming_m,
            incoming_rad=2 * nominal.incoming_rad,
        ),
        "weak": replace(err5, weak_correctors=1),
        "reversed": replace(err5, reversed_correctors=1),
        "crossed": replace(err5, crossed_pairs=1),
        "dead-corrector": replace(err5, dead_correctors=1),
        "reversed3": replace(err5, reversed_correctors=3),
        "swapped": replace(err5, swapped_correctors=1),
        "reversed-bpm": replace(err5, reversed_channels=1),
    }


def find_scenario(machine: MachineDescription, name: str) -> ErrorSpec:
    """A scenario by name.

    Raises:
        UnknownNameError: lists those that exist.
    """
    known = scenarios(machine)
    if name not in known:
        raise UnknownNameError("scenario", name, known)
    return known[name]
