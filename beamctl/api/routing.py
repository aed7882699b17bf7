"""Routes that are closed unless they say to whom they are open."""

import inspect
from collections.abc import Callable, Coroutine, Mapping
from functools import wraps
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool

from beamctl.api.access import Gate
from beamctl.api.bodies import JsonRequest, has_body, has_json
from beamctl.api.problem import ProblemError
from beamctl.api.service import Service, service_of


class GatedRoute(APIRoute):
    """A route with exactly one gate, which is asked before anything else of the request is looked at.

    Raises:
        TypeError: it has none, or several.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(path, _of_one_moment(endpoint) if _is_look(endpoint, options) else endpoint, **options)
        self.gate = _only_gate(self)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler behind its gate."""
        inner = super().get_route_handler()
        gate = _only_gate(self)
        takes_json = self.body_field is not None

        async def handle(request: Request) -> Response:
            request.state.principal = None
            if gate.role is not None:
                await _identify(request, gate)
            if takes_json and has_body(request) and not has_json(request):
                raise ProblemError("unsupported-media-type", "send the body as Content-Type: application/json")
            return await inner(JsonRequest(request.scope, request.receive))

        return handle


def resource(tag: str) -> APIRouter:
    """A router for the routes of one resource, with paths from the root.

    Args:
        tag: in the documentation.
    """
    return APIRouter(tags=[tag], route_class=GatedRoute, generate_unique_id_function=lambda route: route.name)


def _is_look(endpoint: Callable[..., Any], options: Mapping[str, Any]) -> bool:
    """Whether it reads the store, in a thread of its own."""
    if set(options.get("methods") or ()) != {"GET"} or inspect.iscoroutinefunction(endpoint):
        return False
    return "service" in inspect.signature(endpoint).parameters


def _of_one_moment(endpoint: Callable[..., Any]) -> Callable[..., Any]:
    """What is looked up for one answer belongs together."""

    @wraps(endpoint)
    def look(*arguments: Any, service: Service, **more: Any) -> Any:
        with service.store.moment():
            return endpoint(*arguments, service=service, **more)

    return look


async def _identify(request: Request, gate: Gate) -> None:
    """Find out who asks, and whether they may; who may not is written down."""
    service = service_of(request)
    request.state.principal = principal = await run_in_threadpool(service.identify, request)
    try:
        gate.check(principal)
    except ProblemError as error:
        if principal is not None:
            action = f"{request.method} {request.url.path}"
            await run_in_threadpool(service.refusals.note, principal.name, action, error.detail)
        raise


def _only_gate(route: APIRoute) -> Gate:
    gates = [inner.call for inner in route.dependant.dependencies if isinstance(inner.call, Gate)]
    if len(gates) != 1:
        raise TypeError(f"{route.path}: {route.name} needs one of the gates of beamctl.api.access, has {len(gates)}")
    return gates[0]
