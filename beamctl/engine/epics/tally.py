"""Waiting for many answers with one wake-up."""

import threading
from collections.abc import Iterable
from typing import Generic, TypeVar

T = TypeVar("T")


class Tally(Generic[T]):
    """One answer per name, put by libca's threads; the one waiter wakes when the last has come.

    Waking per answer would cost a switch of threads for each of the forty answers of a control cycle.

    Attributes:
        answers: what came so far, by name.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._expected = frozenset(names)
        self.answers: dict[str, T] = {}
        self._complete = threading.Event()
        if not self._expected:
            self._complete.set()

    def put(self, name: str, answer: T) -> None:
        """Count an answer; one for a name already answered replaces it."""
        self.answers[name] = answer
        if len(self.answers) == len(self._expected):
            self._complete.set()

    def wait(self, timeout_s: float) -> bool:
        """Block for at most ``timeout_s``; whether every answer came. KeyboardInterrupt comes through."""
        return self._complete.wait(max(0.0, timeout_s))

    @property
    def missing(self) -> list[str]:
        """Names without an answer, sorted."""
        return sorted(self._expected - self.answers.keys())
