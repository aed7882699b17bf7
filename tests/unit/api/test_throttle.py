"""Guessing gets slower; time is virtual."""

import pytest

from beamctl.api.auth.throttle import FORGET_S, MOST, Throttle
from beamctl.api.problem import ProblemError


class Guesser:
    def __init__(self) -> None:
        self.time = 1000.0
        self.throttle = Throttle(lambda: self.time)

    def try_(self, name: str = "ada", address: str = "a", *, is_right: bool = False) -> bool:
        """Whether a password was looked at."""
        try:
            self.throttle.begin(name, address)
        except ProblemError:
            return False
        if is_right:
            self.throttle.succeeded(name, address)
        return True

    def guesses(self, seconds: float, step: float = 0.5, **more: str) -> int:
        """How many of many tries get through."""
        tried = 0
        end = self.time + seconds
        while self.time < end:
            tried += self.try_(**more)
            self.time += step
        return tried


def test_a_few_mistakes_cost_nothing():
    guesser = Guesser()
    assert all(guesser.try_() for _ in range(5))
    assert not guesser.try_()


def test_an_hour_of_guessing_is_a_hundred_guesses():
    assert Guesser().guesses(3600.0) <= 130


def test_from_many_addresses_it_is_not_more():
    guesser = Guesser()
    assert sum(guesser.try_(address=str(i)) for i in range(1000)) == 5


def test_many_names_from_one_address():
    guesser = Guesser()
    assert sum(guesser.try_(name=str(i)) for i in range(1000)) == 21


def test_whoever_has_logged_in_from_there_is_not_shut_out_by_strangers():
    guesser = Guesser()
    assert guesser.try_(address="home", is_right=True)
    for i in range(50):
        guesser.try_(address=str(i))
    assert not guesser.try_(address="elsewhere", is_right=True)
    assert guesser.try_(address="home", is_right=True)


def test_it_is_no_way_to_guess_faster():
    guesser = Guesser()
    assert guesser.try_(is_right=True)
    assert guesser.guesses(3600.0) <= 130


def test_logging_in_to_ones_own_account_does_not_help_with_others():
    guesser = Guesser()
    tried = 0
    for i in range(1000):
        guesser.try_("mine", is_right=True)
        tried += guesser.try_(str(i))
    assert tried <= 22


def test_all_is_forgotten_after_a_while():
    guesser = Guesser()
    while guesser.try_():
        pass
    guesser.time += FORGET_S
    assert guesser.try_()
    assert guesser.try_()


def test_success_begins_anew():
    guesser = Guesser()
    for _ in range(20):
        assert all(guesser.try_() for _ in range(4))
        assert guesser.try_(is_right=True)


def test_it_says_when_to_try_again():
    guesser = Guesser()
    while guesser.try_():
        pass
    with pytest.raises(ProblemError, match=r"try again in \d+ s") as caught:
        guesser.throttle.begin("ada", "a")
    guesser.time += int(caught.value.headers["Retry-After"])
    assert guesser.try_()


def test_memory_is_bounded():
    throttle = Throttle(lambda: 0.0)
    for i in range(2 * MOST):
        throttle.begin(str(i), str(i))
        throttle.succeeded(str(i), str(i))
    assert len(throttle._friends) == MOST
    for i in range(3 * MOST, 5 * MOST):
        throttle.begin(str(i), str(i))
    assert len(throttle._failures) == MOST
