"""Versions of what several people may change."""

from beamctl.client.access import Access
from beamctl.client.calls import API, answered
from beamctl.client.problems import not_understood
from beamctl.client.work import Outgoing, Work


def etag(access: Access, path: str) -> Work[str]:
    """The ``ETag`` of a resource, as it has to be sent back in ``If-Match``."""
    answer = yield from answered(access, Outgoing("GET", API + path), is_repeatable=True)
    found = answer.headers.get("ETag")
    if found is None:
        raise not_understood(answer, "no ETag")
    return str(found)
