"""The contract machine as a plain caproto IOC: ``caproto_ioc.py PREFIX``."""

import asyncio
import os
import socket
import sys

# Read when caproto is imported; the default of 10 ms delays every update and answer.
os.environ.setdefault("CAPROTO_SERVER_HIGH_LOAD_TIMEOUT_SEC", "0.001")

import caproto
from caproto.asyncio import server
from ioc_control import obey

RAMP_S = 0.3
PERIOD_S = 0.1


class PromptCircuit(server.VirtualCircuit):
    """Answers at once: Nagle's algorithm holds small answers back for up to 40 ms."""

    def __init__(self, circuit, client, context):
        super().__init__(circuit, client, context)
        client.writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class PromptContext(server.Context):
    CircuitClass = PromptCircuit


class Number(caproto.ChannelDouble):
    """An alarm of its own, and no limits unless given."""

    def __init__(self, value=0.0, **kwargs):
        super().__init__(value=value, alarm=kwargs.pop("alarm", None) or caproto.ChannelAlarm(), **kwargs)


class Clamped(Number):
    async def verify_value(self, data):
        return min(max(data, self.lower_ctrl_limit), self.upper_ctrl_limit)


class Refusing(Number):
    async def verify_value(self, data):
        raise ValueError("refused on purpose")


class ReadOnly(Number):
    def check_access(self, hostname, username):
        return caproto.AccessRights.READ


class Slow(Number):
    def __init__(self, arrived):
        super().__init__()
        self.arrived = arrived

    async def write_from_dbr(self, data, data_type, metadata, *, flags=0):
        await super().write_from_dbr(data, data_type, metadata, flags=flags)
        await asyncio.sleep(RAMP_S)
        await self.arrived.write(self.value)


class Gated(Number):
    def __init__(self, gate):
        super().__init__()
        self.gate = gate

    async def write_from_dbr(self, data, data_type, metadata, *, flags=0):
        await super().write_from_dbr(data, data_type, metadata, flags=flags)
        await self.gate.wait()


def database(gate):
    limits = {"units": "A", "precision": 3, "lower_ctrl_limit": -5.0, "upper_ctrl_limit": 5.0}
    arrived = Number()
    return {
        **{f"SET{number}": Clamped(**limits) for number in (1, 2, 3)},
        "FREE": Number(),
        "REFUSING": Refusing(1.0),
        "READONLY": ReadOnly(2.0),
        "SWITCH": caproto.ChannelEnum(value="off", enum_strings=["off", "on"]),
        "COUNT": caproto.ChannelInteger(
            value=0, units="turns", lower_ctrl_limit=-10, upper_ctrl_limit=10, alarm=caproto.ChannelAlarm()
        ),
        "IDENTITY": caproto.ChannelString(value="contract machine"),
        "SCANNED": Number(),
        "HEARTBEAT": Number(),
        "BAD": Number(
            1.5,
            alarm=caproto.ChannelAlarm(status=caproto.AlarmStatus.READ, severity=caproto.AlarmSeverity.INVALID_ALARM),
        ),
        "SLOW": Slow(arrived),
        "SLOW:RBV": arrived,
        "GATED": Gated(gate),
    }


async def beat(*channels):
    while True:
        await asyncio.sleep(PERIOD_S)
        for channel in channels:
            await channel.write(channel.value + 1)


async def main():
    loop = asyncio.get_running_loop()
    gate = asyncio.Event()
    gate.set()
    channels = database(gate)
    context = PromptContext({f"{sys.argv[1]}:{name}": channel for name, channel in channels.items()})

    async def on_start(_):
        obey(
            {
                "hold": lambda: loop.call_soon_threadsafe(gate.clear),
                "release": lambda: loop.call_soon_threadsafe(gate.set),
            }
        )
        await beat(channels["SCANNED"], channels["HEARTBEAT"])

    await context.run(startup_hook=on_start)


asyncio.run(main())
