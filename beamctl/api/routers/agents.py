"""Trained agents and their passports."""

from fastapi import Response

from beamctl.api.access import Admin, Viewer
from beamctl.api.parameters import Name
from beamctl.api.problem import ProblemError
from beamctl.api.refused import refuse
from beamctl.api.routing import resource
from beamctl.api.schemas.agents import Agent, Agents, SwitchAgent
from beamctl.api.service import Served, Service
from beamctl.api.version import PREFIX
from beamctl.api.versions import IfMatch, check_version, etag
from beamctl.errors import StaleVersionError

router = resource("agents")
_ROOT = f"{PREFIX}/agents"


@router.get(_ROOT)
def list_agents(service: Served, viewer: Viewer) -> Agents:
    """Every agent that is installed."""
    return Agents(agents=service.machines.agents())


@router.get(f"{_ROOT}/{{agent}}")
def get_agent(agent: Name, service: Served, viewer: Viewer, response: Response) -> Agent:
    """A passport: what it was trained for, how it was judged, whether it may be used."""
    version = _version(service, agent)
    found = service.machines.agent(agent)
    response.headers.update(etag(version))
    return found


@router.put(f"{_ROOT}/{{agent}}/enabled")
def switch_agent(
    agent: Name, asked: SwitchAgent, service: Served, admin: Admin, response: Response, if_match: IfMatch = None
) -> Agent:
    """Enable or disable an agent for runs that begin from now on."""
    service.machines.agent(agent)
    version = _version(service, agent)
    try:
        check_version(if_match, version, f"agent {agent}")
        service.store.switches.set(agent, asked.enabled, asked.reason, admin.name, version)
    except StaleVersionError as error:
        refuse(service, admin.name, f"switch agent {agent}", ProblemError("changed-meanwhile", str(error)))
    except ProblemError as problem:
        refuse(service, admin.name, f"switch agent {agent}", problem)
    response.headers.update(etag(_version(service, agent)))
    return service.machines.agent(agent)


def _version(service: Service, agent: str) -> int:
    switch = service.store.switches.get(agent)
    return 0 if switch is None else switch.version
