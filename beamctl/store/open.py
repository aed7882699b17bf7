"""Opening a store: creates an empty one, brings an older one up to date, refuses what cannot be written."""

import shutil
from contextlib import AbstractContextManager
from pathlib import Path

from sqlalchemy import Connection, inspect, text, update

from beamctl.errors import StoreDamagedError, StoreError, StoreUnavailableError, StoreWriteError
from beamctl.store.audit import Audit
from beamctl.store.commands import Commands
from beamctl.store.database import Database, server_setting
from beamctl.store.events import Events
from beamctl.store.faults import translated
from beamctl.store.journal import Journal
from beamctl.store.keys import Keys
from beamctl.store.leases import Leases
from beamctl.store.live import Live
from beamctl.store.pages import Pages
from beamctl.store.requests import Requests
from beamctl.store.runs import Runs
from beamctl.store.samples import Samples
from beamctl.store.schema import REVISIONS, VERSION_TABLE, Base, ChainRow
from beamctl.store.sessions import Sessions
from beamctl.store.switches import Switches
from beamctl.store.users import Users
from beamctl.store.watch import Watch

NEEDED_MB = 200
"""free disk space without which no run begins; a long run writes a few MB"""
NEEDED_TO_OPEN_MB = 1
"""below this a single step may not be written any more"""
_UPGRADE_KEY = 0x6265616D
"""the lock under which only one process at a time creates or upgrades tables on PostgreSQL"""


class Store:
    """The durable memory that the control process and the service share; safe to use from several threads.

    Attributes:
        database: connections; for the modules of this package.
        name: for people, without password.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self.name = database.name
        self.events = Events(database)
        self.journal = Journal(database)
        self.requests = Requests(database)
        self.commands = Commands(database)
        self.runs = Runs(database)
        self.samples = Samples(database)
        self.leases = Leases(database)
        self.audit = Audit(database)
        self.users = Users(database)
        self.sessions = Sessions(database)
        self.keys = Keys(database)
        self.switches = Switches(database)
        self.live = Live(database)
        self.pages = Pages(database)

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def moment(self) -> AbstractContextManager[None]:
        """Reads that belong together; see :meth:`beamctl.store.database.Database.moment`."""
        return self.database.moment()

    def watch(self) -> Watch:
        """Wait for rows of others; see :mod:`beamctl.store.watch`."""
        return Watch(self.database)

    def check_space(self, needed_mb: float = NEEDED_MB) -> None:
        """Before arming: room on the disk, and a commit that works.

        On PostgreSQL the server's disk cannot be seen from here; the commit is all that is tried.

        Raises:
            StoreWriteError: no room, read-only, or the disk fails.
        """
        _check_free(self.database, needed_mb)
        _try_commit(self.database)

    def close(self) -> None:
        """Give all connections back; leases and watches are their owners' to close."""
        self.live.close()
        self.database.close()


def open_store(url: str, *, read_only: bool = False) -> Store:
    """Open the store at a URL.

    Args:
        url: ``sqlite:///FILE`` (the folder is made) or ``postgresql://USER@HOST/DATABASE`` (which has to exist).
        read_only: for looking only; nothing is created or upgraded.

    Raises:
        StoreUnavailableError: cannot be opened or reached, is of a newer beamctl, or (read-only) not there.
        StoreWriteError: full or read-only.
        StoreDamagedError: not a store.
    """
    database = Database(url, read_only=read_only)
    try:
        if database.file is not None:
            _prepare_file(database, database.file)
        if _revision(database) != REVISIONS[-1]:
            _upgrade(database)
        if not read_only:
            _check_free(database, NEEDED_TO_OPEN_MB)
            _try_commit(database)
    except BaseException:
        database.close()
        raise
    return Store(database)


def _prepare_file(database: Database, file: Path) -> None:
    if database.read_only:
        if not file.is_file():
            raise StoreUnavailableError(f"store {database.name}: there is no file {file}")
        return
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreUnavailableError(f"store {database.name}: cannot make {file.parent}: {error.strerror}") from error


def _revision(database: Database) -> str | None:
    """Of the tables that are there; None for an empty database.

    Raises:
        StoreUnavailableError: of a newer beamctl, or of a server that could lose what it has acknowledged.
        StoreDamagedError: tables that are not ours.
    """
    with database.read() as connection:
        if not database.is_sqlite and server_setting(connection, "fsync") != "on":
            raise StoreUnavailableError(f"store {database.name}: the server runs with fsync=off and may forget")
        return _revision_of(connection, database)


def _revision_of(connection: Connection, database: Database) -> str | None:
    tables = set(inspect(connection).get_table_names())
    if VERSION_TABLE not in tables:
        foreign = tables if database.is_sqlite else tables & set(Base.metadata.tables)
        if foreign:
            raise StoreDamagedError(f"store {database.name}: holds other tables ({', '.join(sorted(foreign))})")
        return None
    found = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar_one_or_none()  # noqa: S608
    if found is None or str(found) not in REVISIONS:
        raise StoreUnavailableError(
            f"store {database.name}: its tables are of revision {found}, this beamctl knows up to {REVISIONS[-1]}: "
            "use the newer beamctl that wrote it"
        )
    return str(found)


def _upgrade(database: Database) -> None:
    """Create or upgrade the tables, in one transaction: all of it or nothing."""
    if database.read_only:
        raise StoreUnavailableError(f"store {database.name}: is empty or older; open it for writing once")
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    with translated(database.name), database.write() as connection:
        if not database.is_sqlite:
            connection.execute(text(f"SELECT pg_advisory_xact_lock({_UPGRADE_KEY})"))
        if _revision_of(connection, database) == REVISIONS[-1]:
            return  # somebody else was faster
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise StoreError(f"store {database.name}: cannot be upgraded: {error}") from error


def _check_free(database: Database, needed_mb: float) -> None:
    if database.file is None:
        return
    free_mb = shutil.disk_usage(database.file.parent).free / 1e6
    if free_mb < needed_mb:
        raise StoreWriteError(
            f"store {database.name}: the disk is full: {free_mb:.1f} MB free in {database.file.parent}, "
            f"{needed_mb:g} MB needed: free some space"
        )


def _try_commit(database: Database) -> None:
    """A commit that changes nothing, but goes to the disk."""
    with database.write() as connection:
        connection.execute(update(ChainRow).values(seq=ChainRow.seq))
