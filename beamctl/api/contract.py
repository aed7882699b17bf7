"""The contract as OpenAPI 3.1: what the framework derives, and what only we know: gates and problems."""

import hashlib
import json
from functools import cache
from typing import Any

from fastapi.openapi.utils import get_openapi

from beamctl.api.auth.csrf import HEADER
from beamctl.api.auth.sessions import COOKIE
from beamctl.api.problem import CODES, PROBLEM_TYPE
from beamctl.api.routers.all import ROUTERS
from beamctl.api.routing import GatedRoute
from beamctl.api.schemas.problem import Problem
from beamctl.api.version import API_VERSION

_DESCRIPTION = f"""\
The control interface of beamctl. Errors are problems as RFC 9457 has them, with a `code` that stays the same.

Browsers log in by a cookie, and then send the header `{HEADER}: 1` with everything but GET. Programs send
`Authorization: Bearer` with the token of a session or an API key. Times are UTC; numbers that are not known are null.
"""
_SECURITY = {
    "session": {"type": "apiKey", "in": "cookie", "name": COOKIE, "description": f"with {HEADER}: 1 unless it is GET"},
    "bearer": {"type": "http", "scheme": "bearer", "description": "token of a session, or an API key"},
}
_TAG = {"type": "string", "pattern": '^(W/)?"[!#-~]+"$', "maxLength": 1000}
"""a version as ETag has it"""
_EVERYWHERE = (500, 503)
_BEHIND_A_GATE = (401, 403)
_WITH_BODY = (400, 408, 413, 415)
_WITH_IF_MATCH = (412, 428)


@cache
def contract() -> dict[str, Any]:
    """The contract; made once."""
    routes = [route for router in ROUTERS for route in router.routes]
    made = get_openapi(title="beamctl", version=API_VERSION, description=_DESCRIPTION, routes=routes)
    schemas = made.setdefault("components", {}).setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(problem.pop("$defs"))
    schemas["Problem"] = problem
    made["components"]["securitySchemes"] = _SECURITY
    statuses = sorted({status for status, _ in CODES.values()})
    made["components"]["responses"] = {f"Problem{status}": _problem(status) for status in statuses}
    for route in routes:
        if isinstance(route, GatedRoute) and route.include_in_schema:
            for method in route.methods or ():
                _complete(made["paths"][route.path_format][method.lower()], route, method)
    return made


def contract_hash() -> str:
    """SHA-256 of what clients rely on: paths and messages."""
    told = {part: contract()[part] for part in ("paths", "components")}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _complete(operation: dict[str, Any], route: GatedRoute, method: str) -> None:
    """Add who may, and what can go wrong."""
    role = route.gate.role
    operation["security"] = [] if role is None else [{name: []} for name in _SECURITY]
    operation["x-least-role"] = "public" if role is None else role.value
    for parameter in operation.get("parameters", []):
        if _is_if_match(parameter):
            parameter["schema"] = _TAG
            parameter["required"] = method != "POST"  # a command may need it, a change of a thing always does
    responses = operation["responses"]
    responses.pop("422", None)
    for status in _statuses(operation, route, method):
        responses.setdefault(str(status), {})
    for status, response in responses.items():
        if int(status) >= 400 and "content" not in response:
            responses[status] = {"$ref": f"#/components/responses/Problem{status}"}
    operation["responses"] = dict(sorted(responses.items()))


def _problem(status: int) -> dict[str, Any]:
    """What a status says, whatever was asked."""
    titles = [title for known, title in CODES.values() if known == status]
    content = {PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {"description": "; ".join(titles), "content": content}


def _statuses(operation: dict[str, Any], route: GatedRoute, method: str) -> list[int]:
    parameters = operation.get("parameters", [])
    statuses = [*_EVERYWHERE]
    if route.gate.role is not None:
        statuses += _BEHIND_A_GATE
    if route.body_field is not None:
        statuses += _WITH_BODY
    if parameters or route.body_field is not None:
        statuses.append(422)
    if any(parameter["in"] == "path" for parameter in parameters):
        statuses.append(404)
    if any(map(_is_if_match, parameters)):
        statuses += _WITH_IF_MATCH
    if method != "GET":
        statuses.append(409)
    return statuses


def _is_if_match(parameter: dict[str, Any]) -> bool:
    return str(parameter["name"]).lower() == "if-match"
