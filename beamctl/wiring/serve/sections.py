"""Sections and the beam line, as the service tells of them."""

import math
from collections.abc import Sequence

from beamctl.api.schemas.machine import BeamlineElement, ChannelInfo, KnobInfo, SectionDetail
from beamctl.engine.layout import Knob
from beamctl.machine.description import MachineDescription, Section
from beamctl.machine.injector import InjectorDescription
from beamctl.wiring.deployment import Deployment
from beamctl.wiring.kit import TaskKit, whole_layout
from beamctl.wiring.orbit import OrbitKit
from beamctl.wiring.transmission import TransmissionKit

_STATIONS = (("source", "Ion source"), ("lebt", "LEBT"), ("rfq", "RFQ"), ("mebt", "MEBT"))


def section_detail(kits: Sequence[TaskKit]) -> SectionDetail:
    """A section with everything that any of its tasks moves or reads.

    Args:
        kits: of its tasks.
    """
    kit = kits[0]
    layout = whole_layout(kits)
    planes, places = _planes(kit), _places(kit)
    return SectionDetail(
        key=kit.key,
        title=section_title(kit),
        machine=kit.facts.machine,
        kind="orbit" if isinstance(kit, OrbitKit) else "transmission",
        hash=kit.section_hash,
        tasks=[one.facts.name for one in kits],
        knobs=[_knob(knob, planes.get(knob.name, ""), places.get(knob.name)) for knob in layout.knobs],
        channels=[
            _channel(name, pv, isinstance(kit, OrbitKit), places)
            for name, pv in zip(layout.channel_names, layout.channels, strict=True)
        ],
        identity_pv=layout.identity,
        permit_pv=layout.permit,
        enable_pv=layout.enable,
        heartbeat_pv=layout.heartbeat,
        current_pv=layout.current,
        current_floor_ma=layout.current_floor_ma,
    )


def section_title(kit: TaskKit) -> str:
    """For people."""
    return kit.machine.sections[kit.task.section].title if isinstance(kit, OrbitKit) else "LEBT and RFQ"


def beamline(deployment: Deployment) -> list[BeamlineElement]:
    """Stations of all machines, injectors first."""
    elements: list[BeamlineElement] = []
    for machine in deployment.machines:
        if isinstance(machine, InjectorDescription):
            key = next((deployment.kit(task).key for task in machine.tasks), "")
            stations = [(name, title, key if name == "lebt" else "") for name, title in _STATIONS]
            elements[:0] = [BeamlineElement(name=n, title=t, section=s) for n, t, s in stations]
        else:
            elements += _modules(deployment, machine)
    return elements


def _modules(deployment: Deployment, machine: MachineDescription) -> list[BeamlineElement]:
    keys = {task.section: deployment.kit(name).key for name, task in machine.tasks.items()}
    return [
        BeamlineElement(name=name, title=section.title, section=keys.get(name, ""))
        for name, section in machine.sections.items()
    ]


def _planes(kit: TaskKit) -> dict[str, str]:
    if isinstance(kit, OrbitKit):
        return {c.name: c.plane for c in kit.machine.sections[kit.task.section].correctors}
    if isinstance(kit, TransmissionKit):
        return {c.name: c.plane for stage in kit.machine.lebt.stages for c in stage.correctors}
    return {}


def _places(kit: TaskKit) -> dict[str, float]:
    """Distance from the start of the section, m, by device; what the description does not tell is missing."""
    if isinstance(kit, OrbitKit):
        return _cell_places(kit.machine, kit.machine.sections[kit.task.section])
    return {}


def _cell_places(machine: MachineDescription, section: Section) -> dict[str, float]:
    """Correctors sit on the solenoid, the BPM stands at the end of its cell."""
    pitch, drift = machine.geometry.pitch.si(), machine.geometry.drift.si()
    solenoid = drift + machine.types.solenoid.centre.si()
    places: dict[str, float] = {}
    for i, cell in enumerate(section.cells):
        places |= {corrector.name: i * pitch + solenoid for corrector in cell.correctors}
        if cell.bpm is not None:
            places[cell.bpm.name] = (i + 1) * pitch
    return places


def _knob(knob: Knob, plane: str, s_m: float | None) -> KnobInfo:
    return KnobInfo(
        name=knob.name,
        setpoint_pv=knob.setpoint,
        readback_pv=knob.readback,
        lo=knob.lo,
        hi=knob.hi,
        step=knob.step,
        travel=knob.travel if math.isfinite(knob.travel) else None,
        tolerance=knob.tolerance,
        plane="x" if plane == "x" else "y" if plane == "y" else "",
        s_m=s_m,
    )


def _channel(name: str, pv: str, is_orbit: bool, places: dict[str, float]) -> ChannelInfo:
    device, _, plane = name.partition(" ")
    return ChannelInfo(
        name=name,
        pv=pv,
        device=device,
        plane="x" if plane == "x" else "y" if plane == "y" else "",
        unit="mm" if is_orbit else "mA",
        reference=0.0 if is_orbit else None,
        s_m=places.get(device),
    )
