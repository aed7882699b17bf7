"""Orders are given out once, and none is lost."""

import itertools

import pytest
from sqlalchemy import event

from beamctl.run.inherited import CommandReader
from beamctl.store.states import Verb


@pytest.fixture
def commands(book):
    return book.store.commands


def verbs(commands):
    return [command.verb for command in commands]


def test_each_once_in_order(book, commands):
    reader = CommandReader(commands)
    for verb in (Verb.PAUSE, Verb.RESUME, Verb.ABORT):
        commands.send(book.run.id, verb, "somebody")
    assert verbs(reader.new(book.run.id)) == [Verb.PAUSE, Verb.RESUME, Verb.ABORT]
    assert reader.new(book.run.id) == []


@pytest.mark.parametrize("transaction", [1, 2, 3])
def test_one_that_comes_while_others_are_read_is_not_lost(book, commands, transaction):
    """An abort right after an approval: whichever transaction of the reader it comes behind."""
    reader = CommandReader(commands)
    commands.send(book.run.id, Verb.APPROVE, "somebody")
    counter, late = itertools.count(1), []

    @event.listens_for(book.store.database._engine, "checkin")
    def come_in_between(*_):
        if next(counter) == transaction and not late:
            late.append(True)
            commands.send(book.run.id, Verb.ABORT, "somebody in a hurry")

    given = reader.new(book.run.id)
    event.remove(book.store.database._engine, "checkin", come_in_between)
    assert late, "the reader needs fewer transactions"
    assert verbs([*given, *reader.new(book.run.id)]) == [Verb.APPROVE, Verb.ABORT]


def test_followed_also_where_nobody_can_write_that_down(book, commands):
    reader = CommandReader(commands)
    commands.send(book.run.id, Verb.ABORT, "somebody")
    book.pragma = "PRAGMA query_only=ON"
    assert verbs(reader.new(book.run.id)) == [Verb.ABORT]
    assert reader.new(book.run.id) == []
