"""Who asked for what and did not get it; for admins."""

from typing import Annotated

from fastapi import Query

from beamctl.api.access import Admin
from beamctl.api.routing import resource
from beamctl.api.schemas.base import LARGEST_ID
from beamctl.api.schemas.events import Refusal, Refusals
from beamctl.api.service import Served

router = resource("audit")


@router.get("/api/v1/audit/refusals")
def list_refusals(
    who: Admin,
    service: Served,
    before: Annotated[int | None, Query(ge=1, le=LARGEST_ID)] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> Refusals:
    """Refusals, the latest first."""
    found = service.store.audit.list(before=before, limit=limit)
    told = [
        Refusal(id=one.id, time=one.time, principal=one.principal, action=one.action, reason=one.reason)
        for one in found
    ]
    return Refusals(refusals=told, next=found[-1].id if len(found) == limit else None)
