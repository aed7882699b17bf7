"""Errors as RFC 9457 has them."""

from pydantic import Field

from beamctl.api.schemas.base import Told


class FieldFault(Told):
    """What is wrong with one field.

    Attributes:
        where: path, for example ``body.target``.
        message: what is wrong, for people.
    """

    where: str
    message: str


class Problem(Told):
    """Why something was not done.

    Attributes:
        type: ``urn:beamctl:problem:CODE``.
        title: the code in words, the same every time.
        status: of HTTP.
        detail: what happened this time, with numbers, and what can be done.
        code: stable, for programs.
        faults: of the fields, where the message itself was wrong.
    """

    type: str
    title: str
    status: int
    detail: str
    code: str
    faults: list[FieldFault] = Field(default_factory=list)
