"""SQLite on a disk that is full, fails, or may not be written."""

import os
import pwd
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from beamctl.engine.base import Outcome
from beamctl.errors import StoreError, StoreWriteError
from beamctl.store.check import check_store
from beamctl.store.journal import Put
from beamctl.store.open import open_store
from beamctl.store.runs import NewRun

ROUNDS = 20
RUN = NewRun(section="cm1", task="t", principal="p", agent="a", agent_hashes=None, configuration_hash="c")


def check_acknowledged(store, lines: list[str]) -> None:
    """As the store's contract has it, for what a writer said before the disk was full."""
    [run] = store.runs.unfinished()
    intents = {intent.id: intent for intent in store.journal.of_run(run.id)}
    events = {event.seq: event.hash for event in store.events.read(limit=100_000)}
    for kind, *rest in map(str.split, lines):
        if kind == "event":
            assert events[int(rest[0])] == rest[1]
        elif kind == "intent":
            assert all(int(intent) in intents for intent in rest)
        elif kind == "settled":
            assert all(intents[int(intent)].outcome is Outcome.OK for intent in rest)
    assert all(count == 5 for count in group_sizes(intents.values()))
    assert check_store(store).faults == ()


def group_sizes(intents) -> list[int]:
    seqs = [intent.seq for intent in intents]
    return [seqs.count(seq) for seq in set(seqs)]


def test_a_file_that_may_not_grow_loses_nothing(tmp_path, start_child):
    """The disk has no room for one more write, at many instants; the same process goes on when there is room again."""
    url = f"sqlite:///{tmp_path}/beamctl.db"
    open_store(url).close()
    lines = start_child("full", url, str(ROUNDS)).lines()
    full = [line for line in lines if line.startswith("full ")]
    assert len(full) == ROUNDS
    assert all("disk" in line for line in full)
    assert not [line for line in lines if line.startswith("unexpected")]
    assert len(lines) > 2 * ROUNDS
    with open_store(url) as store:
        check_acknowledged(store, lines)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("a file system can be mounted by root only")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_refuses_and_says_so(small_disk):
    url = f"sqlite:///{small_disk}/beamctl.db"
    with open_store(url) as store, store.leases.section("cm1") as lease:
        run = store.runs.create(lease, RUN).id
        ids = store.journal.intend(lease, run, [Put(f"pv{k}", 0.0, 1.0) for k in range(5)])
        with pytest.raises(StoreWriteError, match=r"MB free in .*disk, 200 MB needed"):
            store.check_space()
        store.check_space(0.1)
        fill(small_disk / "ballast")
        ids += intend_until_full(store, lease, run)
        assert [intent.id for intent in store.journal.of_run(run)] == ids
        assert store.commands.pending(run) == []  # who reads is not disturbed
        with pytest.raises(StoreWriteError, match="the disk is full"):
            store.check_space(0.1)
        with pytest.raises(StoreWriteError, match="the disk is full"):
            open_store(url)
        (small_disk / "ballast").unlink()
        store.check_space(0.1)
        assert check_store(store).faults == ()


def test_no_store_is_made_on_a_full_disk(small_disk):
    fill(small_disk / "ballast")
    with pytest.raises(StoreError):
        open_store(f"sqlite:///{small_disk}/beamctl.db")
    (small_disk / "ballast").unlink()
    open_store(f"sqlite:///{small_disk}/beamctl.db").close()


def intend_until_full(store, lease, run: int) -> list[int]:
    acknowledged: list[int] = []

    def intend_often():
        for _ in range(2000):
            acknowledged.extend(store.journal.intend(lease, run, [Put(f"pv{k}", 0.0, 1.0) for k in range(5)]))

    with pytest.raises(StoreWriteError, match="the disk is full"):
        intend_often()
    return acknowledged


def fill(file: Path) -> None:
    with file.open("wb", buffering=0) as ballast:
        try:
            while True:
                ballast.write(bytes(4096))
        except OSError:
            return


def test_a_full_database_refuses_and_says_so(tmp_path):
    """SQLite's own limit, where no small disk can be had."""
    with open_store(f"sqlite:///{tmp_path}/beamctl.db") as store, store.leases.section("cm1") as lease:
        run = store.runs.create(lease, RUN).id
        with store.database.write() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
            connection.exec_driver_sql(f"PRAGMA max_page_count={pages + 3}")
        acknowledged = intend_until_full(store, lease, run)
        assert [intent.id for intent in store.journal.of_run(run)] == acknowledged
        assert check_store(store).faults == ()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else; root itself may write everything")
def test_a_file_of_somebody_else_is_refused(tmp_path, start_child):
    for folder in tmp_path.parents:
        if folder.stat().st_uid == 0 and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o011)
    tmp_path.chmod(0o755)
    url = f"sqlite:///{tmp_path}/beamctl.db"
    open_store(url).close()
    nobody = str(pwd.getpwnam("nobody").pw_uid)
    [line] = start_child("read_only", url, nobody).lines()
    assert line.startswith(("StoreWriteError", "StoreUnavailableError"))
    assert "read-only" in line or "cannot be opened" in line
    [line] = start_child("read_only", f"sqlite:///{tmp_path}/new/beamctl.db", nobody).lines()
    assert line.startswith("StoreUnavailableError")
    assert "Permission denied" in line
