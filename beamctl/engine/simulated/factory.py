"""Makes plants from machine descriptions."""

from collections.abc import Sequence

from beamctl.engine.simulated.linac_plant import LinacPlant
from beamctl.engine.simulated.machine_plant import AnyMachinePlant
from beamctl.engine.simulated.plant import Plant
from beamctl.engine.simulated.scenario_choice import choose_scenarios
from beamctl.engine.simulated.whole_plant import WholePlant
from beamctl.machine.description import IonDescription
from beamctl.machine.injector import InjectorDescription
from beamctl.machine.loader import AnyMachine, load_ion


def make_plant(machines: Sequence[AnyMachine], ion: IonDescription | None, asked: Sequence[str], seed: int) -> Plant:
    """One machine as a plant, or several as one; ready, nothing is left to compile.

    Args:
        machines: what they are described as, at least one.
        ion: that runs in the linacs; None: each linac's design ion. Injectors have their own.
        asked: scenarios, see :func:`beamctl.engine.simulated.scenario_choice.choose_scenarios`.
        seed: of all machines.

    Raises:
        UnknownNameError: a scenario or its machine does not exist.
        MachineDescriptionError: two machines have the same name or share a PV.
    """
    chosen = choose_scenarios(machines, asked)
    plants = [_one(machine, ion, chosen[machine.name], seed) for machine in machines]
    return plants[0] if len(plants) == 1 else WholePlant(plants)


def _one(machine: AnyMachine, ion: IonDescription | None, scenario: str, seed: int) -> AnyMachinePlant:
    if isinstance(machine, InjectorDescription):
        from beamctl.engine.simulated.injector_plant import InjectorPlant  # brings numba

        return InjectorPlant(machine, scenario, seed)
    design = load_ion(machine.ion)
    return LinacPlant(machine, (design, ion or design), scenario, seed)
