"""The PVs of an injector."""

from collections.abc import Iterator

from beamctl.engine.simulated.channel import Channel, Device, Role, supply_channels
from beamctl.machine.injector import InjectorDescription, LebtSolenoid

SECTION = "lebt"
"""an injector is one section"""


def injector_channels(machine: InjectorDescription) -> Iterator[Channel]:
    """Supplies in the order of the knobs, then the current monitors along the beam."""
    index = dict.fromkeys(Device, 0)
    for knob in machine.lebt.knobs:
        device = Device.SOLENOID if isinstance(knob, LebtSolenoid) else Device.CORRECTOR
        yield from supply_channels(
            (knob.setpoint, knob.readback), f"{SECTION} {device} {knob.name}", "A", 3, SECTION,
            device, index[device], knob.limits,
        )  # fmt: skip
        index[device] += 1
    monitors = (
        (machine.source.monitor, "Extracted current, H2+ included"),
        (machine.monitors.acct, "Beam current in front of the RFQ"),
        (machine.monitors.mfc1, "Beam current behind the RFQ"),
    )
    for i, (pv, text) in enumerate(monitors):
        yield Channel(
            pv, Role.CURRENT, text, "mA", 4, SECTION, index=i, lo=0.0, hi=2 * machine.source.current.value
        )  # fmt: skip
