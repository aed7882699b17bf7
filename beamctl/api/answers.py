"""Answers that are no data."""

import json
from collections.abc import Sequence

from fastapi import Response

from beamctl.api.problem import PROBLEM_TYPE, ProblemError
from beamctl.api.schemas.problem import FieldFault, Problem


def problem_response(error: ProblemError, faults: Sequence[FieldFault] = ()) -> Response:
    """A problem as RFC 9457 has it."""
    problem = Problem(
        type=f"urn:beamctl:problem:{error.code}",
        title=error.title,
        status=int(error.status),
        detail=_sendable(error.detail),
        code=error.code,
        faults=[FieldFault(where=_sendable(f.where), message=_sendable(f.message)) for f in faults],
    )
    body = json.dumps(problem.model_dump(mode="json"))
    return Response(body, int(error.status), headers=error.headers, media_type=PROBLEM_TYPE)


def _sendable(text: str) -> str:
    """Without halves of characters, which no client could decode."""
    return text.encode("utf-8", "replace").decode()
