"""A run as a file for others: everything as JSON, or its raw samples as CSV."""

import csv
import io
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from enum import StrEnum
from typing import Any, TextIO

from beamctl.store.canonical import canonical
from beamctl.store.events import Event
from beamctl.store.open import Store
from beamctl.store.runs import Run
from beamctl.store.samples import Sample

SAMPLE_FIELDS = ("step", "pv", "value", "text", "severity", "status", "stamp", "received", "seq", "connected")
PIECE = 64 * 1024
"""about so many characters are given out at once"""


class ExportFormat(StrEnum):
    """How a run is written."""

    JSON = "json"
    CSV = "csv"


def export_run(store: Store, run: int, form: ExportFormat, out: TextIO) -> None:
    """Write a run; see :func:`exported`."""
    for text in exported(store, run, form):
        out.write(text)


def exported(store: Store, run: int, form: ExportFormat) -> Iterator[str]:
    """A run piece by piece.

    JSON: one object with ``run``, ``request``, ``events``, ``intents`` and ``samples``, NaN and infinities as strings.
    CSV: the samples, with a header line. Numbers are written so that reading them gives the same double again.

    Raises:
        StoreConflictError: there is no such run; before the first piece.
    """
    found = store.runs.get(run)
    return _csv(store, run) if form is ExportFormat.CSV else _json(store, found)


def exported_samples(store: Store, run: int) -> Iterator[str]:
    """The samples of a run as a JSON array, piece by piece; errors as :func:`exported`."""
    store.runs.get(run)
    return itertools.chain(["["], _items(map(sample_fields, store.samples.stream(run))), ["]\n"])


def sample_fields(sample: Sample) -> dict[str, Any]:
    """A sample by the names of SAMPLE_FIELDS."""
    reading, is_text = sample.reading, isinstance(sample.reading.value, str)
    values = asdict(reading) | {"step": sample.step, "pv": sample.pv, "severity": int(reading.severity)}
    values |= {"value": None if is_text else reading.value, "text": reading.value if is_text else None}
    return {name: values[name] for name in SAMPLE_FIELDS}


def _csv(store: Store, run: int) -> Iterator[str]:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(SAMPLE_FIELDS)
    for sample in store.samples.stream(run):
        writer.writerow(sample_fields(sample).values())
        if out.tell() > PIECE:
            yield _taken(out)
    yield _taken(out)


def _taken(out: io.StringIO) -> str:
    text = out.getvalue()
    out.seek(0)
    out.truncate()
    return text


def _json(store: Store, run: Run) -> Iterator[str]:
    request = None if run.request is None else store.requests.get(run.request)
    yield f'{{"run":{canonical(run)},\n"request":{canonical(request)}'
    for name, items in (
        ("events", _events(store, run.id)),
        ("intents", store.journal.of_run(run.id)),
        ("samples", map(sample_fields, store.samples.stream(run.id))),
    ):
        yield f',\n"{name}":['
        yield from _items(items)
        yield "]"
    yield "}\n"


def _items(items: Iterable[Any]) -> Iterator[str]:
    """Items of an array, several in a piece."""
    lines, size = "", 0
    for item in items:
        line = ("\n" if not size else ",\n") + canonical(item)
        lines, size = lines + line, size + len(line)
        if len(lines) > PIECE:
            yield lines
            lines = ""
    yield lines


def _events(store: Store, run: int) -> Iterator[Event]:
    after = 0
    while page := store.events.read(after, run):
        yield from page
        after = page[-1].seq
