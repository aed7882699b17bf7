"""What can be tuned, and what it reads now."""

from beamctl.api.access import Viewer
from beamctl.api.overview import overview
from beamctl.api.parameters import Name
from beamctl.api.problem import ProblemError
from beamctl.api.routing import resource
from beamctl.api.schemas.machine import Live, MachineOverview, SectionDetail, Tasks
from beamctl.api.service import Served, Service
from beamctl.api.version import PREFIX

router = resource("machine")
_ROOT = f"{PREFIX}/machine"


@router.get(_ROOT)
def get_machine(service: Served, viewer: Viewer) -> MachineOverview:
    """Everything at one glance: control process, beam line, sections, their runs and readings."""
    return overview(service)


@router.get(f"{_ROOT}/tasks")
def list_tasks(service: Served, viewer: Viewer) -> Tasks:
    """What can be asked for."""
    return Tasks(tasks=list(service.machines.tasks.values()))


@router.get(f"{_ROOT}/sections/{{section}}")
def get_section(section: Name, service: Served, viewer: Viewer) -> SectionDetail:
    """Knobs, instruments and conditions of a section."""
    return _section(service, section)


@router.get(f"{_ROOT}/sections/{{section}}/live", responses={409: {}})
def get_section_live(section: Name, service: Served, viewer: Viewer) -> Live:
    """What a section reads now."""
    reading = service.live.live(_section(service, section).key)
    if reading is None:
        raise ProblemError("no-live-data", f"the control process has never published a reading of {section}")
    return reading


def _section(service: Service, key: str) -> SectionDetail:
    found = service.machines.sections.get(key)
    if found is None:
        raise ProblemError("not-found", f"no section {key!r}; there are: {', '.join(service.machines.sections)}")
    return found
