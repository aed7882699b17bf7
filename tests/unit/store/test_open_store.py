import sqlite3
import subprocess
import sys

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

import beamctl.store.open as opening
from beamctl.errors import StoreDamagedError, StoreUnavailableError, StoreWriteError
from beamctl.store.open import open_store
from beamctl.store.schema import REVISIONS


@pytest.mark.parametrize(
    "url",
    ["beamctl.db", "", "sqlite://", "sqlite:///:memory:", "sqlite:///a.db?mode=ro", "mysql://host/db", "http://x"],
)
def test_other_urls_are_refused(url):
    with pytest.raises(StoreUnavailableError, match="sqlite:///FILE"):
        open_store(url)


def test_a_server_that_is_not_there():
    pytest.importorskip("psycopg")
    with pytest.raises(StoreUnavailableError, match="cannot be reached") as caught:
        open_store("postgresql://me:secret@127.0.0.1:1/db")
    assert "secret" not in str(caught.value)


def test_files_that_are_no_store_are_left_alone(tmp_path):
    text = tmp_path / "notes.txt"
    text.write_text("not a database at all, but long enough for one header " * 40)
    with pytest.raises(StoreDamagedError, match="not a database"):
        open_store(f"sqlite:///{text}")
    other = tmp_path / "other.db"
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE prices (x)")
    connection.close()
    with pytest.raises(StoreDamagedError, match="prices"):
        open_store(f"sqlite:///{other}")
    with pytest.raises(StoreUnavailableError):
        open_store(f"sqlite:///{tmp_path}")


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnavailableError, match="cannot make"):
        open_store(f"sqlite:///{tmp_path}/file/beamctl.db")


def test_every_revision_is_known():
    migrations = str(opening.Path(opening.__file__).parent / "migrations")
    config = Config()
    config.set_main_option("script_location", migrations)
    found = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    assert tuple(reversed(found)) == REVISIONS


def test_an_interrupted_creation_leaves_nothing(tmp_path, monkeypatch):
    from alembic import command

    true_upgrade = command.upgrade

    def failing(*arguments):
        true_upgrade(*arguments)
        raise KeyboardInterrupt

    url = f"sqlite:///{tmp_path}/beamctl.db"
    monkeypatch.setattr(command, "upgrade", failing)
    with pytest.raises(KeyboardInterrupt):
        open_store(url)
    monkeypatch.undo()
    with sqlite3.connect(tmp_path / "beamctl.db") as connection:
        assert connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    connection.close()
    open_store(url).close()


def test_sqlite_is_told_to_be_durable(tmp_path):
    with open_store(f"sqlite:///{tmp_path}/beamctl.db") as store, store.database.read() as connection:
        pragmas = {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in
                   ("journal_mode", "synchronous", "foreign_keys", "busy_timeout", "recursive_triggers")}  # fmt: skip
    assert pragmas == {
        "journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 5000, "recursive_triggers": 1,
    }  # fmt: skip


def test_space_is_asked_for(tmp_path):
    with open_store(f"sqlite:///{tmp_path}/beamctl.db") as store:
        store.check_space(0.001)
        with pytest.raises(StoreWriteError, match="MB needed"):
            store.check_space(1e12)


def test_opening_loads_nothing_heavy(tmp_path):
    """An existing store is opened without Alembic, which is slow to load."""
    url = f"sqlite:///{tmp_path}/beamctl.db"
    open_store(url).close()
    code = (
        "import sys\nfrom beamctl.store.open import open_store\n"
        f"open_store({url!r}).close()\n"
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"torch", "matplotlib", "fastapi", "alembic", "psycopg", "numpy", "epics", "pandas", "numba", "scipy"}
    assert heavy & set(done.stdout.split()) == set()
