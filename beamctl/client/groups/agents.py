"""Trained agents."""

from urllib.parse import quote

from beamctl.api.schemas.agents import Agent, Agents
from beamctl.client.calls import ask, tell, told
from beamctl.client.versions import etag
from beamctl.client.work import Call, Group, W, Work


class AgentCalls(Group[W]):
    """Agents; the version of one is the ``ETag`` of its passport."""

    @Call
    def list(self) -> Work[Agents]:
        """Every agent."""
        return ask(self._access, "/agents", Agents)

    @Call
    def get(self, agent: str) -> Work[Agent]:
        """Its passport."""
        return ask(self._access, _path(agent), Agent)

    @Call
    def version(self, agent: str) -> Work[str]:
        """What :meth:`switch` can be bound to."""
        return etag(self._access, _path(agent))

    @Call
    def switch(self, agent: str, *, enabled: bool, reason: str = "", version: str | None = None) -> Work[Agent]:
        """Enable or disable it for runs that begin from now on; the present version unless one is given."""
        seen = version if version is not None else (yield from etag(self._access, _path(agent)))
        body = {"enabled": enabled, "reason": reason}
        path = f"{_path(agent)}/enabled"
        return told((yield from tell(self._access, "PUT", path, body, headers={"If-Match": seen})), Agent)


def _path(agent: str) -> str:
    return f"/agents/{quote(agent, safe='')}"
