"""Machines of the deployment, as far as these tests need them."""

from dataclasses import replace

from beamctl.api.schemas.advice import Advice
from beamctl.api.schemas.agents import Agent, AgentSummary
from beamctl.api.schemas.machine import BeamlineElement, ChannelInfo, KnobInfo, SectionDetail, Task
from beamctl.errors import UnknownNameError
from beamctl.wiring.control import new_request
from beamctl.wiring.deployment import Deployment
from beamctl.wiring.kit import Choice


class PlainMachines:
    """See :class:`beamctl.api.ports.Machines`."""

    def __init__(self, deployment: Deployment) -> None:
        self._d = deployment
        self.titles = [m.title for m in deployment.machines]
        self.tasks = {t: self._task(t) for t in deployment.tasks if deployment.kit(t).layout().enable}
        self.sections = {t.section: self._section(t) for t in self.tasks.values()}
        self.beamline = [BeamlineElement(name=s, title=s, section=s) for s in self.sections]
        self.checked_sections = {t.section: t.name for t in self.tasks.values() if t.kind == "orbit"}
        self.switched = {}

    def goal(self, task, target):
        kit = self._d.kit(task)
        return kit.course(Choice(target=target)).goal

    def request(self, asked, principal, key):
        choice = Choice(
            asked.algorithm, asked.agent, asked.target, asked.max_steps, asked.step_percent, asked.seed, asked.preflight
        )
        self._d.kit(asked.task).course(choice)
        made = new_request(
            self._d, asked.task, choice, principal, key, dry_run=asked.dry_run, review=asked.review
        )  # fmt: skip
        return replace(made, note=asked.note, needs_approval=asked.approval)

    def preflight_request(self, section, asked, principal, key):
        task = self.checked_sections.get(section)
        if task is None:
            raise UnknownNameError("section", section, self.checked_sections)
        made = new_request(self._d, task, Choice(algorithm="preflight"), principal, key, dry_run=False, review=False)
        return replace(made, note=asked.note)

    def snapshot_request(self, run, asked, principal, key):
        made = new_request(self._d, run.task, Choice(), principal, key, dry_run=False, review=asked.review)
        budgets = made.budgets | {"snapshot_of": run.id, "of": asked.of}
        return replace(made, algorithm="snapshot", note=asked.note, budgets=budgets)

    def advise(self, asked, live):
        return Advice(
            task=asked.task, section=live.section, time=live.time, age_s=0.0, figure="rms_mm", target=0.5, figures={},
            values=[], valid=[], setpoint_a=[], knobs=[], channels=[], is_reached=False, unfit=[], preflight=None,
            options=[],
        )  # fmt: skip

    def preflight(self, section):
        if section not in self.checked_sections:
            raise UnknownNameError("section", section, self.checked_sections)

    def agents(self):
        return [AgentSummary(**self._agent(name)) for name in ("cafe2-orbit",)]

    def agent(self, name):
        self._d.registry.find(name)
        more = {"manifest": {}, "evaluation": [], "has_envelope": False, "is_verified": True, "verification": ""}
        return Agent(
            **self._agent(name), **more, switched_by=None, switched_at=None, switch_reason=""
        )  # fmt: skip

    def _agent(self, name):
        return {
            "id": name, "task_kind": "orbit", "machine": "cafe2", "machine_hash": None, "policy_sha256": "", "tasks": [],
            "default_for": [], "enabled": True, "preset": "", "seed": 0, "selection": {},
        }  # fmt: skip

    def _task(self, name):
        kit = self._d.kit(name)
        facts, is_orbit = kit.facts, name in self._d.orbit_tasks
        return Task(
            name=name, title=facts.title, machine=facts.machine, section=kit.key,
            kind="orbit" if is_orbit else "transmission", knobs=facts.knobs, instruments=facts.instruments,
            goal=facts.goal, target=0.5, target_unit="mm" if is_orbit else "T", max_steps=facts.max_steps,
            algorithms=list(kit.algorithms), agents=[kit.default_agent],
        )  # fmt: skip

    def _section(self, task):
        kit = self._d.kit(task.name)
        layout = kit.layout()
        knobs = [
            KnobInfo(
                name=k.name, setpoint_pv=k.setpoint, readback_pv=k.readback, lo=k.lo, hi=k.hi, step=k.step,
                travel=None, tolerance=k.tolerance, plane="", s_m=None,
            )
            for k in layout.knobs
        ]  # fmt: skip
        channels = [
            ChannelInfo(name=n, pv=pv, device=n.split()[0], plane="", unit="mm", reference=None, s_m=None)
            for n, pv in zip(layout.channel_names, layout.channels, strict=True)
        ]
        return SectionDetail(
            key=kit.key, title=task.title, machine=task.machine, kind=task.kind, hash=kit.section_hash,
            tasks=[task.name], knobs=knobs, channels=channels, identity_pv=layout.identity, permit_pv=layout.permit,
            enable_pv=layout.enable, heartbeat_pv=layout.heartbeat, current_pv=layout.current,
            current_floor_ma=layout.current_floor_ma,
        )  # fmt: skip
