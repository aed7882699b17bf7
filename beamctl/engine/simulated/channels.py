"""The PVs that a machine description implies, with what an IOC has to say about each.

The soft IOC makes its records from this list and the in-process engine its answers, so the two cannot differ.
"""

from beamctl.engine.simulated.channel import Channel, Role
from beamctl.engine.simulated.injector_channels import injector_channels
from beamctl.engine.simulated.linac_channels import linac_channels
from beamctl.machine.injector import InjectorDescription
from beamctl.machine.loader import AnyMachine


def machine_channels(machine: AnyMachine) -> list[Channel]:
    """Every PV of the machine, machine-wide ones first."""
    if isinstance(machine, InjectorDescription):
        return [*_machine_wide(machine), *injector_channels(machine)]
    return [*_machine_wide(machine), *linac_channels(machine)]


def _machine_wide(machine: AnyMachine) -> list[Channel]:
    text = "Programs may tune, 1 = allowed"
    enable = [] if machine.enable is None else [Channel(machine.enable, Role.ENABLE, text, lo=0, hi=1, writable=True)]
    return [
        Channel(machine.identity.pv, Role.IDENTITY, "Which machine this is"),
        Channel(machine.heartbeat.pv, Role.HEARTBEAT, "Counts while the IOC is alive", lo=0, hi=2**31 - 1),
        Channel(machine.permit, Role.PERMIT, "Beam permit, 1 = beam allowed", lo=0, hi=1, writable=True),
        *enable,
        Channel(
            machine.simulation.seed,
            Role.SEED,
            "Seed of the simulated errors",
            lo=0,
            hi=2**31 - 1,
            writable=True,
        ),
        Channel(machine.simulation.scenario, Role.SCENARIO, "Scenario of the simulated errors"),
    ]
