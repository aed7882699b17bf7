"""The routers of what can be tuned and of what was done."""

from fastapi import APIRouter

from beamctl.api.routers import advice, agents, commands, events, files, machine, preflight, requests, runs, service

ROUTERS: tuple[APIRouter, ...] = (
    service.router,
    machine.router,
    runs.router,
    files.router,
    commands.router,
    requests.router,
    advice.router,
    preflight.router,
    agents.router,
    events.router,
)
"""commands come behind everything else below a run, for a verb is any word"""
