"""Versions of what people decide on: ``ETag`` and ``If-Match`` (RFC 9110)."""

import re
from typing import Annotated

from fastapi import Header

from beamctl.api.problem import ProblemError

IfMatch = Annotated[str | None, Header(alias="If-Match", max_length=1000, description="The ETag of what was seen.")]
_TAG = re.compile(r'(?:W/)?"([\x21\x23-\x7e]*)"')


def etag(version: str | int) -> dict[str, str]:
    """The header that tells a version."""
    return {"ETag": f'"{version}"'}


def check_version(if_match: str | None, current: str | int, what: str) -> None:
    """See that whoever decides has seen what is there now.

    Args:
        if_match: the header as it was sent.
        current: version that is there.
        what: for people.

    Raises:
        ProblemError: nothing was said, or another version.
    """
    seen = _TAG.findall(if_match or "")
    if not seen:
        raise ProblemError("version-needed", f'send If-Match: "VERSION" with the ETag of {what} as it was looked at')
    if str(current) not in seen:
        raise ProblemError("changed-meanwhile", f"{what} is at {current} now, seen was {', '.join(seen)}: look again")
