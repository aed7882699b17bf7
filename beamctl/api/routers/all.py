"""Every router."""

from fastapi import APIRouter

from beamctl.api.routers import (
    advice,
    agents,
    audit,
    commands,
    console,
    docs,
    events,
    files,
    keys,
    machine,
    oidc,
    preflight,
    requests,
    runs,
    service,
    session,
    users,
)

ROUTERS: tuple[APIRouter, ...] = (
    service.router,
    session.router,
    oidc.router,
    machine.router,
    runs.router,
    files.router,
    commands.router,
    requests.router,
    advice.router,
    preflight.router,
    agents.router,
    events.router,
    audit.router,
    users.router,
    keys.router,
    docs.router,
    console.router,
)
"""one per resource"""
