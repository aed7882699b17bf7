"""A store of the first revision, with rows, brought up to date on every database."""

from pathlib import Path

import pytest
from sqlalchemy import text

import beamctl.store.open as opening
from beamctl.errors import StoreConflictError, StoreUnavailableError
from beamctl.store.check import check_store
from beamctl.store.database import Database
from beamctl.store.events import append_event
from beamctl.store.open import open_store
from beamctl.store.requests import NewRequest
from beamctl.store.schema import REVISIONS
from beamctl.store.states import RequestState, Role, RunKind, RunState

TIME = "2026-11-20T12:00:00.000000Z"
ROWS = (
    "INSERT INTO requests (task, section, algorithm, agent, target, budgets, dry_run, needs_approval, "
    "idempotency_key, principal, state, reason, created) VALUES "
    f"('cm1-orbit', 'cm1', 'tbsac', 'cafe2-orbit', '0.5', '{{\"max_steps\": 30}}', true, false, 'k1', 'anna', "
    f"'done', '', '{TIME}')",
    "INSERT INTO runs (request, section, task, principal, agent, configuration_hash, state, outcome, reason, "
    f"started, ended) VALUES (1, 'cm1', 'cm1-orbit', 'anna', 'cafe2-orbit@12', 'c', 'accepted', 'advised', '', "
    f"'{TIME}', '{TIME}')",
    "INSERT INTO intents (run, seq, pv, old, new, written, message) VALUES "
    f"(1, 1, 'CM1:DCH1', 0.25, 0.5, '{TIME}', '')",
    f"INSERT INTO leases VALUES ('control', 'host pid 1', 4, '{TIME}')",
)


@pytest.fixture
def old(url: str) -> str:
    """The URL of a store as the first version has left it."""
    from alembic import command
    from alembic.config import Config

    database = Database(url)
    if database.file is not None:
        database.file.parent.mkdir(parents=True)
    config = Config()
    config.set_main_option("script_location", str(Path(opening.__file__).parent / "migrations"))
    with database.write() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "r0001")
        for row in ROWS:
            connection.exec_driver_sql(row)
        for i in range(5):
            append_event(connection, "tick", {"i": i}, 1, "anna")
    database.close()
    return url


def test_it_keeps_what_it_has(old):
    with open_store(old) as store:
        report = check_store(store)
        assert (report.faults, report.revision, report.chain.count) == ((), REVISIONS[-1], 5)
        assert report.unsettled == 1
        request = store.requests.get(1)
        assert (request.note, request.target, request.budgets) == ("", 0.5, {"max_steps": 30})
        assert (request.state, request.dry_run) == (RequestState.DONE, True)
        [run] = store.runs.list(kind=RunKind.ADVICE)
        assert (run.id, run.request, run.state) == (1, 1, RunState.ACCEPTED)
        [intent] = store.journal.of_run(1)
        assert (intent.pv, intent.old, intent.new) == ("CM1:DCH1", 0.25, 0.5)
        with store.leases.control() as lease:
            assert lease.token == 5


def test_it_goes_on_where_it_was(old):
    with open_store(old) as store:
        assert store.users.count() == 0
        store.users.create("anna", Role.ADMIN, None, principal="setup")
        asked = store.requests.submit(
            NewRequest(
                task="t", section="cm1", algorithm="svd", agent="", principal="anna", idempotency_key="k2", note="new"
            )
        )
        assert asked.id == 2
        assert [event.seq for event in store.events.read()] == [1, 2, 3, 4, 5, 6, 7]
        store.live.publish({"cm1": 1})
        with pytest.raises(StoreConflictError, match="append-only"), store.database.write() as connection:
            connection.execute(text("DELETE FROM events"))
    with open_store(old) as store:
        assert check_store(store).faults == ()
        assert store.requests.get(2) == asked


def test_the_same_request_again_is_the_same_request(old):
    with open_store(old) as store:
        again = NewRequest(
            task="cm1-orbit", section="cm1", algorithm="tbsac", agent="cafe2-orbit", principal="anna", target=0.5,
            budgets={"max_steps": 30}, dry_run=True, idempotency_key="k1",
        )  # fmt: skip
        assert store.requests.submit(again).id == 1


def test_it_is_not_changed_by_who_only_looks(old):
    with pytest.raises(StoreUnavailableError, match="empty or older; open it for writing once"):
        open_store(old, read_only=True)


def test_others_who_have_it_open_go_on(old):
    """A control process of this version is started while a service of this version looks."""
    with open_store(old) as first, first.watch() as watch, open_store(old) as second:
        second.events.append("tick")
        assert watch.wait(5.0)
        assert first.events.end().seq == 6
