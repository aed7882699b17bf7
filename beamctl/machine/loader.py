"""Reads machine and ion descriptions; a wrong file reports all its faults at once, each with its line and field."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from beamctl.errors import MachineDescriptionError, UnknownNameError
from beamctl.machine.cross_check import Fault, Location, injector_faults, linac_faults
from beamctl.machine.description import IonDescription, MachineDescription, OrbitTask
from beamctl.machine.injector import InjectorDescription, TransmissionTask

FILES = Path(str(resources.files("beamctl.machine") / "files"))
Model = TypeVar("Model", bound=BaseModel)
AnyMachine = MachineDescription | InjectorDescription
KINDS: dict[str, tuple[type[AnyMachine], Callable[[Any], Iterator[Fault]]]] = {
    "linac": (MachineDescription, linac_faults),
    "injector": (InjectorDescription, injector_faults),
}
"""by what a description says of its ``kind``; linac where it says nothing"""


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


def load_machine(name_or_path: str) -> AnyMachine:
    """A machine description by name, or from a file of the user's.

    Raises:
        UnknownNameError: neither a known name nor a file.
        MachineDescriptionError: with every fault of the file.
    """
    document = _parse(_find(name_or_path, FILES, "machine", known_machines()))
    kind = document.data.get("kind", "linac")
    if kind not in KINDS:
        message = f"unknown kind {kind!r}; known: {', '.join(KINDS)}"
        raise MachineDescriptionError([document.fault(("kind",), message)])
    return _validated(document, *KINDS[kind])


def load_linac(name_or_path: str) -> MachineDescription:
    """A linac by name or path; errors as :func:`load_machine`, and any other kind of machine is one."""
    return _of_kind(load_machine(name_or_path), MachineDescription)


def load_injector(name_or_path: str) -> InjectorDescription:
    """An injector by name or path; errors as :func:`load_linac`."""
    return _of_kind(load_machine(name_or_path), InjectorDescription)


def _of_kind(machine: AnyMachine, wanted: type[Model]) -> Model:
    if not isinstance(machine, wanted):
        raise MachineDescriptionError([f"{machine.name} is of kind {machine.kind}, which cannot be used here"])
    return machine


def load_ion(name_or_path: str) -> IonDescription:
    """An ion description by name, or from a file of the user's; errors as :func:`load_machine`."""
    document = _parse(_find(name_or_path, FILES / "ions", "ion", known_ions()))
    return _validated(document, IonDescription, lambda _: iter(()))


def find_task(machine: MachineDescription, name: str) -> OrbitTask:
    """A task of a linac.

    Raises:
        UnknownNameError: lists the tasks that exist.
    """
    return _named(machine.tasks, name)


def find_transmission_task(machine: InjectorDescription, name: str) -> TransmissionTask:
    """A task of an injector; errors as :func:`find_task`."""
    return _named(machine.tasks, name)


def _named(tasks: Mapping[str, Model], name: str) -> Model:
    if name not in tasks:
        raise UnknownNameError("task", name, tasks)
    return tasks[name]


def _find(name_or_path: str, folder: Path, kind: str, known: list[str]) -> Path:
    if name_or_path in known:
        return folder / f"{name_or_path}.yaml"
    path = Path(name_or_path)
    if path.suffix in {".yaml", ".yml"} and path.is_file():
        return path
    raise UnknownNameError(kind, name_or_path, [*known, "or the path of a .yaml file"])


def _validated(document: _Document, model: type[Model], cross_check: Callable[[Any], Iterator[Fault]]) -> Model:
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
