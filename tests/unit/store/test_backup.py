import threading

import pytest

from beamctl.errors import StoreUnavailableError, StoreWriteError
from beamctl.store.backup import back_up
from beamctl.store.check import check_store
from beamctl.store.open import open_store


def test_a_store_in_use_is_copied_as_it_was_at_one_moment(tmp_path):
    stop = threading.Event()

    def write():
        while not stop.is_set():
            store.events.append("tick", {"x": "y" * 200})

    with open_store(f"sqlite:///{tmp_path}/beamctl.db") as store:
        before = [store.events.append("tick") for _ in range(20)]
        writer = threading.Thread(target=write)
        writer.start()
        try:
            size = back_up(store, tmp_path / "copy.db")
        finally:
            stop.set()
            writer.join()
        after = store.events.end().seq
    assert size == (tmp_path / "copy.db").stat().st_size
    assert [path.name for path in tmp_path.glob("copy*")] == ["copy.db"]
    with open_store(f"sqlite:///{tmp_path}/copy.db", read_only=True) as copy:
        report = check_store(copy)
        assert report.faults == ()
        assert 20 <= report.chain.count <= after
        assert copy.events.read(limit=20) == before
    with open_store(f"sqlite:///{tmp_path}/copy.db") as copy:
        copy.events.append("tick")


def test_a_backup_overwrites_nothing(tmp_path):
    (tmp_path / "there").write_text("something")
    with open_store(f"sqlite:///{tmp_path}/beamctl.db") as store:
        with pytest.raises(StoreUnavailableError, match="exists"):
            back_up(store, tmp_path / "there")
        with pytest.raises((StoreUnavailableError, StoreWriteError)):
            back_up(store, tmp_path / "missing" / "copy.db")
    assert (tmp_path / "there").read_text() == "something"
    assert list(tmp_path.glob("*.part")) == []
