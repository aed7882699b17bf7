"""One text for one value: what is hashed must not depend on who wrote it down."""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, is_dataclass
from datetime import UTC, datetime
from typing import Any


def canonical(value: object) -> str:
    """Compact JSON with sorted keys, ASCII only.

    JSON has no NaN and no infinity; they become the strings ``"NaN"``, ``"Infinity"`` and ``"-Infinity"``, for an
    event must not be lost because of the very reading that it tells of. NumPy arrays become lists, data classes
    become objects, and what is none of these becomes its ``str``.
    """
    return json.dumps(_plain(value, _as_word), sort_keys=True, separators=(",", ":"), allow_nan=False)


def browser_json(value: object) -> str:
    """As :func:`canonical`, for browsers: NaN and infinities become null."""
    return json.dumps(_plain(value, _as_null), separators=(",", ":"), allow_nan=False)


def utc_text(time: datetime) -> str:
    """Fixed width, microseconds, UTC."""
    return f"{time.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='microseconds')}Z"


def _as_word(value: float) -> str:
    return json.dumps(value)


def _as_null(value: float) -> None:
    return None


def _plain(value: Any, odd: Callable[[float], Any]) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else odd(float(value))
    if isinstance(value, datetime):
        return utc_text(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item, odd) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item, odd) for item in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist(), odd)
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value), odd)
    return str(value)
