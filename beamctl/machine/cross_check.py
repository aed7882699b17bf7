"""Faults of a description that no single field shows: what is used twice, what refers to nothing."""

from collections.abc import Iterator
from typing import Any

Location = tuple[str | int, ...]
Fault = tuple[Location, str]
"""where, and what is wrong there"""

_CURRENT_FIELDS = {"current_upstream", "current_downstream"}
_PV_FIELDS = {
    "setpoint", "readback", "amplitude_setpoint", "amplitude_readback", "phase_setpoint", "phase_readback",
    "x", "y", "pv", "permit", "enable", "seed", "scenario", "monitor", "acct", "mfc1",
    "request", "acknowledge", *_CURRENT_FIELDS,
}  # fmt: skip


def linac_faults(data: Any) -> Iterator[Fault]:
    """PVs and names that are used twice, and tasks that refer to what does not exist."""
    yield from _duplicate_pvs(data)
    yield from _duplicate_names(data)
    yield from _dangling_references(data)


def injector_faults(data: Any) -> Iterator[Fault]:
    """As :func:`linac_faults`."""
    yield from _duplicate_pvs(data)
    yield from _duplicate_knobs(data)
    yield from _dangling_knobs(data)


def _duplicate_pvs(data: Any) -> Iterator[Fault]:
    seen: dict[str, Location] = {}
    for location, value in _leaves(data, ()):
        if location[-1] not in _PV_FIELDS or not isinstance(value, str):
            continue
        first = seen.setdefault(value, location)
        if first is not location and not _is_monitor_between_sections(first, location):
            yield location, f"PV {value!r} is already used by {'.'.join(map(str, first))}"


def _is_monitor_between_sections(one: Location, other: Location) -> bool:
    return {one[-1], other[-1]} <= _CURRENT_FIELDS and one[:-1] != other[:-1]


def _duplicate_names(data: Any) -> Iterator[Fault]:
    seen: dict[tuple[Any, str, Any], Location] = {}
    for location, value in _leaves(data.get("sections"), ("sections",)):
        if location[-1] != "name" or len(location) < 5:
            continue
        kind = next(str(p) for p in reversed(location[:-1]) if isinstance(p, str))
        key = (location[1], kind, value)
        if key in seen:
            yield location, f"{value!r} is already the name of {'.'.join(map(str, seen[key][:-1]))}"
        seen.setdefault(key, location)


def _dangling_references(data: Any) -> Iterator[Fault]:
    sections = data.get("sections")
    tasks = data.get("tasks")
    if not isinstance(sections, dict) or not isinstance(tasks, dict):
        return
    for task_name, task in tasks.items():
        section = task.get("section") if isinstance(task, dict) else None
        if not isinstance(section, str):
            continue
        if section not in sections:
            known = ", ".join(map(str, sections))
            yield ("tasks", task_name, "section"), f"section {section!r} does not exist; known: {known}"
            continue
        names = _element_names(sections[section])
        for field, label in (("bpms", "BPM"), ("correctors", "corrector")):
            listed = task.get(field)
            for i, name in enumerate(listed if isinstance(listed, list) else []):
                if isinstance(name, str) and name not in names[field]:
                    known = ", ".join(map(str, sorted(names[field]))) or "none"
                    message = f"{label} {name!r} is not in section {section!r}; it has: {known}"
                    yield ("tasks", task_name, field, i), message


def _knob_names(data: Any) -> list[tuple[Location, str]]:
    leaves = _leaves(data.get("lebt"), ("lebt",))
    return [(location, str(value)) for location, value in leaves if location[-1] == "name"]


def _duplicate_knobs(data: Any) -> Iterator[Fault]:
    seen: dict[str, Location] = {}
    for location, name in _knob_names(data):
        if name in seen:
            yield location, f"{name!r} is already the name of {'.'.join(map(str, seen[name][:-1]))}"
        seen.setdefault(name, location)


def _dangling_knobs(data: Any) -> Iterator[Fault]:
    known = [name for _, name in _knob_names(data)]
    for location, value in _leaves(data.get("tasks"), ("tasks",)):
        if len(location) == 4 and location[2] == "knobs" and value not in known:
            yield location, f"knob {value!r} does not exist; known: {', '.join(known) or 'none'}"


def _element_names(section: Any) -> dict[str, set[str]]:
    names: dict[str, set[str]] = {"bpms": set(), "correctors": set()}
    for location, value in _leaves(section, ()):
        if location[-1] == "name" and "bpm" in location:
            names["bpms"].add(str(value))
        elif location[-1] == "name" and "correctors" in location:
            names["correctors"].add(str(value))
    return names


def _leaves(node: Any, location: Location) -> Iterator[tuple[Location, Any]]:
    if isinstance(node, dict):
        for key, value in node.items():
            yield from _leaves(value, (*location, key))
    elif isinstance(node, list):
        for i, value in enumerate(node):
            yield from _leaves(value, (*location, i))
    else:
        yield location or ("",), node
