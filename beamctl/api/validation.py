"""What is wrong with a message, in words, without repeating what was sent."""

from collections.abc import Iterable, Mapping
from typing import Any

from beamctl.api.schemas.problem import FieldFault

MOST_FAULTS = 20
"""more are not told at once"""
_WHOLE = "has to be a whole number"
_NUMBER = "has to be a number"
_WORDS = {
    "missing": "is missing",
    "extra_forbidden": "is not known here",
    "string_type": "has to be text",
    "string_unicode": "has to be text",
    "string_too_short": "has to have at least {min_length} characters",
    "string_too_long": "has to have at most {max_length} characters",
    "string_pattern_mismatch": "has to match {pattern}",
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_from_float": _WHOLE,
    "int_parsing_size": "is too large",
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "finite_number": "has to be a finite number",
    "bool_type": "has to be true or false",
    "bool_parsing": "has to be true or false",
    "greater_than": "has to be more than {gt}",
    "greater_than_equal": "has to be at least {ge}",
    "less_than": "has to be less than {lt}",
    "less_than_equal": "has to be at most {le}",
    "literal_error": "has to be {expected}",
    "enum": "has to be {expected}",
    "list_type": "has to be a list",
    "too_short": "has to have at least {min_length}",
    "too_long": "has to have at most {max_length}",
    "model_attributes_type": "has to be an object",
    "model_type": "has to be an object",
    "dict_type": "has to be an object",
}


def field_faults(errors: Iterable[Mapping[str, Any]]) -> list[FieldFault]:
    """Faults of the fields from what pydantic has found."""
    return [FieldFault(where=_where(error), message=_message(error)) for error in errors][:MOST_FAULTS]


def _where(error: Mapping[str, Any]) -> str:
    return ".".join(map(str, error["loc"]))[:200]


def _message(error: Mapping[str, Any]) -> str:
    words = _WORDS.get(error["type"])
    if words is None:
        return str(error["msg"])[:300]
    return words.format_map(error.get("ctx") or {})
