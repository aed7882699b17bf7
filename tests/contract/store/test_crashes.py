"""What was acknowledged outlives kill -9, on every database. Seed of the random instants: 20261124."""

import os
import random
import time
from collections import Counter

from beamctl.engine.base import Outcome
from beamctl.store.check import check_store

KILLS = 30


def test_nothing_acknowledged_is_lost_by_kill_9(store, url, start_child):
    """Writers killed at random instants, one after the other, each going on with what the last one left."""
    instants = random.Random(20261124)
    said: list[str] = []
    parent = start_child("killed", url)
    for number in range(KILLS):
        parent.say(str(number + 1))
        line = parent.hear()
        assert line.startswith("writing "), line
        time.sleep(instants.uniform(0.0, 0.12))
        os.kill(int(line.split()[1]), 9)
        while (line := parent.hear()) != "dead":
            said.append(line)
    words = [line.split() for line in said]
    assert len(said) > KILLS
    report = check_store(store)
    assert report.faults == ()
    assert check_acknowledged(store, words) > KILLS / 2


def check_acknowledged(store, words) -> int:
    """Everything that was acknowledged is there, nothing is there by half; how many rows were acknowledged."""
    [run] = store.runs.unfinished()
    hashes = {}
    after = 0
    while page := store.events.read(after):
        hashes.update({event.seq: event.hash for event in page})
        after = page[-1].seq
    intents = {intent.id: intent for intent in store.journal.of_run(run.id)}
    steps = Counter(sample.step for sample in store.samples.read(run.id))
    for kind, *rest in words:
        if kind == "event":
            assert hashes[int(rest[0])] == rest[1]
        elif kind == "intent":
            assert all(int(intent) in intents for intent in rest)
        elif kind == "settled":
            assert all(intents[int(intent)].outcome is Outcome.OK for intent in rest)
        elif kind == "samples":
            assert steps[int(rest[0])] == 5
    assert set(Counter(intent.seq for intent in intents.values()).values()) <= {5}
    assert set(steps.values()) <= {5}
    unsettled = {intent.seq for intent in store.journal.unsettled(run.id)}
    assert len(store.journal.unsettled(run.id)) == 5 * len(unsettled)
    return sum(1 for kind, *_ in words if kind in ("event", "intent", "settled", "samples"))
