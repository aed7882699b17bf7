"""The record of what happened, page by page."""

from beamctl.api.schemas.events import Events, Refusals
from beamctl.client.calls import ask
from beamctl.client.work import Call, Group, W, Work


class RecordCalls(Group[W]):
    """Events and refusals; :meth:`beamctl.client.client.Client.events` is the stream."""

    @Call
    def events(self, *, after: int | None = None, run: int | None = None, limit: int | None = None) -> Work[Events]:
        """A page, the oldest first."""
        return ask(self._access, "/events/log", Events, after=after, run=run, limit=limit)

    @Call
    def refusals(self, *, before: int | None = None, limit: int | None = None) -> Work[Refusals]:
        """What was asked for and not allowed, the latest first; for admins."""
        return ask(self._access, "/audit/refusals", Refusals, before=before, limit=limit)
