"""What only a server can do to a store: go away. And it has to be trusted with what it has acknowledged."""

from pathlib import Path

import pytest

from beamctl.errors import LeaseLostError, StoreError, StoreUnavailableError
from beamctl.store.backup import back_up
from beamctl.store.check import check_store
from beamctl.store.journal import Put
from beamctl.store.open import open_store
from beamctl.store.runs import NewRun
from beamctl.store.states import RunState

pytestmark = pytest.mark.xdist_group("postgresql")
RUN = NewRun(section="cm1", task="t", principal="p", agent="a", agent_hashes=None, configuration_hash="c")


@pytest.fixture
def url(postgres) -> str:
    return postgres.new_url()


def test_a_lost_connection_is_found_and_the_store_goes_on(store, postgres):
    store.events.append("tick")
    watch = store.watch()
    postgres.cut_connections()
    with pytest.raises(StoreUnavailableError):
        watch.wait(1.0)
    watch.close()
    store.events.append("tick")
    assert check_store(store).chain.count == 2


def test_an_owner_whose_lock_the_server_dropped_is_fenced_off(store, other, lease, run, postgres):
    postgres.cut_connections()
    with pytest.raises(LeaseLostError, match="the lock is gone"):
        lease.beat()
    with other.leases.section("cm1") as successor:
        with pytest.raises(LeaseLostError, match="somebody else"):
            store.journal.intend(lease, run.id, [Put("a", 0.0, 1.0)])
        other.runs.set_state(successor, run.id, RunState.RECOVERING)
    lease.release()


def test_an_interrupted_commit_is_an_error_not_a_success(store, postgres):
    def write():
        with store.database.write() as connection:
            connection.exec_driver_sql("UPDATE chain SET seq = 99")
            postgres.cut_connections()

    with pytest.raises(StoreError):
        write()
    assert store.events.end().seq == 0


def test_a_server_that_may_forget_is_refused(url, postgres):
    postgres.execute("ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()")
    try:
        with pytest.raises(StoreUnavailableError, match="fsync=off"):
            wait_until_refused(url)
    finally:
        postgres.execute("ALTER SYSTEM RESET fsync", "SELECT pg_reload_conf()")


def wait_until_refused(url: str) -> None:
    for _ in range(200):
        open_store(url).close()


def test_commits_are_durable_whatever_the_server_prefers(url, postgres):
    postgres.execute("ALTER DATABASE store SET synchronous_commit = off")
    try:
        with open_store(url) as store, store.database.read() as connection:
            assert connection.exec_driver_sql("SHOW synchronous_commit").scalar_one() == "on"
    finally:
        postgres.execute("ALTER DATABASE store RESET synchronous_commit")


def test_backup_says_how(store):
    with pytest.raises(StoreUnavailableError, match=r"pg_dump --format=custom --file=copy 'postgresql://postgres@"):
        back_up(store, Path("copy"))


def test_live_readings_are_not_in_the_servers_log_and_wake_nobody(store):
    store.live.publish({"cm1": 1})
    with store.database.read() as connection:
        kind = connection.exec_driver_sql("SELECT relpersistence FROM pg_class WHERE relname = 'live'").scalar_one()
        triggers = connection.exec_driver_sql("SELECT tgname FROM pg_trigger WHERE tgrelid = 'live'::regclass").all()
    assert kind == "u"
    assert triggers == []


def test_publishing_goes_on_after_a_lost_connection(store, other, postgres):
    store.live.publish({"cm1": 1})
    before = other.live.number()
    postgres.cut_connections()
    store.live.publish({"cm1": 2})
    assert other.live.number() == before + 1
    assert other.live.read()["cm1"].payload == 2
