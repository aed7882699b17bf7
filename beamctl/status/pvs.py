"""Which PVs show the control process, and where on the board their values stand."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from beamctl.engine.base import Severity
from beamctl.status.board import SectionStatus, Snapshot
from beamctl.status.ca.definition import Definition
from beamctl.store.states import RunState

HEARTBEAT: Final = "Heartbeat"
HALT: Final = "Halt"
REASON_BYTES: Final = 400
"""of the long text, its closing zero included"""

STATES: Final = (
    RunState.IDLE,
    RunState.ARMED,
    RunState.RUNNING,
    RunState.HOLD,
    RunState.REVIEW,
    RunState.ACCEPTED,
    RunState.RESTORING,
    RunState.RESTORED,
    RunState.UNKNOWN,
    RunState.CONFLICT,
    RunState.HALTED,
    RunState.FAULT,
    RunState.RECOVERING,
)
"""by number; archivers keep the numbers, so this order never changes: new states go to the end, there is room for 3"""
_MINOR = frozenset({RunState.HOLD, RunState.REVIEW, RunState.RESTORING, RunState.RECOVERING})
_MAJOR = frozenset({RunState.CONFLICT, RunState.HALTED, RunState.UNKNOWN, RunState.FAULT})
_QUIET: Final = Severity.NO_ALARM
_ON_NEWS: Final = "I/O Intr"

Value: TypeAlias = float | str


@dataclass(frozen=True)
class TunedSection:
    """A section with PVs.

    Attributes:
        name: as on the board and in the PV names, for example ``"cafe2-cm1"``.
        objective: what is tuned, at most 20 characters, for example ``"orbit RMS"`` or ``"MFC1 current"``.
        units: of the objective.
    """

    name: str
    objective: str
    units: str


@dataclass(frozen=True)
class StatusPv:
    """A PV and its value.

    Attributes:
        definition: what it is.
        value: what it shows; numbers for states.
    """

    definition: Definition
    value: Callable[[Snapshot], Value]

    def severity(self, value: Value) -> Severity:
        """That belongs to a value."""
        if isinstance(value, str):
            return Severity.NO_ALARM
        return self.definition.severity(value) if math.isfinite(value) else Severity.INVALID


def severity_of(state: RunState) -> Severity:
    """How loud a state is."""
    if state in _MAJOR:
        return Severity.MAJOR
    return Severity.MINOR if state in _MINOR else Severity.NO_ALARM


def status_pvs(sections: Iterable[TunedSection], prefix: str, version: str) -> list[StatusPv]:
    """Every PV that shows something of a board; the heartbeat, which no board knows, stays at 0."""
    pvs = list(_service_pvs(prefix, version))
    for section in sections:
        pvs += _section_pvs(section, f"{prefix}{section.name}:")
    return pvs


def _service_pvs(prefix: str, version: str) -> Iterator[StatusPv]:
    halt = _binary(
        f"{prefix}{HALT}", "1 freezes every run, 0 takes that back", ("go", "halt"), (_QUIET, Severity.MAJOR)
    )
    ready = _binary(f"{prefix}Ready", "Takes requests", ("not ready", "ready"), (Severity.MINOR, _QUIET))
    permit = _binary(f"{prefix}PermitToAct", "May write now", ("no permit", "may act"), (_QUIET, _QUIET))
    heartbeat = _integer(f"{prefix}{HEARTBEAT}", "Counts twice a second while it is alive")
    yield StatusPv(replace(heartbeat, scan=".5 second"), lambda _: 0)
    yield StatusPv(_text(f"{prefix}Version", "Version of beamctl"), lambda _: version)
    yield StatusPv(ready, lambda board: board.service.ready)
    yield StatusPv(permit, lambda board: board.service.permit_to_act)
    yield StatusPv(replace(halt, record_type="bo", writable=True, scan="Passive"), lambda board: board.service.halt)
    yield StatusPv(_integer(f"{prefix}RunsActive", "Runs that have not ended"), lambda board: board.service.runs_active)


def _section_pvs(section: TunedSection, prefix: str) -> Iterator[StatusPv]:
    def show(definition: Definition, value: Callable[[SectionStatus], Value]) -> StatusPv:
        return StatusPv(definition, lambda board: value(board.section(section.name)))

    newest, best = f"Newest {section.objective}", f"Best {section.objective} of the run"
    owed = ("nothing owed", "restore owed")
    yield show(_state(f"{prefix}State"), lambda s: STATES.index(s.state))
    yield show(_long_text(f"{prefix}Reason", "Why it is in this state"), lambda s: s.reason)
    yield show(_text(f"{prefix}ReasonShort", "Why it is in this state, the beginning"), lambda s: s.reason)
    yield show(_integer(f"{prefix}Run", "Number of the run"), lambda s: s.run)
    yield show(_integer(f"{prefix}Step", "Steps taken"), lambda s: s.step)
    yield show(_integer(f"{prefix}MaxSteps", "Steps that the run may take"), lambda s: s.max_steps)
    yield show(_percent(f"{prefix}Progress", "Steps taken of those allowed"), lambda s: s.progress_percent)
    yield show(_analog(f"{prefix}Objective", newest, section.units), lambda s: s.objective)
    yield show(_analog(f"{prefix}Best", best, section.units), lambda s: s.best)
    yield show(
        _binary(f"{prefix}RestoreOwed", "Written, neither restored nor accepted", owed, (_QUIET, Severity.MAJOR)),
        lambda s: s.restore_owed,
    )
    yield show(_text(f"{prefix}User", "Who asked for the run"), lambda s: s.user)


def _state(name: str) -> Definition:
    severities = tuple(severity_of(state) for state in STATES)
    return Definition(
        name, "mbbi", "State of the run", states=tuple(map(str, STATES)), severities=severities, scan=_ON_NEWS
    )


def _binary(name: str, text: str, states: tuple[str, str], severities: tuple[Severity, Severity]) -> Definition:
    return Definition(name, "bi", text, states=states, severities=severities, scan=_ON_NEWS)


def _integer(name: str, text: str) -> Definition:
    return Definition(name, "longin", text, scan=_ON_NEWS)


def _analog(name: str, text: str, units: str) -> Definition:
    return Definition(name, "ai", text, units=units, precision=4, scan=_ON_NEWS)


def _percent(name: str, text: str) -> Definition:
    return Definition(name, "ai", text, units="%", lo=0.0, hi=100.0, scan=_ON_NEWS)


def _text(name: str, text: str) -> Definition:
    return Definition(name, "stringin", text, scan=_ON_NEWS)


def _long_text(name: str, text: str) -> Definition:
    return Definition(name, "waveform", text, size=REASON_BYTES, scan=_ON_NEWS)
