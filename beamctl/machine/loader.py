"""Reads machine and ion descriptions; a wrong file reports all its faults at once, each with its line and field."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from beamctl.errors import MachineDescriptionError, UnknownNameError
from beamctl.machine.description import IonDescription, MachineDescription, OrbitTask

FILES = Path(str(resources.files("beamctl.machine") / "files"))
Location = tuple[str | int, ...]
Model = TypeVar("Model", bound=BaseModel)

_CURRENT_FIELDS = {"current_upstream", "current_downstream"}
_PV_FIELDS = {
    "setpoint", "readback", "amplitude_setpoint", "amplitude_readback", "phase_setpoint", "phase_readback",
    "x", "y", "pv", "permit", "seed", "scenario", *_CURRENT_FIELDS,
}  # fmt: skip


@dataclass(frozen=True)
class _Document:
    """A parsed file with the line of every node, and the fields that it gives more than once."""

    path: Path
    data: Any
    lines: dict[Location, int]
    repeated: list[Location]

    def fault(self, location: Location, message: str) -> str:
        at = location
        while at and at not in self.lines:
            at = at[:-1]
        field = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in location).lstrip(".")
        return f"{self.path.name}:{self.lines.get(at, 1)}: {field or '(file)'}: {message}"


def known_machines() -> list[str]:
    """Names of the machine descriptions that come with beamctl."""
    return sorted(p.stem for p in FILES.glob("*.yaml"))


def known_ions() -> list[str]:
    """Names of the ion descriptions that come with beamctl."""
    return sorted(p.stem for p in (FILES / "ions").glob("*.yaml"))


def load_machine(name_or_path: str) -> MachineDescription:
    """A machine description by name, or from a file of the user's.

    Raises:
        UnknownNameError: neither a known name nor a file.
        MachineDescriptionError: with every fault of the file.
    """
    path = _find(name_or_path, FILES, "machine", known_machines())
    return _load(path, MachineDescription, _cross_check)


def load_ion(name_or_path: str) -> IonDescription:
    """An ion description by name, or from a file of the user's; errors as :func:`load_machine`."""
    path = _find(name_or_path, FILES / "ions", "ion", known_ions())
    return _load(path, IonDescription, lambda _: iter(()))


def find_task(machine: MachineDescription, name: str) -> OrbitTask:
    """A task of the machine.

    Raises:
        UnknownNameError: lists the tasks that exist.
    """
    if name not in machine.tasks:
        raise UnknownNameError("task", name, machine.tasks)
    return machine.tasks[name]


def _find(name_or_path: str, folder: Path, kind: str, known: list[str]) -> Path:
    if name_or_path in known:
        return folder / f"{name_or_path}.yaml"
    path = Path(name_or_path)
    if path.suffix in {".yaml", ".yml"} and path.is_file():
        return path
    raise UnknownNameError(kind, name_or_path, [*known, "or the path of a .yaml file"])


def _load(path: Path, model: type[Model], cross_check: Any) -> Model:
    document = _parse(path)
    faults: list[str] = []
    result = None
    try:
        result = model.model_validate(document.data)
    except ValidationError as error:
        found = error.errors(include_url=False)
        faults = [document.fault(_real_location(document, item["loc"]), item["msg"]) for item in found]
    faults += [document.fault(where, "is given more than once") for where in document.repeated]
    faults += [document.fault(where, message) for where, message in cross_check(document.data)]
    if faults or result is None:
        raise MachineDescriptionError(faults)
    return result


def _parse(path: Path) -> _Document:
    try:
        loader = yaml.SafeLoader(path.read_text(encoding="utf-8"))
        root = loader.get_single_node()
        data = None if root is None else loader.construct_document(root)
        lines = list(_node_lines(root, (), 1)) if isinstance(data, dict) else []
    except (OSError, yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark is not None else 1
        problem = " ".join(str(getattr(error, "problem", None) or error).split())
        raise MachineDescriptionError([f"{path.name}:{line}: (file): not readable YAML: {problem}"]) from error
    if not isinstance(data, dict):
        raise MachineDescriptionError([f"{path.name}:1: (file): must be a mapping of fields"])
    return _Document(path, data, dict(lines), _repeated([where for where, _ in lines]))


def _node_lines(node: Any, location: Location, line: int) -> Iterator[tuple[Location, int]]:
    yield location, line
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from _node_lines(value, (*location, key.value), key.start_mark.line + 1)
    elif isinstance(node, yaml.SequenceNode):
        for i, value in enumerate(node.value):
            yield from _node_lines(value, (*location, i), value.start_mark.line + 1)


def _repeated(locations: list[Location]) -> list[Location]:
    """Fields that occur more than once; YAML itself would silently keep the last."""
    repeated = {where for where, count in Counter(locations).items() if count > 1}
    return [where for where in dict.fromkeys(locations) if where in repeated and where[:-1] not in repeated]


def _real_location(document: _Document, location: Location) -> Location:
    """Pydantic's location without the parts it adds itself (validator names, '[key]')."""
    real: Location = ()
    for part in location:
        if (*real, part) in document.lines or part == location[-1]:
            real = (*real, part)
    return real


def _cross_check(data: Any) -> Iterator[tuple[Location, str]]:
    yield from _duplicate_pvs(data)
    yield from _duplicate_names(data)
    yield from _dangling_references(data)


def _duplicate_pvs(data: Any) -> Iterator[tuple[Location, str]]:
    seen: dict[str, Location] = {}
    for location, value in _leaves(data, ()):
        if location[-1] not in _PV_FIELDS or not isinstance(value, str):
            continue
        first = seen.setdefault(value, location)
        if first is not location and not _is_monitor_between_sections(first, location):
            yield location, f"PV {value!r} is already used by {'.'.join(map(str, first))}"


def _is_monitor_between_sections(one: Location, other: Location) -> bool:
    return {one[-1], other[-1]} <= _CURRENT_FIELDS and one[:-1] != other[:-1]


def _duplicate_names(data: Any) -> Iterator[tuple[Location, str]]:
    seen: dict[tuple[Any, str, Any], Location] = {}
    for location, value in _leaves(data.get("sections"), ("sections",)):
        if location[-1] != "name" or len(location) < 5:
            continue
        kind = next(str(p) for p in reversed(location[:-1]) if isinstance(p, str))
        key = (location[1], kind, value)
        if key in seen:
            yield location, f"{value!r} is already the name of {'.'.join(map(str, seen[key][:-1]))}"
        seen.setdefault(key, location)


def _dangling_references(data: Any) -> Iterator[tuple[Location, str]]:
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
