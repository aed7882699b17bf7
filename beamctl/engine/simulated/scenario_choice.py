"""Which scenario each of several machines runs in."""

from collections.abc import Collection, Sequence

from beamctl.engine.simulated.scenarios import scenarios
from beamctl.errors import UnknownNameError
from beamctl.machine.injector import InjectorDescription
from beamctl.machine.loader import AnyMachine

LINAC_SCENARIO, INJECTOR_SCENARIO = "err5", "nominal"
"""where nothing is asked for"""


def choose_scenarios(machines: Sequence[AnyMachine], asked: Sequence[str]) -> dict[str, str]:
    """A scenario for each machine, by the machine's name.

    Args:
        machines: any number of any kind.
        asked: each either ``machine=scenario``, or a scenario's name, which goes to every machine that knows it and
            is not named itself. The last one that fits wins.

    Raises:
        UnknownNameError: no machine of that name, or a scenario that it, or none of them, knows.
    """
    known = {machine.name: known_scenarios(machine) for machine in machines}
    chosen = {machine.name: _default(machine) for machine in machines}
    for scenario in (name for name in asked if "=" not in name):
        takers = [name for name, its in known.items() if scenario in its]
        if not takers:
            raise UnknownNameError("scenario", scenario, {name for its in known.values() for name in its})
        chosen.update(dict.fromkeys(takers, scenario))
    for machine, _, scenario in (name.partition("=") for name in asked if "=" in name):
        if machine not in known:
            raise UnknownNameError("machine", machine, known)
        if scenario not in known[machine]:
            raise UnknownNameError(f"scenario of {machine}", scenario, known[machine])
        chosen[machine] = scenario
    return chosen


def known_scenarios(machine: AnyMachine) -> Collection[str]:
    """Names of the scenarios that a machine knows."""
    if isinstance(machine, InjectorDescription):
        from beamctl.engine.simulated.injector_scenarios import injector_scenarios  # brings numba

        return injector_scenarios(machine).keys()
    return scenarios(machine).keys()


def _default(machine: AnyMachine) -> str:
    return INJECTOR_SCENARIO if isinstance(machine, InjectorDescription) else LINAC_SCENARIO
