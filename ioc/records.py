"""The PVs of a machine as records."""

from collections.abc import Iterable

from beamctl.engine.simulated.channel import Channel, Role
from beamctl.status.ca.definition import Definition, RecordType
from beamctl.status.ca.records import Record, make_record

RECORD_TYPES: dict[Role, RecordType] = {
    Role.SETPOINT: "ao",
    Role.READBACK: "ai",
    Role.BPM: "ai",
    Role.CURRENT: "ai",
    Role.PERMIT: "bo",
    Role.ENABLE: "bo",
    Role.HEARTBEAT: "longin",
    Role.SEED: "longout",
    Role.IDENTITY: "stringin",
    Role.SCENARIO: "stringin",
}
STATES = {Role.PERMIT: ("no beam", "beam allowed"), Role.ENABLE: ("tuners off", "tuners allowed")}
"""names of 0 and 1"""


def make_records(channels: Iterable[Channel], prefix: str = "") -> dict[str, Record]:
    """A record for each channel, by the channel's PV (without prefix); zero until the first post."""
    return {channel.pv: make_record(_definition(channel, prefix)) for channel in channels}


def _definition(channel: Channel, prefix: str) -> Definition:
    is_scanned = not channel.writable and not channel.is_text
    return Definition(
        name=prefix + channel.pv,
        record_type=RECORD_TYPES[channel.role],
        description=channel.description,
        units=channel.units,
        precision=channel.precision,
        lo=channel.lo,
        hi=channel.hi,
        minor=channel.minor,
        major=channel.major,
        states=STATES.get(channel.role, ()),
        writable=channel.writable,
        scan=".1 second" if is_scanned else "Passive",
    )
