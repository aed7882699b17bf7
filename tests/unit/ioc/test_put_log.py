"""The log of puts: as received, at once, and before anything is checked."""

import asyncio
import contextlib
import time

import numpy as np
import pytest
from caproto import ChannelType

from beamctl.engine.simulated.channel import Channel, Role
from ioc.put_log import PutLog
from ioc.records import make_records


@pytest.mark.parametrize("value", [1.5, 1e6, float("nan"), float("-inf")])
def test_a_put_is_logged_before_it_is_judged(tmp_path, value):
    file = tmp_path / "puts"
    [record] = make_records(
        [Channel("P", Role.SETPOINT, "a supply", units="A", lo=-1.0, hi=1.0, writable=True)], "X:"
    ).values()
    log = PutLog(file)
    record.on_received = log.note
    before = time.time()
    asyncio.run(refused_or_not(record, value))
    at, pv, logged = file.read_text().split()  # there before it is closed
    log.close()
    assert before - 0.001 <= float(at) <= time.time() + 0.001
    assert pv == "X:P"
    assert np.isclose(float(logged), value, equal_nan=True)


async def refused_or_not(record, value) -> None:
    with contextlib.suppress(ValueError):
        await record.write_from_dbr(np.array([value]), ChannelType.DOUBLE, None)
