"""Passwords: Argon2id with the second recommended parameters of RFC 9106 (3 passes, 64 MiB, 4 lanes)."""

import asyncio
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar, TypeVarTuple

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.profiles import RFC_9106_LOW_MEMORY

from beamctl.api.problem import ProblemError

T = TypeVar("T")
A = TypeVarTuple("A")
AT_ONCE = 2
MOST_WAITING = 16
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"


class Passwords:
    """Hashes and verifies, a few at a time: each takes 64 MiB and some 0.1 s of a processor."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher.from_parameters(RFC_9106_LOW_MEMORY)
        self._pool = ThreadPoolExecutor(AT_ONCE, "argon2")
        self._waiting = 0
        self._nobody = ""

    async def hash(self, password: str) -> str:
        """The hash of a password; errors as :meth:`verify`."""
        return await self._run(self._hasher.hash, password)

    def hash_now(self, password: str) -> str:
        """The same, for a thread that may wait."""
        return self._pool.submit(self._hasher.hash, password).result()

    async def verify(self, known: str | None, password: str) -> bool:
        """Whether a password is the right one; takes as long where there is nothing to compare with.

        Args:
            known: hash from the store; None: no such account, or one without a password.
            password: as it was given.

        Raises:
            ProblemError: too many wait already.
        """
        return await self._run(self._verify, known, password)

    def is_outdated(self, known: str) -> bool:
        """Whether a hash was made with other parameters than today's."""
        return self._hasher.check_needs_rehash(known)

    def close(self) -> None:
        """End the threads; safe to call twice."""
        self._pool.shutdown(cancel_futures=True)

    def _verify(self, known: str | None, password: str) -> bool:
        try:
            return self._hasher.verify(known or self._dummy(), password) and known is not None
        except (VerificationError, InvalidHashError):
            return False

    def _dummy(self) -> str:
        """The hash of what nobody knows."""
        self._nobody = self._nobody or self._hasher.hash(secrets.token_urlsafe())
        return self._nobody

    async def _run(self, work: Callable[[*A], T], *arguments: *A) -> T:
        if self._waiting >= MOST_WAITING:
            detail = f"{self._waiting} passwords are being checked: try again"
            raise ProblemError("too-many", detail, {"Retry-After": "1"})
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work, *arguments)
        finally:
            self._waiting -= 1


def random_password() -> str:
    """A password to be read from a screen and typed: 100 random bits, nothing that looks alike."""
    return "-".join("".join(secrets.choice(_ALPHABET) for _ in range(5)) for _ in range(4))
