"""Whether a store holds what was written into it."""

from dataclasses import dataclass

from sqlalchemy import func, or_, select, text

from beamctl.engine.base import Outcome
from beamctl.store.chain import ChainEnd, ChainReport, verify_chain
from beamctl.store.open import Store
from beamctl.store.schema import VERSION_TABLE, Base, IntentRow


@dataclass(frozen=True)
class StoreReport:
    """What a check has found.

    Attributes:
        revision: of the tables.
        damage: what the database itself says is damaged; empty for a sound one.
        chain: the events.
        unsettled: intents of which nobody knows what became of them.
        counts: rows by table.
    """

    revision: str
    damage: tuple[str, ...]
    chain: ChainReport
    unsettled: int
    counts: dict[str, int]

    @property
    def faults(self) -> tuple[str, ...]:
        """All that must not be; unsettled intents are no fault of the store."""
        return (*self.damage, *([self.chain.fault] if self.chain.fault else []))


def check_store(store: Store, noted: ChainEnd | None = None) -> StoreReport:
    """Look at all of it, at one moment.

    Args:
        store: may be in use, and open for reading only.
        noted: an end of the chain of events that was noted outside of the store.

    Raises:
        StoreError: it is too damaged to be read.
    """
    with store.database.read() as connection:
        damage: tuple[str, ...] = ()
        if store.database.is_sqlite:
            said = [str(row[0]) for row in connection.execute(text("PRAGMA integrity_check(20)"))]
            said += [f"row {row[1]} of {row[0]} points at nothing" for row in connection.execute(_FOREIGN_KEYS)]
            damage = tuple(line for line in said if line != "ok")
        open_intents = or_(IntentRow.outcome.is_(None), IntentRow.outcome == Outcome.UNKNOWN)
        return StoreReport(
            revision=str(connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar_one()),  # noqa: S608
            damage=damage,
            unsettled=connection.execute(select(func.count()).where(open_intents)).scalar_one(),
            counts={
                name: connection.execute(select(func.count()).select_from(table)).scalar_one()
                for name, table in sorted(Base.metadata.tables.items())
                if name != "chain"
            },
            chain=verify_chain(connection, noted),
        )


_FOREIGN_KEYS = text("PRAGMA foreign_key_check")
