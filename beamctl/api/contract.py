"""The contract as OpenAPI 3.1: what the framework derives, and what only we know: gates and problems."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from beamctl.api.auth.csrf import HEADER
from beamctl.api.auth.sessions import COOKIE
from beamctl.api.problem import CODES, PROBLEM_TYPE
from beamctl.api.routing import GatedRoute
from beamctl.api.schemas.problem import Problem

_DESCRIPTION = f"""\
The control interface of beamctl. Errors are problems as RFC 9457 has them, with a `code` that stays the same.

Browsers log in by a cookie, and then send the header `{HEADER}: 1` with everything but GET. Programs send
`Authorization: Bearer` with the token of a session or an API key. Times are UTC; numbers that are not known are null.
"""
_SECURITY = {
    "session": {"type": "apiKey", "in": "cookie", "name": COOKIE, "description": f"with {HEADER}: 1 unless it is GET"},
    "bearer": {"type": "http", "scheme": "bearer", "description": "token of a session, or an API key"},
}
_EVERYWHERE = (500, 503)
_BEHIND_A_GATE = (401, 403)
_WITH_BODY = (400, 408, 413, 415)
_WITH_IF_MATCH = (412, 428)


def contract(app: FastAPI) -> dict[str, Any]:
    """The contract of an application, made once."""
    if app.openapi_schema is None:
        app.openapi_schema = _made(app)
    return app.openapi_schema


def _made(app: FastAPI) -> dict[str, Any]:
    made = get_openapi(title=app.title, version=app.version, description=_DESCRIPTION, routes=app.routes)
    schemas = made.setdefault("components", {}).setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(problem.pop("$defs"))
    schemas["Problem"] = problem
    made["components"]["securitySchemes"] = _SECURITY
    for route in app.routes:
        if isinstance(route, GatedRoute) and route.include_in_schema:
            for method in route.methods or ():
                _complete(made["paths"][route.path_format][method.lower()], route, method)
    return made


def _complete(operation: dict[str, Any], route: GatedRoute, method: str) -> None:
    """Add who may, and what can go wrong."""
    role = route.gate.role
    operation["security"] = [] if role is None else [{name: []} for name in _SECURITY]
    operation["x-least-role"] = "public" if role is None else role.value
    responses = operation["responses"]
    responses.pop("422", None)
    for status in _statuses(operation, route, method):
        responses.setdefault(str(status), {})
    for status, response in responses.items():
        if int(status) >= 400:
            titles = [title for known, title in CODES.values() if known == int(status)]
            response["description"] = "; ".join(titles)
            response["content"] = {PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    operation["responses"] = dict(sorted(responses.items()))


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
    if any(parameter["name"].lower() == "if-match" for parameter in parameters):
        statuses += _WITH_IF_MATCH
    if method != "GET":
        statuses.append(409)
    return statuses
