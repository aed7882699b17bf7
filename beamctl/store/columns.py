"""Column types that give back exactly what they were given, on every database."""

import json
import struct
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Dialect, Enum, LargeBinary, String, Text
from sqlalchemy.types import TypeDecorator

from beamctl.store.canonical import canonical, utc_text

_DOUBLE = struct.Struct(">d")


class ExactFloat(TypeDecorator[float]):
    """The eight bytes of a double, most significant first.

    SQLite turns NaN into NULL and -0.0 into 0.0; a raw sample has to come back bit by bit.
    """

    impl = LargeBinary(8)
    cache_ok = True

    def process_bind_param(self, value: float | None, dialect: Dialect) -> bytes | None:
        """To the database."""
        return None if value is None else _DOUBLE.pack(value)

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> float | None:
        """From the database."""
        return None if value is None else float(_DOUBLE.unpack(value)[0])


class Utc(TypeDecorator[datetime]):
    """Wall clock time as ``2026-01-31T12:00:00.000000Z``: sorts and hashes as text; nothing is judged by it."""

    impl = String(27)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> str | None:
        """To the database."""
        return None if value is None else utc_text(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> datetime | None:
        """From the database."""
        return None if value is None else datetime.fromisoformat(value)


class CanonicalJson(TypeDecorator[Any]):
    """JSON as text, written in one way only."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: object, dialect: Dialect) -> str | None:
        """To the database."""
        return None if value is None else canonical(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> object:
        """From the database."""
        return None if value is None else json.loads(value)


def words(kind: type[StrEnum]) -> Enum:
    """A column for one of a few words, stored as the word itself."""
    return Enum(
        kind, native_enum=False, create_constraint=False, length=16, values_callable=lambda k: [m.value for m in k]
    )
