"""What all messages have in common; nothing in this package needs a web framework, so that clients can use it."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, Strict, StringConstraints

LARGEST_ID = 2**53 - 1
"""what every JSON reader can hold"""
NO_CONTROL = r"^[^\x00-\x08\x0a-\x1f\x7f]*$"

Identifier = Annotated[int, Strict(), Field(ge=1, le=LARGEST_ID)]
"""number of a row"""
Count = Annotated[int, Strict(), Field(ge=0, le=LARGEST_ID)]
Finite = Annotated[FiniteFloat, Strict()]
"""a number; never NaN, infinity, ``true`` or text"""
Word = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:+\-]*$")]
"""name of a task, section, agent, algorithm"""
AccountName = Annotated[
    str, StringConstraints(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:+@\-]*$")
]
"""name of an account; may be an address as identity providers have it"""
Line = Annotated[str, StringConstraints(max_length=500, pattern=NO_CONTROL)]
"""one line of free text"""


class Asked(BaseModel):
    """Base of what clients send: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Told(BaseModel):
    """Base of what clients receive. Numbers that are not known are null, times are UTC (RFC 3339)."""

    model_config = ConfigDict(extra="forbid", frozen=True)
