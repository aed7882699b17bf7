"""Opening a store, by one or by many, on every database."""

import threading

import pytest
from sqlalchemy import text

from beamctl.errors import (
    StoreError,
    StoreUnavailableError,
)
from beamctl.store.check import check_store
from beamctl.store.open import open_store
from beamctl.store.schema import REVISIONS, VERSION_TABLE
from tests.contract.store.conftest import verified


def test_a_store_is_found_again(store, url, run):
    with open_store(url) as again:
        assert again.runs.get(run.id) == run
        assert check_store(again).revision == REVISIONS[-1]


def test_a_newer_store_is_refused(store, url):
    with store.database.write() as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = 'r9999'"))
    for read_only in (False, True):
        with pytest.raises(StoreUnavailableError, match=r"r9999.*newer beamctl"):
            open_store(url, read_only=read_only)


def test_a_store_opened_for_reading_is_not_written(store, url, run):
    with open_store(url, read_only=True) as reader:
        assert reader.runs.get(run.id) == run
        with pytest.raises(StoreError, match="read-only"):
            reader.events.append("tick")
        assert check_store(reader).faults == ()


def test_nothing_is_created_for_reading(url):
    with pytest.raises(StoreUnavailableError, match=r"no file|empty"):
        open_store(url, read_only=True)


def test_many_open_an_empty_store_at_once(url):
    faults = []

    def open_one():
        try:
            open_store(url).close()
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=open_one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    with open_store(url) as store:
        assert verified(store).count == 0


def test_threads_share_a_store(store):
    def append():
        for i in range(10):
            store.events.append("tick", {"i": i})

    threads = [threading.Thread(target=append) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (verified(store).count, verified(store).fault) == (40, "")


def test_the_tables_are_those_of_the_schema(store):
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    from beamctl.store.schema import LIVE_TABLE, Base

    with store.database.read() as connection:
        opts = {"version_table": VERSION_TABLE, "compare_type": False, "target_metadata": Base.metadata}
        opts["include_name"] = lambda name, kind, parents: (kind, name) != ("table", LIVE_TABLE)
        context = MigrationContext.configure(connection, opts=opts)
        assert compare_metadata(context, Base.metadata) == []
