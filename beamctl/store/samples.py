"""What was read, bit by bit, as it arrived."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, insert, select

from beamctl.engine.base import Reading, Severity
from beamctl.store.database import Database
from beamctl.store.schema import SampleRow

PAGE = 2000


@dataclass(frozen=True, slots=True)
class Sample:
    """One reading of a step."""

    step: int
    pv: str
    reading: Reading


class Samples:
    """The raw samples of a store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def append(self, run: int, step: int, readings: Iterable[tuple[str, Reading]]) -> None:
        """Write down all readings of a step, at once; a PV may come more than once."""
        rows = [_values(run, step, pv, reading) for pv, reading in readings]
        if rows:
            with self._database.write() as connection:
                connection.execute(insert(SampleRow), rows)

    def read(self, run: int, step: int | None = None) -> list[Sample]:
        """Those of a run, or of one step of it, in the order in which they were appended."""
        return list(self.stream(run, step))

    def stream(self, run: int, step: int | None = None) -> Iterator[Sample]:
        """As :meth:`read`, without holding them all, nor a transaction while whoever takes them is slow."""
        after = 0
        while rows := self._page(run, step, after):
            yield from map(_sample, rows)
            after = rows[-1].id

    def _page(self, run: int, step: int | None, after: int) -> Sequence[Row[Any]]:
        query = select(SampleRow).where(SampleRow.run == run, SampleRow.id > after).order_by(SampleRow.id).limit(PAGE)
        if step is not None:
            query = query.where(SampleRow.step == step)
        with self._database.read() as connection:
            return connection.execute(query).all()


def _sample(row: Row[Any]) -> Sample:
    value = row.text if row.value is None else row.value
    severity = Severity(row.severity)
    reading = Reading(value, severity, row.status, row.stamp, row.received, row.seq, row.connected)
    return Sample(row.step, row.pv, reading)


def _values(run: int, step: int, pv: str, reading: Reading) -> dict[str, object]:
    is_text = isinstance(reading.value, str)
    return {
        "run": run,
        "step": step,
        "pv": pv,
        "value": None if is_text else reading.value,
        "text": reading.value if is_text else None,
        "severity": int(reading.severity),
        "status": int(reading.status),
        "stamp": reading.stamp,
        "received": reading.received,
        "seq": reading.seq,
        "connected": reading.connected,
    }
