"""What has to be written down before a put is sent, seen from where puts are sent."""

from collections.abc import Mapping
from typing import Protocol

from beamctl.engine.base import WriteResult


class Journal(Protocol):
    """The durable record of a run's puts."""

    def intend(self, old: Mapping[str, float], new: Mapping[str, float]) -> None:
        """Write down what is about to be sent; durable when this returns.

        Args:
            old, new: what each setpoint holds and shall hold, A.

        Raises:
            JournalError: not written; nothing may be sent.
        """

    def settle(self, results: Mapping[str, WriteResult]) -> None:
        """Write down what became of it; never raises, an intent that stays open is taken for unknown."""


class NoJournal:
    """For tests and environments that keep no record."""

    def intend(self, old: Mapping[str, float], new: Mapping[str, float]) -> None:
        """Nothing."""

    def settle(self, results: Mapping[str, WriteResult]) -> None:
        """Nothing."""
