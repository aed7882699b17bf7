"""Guessing passwords gets slower with every failure, for the name and for the address that it comes from."""

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from beamctl.api.problem import ProblemError

FORGET_S = 900.0
"""so long after the last failure all is forgotten"""
MOST = 10_000
"""names, addresses and friends that are remembered at most; the oldest is forgotten first"""


@dataclass(frozen=True)
class Pace:
    """How fast one may fail.

    Attributes:
        free: failures without a pause.
        longest_s: the pause doubles from 1 s up to this.
    """

    free: int
    longest_s: float

    def pause_s(self, failures: int) -> float:
        """After so many failures."""
        return 0.0 if failures <= self.free else min(self.longest_s, 2.0 ** min(failures - self.free - 1, 30))


NAME = Pace(free=4, longest_s=30.0)
"""short enough that nobody is shut out of their own account for long"""
ADDRESS = Pace(free=20, longest_s=300.0)
Key = tuple[str, str, str]


@dataclass(frozen=True)
class _Failures:
    count: int = 0
    last: float = -math.inf


class Throttle:
    """Remembers failures; for one event loop.

    An address from which a name has logged in before has a pace of its own for that name: strangers who guess do not
    shut out its owner.

    Args:
        clock: monotonic, s.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: OrderedDict[Key, _Failures] = OrderedDict()
        self._friends: OrderedDict[tuple[str, str], None] = OrderedDict()

    def begin(self, name: str, address: str) -> None:
        """An attempt, which counts as failed until :meth:`succeeded`, so that many at once are not one.

        Raises:
            ProblemError: too soon; says when to try again.
        """
        keys = self._keys(name, address)
        wait_s = max(self._left_s(key, pace) for key, pace in keys.items())
        if wait_s > 0.0:
            seconds = math.ceil(wait_s)
            raise ProblemError(
                "too-many", f"too many wrong passwords: try again in {seconds} s", {"Retry-After": str(seconds)}
            )
        for key in keys:
            count = self._known(key).count
            self._failures.pop(key, None)
            self._failures[key] = _Failures(count + 1, self._clock())
        _shorten(self._failures)

    def succeeded(self, name: str, address: str) -> None:
        """The password was right: the name begins anew, the address only takes this one attempt back."""
        for key in self._keys(name, address):
            found = self._failures.pop(key, None)
            if found is not None and key[0] == "address" and found.count > 1:
                self._failures[key] = replace(found, count=found.count - 1)
        self._friends[name, address] = None
        self._friends.move_to_end((name, address))
        _shorten(self._friends)

    def _keys(self, name: str, address: str) -> dict[Key, Pace]:
        if (name, address) in self._friends:
            return {("friend", name, address): NAME}
        return {("name", name, ""): NAME, ("address", address, ""): ADDRESS}

    def _known(self, key: Key) -> _Failures:
        found = self._failures.get(key, _Failures())
        return found if self._clock() - found.last < FORGET_S else _Failures()

    def _left_s(self, key: Key, pace: Pace) -> float:
        found = self._known(key)
        return found.last + pace.pause_s(found.count) - self._clock()


def _shorten(found: OrderedDict[Any, Any]) -> None:
    while len(found) > MOST:
        found.popitem(last=False)
