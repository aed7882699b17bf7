"""What can be tuned, what it reads now, and what would be done."""

from collections.abc import Sequence
from urllib.parse import quote

from beamctl.api.schemas.advice import Advice
from beamctl.api.schemas.machine import Live, MachineOverview, SectionDetail, Tasks
from beamctl.api.schemas.preflight import PreflightResult, Preflights
from beamctl.api.schemas.runs import Request
from beamctl.client.calls import ask, tell, told
from beamctl.client.groups.runs import IfDown, request_once
from beamctl.client.work import Call, Group, W, Work


class MachineCalls(Group[W]):
    """Sections and tasks."""

    @Call
    def overview(self) -> Work[MachineOverview]:
        """Every section, and the control process."""
        return ask(self._access, "/machine", MachineOverview)

    @Call
    def tasks(self) -> Work[Tasks]:
        """What can be asked for."""
        return ask(self._access, "/machine/tasks", Tasks)

    @Call
    def section(self, section: str) -> Work[SectionDetail]:
        """Its setpoints, instruments and conditions."""
        return ask(self._access, f"/machine/sections/{quote(section, safe='')}", SectionDetail)

    @Call
    def live(self, section: str) -> Work[Live]:
        """What it reads now.

        Raises:
            ConflictError: the control process has never told.
        """
        return ask(self._access, f"/machine/sections/{quote(section, safe='')}/live", Live)

    @Call
    def advice(
        self,
        task: str,
        *,
        algorithms: Sequence[str] | None = None,
        agent: str | None = None,
        target: float | None = None,
        preflight: int | None = None,
    ) -> Work[Advice]:
        """What several algorithms would do from the present reading; nothing is written.

        Example:
            for option in client.machine.advice("cm1-orbit").options:
                print(option.algorithm, option.predicted)
        """
        body = {
            "task": task, "algorithms": None if algorithms is None else [*algorithms], "agent": agent,
            "target": target, "preflight": preflight,
        }  # fmt: skip
        return told((yield from tell(self._access, "POST", "/advice", body, is_repeatable=True)), Advice)


class PreflightCalls(Group[W]):
    """Whether sections are wired as they are described."""

    @Call
    def list(self) -> Work[Preflights]:
        """Every section that can be checked."""
        return ask(self._access, "/preflight", Preflights)

    @Call
    def get(self, section: str) -> Work[PreflightResult]:
        """The newest complete one."""
        return ask(self._access, f"/preflight/{quote(section, safe='')}", PreflightResult)

    @Call
    def start(
        self, section: str, *, if_control_down: IfDown = "wait", note: str = "", key: str | None = None
    ) -> Work[Request]:
        """Ask for one: every corrector is kicked a little, and restored; ``key`` as in :meth:`RunCalls.start`."""
        body = {"if_control_down": if_control_down, "note": note}
        return request_once(self._access, f"/preflight/{quote(section, safe='')}", body, key)
