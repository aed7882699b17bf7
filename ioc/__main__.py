"""``python -m ioc``: simulated machines that answer Channel Access."""

import asyncio
import ctypes
import difflib
import ipaddress
import json
import logging
import os
import secrets
import signal
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from beamctl.errors import BeamControlError, UnknownNameError

LOOPBACK = "127.0.0.1"
_PR_SET_PDEATHSIG = 1

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@dataclass(frozen=True)
class Options:
    """What was asked for on the command line."""

    machines: tuple[str, ...]
    ion: str
    scenarios: tuple[str, ...]
    seed: int
    prefix: str
    port: int
    interface: str
    speed: float
    without: tuple[str, ...]
    put_log: Path | None


@app.command()
def main(
    machine: Annotated[
        list[str] | None,
        typer.Option(help="Machine description, name or .yaml file; may be repeated.", show_default="cafe2"),
    ] = None,
    ion: Annotated[
        str, typer.Option(help="Ion that runs in the linacs, name or .yaml file.", show_default="the machine's own")
    ] = "",
    scenario: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[MACHINE=]SCENARIO",
            help="How far a machine is from its description, see above; may be repeated. Without MACHINE= it goes to "
            "every machine that knows it.",
            show_default="err5 for linacs, nominal for injectors",
        ),
    ] = None,
    seed: Annotated[
        int,
        typer.Option(
            min=-1, max=2**31 - 1, help="Which machine of its scenario each is; -1 takes any.", show_default="any"
        ),
    ] = -1,
    prefix: Annotated[str, typer.Option(help="Put before every PV name.")] = "",
    port: Annotated[
        int,
        typer.Option(
            min=0,
            max=65535,
            envvar=["EPICS_CAS_SERVER_PORT", "EPICS_CA_SERVER_PORT"],
            help="Port for searches (UDP) and connections (TCP); 0 takes the first free one from 5064 on.",
        ),
    ] = 0,
    interface: Annotated[
        str, typer.Option(help="Address to answer at; with any but loopback other hosts reach the machine.")
    ] = LOOPBACK,
    speed: Annotated[
        float, typer.Option(min=0.01, max=100.0, help="How many times faster ramps, shots and heartbeat are.")
    ] = 1.0,
    without: Annotated[list[str] | None, typer.Option(metavar="PV", help="Leave this PV out; may be repeated.")] = None,
    put_log: Annotated[
        Path | None, typer.Option(help="Append every put to this file: time, PV, value as received.")
    ] = None,
    die_with_parent: Annotated[
        bool, typer.Option("--die-with-parent", help="End as soon as the starting process does (Linux).")
    ] = False,
) -> None:
    """Run simulated machines that answer Channel Access as the real ones would.

    Setpoints are clamped to their limits, supplies ramp, puts complete when the ramp ends, instruments are read ten
    times a second with noise, the permit switches the beam. Writing a machine's seed PV makes another machine of
    its scenario. Nothing leaves this host unless --interface says so.

    \b
    Scenarios of a linac, from the best to the worst machine:
      ideal        no error at all
      published    the misalignments of the published work, nothing else; published5: solenoids 5 % off, too
      nominal      misalignments, BPM offsets and noise; mis6: misaligned twice as far
      err5, err10  nominal, and 5 or 10 % error on fields, calibration and resonators
      dead         err5, and one BPM that reads 0
      weak, reversed, crossed    err5, and a corrector or pair of them that is
      dead-corrector, reversed3  err5, and a corrector that does nothing, or three that are reversed
      swapped, reversed-bpm      err5, and two correctors exchanged, or a BPM channel of the wrong sign

    \b
    Scenarios of an injector, which is found at a poor setting in all of them:
      ideal        no error and no H2+; the monitors have their noise and nothing else
      nominal      errors, noise, drift and missed pulses as described
      shifted      nominal, with every error range 1.75 times as wide and twice the noise
      reversed     nominal, and a corrector of the opposite polarity
      dark         nominal, found with hardly any beam in front of the RFQ

    \b
    Examples:
      python -m ioc                            the CAFe II superconducting section, err5, any seed
      python -m ioc --scenario dead --seed 7   the same machine every time, with a dead BPM
      python -m ioc --speed 10                 for training people: everything ten times faster
      python -m ioc --machine cafe2 --machine lpi --scenario lpi=dark     linac and injector in one process
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)
    try:
        if die_with_parent:
            _die_with_parent()
        given = Options(
            tuple(machine or ["cafe2"]), ion, tuple(scenario or ()), secrets.randbelow(2**31) if seed < 0 else seed,
            prefix, port, _address(interface), speed, tuple(without or ()), put_log,
        )  # fmt: skip
        _run(given)
    except BeamControlError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from error


def _run(given: Options) -> None:
    """Build the machines and serve them; imports here, so that ``--help`` is quick."""
    _set_caproto_up()
    from beamctl.engine.simulated.factory import make_plant
    from beamctl.machine.loader import load_ion, load_machine
    from beamctl.status.ca.ports import claim_port
    from ioc.plant_clock import PlantClock
    from ioc.put_log import PutLog
    from ioc.records import make_records
    from ioc.server import serve_machine

    machines = [load_machine(name) for name in given.machines]
    plant = make_plant(machines, load_ion(given.ion) if given.ion else None, given.scenarios, given.seed)
    left_out = {_known_pv(name.removeprefix(given.prefix), plant.channels) for name in given.without}
    records = make_records((c for c in plant.channels.values() if c.pv not in left_out), given.prefix)
    if given.put_log is not None:
        log = PutLog(given.put_log)
        for record in records.values():
            record.on_received = log.note
    claim = claim_port(given.interface, given.port)

    def announce() -> None:
        title = ", ".join(machine.title for machine in machines)
        _announce(given, title, plant.scenario, claim.port, [given.prefix + pv for pv in records])

    async def run() -> None:
        clock = PlantClock(plant, records, given.speed)
        named = {given.prefix + pv: record for pv, record in records.items()}
        await serve_machine(clock, named, claim, (LOOPBACK, _beacon_port()), announce)

    asyncio.run(run())


def _announce(given: Options, title: str, scenario: str, port: int, names: list[str]) -> None:
    where = LOOPBACK if given.interface == "0.0.0.0" else given.interface  # noqa: S104  compared, not bound
    ready = {
        "port": port,
        "repeater_port": _beacon_port(),
        "seed": given.seed,
        "scenario": scenario,
        "pvs": len(names),
    }
    warning = f"WARNING: a SIMULATED machine now answers at {given.interface}, under the names of the real one\n"
    warning = "" if ipaddress.IPv4Address(given.interface).is_loopback else warning
    typer.echo(
        f"{warning}{title}, simulated: scenario {scenario}, seed {given.seed}, {len(names)} PVs, "
        f"{given.interface}:{port}\n"
        f"Reach it with\n"
        f"    export EPICS_CA_ADDR_LIST={where} EPICS_CA_AUTO_ADDR_LIST=NO EPICS_CA_SERVER_PORT={port}\n"
        f"    caget {names[0]}\n"
        f"Ctrl-C ends it.\n"
        f"READY {json.dumps(ready)}"
    )


def _set_caproto_up() -> None:
    """What caproto takes from the environment, some of it when it is imported."""
    # Stock caproto holds updates and answers back for 10 ms.
    os.environ.setdefault("CAPROTO_SERVER_HIGH_LOAD_TIMEOUT_SEC", "0.001")
    # A busy host delays updates now and then; that is worth a line only when people would notice.
    os.environ.setdefault("CAPROTO_SERVER_HIGH_LOAD_WARN_LATENCY_SEC", "1.0")
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.WARNING)


def _beacon_port() -> int:
    return int(os.environ.get("EPICS_CAS_BEACON_PORT", "5065"))


def _known_pv(name: str, known: Iterable[str]) -> str:
    names = list(known)
    if name not in names:
        raise UnknownNameError("PV", name, difflib.get_close_matches(name, names, n=5, cutoff=0.3) or names)
    return name


def _address(interface: str) -> str:
    try:
        return str(ipaddress.IPv4Address(interface))
    except ValueError as error:
        raise typer.BadParameter(f"{interface!r} is not an IPv4 address", param_hint="--interface") from error


def _die_with_parent() -> None:
    """Have the kernel kill this process when its parent ends; certain even while it is stopped."""
    if sys.platform != "linux":
        raise typer.BadParameter("only Linux can do this", param_hint="--die-with-parent")
    parent = os.getppid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended meanwhile
        raise typer.Exit(0)


def _leave(*_: Any) -> NoReturn:
    raise SystemExit(0)


if __name__ == "__main__":
    app(prog_name="python -m ioc")
