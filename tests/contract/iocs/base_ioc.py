"""The contract machine as a real EPICS base IOC: ``base_ioc.py PREFIX``."""

import asyncio
import sys
import tempfile
import time
from pathlib import Path

from epicscorelibs.ioc import dbCore
from ioc_control import obey
from softioc import alarm, asyncio_dispatcher, builder, softioc

EPICS = Path(__file__).parents[3] / "deploy" / "epics"
FENCED = {"SET1": "LO=-50,HI=50", "SET2": "LO={p}:SET2.DRVL,HI={p}:SET2.DRVH", "SET3": "LO=-5,HI=4"} | dict.fromkeys(
    ("SLOW", "GATED", "REFUSING", "READONLY", "TARDY", "SOFT"), "LO=-10,HI=10"
)
"""fences stand in front of these; their limits"""
ODD_FENCES = {
    "NOLIMITS": ("SET1", "LO=0,HI=0"),
    "NOLINK": ("SET1", "LO={p}:NOWHERE,HI=5"),
    "ASTRAY": ("NOWHERE", "LO=-5,HI=5"),
}
"""set up wrongly; setpoint and limits"""
RAMP_S = 0.3
TARDY_S = 0.3
ACCESS = """
ASG(DEFAULT) { RULE(1, READ) RULE(1, WRITE) }
ASG(MONITORED) { RULE(1, READ) }
"""


def restrict_access() -> None:
    with tempfile.NamedTemporaryFile("w", suffix=".acf", delete=False) as file:
        file.write(ACCESS)
    dbCore.asSetFilename(file.name.encode())


def counter(name: str) -> None:
    builder.records.calc(name, CALC="VAL+1", SCAN=".1 second", PREC=0)


def take_time(_: object, __: float) -> bool:
    """Within the processing of the record."""
    time.sleep(TARDY_S)
    return True


def load_fences(prefix: str) -> None:
    softioc.dbLoadDatabase(str(EPICS / "fence_clock.db"), substitutions=f"P={prefix}:")
    fences = {f"{name}:FENCE": (name, limits) for name, limits in FENCED.items()} | ODD_FENCES
    for name, (setpoint, limits) in fences.items():
        macros = f"P={prefix}:{name}:,SETPOINT={prefix}:{setpoint},{limits.format(p=prefix)}"
        softioc.dbLoadDatabase(str(EPICS / "fence.db"), substitutions=macros)


def main() -> None:
    prefix = sys.argv[1]
    dispatcher = asyncio_dispatcher.AsyncioDispatcher()
    gate = asyncio.Event()
    gate.set()
    builder.SetDeviceName(prefix)

    for number in (1, 2, 3):
        builder.aOut(f"SET{number}", DRVL=-5, DRVH=5, EGU="A", PREC=3, initial_value=0.0)
    builder.aOut("FREE", initial_value=0.0)
    builder.aOut("REFUSING", DISP=1, initial_value=1.0)
    builder.aOut("READONLY", ASG="MONITORED", initial_value=2.0)
    builder.boolOut("SWITCH", ZNAM="off", ONAM="on", initial_value=0)
    builder.longOut("COUNT", DRVL=-10, DRVH=10, EGU="turns", initial_value=0)
    builder.stringIn("IDENTITY", initial_value="contract machine")
    counter("SCANNED")
    counter("HEARTBEAT")
    builder.aOut("TARDY", validate=take_time, initial_value=0.0)
    builder.records.ao("SOFT", DTYP="Soft Channel", DRVL=-5, DRVH=5)
    bad = builder.aIn("BAD", initial_value=1.5)
    arrived = builder.aOut("SLOW:RBV", initial_value=0.0)

    async def ramp(value: float) -> None:
        await asyncio.sleep(RAMP_S)
        arrived.set(value)

    async def pass_gate(_: float) -> None:
        await gate.wait()

    blocking = {"blocking": True, "always_update": True, "initial_value": 0.0}
    builder.aOut("SLOW", on_update=ramp, **blocking)
    builder.aOut("GATED", on_update=pass_gate, **blocking)

    builder.LoadDatabase()
    load_fences(prefix)
    restrict_access()
    softioc.iocInit(dispatcher, enable_pva=False)
    bad.set(1.5, severity=alarm.INVALID_ALARM, alarm=alarm.READ_ALARM)

    def hold() -> None:
        dispatcher.loop.call_soon_threadsafe(gate.clear)

    def release() -> None:
        dispatcher.loop.call_soon_threadsafe(gate.set)

    obey({"hold": hold, "release": release})
    asyncio.run(asyncio.Event().wait())


main()
