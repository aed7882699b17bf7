"""Records without a network: what they say of themselves, what they take, what they publish."""

import asyncio
import math

import pytest
from caproto import AccessRights, AlarmStatus, ChannelType, TimeStamp

from beamctl.engine.base import Severity
from beamctl.engine.simulated.channel import Role
from beamctl.engine.simulated.channels import machine_channels
from beamctl.machine.loader import load_machine
from ioc.records import RECORD_TYPES, make_records

MACHINE = load_machine("cafe2")
CHANNELS = machine_channels(MACHINE)
STAMP = TimeStamp.from_unix_timestamp(1_700_000_000.25)
SETPOINT, READBACK, BPM = "HCM1_PS:DCH_01:ISet", "HCM1_PS:DCH_01:IMon", "Bpm:6-X11"


@pytest.fixture
def records():
    return make_records(CHANNELS, "P:")


def values(record, *fields):
    return [record.get_field(field).value for field in fields]


def put(record, *data, data_type=ChannelType.DOUBLE):
    return asyncio.run(record.auth_write("host", "user", list(data), data_type, None)).name


def test_every_channel_has_a_record_whose_description_a_database_would_take(records):
    assert list(records) == [channel.pv for channel in CHANNELS]
    assert max(len(channel.description) for channel in CHANNELS) <= 40
    assert set(RECORD_TYPES) == set(Role)


def test_a_setpoint_is_an_ao_with_control_limits(records):
    assert values(records[SETPOINT], "NAME", "RTYP", "EGU", "PREC") == [f"P:{SETPOINT}", "ao", "A", 3]
    assert values(records[SETPOINT], "DRVL", "DRVH", "LOPR", "HOPR") == [-74.0, 74.0, -74.0, 74.0]
    assert records[SETPOINT].lower_ctrl_limit == -74.0
    assert records[SETPOINT].upper_ctrl_limit == 74.0


def test_only_setpoints_have_control_limits(records):
    limited = {
        pv for pv, r in records.items() if getattr(r, "lower_ctrl_limit", 0) != getattr(r, "upper_ctrl_limit", 0)
    }
    assert limited == {channel.pv for channel in CHANNELS if channel.role is Role.SETPOINT}
    with pytest.raises(KeyError):
        records[READBACK].get_field("DRVH")


def test_a_bpm_is_an_ai_with_alarm_limits(records):
    fields = ("RTYP", "EGU", "HIHI", "HIGH", "LOW", "LOLO", "HHSV", "HSV", "LSV", "LLSV", "SCAN")
    assert values(records[BPM], *fields) == [
        "ai", "mm", 10.0, 5.0, -5.0, -10.0, "MAJOR", "MINOR", "MINOR", "MAJOR", ".1 second"
    ]  # fmt: skip


def test_only_what_may_be_put_is_writable(records):
    writable = {pv for pv, record in records.items() if AccessRights.WRITE in record.check_access("host", "user")}
    assert writable == {c.pv for c in CHANNELS if c.role in (Role.SETPOINT, Role.PERMIT, Role.ENABLE, Role.SEED)}
    assert put(records[READBACK], 1.0) == "ECA_NOWTACCESS"


@pytest.mark.parametrize("field", ["DRVH", "EGU", "RTYP", "STAT"])
def test_fields_are_read_only(records, field):
    access = records[SETPOINT].get_field(field).check_access("host", "user")
    assert access == AccessRights.READ


@pytest.mark.parametrize("pv", [SETPOINT, MACHINE.simulation.seed, MACHINE.permit])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_put_that_is_not_finite_is_refused_and_leaves_no_alarm(records, caplog, pv, value):
    taken = []

    async def take(number, _):
        taken.append(number)

    records[pv].on_put = take
    assert put(records[pv], value) == "ECA_PUTFAIL"
    assert f"P:{pv}: {value} is not a finite number" in caplog.text
    assert not taken
    assert records[pv].alarm.severity == Severity.NO_ALARM


def test_a_put_reaches_its_handler_with_its_sender(records):
    taken = []

    def taker(pv):
        async def take(number, who):
            assert who == "user@host"
            taken.append((pv, number))

        return take

    for pv, record in records.items():
        record.on_put = taker(pv)
    assert put(records[SETPOINT], 500.0) == "ECA_NORMAL"
    put(records[SETPOINT], b"2.5", data_type=ChannelType.STRING)
    put(records[MACHINE.simulation.seed], 7.0)
    put(records[MACHINE.permit], b"no beam", data_type=ChannelType.STRING)
    put(records[MACHINE.permit], 1, data_type=ChannelType.ENUM)
    assert taken == [
        (SETPOINT, 500.0),
        (SETPOINT, 2.5),
        (MACHINE.simulation.seed, 7.0),
        (MACHINE.permit, 0.0),
        (MACHINE.permit, 1.0),
    ]


def test_text_that_is_no_value_is_refused(records):
    assert put(records[MACHINE.permit], b"perhaps", data_type=ChannelType.STRING) == "ECA_PUTFAIL"


def test_a_record_that_nobody_listens_to_refuses(records):
    assert put(records[SETPOINT], 1.0) == "ECA_PUTFAIL"


@pytest.mark.parametrize(
    ("value", "severity", "status"),
    [
        (1.0, Severity.NO_ALARM, AlarmStatus.NO_ALARM),
        (6.0, Severity.MINOR, AlarmStatus.HIGH),
        (-6.0, Severity.MINOR, AlarmStatus.LOW),
        (11.0, Severity.MAJOR, AlarmStatus.HIHI),
        (-11.0, Severity.MAJOR, AlarmStatus.LOLO),
        (0.3, Severity.INVALID, AlarmStatus.READ),
        (math.nan, Severity.INVALID, AlarmStatus.READ),
    ],
)
def test_a_published_value_carries_alarm_and_stamp(records, value, severity, status):
    bpm = records[BPM]
    bpm.get_field("SEVR")
    asyncio.run(bpm.post(value, severity, STAMP))
    assert bpm.value == pytest.approx(value, nan_ok=True)
    assert (bpm.alarm.severity, bpm.alarm.status) == (severity, status)
    assert bpm.timestamp == 1_700_000_000.25
    assert values(bpm, "SEVR", "STAT") == [["NO_ALARM", "MINOR", "MAJOR", "INVALID"][severity], status.name]


def test_alarm_fields_that_are_first_read_during_an_alarm_show_it(records):
    asyncio.run(records[BPM].post(-11.0, Severity.MAJOR, STAMP))
    assert values(records[BPM], "SEVR", "STAT") == ["MAJOR", "LOLO"]


def test_an_alarm_stays_with_its_record(records):
    asyncio.run(records[BPM].post(11.0, Severity.MAJOR, STAMP))
    assert [pv for pv, record in records.items() if record.alarm.severity != Severity.NO_ALARM] == [BPM]


def test_nothing_stops_what_the_ioc_publishes(records):
    for value in (1e9, -math.inf, math.nan):
        asyncio.run(records[SETPOINT].post(value, Severity.NO_ALARM, STAMP))
        assert records[SETPOINT].value == pytest.approx(value, nan_ok=True)
