"""What the store's contract tests have other processes do: ``writer.py WHAT URL ...``.

Prints one line for each thing that is done and durable, unbuffered, so that a killed process has said nothing that it
had not been told by the store.
"""

import itertools
import os
import resource
import signal
import sys
import time

from beamctl.engine.base import Outcome, Reading, Severity, WriteResult
from beamctl.errors import LeaseHeldError, StoreBusyError, StoreError, StoreWriteError
from beamctl.store.journal import Put
from beamctl.store.leases import Lease
from beamctl.store.open import Store, open_store
from beamctl.store.runs import NewRun

N_PV = 5


def say(text: str) -> None:
    os.write(1, f"{text}\n".encode())


def section(store: Store) -> Lease:
    """The lease of a section whose last owner was killed; PostgreSQL needs a moment to notice."""
    while True:
        try:
            return store.leases.section("cm1")
        except LeaseHeldError:
            time.sleep(0.02)


def run_of(store: Store, lease: Lease) -> int:
    unfinished = store.runs.unfinished()
    if unfinished:
        return unfinished[0].id
    new = NewRun(section="cm1", task="t", principal="p", agent="a", agent_hashes=None, configuration_hash="c")
    return store.runs.create(lease, new).id


def write_once(store: Store, lease: Lease, run: int, i: int) -> None:
    event = store.events.append("tick", {"i": i}, run)
    say(f"event {event.seq} {event.hash}")
    ids = store.journal.intend(lease, run, [Put(f"pv{k}", float(i), i + 0.5) for k in range(N_PV)])
    say(f"intent {' '.join(map(str, ids))}")
    store.journal.settle({intent: WriteResult(Outcome.OK, i + 0.5, i + 0.5) for intent in ids})
    say(f"settled {' '.join(map(str, ids))}")
    reading = Reading(float(i), Severity.NO_ALARM, 0, 1.0, 2.0, 3, True)
    store.samples.append(run, i, [(f"pv{k}", reading) for k in range(N_PV)])
    say(f"samples {i}")


def killed(url: str) -> None:
    """For each line of standard input, a process that writes until somebody kills it."""
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            store = open_store(url)
            lease = section(store)
            run, i = run_of(store, lease), 1000 * int(line)
            say(f"writing {os.getpid()}")
            while True:
                i += 1
                write_once(store, lease, run, i)
        os.waitpid(child, 0)
        say("dead")


def full(url: str, rounds: str) -> None:
    """Write until the file may not grow any more; then give it room and look what is there."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    store = open_store(url)
    lease = section(store)
    run = run_of(store, lease)
    file = store.database.file
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    for n in range(int(rounds)):
        sizes = [path.stat().st_size for path in (file, file.with_name(file.name + "-wal")) if path.exists()]
        resource.setrlimit(resource.RLIMIT_FSIZE, (max(sizes) + 3777 * (n % 7) + 100 * n, limits[1]))
        try:
            for i in range(10_000):
                write_once(store, lease, run, 10_000 * n + i)
        except StoreWriteError as error:
            say(f"full {error}")
        except StoreError as error:
            say(f"unexpected {type(error).__name__}: {error}")
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def read_only(url: str, uid: str) -> None:
    """Open a store that this user may not write."""
    os.setgroups([])
    os.setgid(int(uid))
    os.setuid(int(uid))
    try:
        open_store(url)
    except StoreError as error:
        say(f"{type(error).__name__}: {error}")
    else:
        say("opened")


def claim(url: str) -> None:
    """Claim all there is, once told to."""
    with open_store(url) as store:
        say("ready")
        sys.stdin.readline()
        while request := store.requests.claim():
            say(f"{request.id}")


def hold(url: str) -> None:
    """For each line of standard input try to get a section, and keep it until the next line."""
    with open_store(url) as store:
        say("ready")
        for _ in sys.stdin:
            try:
                lease = store.leases.section("cm1")
            except LeaseHeldError as error:
                say(f"refused {error}")
                sys.stdin.readline()
            else:
                say(f"got {lease.token}")
                sys.stdin.readline()
                lease.release()
            say("free")


def publish(url: str, count: str) -> None:
    """For each line of standard input publish so often; both sections of a publication hold the same."""
    with open_store(url) as store:
        say("ready")
        for line in sys.stdin:
            for i in range(int(count)):
                publish_both(store, {"from": line.strip(), "i": i, "values": [float(i)] * 200})
            say(f"published {store.live.number()}")


def publish_forever(url: str) -> None:
    """Publish until somebody ends this process."""
    with open_store(url) as store:
        say("ready")
        for i in itertools.count():
            publish_both(store, {"i": i, "values": [float(i)] * 200})


def publish_both(store: Store, payload: object) -> None:
    """As the control process does: who cannot publish now does it the next time."""
    while True:
        try:
            return store.live.publish({"cm1": payload, "cm2": payload})
        except StoreBusyError:
            continue


if __name__ == "__main__":
    what = {
        "killed": killed, "full": full, "read_only": read_only, "claim": claim, "hold": hold, "publish": publish,
        "publish_forever": publish_forever,
    }  # fmt: skip
    what[sys.argv[1]](*sys.argv[2:])
