"""Numbers as messages have them: what is not finite is null."""

import math
from collections.abc import Iterable, Mapping
from typing import Any


def number(value: Any) -> float | None:
    """A number as a payload has it, where NaN and infinities are text."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def numbers(values: Iterable[Any] | None) -> list[float | None]:
    """The same of an array."""
    return [number(value) for value in values or ()]


def known(values: Iterable[Any] | None) -> list[float]:
    """An array that holds numbers only; what does not is left out."""
    return [value for value in numbers(values) if value is not None]


def figures(values: Mapping[str, Any] | None) -> dict[str, float | None]:
    """The same of named figures."""
    return {str(name): number(value) for name, value in (values or {}).items()}
