"""Everything at one glance."""

from datetime import UTC, datetime

from beamctl.api.runs_view import chosen, max_steps, owed
from beamctl.api.schemas.machine import MachineOverview, SectionDetail, SectionSummary
from beamctl.api.service import Service
from beamctl.store.pages import Listed
from beamctl.store.states import RunState


def overview(service: Service) -> MachineOverview:
    """The machines, upstream first."""
    latest = service.store.pages.latest_runs()
    shown = {key: latest[key] for key in service.machines.sections if key in latest}
    owing = owed(service, list(shown.values()))
    figures = service.figures.of([one.run for one in shown.values()])
    sections = []
    for key, section in service.machines.sections.items():
        one = shown.get(key)
        step = 0 if one is None else figures[one.run.id].step
        sections.append(_summary(service, section, one, step, is_owed=one is not None and one.run.id in owing))
    return MachineOverview(
        time=datetime.now(UTC), control=service.control.view(), beamline=service.machines.beamline, sections=sections
    )


def _summary(
    service: Service, section: SectionDetail, one: Listed | None, step: int, *, is_owed: bool
) -> SectionSummary:
    run = None if one is None else one.run
    is_owned = run is not None and run.ended is None
    return SectionSummary(
        key=section.key,
        title=section.title,
        machine=section.machine,
        kind=section.kind,
        tasks=section.tasks,
        state=RunState.IDLE if run is None else run.state,
        reason="" if run is None else run.reason,
        run=None if run is None else run.id,
        is_owned=is_owned,
        owner=run.principal if run is not None and is_owned else "",
        restore_owed=is_owed,
        task="" if run is None else run.task,
        step=step,
        max_steps=0 if one is None else max_steps(service, one, chosen(one)) or 0,
        live=service.live.live(section.key),
    )
