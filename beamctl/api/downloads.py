"""Runs as files, sent piece by piece."""

import tempfile
from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import IO, Any

from fastapi.responses import StreamingResponse

from beamctl.errors import MissingExtraError
from beamctl.store.export import SAMPLE_FIELDS, ExportFormat, exported, exported_samples, sample_fields
from beamctl.store.open import Store
from beamctl.store.samples import Sample

GROUP = 20_000
"""samples of a row group"""
PIECE = 64 * 1024


class SampleFormat(StrEnum):
    """How raw samples are sent."""

    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"


MEDIA = {
    SampleFormat.CSV: "text/csv; charset=utf-8",
    SampleFormat.JSON: "application/json",
    SampleFormat.PARQUET: "application/vnd.apache.parquet",
}
"""Content-Type by form"""


def samples(store: Store, run: int, form: SampleFormat) -> StreamingResponse:
    """The raw samples of a run that there is.

    Raises:
        MissingExtraError: Parquet, without the extra that writes it.
    """
    pieces: Iterator[str] | Iterator[bytes]
    if form is SampleFormat.PARQUET:
        pieces = _parquet(store.samples.stream(run))
    elif form is SampleFormat.CSV:
        pieces = exported(store, run, ExportFormat.CSV)
    else:
        pieces = exported_samples(store, run)
    return _file(pieces, MEDIA[form], f"run-{run}-samples.{form.value}")


def everything(store: Store, run: int) -> StreamingResponse:
    """All that the store has of a run that there is."""
    return _file(exported(store, run, ExportFormat.JSON), "application/json", f"run-{run}.json")


def _file(pieces: Iterator[str] | Iterator[bytes], media: str, name: str) -> StreamingResponse:
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return StreamingResponse(pieces, media_type=media, headers=headers)


def _parquet(found: Iterable[Sample]) -> Iterator[bytes]:
    """As a file without name, which ends with the answer.

    Raises:
        MissingExtraError: at once.
    """
    try:
        import pyarrow
        import pyarrow.parquet as parquet
    except ModuleNotFoundError as error:
        raise MissingExtraError("Parquet", "pyarrow", "parquet") from error
    types = (
        pyarrow.int32(), pyarrow.string(), pyarrow.float64(), pyarrow.string(), pyarrow.int8(), pyarrow.int32(),
        pyarrow.float64(), pyarrow.float64(), pyarrow.int64(), pyarrow.bool_(),
    )  # fmt: skip
    schema = pyarrow.schema(list(zip(SAMPLE_FIELDS, types, strict=True)))
    file = tempfile.TemporaryFile()  # noqa: SIM115 (closed by whoever reads it to the end, or with the answer)
    with parquet.ParquetWriter(file, schema, compression="zstd") as writer:
        for rows in _groups(found):
            writer.write_table(pyarrow.Table.from_pylist(rows, schema))
    file.seek(0)
    return _read(file)


def _groups(found: Iterable[Sample]) -> Iterator[list[dict[str, Any]]]:
    rows: list[dict[str, Any]] = []
    for sample in found:
        rows.append(sample_fields(sample))
        if len(rows) == GROUP:
            yield rows
            rows = []
    if rows:
        yield rows


def _read(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while piece := file.read(PIECE):
            yield piece
