"""What is wrong with a message, in words, without repeating what was sent."""

from collections.abc import Iterable, Mapping
from typing import Any

from beamctl.api.schemas.problem import FieldFault

MOST_FAULTS = 20
"""more are not told at once"""


def field_faults(errors: Iterable[Mapping[str, Any]]) -> list[FieldFault]:
    """Faults of the fields from what pydantic has found."""
    found = [FieldFault(where=".".join(map(str, e["loc"]))[:200], message=str(e["msg"])[:300]) for e in errors]
    return found[:MOST_FAULTS]
