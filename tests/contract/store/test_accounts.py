"""Accounts, on every database."""

import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from beamctl.errors import StaleVersionError, StoreConflictError, StoreError
from beamctl.store.check import check_store
from beamctl.store.states import Role

HASH = "$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHQ$aGFzaGhhc2g"
ROUNDS = 8


def tomorrow() -> datetime:
    return datetime.now(UTC) + timedelta(days=1)


@pytest.fixture
def anna(store):
    return store.users.create("anna", Role.ADMIN, HASH, principal="setup")


@pytest.fixture
def bert(store):
    return store.users.create("bert", Role.OPERATOR, None, must_change=True, principal="anna")


def told(store, kind: str) -> list[dict]:
    return [event.payload for event in store.events.read() if event.kind == kind]


def test_nobody_at_first(store):
    assert store.users.count() == 0
    assert store.users.list() == []
    assert store.users.find("anna") is None
    with pytest.raises(StoreConflictError, match="no user anna"):
        store.users.get("anna")


def test_accounts_come_back(store, other, anna, bert):
    assert (anna.role, anna.enabled, anna.password_hash, anna.must_change) == (Role.ADMIN, True, HASH, False)
    assert (bert.role, bert.password_hash, bert.must_change, bert.last_login) == (Role.OPERATOR, None, True, None)
    assert other.users.list() == [anna, bert]
    assert other.users.get("anna") == other.users.find("anna") == anna
    assert other.users.count() == 2
    assert anna.version == 1


def test_a_name_is_taken_once(store, other, anna):
    with pytest.raises(StoreConflictError, match="there is a user anna already"):
        other.users.create("anna", Role.VIEWER, None, principal="x")
    assert store.users.list() == [anna]
    assert len(store.events.read()) == 1


def test_changes_count_and_are_told(store, anna, bert):
    changed = store.users.change("bert", role=Role.VIEWER, password_hash=HASH, must_change=False, principal="anna")
    assert (changed.role, changed.password_hash, changed.must_change) == (Role.VIEWER, HASH, False)
    assert (changed.version, changed.created) == (2, bert.created)
    assert store.users.get("bert") == changed
    event = store.events.read()[-1]
    assert (event.kind, event.principal, event.run) == ("user", "anna", None)
    assert event.payload == {
        "user": "bert", "did": "changed", "role": "viewer", "must_change": False, "password": "changed",
    }  # fmt: skip


def test_what_changes_nothing_is_no_change(store, anna, bert):
    before = store.events.end()
    assert store.users.change("bert", role=Role.OPERATOR, enabled=True, principal="anna") == bert
    assert store.users.change("bert", principal="anna") == bert
    assert store.events.end() == before


def test_a_change_of_something_else_than_was_seen_is_refused(store, other, anna, bert):
    other.users.change("bert", role=Role.VIEWER, principal="anna", version=1)
    before = store.events.end()
    with pytest.raises(StaleVersionError, match="user bert was changed meanwhile: version 2 now, 1 when seen"):
        store.users.change("bert", enabled=False, principal="anna", version=1)
    with pytest.raises(StaleVersionError):
        store.users.remove("bert", "anna", version=1)
    assert store.events.end() == before
    store.users.remove("bert", "anna", version=2)
    with pytest.raises(StoreConflictError, match="no user bert"):
        store.users.change("bert", enabled=False, principal="anna")


def test_a_login_is_told_and_is_no_change(store, anna):
    store.users.logged_in("anna")
    seen = store.users.get("anna")
    assert seen.last_login is not None
    assert seen.last_login >= anna.created
    assert seen.version == 1
    assert told(store, "user")[-1] == {"user": "anna", "did": "logged in"}
    with pytest.raises(StoreConflictError):
        store.users.logged_in("nobody")


@pytest.mark.parametrize(
    "leave",
    [
        lambda users: users.change("anna", role=Role.OPERATOR, principal="anna"),
        lambda users: users.change("anna", enabled=False, principal="anna"),
        lambda users: users.change("anna", role=Role.VIEWER, enabled=False, principal="anna"),
        lambda users: users.remove("anna", "anna"),
    ],
)
def test_the_last_admin_stays(store, anna, bert, leave: Callable):
    store.users.create("carl", Role.ADMIN, HASH, principal="anna")
    store.users.change("carl", enabled=False, principal="anna")  # one who cannot log in is no help
    before = store.events.end()
    with pytest.raises(StoreConflictError, match="anna is the last enabled admin"):
        leave(store.users)
    assert store.users.get("anna") == anna
    assert store.events.end() == before
    store.users.change("carl", enabled=True, principal="anna")
    leave(store.users)


def test_the_last_admin_may_change_the_password(store, anna):
    assert store.users.change("anna", password_hash=HASH + "x", role=Role.ADMIN, principal="anna").version == 2


def test_two_admins_who_demote_each_other(store, other):
    """At the same moment, through two connections: one of them has to fail."""
    for name in ("anna", "bert"):
        store.users.create(name, Role.ADMIN, HASH, principal="setup")
    for _ in range(ROUNDS):
        outcomes = at_once(
            lambda: store.users.change("bert", role=Role.OPERATOR, principal="anna"),
            lambda: other.users.change("anna", enabled=False, principal="bert"),
        )
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["StoreConflictError", "User"]
        left = [user.name for user in store.users.list() if user.enabled and user.role is Role.ADMIN]
        assert len(left) == 1
        for name in ("anna", "bert"):
            store.users.change(name, role=Role.ADMIN, enabled=True, principal="setup")


def test_two_changes_of_what_both_have_seen(store, other, anna, bert):
    for seen in range(1, 1 + ROUNDS):
        outcomes = at_once(
            lambda seen=seen: store.users.change("bert", password_hash=f"a{seen}", principal="anna", version=seen),
            lambda seen=seen: other.users.change("bert", password_hash=f"b{seen}", principal="anna", version=seen),
        )
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["StaleVersionError", "User"]
    assert store.users.get("bert").version == 1 + ROUNDS


def test_a_name_is_taken_once_by_two_at_the_same_moment(store, other, anna):
    for i in range(ROUNDS):
        outcomes = at_once(
            *(lambda s=s, i=i: s.users.create(f"user{i}", Role.VIEWER, None, principal="x") for s in (store, other))
        )
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["StoreConflictError", "User"]


def test_a_removed_account_leaves_nothing_that_opens(store, anna, bert):
    store.sessions.create("1" * 64, "bert", tomorrow())
    key = store.keys.create("2" * 64, "bck_2222", "bert", "logger", Role.VIEWER, tomorrow(), "bert")
    store.users.remove("bert", "anna")
    store.users.create("bert", Role.ADMIN, None, principal="anna")  # somebody else of that name
    assert store.sessions.find("1" * 64) is None
    assert store.keys.find("2" * 64) is None
    assert store.keys.list() == []
    assert {"user": "bert", "did": "removed", "role": "operator", "keys": [key.id]} in told(store, "user")


def test_everything_at_once_locks_nobody_out(store, other, anna, bert):
    """Accounts, sessions and keys, changed in every order by four threads: no deadlock, no event lost."""

    def work(through, number: int) -> None:
        for i in range(ROUNDS):
            mark = f"{number}{i:02}"
            session = through.sessions.create(mark.ljust(64, "a"), "bert", tomorrow())
            key = through.keys.create(mark.ljust(64, "b"), "p", "bert", "x", Role.VIEWER, tomorrow(), "bert")
            through.users.change("bert", password_hash=mark, principal="anna")
            through.sessions.touch(session)
            through.keys.touch(key)
            through.sessions.end(session.id)
            through.keys.revoke(key.id, "anna")
            through.sessions.end_all("bert")

    outcomes = at_once(*(lambda s=s, n=n: work(s, n) for n, s in enumerate((store, other, store, other))))
    assert outcomes == [None] * 4
    assert check_store(store).faults == ()
    assert store.users.get("bert").version == 1 + 4 * ROUNDS


def test_no_event_holds_a_secret(store, anna, bert):
    secrets = {"5e" * 32, "6f" * 32, "new-password-hash", HASH}
    session = store.sessions.create("5e" * 32, "bert", tomorrow())
    key = store.keys.create("6f" * 32, "bck_6f6f", "bert", "logger", Role.OPERATOR, tomorrow(), "bert")
    store.users.change("bert", password_hash="new-password-hash", principal="bert")
    store.sessions.end(session.id)
    store.sessions.end_all("bert")
    store.keys.revoke(key.id, "anna")
    store.users.remove("bert", "anna")
    text = json.dumps([event.payload for event in store.events.read()])
    assert [secret for secret in secrets if secret in text] == []
    assert [event.kind for event in store.events.read()] == [
        "user", "user", "session", "key", "user", "session", "key", "user",
    ]  # fmt: skip


def test_a_password_is_not_shown_by_accident(anna):
    assert HASH not in repr(anna)


def at_once(*attempts: Callable) -> list:
    """What each has returned, or the error of the store that it ended with."""
    barrier = threading.Barrier(len(attempts))
    outcomes: list = [None] * len(attempts)

    def attempt(number: int) -> None:
        barrier.wait()
        try:
            outcomes[number] = attempts[number]()
        except StoreError as error:
            outcomes[number] = error

    threads = [threading.Thread(target=attempt, args=(number,)) for number in range(len(attempts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes
