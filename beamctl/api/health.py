"""Whether the service can do what it is for."""

from beamctl.api.live_book import FRESH_S, age
from beamctl.api.schemas.machine import Health
from beamctl.api.service import Service
from beamctl.errors import StoreError


def readiness(service: Service) -> Health:
    """What is wrong, a sentence each."""
    try:
        wrong = _wrong(service)
    except StoreError as error:
        wrong = [f"the store cannot be read: {error}"]
    return Health(status="not ready" if wrong else "ok", wrong=wrong)


def _wrong(service: Service) -> list[str]:
    control = service.control.view()
    if not control.is_alive:
        return [control.message]
    wrong = [control.message] if control.is_halted else []
    rows = service.live.rows()
    for key in service.machines.sections:
        if key not in rows:
            wrong.append(f"{key} has no readings: the control process has never published any")
        elif age(rows[key]) >= FRESH_S:
            wrong.append(f"the readings of {key} are {age(rows[key]):.1f} s old, {FRESH_S:g} s are allowed")
    return wrong
