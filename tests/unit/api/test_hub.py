"""The ring of the event stream."""

import pytest

from beamctl.api.problem import ProblemError
from beamctl.api.stream import hub as hubs
from beamctl.api.stream.hub import TICK, Client, Entry, Hub


def entries(first: int, count: int, size: int = 10, run: int | None = None) -> list[Entry]:
    made = [b"%0*d" % (size, seq) for seq in range(first, first + count)]
    return [Entry(seq, run, frame, frame) for seq, frame in enumerate(made, first)]


def numbers(chunk: bytes, size: int = 10) -> list[int]:
    return [int(chunk[i : i + size]) for i in range(0, len(chunk), size)]


def test_everybody_takes_from_one_ring():
    hub, early, late = Hub(), Client("a", 0), Client("b", 3)
    for client in (early, late):
        hub.join(client)
    hub.publish(entries(1, 5))
    assert (early.wake.is_set(), late.wake.is_set()) == (True, True)
    assert numbers(hub.records(early)) == [1, 2, 3, 4, 5]
    assert numbers(hub.records(late)) == [4, 5]
    assert hub.records(early) == b""


def test_of_one_run():
    hub, client = Hub(), Client("a", 0, run=7)
    hub.publish([*entries(1, 3), *entries(4, 2, run=7), *entries(6, 2)])
    assert numbers(hub.records(client)) == [4, 5]
    assert client.cursor == 7


def test_what_is_sent_at_once_is_bounded(monkeypatch):
    monkeypatch.setattr(hubs, "CHUNK_BYTES", 30)
    hub, client = Hub(), Client("a", 0)
    hub.publish(entries(1, 7))
    assert [numbers(hub.records(client)) for _ in range(4)] == [[1, 2, 3], [4, 5, 6], [7], []]


@pytest.mark.parametrize(("name", "limit"), [("RING", 100), ("RING_BYTES", 1000)])
def test_the_ring_is_bounded_however_slow_clients_are(monkeypatch, name, limit):
    monkeypatch.setattr(hubs, name, limit)
    hub, stalled = Hub(), Client("a", 0)
    hub.join(stalled)
    for n in range(200):
        hub.publish(entries(1 + 10 * n, 10))
        assert hub.end - hub.first < 126
    assert hub.end == 2000
    assert stalled.cursor == 0
    assert numbers(hub.records(Client("b", 1990))) == list(range(1991, 2001))


def test_only_the_newest_reading_and_tick():
    hub, wants, wants_not = Hub(), Client("a", 0, sections=frozenset({"s"})), Client("b", 0)
    for client in (wants, wants_not):
        hub.join(client)
    for frame in (b"1", b"2", b"3"):
        hub.publish_newest({"s": frame})
    assert (hub.newest(wants), hub.newest(wants_not)) == (b"3", b"")
    assert not wants_not.wake.is_set()
    hub.publish_newest({TICK: b"t"})
    assert (hub.newest(wants), hub.newest(wants_not)) == (b"t", b"t")
    assert hub.wanted == {"s"}
    hub.leave(wants)
    assert hub.wanted == frozenset()


def test_places_are_given_back(monkeypatch):
    monkeypatch.setattr(hubs, "MOST_PER_ACCOUNT", 1)
    hub, first = Hub(), Client("a", 0)
    hub.join(first)
    with pytest.raises(ProblemError, match="a has 1"):
        hub.join(Client("a", 0))
    hub.join(Client("b", 0))
    for _ in range(2):
        hub.leave(first)
    hub.join(Client("a", 0))
    assert hub.streams == 2
