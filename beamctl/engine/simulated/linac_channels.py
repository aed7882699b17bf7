"""The PVs of a linac."""

from collections.abc import Iterator

from beamctl.engine.simulated.channel import Channel, Device, Role, supply_channels
from beamctl.machine.description import Cell, MachineDescription, Section


def linac_channels(machine: MachineDescription) -> Iterator[Channel]:
    """Supplies, BPMs and current monitors, section by section."""
    seen: set[str] = set()
    for name, section in machine.sections.items():
        yield from _section_channels(machine, name, section)
        for index, pv in enumerate((section.current_upstream, section.current_downstream)):
            if pv in seen:
                continue
            seen.add(pv)
            text = f"Beam current {'in front of' if index == 0 else 'behind'} {name}"
            hi = 2 * machine.beam.current.value
            yield Channel(pv, Role.CURRENT, text, "mA", 4, name, index=index, lo=0.0, hi=hi)


def _section_channels(machine: MachineDescription, name: str, section: Section) -> Iterator[Channel]:
    corrector_index = bpm_index = 0
    for i, cell in enumerate(section.cells):
        yield from _magnet_and_cavity(machine, name, i, cell)
        for corrector in cell.correctors:
            yield from supply_channels(
                (corrector.setpoint, corrector.readback), f"{name} corrector {corrector.name}", "A", 3, name,
                Device.CORRECTOR, corrector_index, machine.types.corrector.limits,
            )  # fmt: skip
            corrector_index += 1
        if cell.bpm is not None:
            valid = machine.types.bpm.valid
            for offset, (plane, pv) in enumerate((("x", cell.bpm.x), ("y", cell.bpm.y))):
                yield Channel(
                    pv, Role.BPM, f"{name} {cell.bpm.name} {plane}", "mm", 4, name, index=bpm_index + offset,
                    lo=valid.lo, hi=valid.hi, minor=5.0, major=10.0,
                )  # fmt: skip
            bpm_index += 2


def _magnet_and_cavity(machine: MachineDescription, name: str, i: int, cell: Cell) -> Iterator[Channel]:
    solenoid, cavity, types = cell.solenoid, cell.cavity, machine.types
    yield from supply_channels(
        (solenoid.setpoint, solenoid.readback), f"{name} solenoid {solenoid.name}", "A", 2, name,
        Device.SOLENOID, i, types.solenoid.limits,
    )  # fmt: skip
    yield from supply_channels(
        (cavity.amplitude_setpoint, cavity.amplitude_readback), f"{name} {cavity.name} voltage", "MV", 4, name,
        Device.VOLTAGE, i, types.cavity.limits,
    )  # fmt: skip
    yield from supply_channels(
        (cavity.phase_setpoint, cavity.phase_readback), f"{name} {cavity.name} phase", "deg", 2, name,
        Device.PHASE, i, types.cavity.phase_limits,
    )  # fmt: skip
