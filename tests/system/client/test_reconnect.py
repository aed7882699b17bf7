"""The service is killed in mid-run and comes back: nothing is lost, nothing is told twice, nothing is done twice."""

import asyncio
import threading
from contextlib import suppress

import pytest

from beamctl.errors import ConflictError, ServiceUnreachableError

pytestmark = [pytest.mark.system, pytest.mark.slow]

TASK = "cm1-orbit"
UNREACHABLE = {"algorithm": "svd", "target": 0.01, "max_steps": 200}


def recorded(plant, run: int) -> list[int]:
    return [event.seq for event in plant.store.events.read(run=run, limit=10_000)]


@pytest.fixture
def run(client, plant) -> int:
    request = client.requests.settled(client.runs.start(TASK, **UNREACHABLE).id)
    assert request.run is not None
    return request.run


@pytest.fixture
def down(plant):
    """The service is gone; called, it comes back."""
    plant.serve.kill()
    yield plant.serve.start
    if plant.serve.process.poll() is not None:
        plant.serve.start()


def test_a_stream_goes_on_where_it_was(client, plant, run):
    seen = []
    for event in client.runs.follow(run):
        seen.append(event)
        if sum(e.kind == "visited" for e in seen) == 2 and plant.serve.process.poll() is None:
            plant.serve.kill()  # with what has been sent already still on its way
            back = threading.Thread(target=plant.serve.start)
            back.start()
        if sum(e.kind == "visited" for e in seen) == 4:
            with suppress(ConflictError):  # it has ended by itself
                client.runs.abort(run)
            break
    back.join()
    seen += [event for event in client.runs.follow(run) if event.seq > seen[-1].seq]
    assert seen[-1].kind == "ended"
    assert [event.seq for event in seen] == recorded(plant, run)


def test_an_awaited_stream_goes_on_where_it_was(plant, run):
    async def follow():
        seen = []
        async with plant.async_client(plant.operator) as client:
            async for event in client.events(run=run, after=0):
                seen.append(event)
                if len(seen) == 5:
                    plant.serve.kill()
                    await asyncio.to_thread(plant.serve.start)
                if len(seen) == 8:
                    with suppress(ConflictError):  # it has ended by itself
                        await client.runs.abort(run)
                if event.kind == "ended":
                    break
        return seen

    assert [event.seq for event in asyncio.run(follow())] == recorded(plant, run)


def test_everything_that_happens_has_no_gaps(client, plant, run):
    """Without a beginning: from the number that was the last one when it was asked for."""
    events = client.events()
    first = next(events)
    plant.serve.kill()
    again = threading.Thread(target=plant.serve.start)
    again.start()
    seqs = [first.seq] + [next(events).seq for _ in range(5)]
    events.close()
    again.join()
    assert seqs == list(range(first.seq, first.seq + 6))


def test_calls_wait_until_it_is_back(client, plant, run, down):
    back = threading.Timer(0.5, down)
    back.start()
    assert client.runs.get(run).id == run
    with suppress(ConflictError):
        client.runs.abort(run)
    back.join()


def test_a_request_that_is_sent_again_is_one_request(client, plant, down):
    back = threading.Timer(0.5, down)
    back.start()
    request = client.runs.start(TASK, **UNREACHABLE)
    back.join()
    assert [one.id for one in client.requests.list(limit=1).requests] == [request.id]
    assert client.requests.settled(request.id).run is not None


def test_patience_has_an_end(plant, down):
    with plant.client(plant.operator, patience_s=0.5) as client:
        with pytest.raises(ServiceUnreachableError, match="is beamctl serve running"):
            client.service()
        with pytest.raises(ServiceUnreachableError, match=plant.serve.url):
            next(client.events(after=0, patience_s=0.5))
