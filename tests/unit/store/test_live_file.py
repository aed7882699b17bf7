"""The file of the live readings: it may be missing, damaged or removed at any time."""

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from beamctl.errors import StoreError, StoreWriteError
from beamctl.store.backup import back_up
from beamctl.store.open import Store, open_store


@pytest.fixture
def file(tmp_path) -> Path:
    return tmp_path / "beamctl.db.live"


@pytest.fixture
def url(tmp_path) -> str:
    return f"sqlite:///{tmp_path}/beamctl.db"


@pytest.fixture
def store(url):
    with open_store(url) as opened:
        yield opened


@pytest.fixture
def reader(store, url):
    with open_store(url, read_only=True) as opened:
        yield opened


def test_there_is_no_file_before_the_first_publication(store, reader, file):
    reader.live.read()
    reader.live.number()
    assert not file.exists()
    store.live.publish({"cm1": 1})
    assert file.exists()


def test_it_is_told_to_be_quick(store, file):
    store.live.publish({"cm1": 1})
    with store.live._rows._writer.opened() as connection:
        assert connection.execute("PRAGMA synchronous").fetchone() == (0,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA busy_timeout").fetchone()[0] <= 50


def test_nothing_is_left_behind_beside_it(url, tmp_path):
    with open_store(url) as store:
        store.live.publish({"cm1": 1})
        store.live.read()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["beamctl.db", "beamctl.db.live", "beamctl.db.locks"]
    with open_store(url) as store:
        assert store.live.read()["cm1"].payload == 1


def test_it_is_no_part_of_a_backup(store, tmp_path):
    store.live.publish({"cm1": "a reading of the moment"})
    back_up(store, tmp_path / "copy.db")
    assert [path.name for path in tmp_path.glob("copy*")] == ["copy.db"]
    assert b"a reading of the moment" not in (tmp_path / "copy.db").read_bytes()
    with open_store(f"sqlite:///{tmp_path}/copy.db") as copy:
        assert copy.live.read() == {}


def test_a_link_to_the_store_has_the_same_readings(store, tmp_path, file):
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "elsewhere" / "link.db"
    link.symlink_to(tmp_path / "beamctl.db")
    store.live.publish({"cm1": 1})
    with open_store(f"sqlite:///{link}") as other:
        assert other.live.read()["cm1"].payload == 1


def cut(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def empty(file: Path) -> None:
    os.truncate(file, 0)


def scribble(file: Path) -> None:
    """The header is sound, what is behind it is not."""
    with file.open("r+b") as opened:
        opened.seek(200)
        opened.write(b"\xa5" * (file.stat().st_size - 200))


def overwrite(file: Path) -> None:
    file.write_bytes(b"not a database at all, but long enough for a header " * 400)


def replace(file: Path) -> None:
    """Somebody else's database, or one of another version of beamctl."""
    file.unlink()
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE live (something)")
    connection.close()


DAMAGE = [cut, empty, scribble, overwrite, replace]


@pytest.mark.parametrize("damage", [*DAMAGE, Path.unlink])
def test_it_is_made_anew_where_it_is_damaged(url, file, damage: Callable):
    number = publish_much(url)
    damage(file)
    with open_store(url, read_only=True) as reader, open_store(url) as store:
        assert reader.live.read() == {}
        assert reader.live.number() == 0
        store.live.publish({"cm1": "new"})
        assert reader.live.read()["cm1"].payload == "new"
        assert reader.live.number() > number
        assert list(store.live.read()) == ["cm1"]


def publish_much(url: str) -> int:
    with open_store(url) as store:
        for i in range(10):
            store.live.publish({f"cm{k}": ["x" * 5000, i] for k in range(6)})
        return store.live.number()


@pytest.mark.parametrize("damage", [Path.unlink, replace])
def test_it_is_made_anew_where_it_goes_while_it_is_used(store, reader, file, damage: Callable):
    for i in range(5):
        store.live.publish({"cm1": i})
        number = reader.live.number()
        assert reader.live.read()["cm1"].payload == i
        damage(file)
        assert reader.live.read() == {}
        store.live.publish({"cm2": i})
        assert list(reader.live.read()) == ["cm2"]
        assert reader.live.number() > number


def test_what_a_dead_publisher_left_beside_it_does_not_matter(store, reader, file):
    """A journal of a file that is gone."""
    publish_first(store)
    for suffix in ("-wal", "-shm"):
        file.with_name(file.name + suffix).write_bytes(b"\x37\x7f\x06\x82" + b"\x5a" * 40_000)
    assert not file.exists()
    assert reader.live.read() == {}
    store.live.publish({"cm1": 1})
    assert reader.live.read()["cm1"].payload == 1


def publish_first(store: Store) -> None:
    store.live.publish({"cm1": 0})
    store.live.close()
    Path(f"{store.database.file}.live").unlink()


def test_what_cannot_be_made_is_said(store, reader, file):
    file.mkdir()
    with pytest.raises(StoreError):
        store.live.publish({"cm1": 1})
    file.rmdir()
    store.live.publish({"cm1": 1})
    assert reader.live.read()["cm1"].payload == 1


def test_who_only_reads_publishes_nothing(reader, file):
    with pytest.raises(StoreWriteError, match="opened for reading"):
        reader.live.publish({"cm1": 1})
    assert not file.exists()


@pytest.mark.parametrize("change", ["payload = '[1'", "payload = CAST(x'fffe' AS TEXT)", "time = 'yesterday'"])
def test_a_damaged_row_is_left_out_until_it_is_replaced(store, reader, file, change):
    store.live.publish({"cm1": 1, "cm2": 1})
    with sqlite3.connect(file) as connection:
        connection.execute(f"UPDATE live SET {change} WHERE section = 'cm1'")
    connection.close()
    assert list(reader.live.read()) == ["cm2"]
    store.live.publish({"cm1": 2})
    assert reader.live.read()["cm1"].payload == 2
