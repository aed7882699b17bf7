"""A run as a file for others: everything as JSON, or its raw samples as CSV."""

import csv
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from enum import StrEnum
from typing import Any, TextIO

from beamctl.store.canonical import canonical
from beamctl.store.events import Event
from beamctl.store.open import Store
from beamctl.store.samples import Sample

SAMPLE_FIELDS = ("step", "pv", "value", "text", "severity", "status", "stamp", "received", "seq", "connected")


class ExportFormat(StrEnum):
    """How a run is written."""

    JSON = "json"
    CSV = "csv"


def export_run(store: Store, run: int, form: ExportFormat, out: TextIO) -> None:
    """Write a run.

    JSON: one object with ``run``, ``request``, ``events``, ``intents`` and ``samples``, NaN and infinities as strings.
    CSV: the samples, with a header line. Numbers are written so that reading them gives the same double again.

    Raises:
        StoreConflictError: there is no such run.
    """
    if form is ExportFormat.CSV:
        _write_csv(store, run, out)
    else:
        _write_json(store, run, out)


def _write_csv(store: Store, run: int, out: TextIO) -> None:
    store.runs.get(run)
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(SAMPLE_FIELDS)
    writer.writerows(_sample(sample).values() for sample in store.samples.stream(run))


def _write_json(store: Store, run: int, out: TextIO) -> None:
    found = store.runs.get(run)
    request = None if found.request is None else store.requests.get(found.request)
    out.write(f'{{"run":{canonical(found)},\n"request":{canonical(request)}')
    for name, items in (
        ("events", _events(store, run)),
        ("intents", store.journal.of_run(run)),
        ("samples", map(_sample, store.samples.stream(run))),
    ):
        out.write(f',\n"{name}":[')
        _write_items(items, out)
        out.write("]")
    out.write("}\n")


def _write_items(items: Iterable[Any], out: TextIO) -> None:
    first = True
    for item in items:
        out.write(("\n" if first else ",\n") + canonical(item))
        first = False


def _events(store: Store, run: int) -> Iterator[Event]:
    after = 0
    while page := store.events.read(after, run):
        yield from page
        after = page[-1].seq


def _sample(sample: Sample) -> dict[str, object]:
    reading, is_text = sample.reading, isinstance(sample.reading.value, str)
    values = asdict(reading) | {"step": sample.step, "pv": sample.pv, "severity": int(reading.severity)}
    values |= {"value": None if is_text else reading.value, "text": reading.value if is_text else None}
    return {name: values[name] for name in SAMPLE_FIELDS}
