"""Secrets that programs and browsers show: long, random, and kept as a hash only."""

import hashlib
import secrets

SESSION = "bcs_"
KEY = "bck_"
_BYTES = 32
_LENGTH = len(SESSION) + 43
SHOWN = 12
"""characters of a key that may be shown, to recognise it"""


def new_token(kind: str) -> str:
    """A token of 256 random bits.

    Args:
        kind: :data:`SESSION` or :data:`KEY`.
    """
    return kind + secrets.token_urlsafe(_BYTES)


def token_hash(token: str) -> str:
    """What the store keeps; the token cannot be found from it."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def is_token(text: str, kind: str) -> bool:
    """Whether it could be one at all, so that nothing else is looked up."""
    return len(text) == _LENGTH and text.startswith(kind)
