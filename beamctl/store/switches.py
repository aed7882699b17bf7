"""Agents that runs must not use: everything that was never switched may be used."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, insert, select, update

from beamctl.errors import StaleVersionError
from beamctl.store.database import Database
from beamctl.store.events import append_event, now, recording
from beamctl.store.schema import SwitchRow

KIND = "agent"
"""of the events"""


@dataclass(frozen=True, slots=True)
class Switch:
    """Whether runs may use an agent.

    Attributes:
        principal, time, reason: who switched it last, when and why.
        version: counts from 1 how often.
    """

    agent: str
    enabled: bool
    principal: str
    time: datetime
    reason: str
    version: int


class Switches:
    """The switches of a store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def enabled(self, agent: str) -> bool:
        """Whether runs may use it."""
        found = self.get(agent)
        return found is None or found.enabled

    def get(self, agent: str) -> Switch | None:
        """How it stands; None: nobody has ever switched it, which is version 0."""
        with self._database.read() as connection:
            return _get(connection, agent)

    def list(self) -> list[Switch]:
        """All that were ever switched, by agent."""
        with self._database.read() as connection:
            rows = connection.execute(select(SwitchRow).order_by(SwitchRow.agent))
            return [Switch(**row._mapping) for row in rows]

    def set(self, agent: str, enabled: bool, reason: str, principal: str, version: int | None) -> Switch:
        """Switch it, for runs that begin from now on.

        Args:
            agent: its name; whether it exists is not asked.
            enabled: runs may use it.
            reason: for people.
            principal: who switches it.
            version: that was looked at, 0 where there was none; None: whatever it is.

        Raises:
            StaleVersionError: somebody has switched it meanwhile.
        """
        with recording(self._database) as connection:
            before = _get(connection, agent)
            found = 0 if before is None else before.version
            if version is not None and version != found:
                raise StaleVersionError(f"agent {agent}", version, found)
            switch = Switch(agent, enabled, principal, now(), reason, found + 1)
            values = {name: getattr(switch, name) for name in Switch.__slots__}
            changed = update(SwitchRow).where(SwitchRow.agent == agent)
            connection.execute((insert(SwitchRow) if before is None else changed).values(**values))
            said = {"agent": agent, "enabled": enabled, "reason": reason, "version": switch.version}
            append_event(connection, KIND, said, principal=principal)
            return switch


def _get(connection: Connection, agent: str) -> Switch | None:
    row = connection.execute(select(SwitchRow).where(SwitchRow.agent == agent)).one_or_none()
    return None if row is None else Switch(**row._mapping)
