"""What a run has measured, and its export, on every database."""

import json
import math
import random
import struct
from io import StringIO

import pytest

from beamctl.engine.base import Reading, Severity
from beamctl.errors import (
    StoreConflictError,
)
from beamctl.store.export import ExportFormat, export_run
from beamctl.store.journal import Put


def bits(value):
    return value if isinstance(value, str) else struct.pack(">d", value)


def test_samples_come_back_bit_by_bit(store, run):
    random_ = random.Random(20261124)
    values = [0.0, -0.0, math.nan, -math.nan, math.inf, -math.inf, 5e-324, 1.7976931348623157e308, "CAFE2", "", "nan"]
    values += [struct.unpack(">d", random_.randbytes(8))[0] for _ in range(200)]
    readings = [
        (
            f"pv{i % 3}",
            Reading(value, Severity(i % 4), i, -0.0 if i % 2 else 1.1, -math.inf if i % 3 else 2.2, i, i < 5),
        )
        for i, value in enumerate(values)
    ]
    store.samples.append(run.id, 7, readings)
    store.samples.append(run.id, 8, readings[:1])
    store.samples.append(run.id, 9, [])
    found = store.samples.read(run.id, 7)
    assert len(store.samples.read(run.id)) == len(readings) + 1
    for (pv, sent), got in zip(readings, found, strict=True):
        assert (got.step, got.pv, got.reading.severity) == (7, pv, sent.severity)
        for name in ("value", "stamp", "received"):
            assert bits(getattr(got.reading, name)) == bits(getattr(sent, name))
        for name in ("status", "seq", "connected"):
            assert getattr(got.reading, name) == getattr(sent, name)


def test_a_run_is_exported(store, lease, run):
    store.journal.intend(lease, run.id, [Put("a", 0.0, 0.1)])
    store.samples.append(run.id, 1, [("x", Reading(0.1)), ("y", Reading(math.nan)), ("id", Reading("CAFE2"))])
    out = StringIO()
    export_run(store, run.id, ExportFormat.JSON, out)
    whole = json.loads(out.getvalue())
    assert whole["run"]["id"] == run.id
    assert [event["kind"] for event in whole["events"]] == ["created"]
    assert whole["intents"][0]["new"] == 0.1
    assert [sample["value"] for sample in whole["samples"]] == [0.1, "NaN", None]
    out = StringIO()
    export_run(store, run.id, ExportFormat.CSV, out)
    assert out.getvalue().splitlines()[1:] == [
        "1,x,0.1,,3,0,0.0,-inf,0,False",
        "1,y,nan,,3,0,0.0,-inf,0,False",
        "1,id,,CAFE2,3,0,0.0,-inf,0,False",
    ]
    with pytest.raises(StoreConflictError):
        export_run(store, run.id + 1, ExportFormat.CSV, out)
