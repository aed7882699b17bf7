"""JSON as strict as RFC 8259 has it, and errors that say where it is not."""

import json
from typing import Any, NoReturn

from fastapi import Request

from beamctl.api.problem import ProblemError
from beamctl.api.schemas.base import LARGEST_ID

_DIGITS = 40
"""longer numbers are of no use to anybody"""


class JsonRequest(Request):
    """A request whose JSON body is read strictly."""

    async def json(self) -> Any:
        """The body.

        Raises:
            ProblemError: it is not JSON; says why. (The framework wraps it: see ``beamctl.api.faults.on_http``.)
        """
        return parsed(await self.body())


def parsed(body: bytes) -> Any:
    """JSON without NaN, infinities, repeated names, halves of characters, or nesting without end.

    Raises:
        ProblemError: it is not; says where.
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _bad(f"byte {error.start} is not UTF-8") from None
    try:
        value = json.loads(
            text, parse_constant=_constant, parse_float=_float, parse_int=_int, object_pairs_hook=_unrepeated
        )
        if "\\u" in text:
            _check_characters(value)
    except json.JSONDecodeError as error:
        raise _bad(f"{error.msg}, line {error.lineno} column {error.colno}") from None
    except RecursionError:
        raise _bad("it is nested too deeply") from None
    return value


def has_json(request: Request) -> bool:
    """Whether the body is said to be JSON."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))


def has_body(request: Request) -> bool:
    """Whether there is one."""
    return request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers


def _constant(text: str) -> NoReturn:
    raise _bad(f"{text} is no number in JSON; leave out what is not known")


def _float(text: str) -> float | int:
    """A number; a whole one however it is written, for JSON knows no difference between 3 and 3.0."""
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise _bad("a number is larger than any double")
    return int(value) if value.is_integer() and abs(value) <= LARGEST_ID else value


def _int(text: str) -> int:
    if len(text) > _DIGITS:
        raise _bad(f"a number has {len(text)} digits")
    return int(text)


def _unrepeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _bad("a name is there twice in one object")
    return found


def _check_characters(value: Any) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        raise _bad("half of a character (surrogate) stands alone") from None


def _bad(what: str) -> ProblemError:
    return ProblemError("bad-request", f"the body is not JSON: {what}")
