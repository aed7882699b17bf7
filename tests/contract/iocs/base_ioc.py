"""The contract machine as a real EPICS base IOC: ``base_ioc.py PREFIX``."""

import asyncio
import sys
import tempfile

from epicscorelibs.ioc import dbCore
from ioc_control import obey
from softioc import alarm, asyncio_dispatcher, builder, softioc

RAMP_S = 0.3
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
