"""What the control process builds its runs from."""

from collections.abc import Callable
from dataclasses import asdict
from functools import partial

from beamctl.engine.fenced import RequestingEngine
from beamctl.errors import IncompatibleAgentError
from beamctl.run.attempt import Attempt, RecoveryAttempt, RunAttempt
from beamctl.run.events import Listener
from beamctl.run.orders import Orders
from beamctl.run.recovery import Left, recover
from beamctl.run.session import TuningRun
from beamctl.run.store_record import StoreRecord, taken_over
from beamctl.store.leases import Lease
from beamctl.store.open import Store
from beamctl.store.requests import NewRequest, Request
from beamctl.store.runs import NewRun, Run
from beamctl.wiring.courses import course_of
from beamctl.wiring.deployment import Deployment
from beamctl.wiring.engines import with_fences
from beamctl.wiring.kit import Choice, TaskKit, trained_agent
from beamctl.wiring.orbit import PREFLIGHT


def new_request(
    deployment: Deployment,
    task: str,
    choice: Choice,
    principal: str,
    key: str,
    *,
    dry_run: bool = False,
    review: bool = False,
    approval: bool = False,
    note: str = "",
) -> NewRequest:
    """A choice as it is asked of the control process."""
    kit = deployment.kit(task)
    snapshot = {} if choice.snapshot_of is None else {"snapshot_of": choice.snapshot_of, "of": choice.of}
    return NewRequest(
        task=task,
        section=kit.key,
        algorithm=choice.algorithm or kit.algorithms[0],
        agent=choice.agent or kit.default_agent,
        principal=principal,
        idempotency_key=key,
        target=choice.target,
        budgets={
            "max_steps": choice.max_steps,
            "step_percent": choice.step_percent,
            "seed": choice.seed,
            "preflight": choice.preflight,
            "review": review,
            **snapshot,
        },
        dry_run=dry_run,
        needs_approval=approval,
        note=note,
    )


def choice_of(request: Request) -> Choice:
    """What a request asks for; the inverse of :func:`new_request`."""
    b = request.budgets or {}
    return Choice(
        request.algorithm or None, request.agent or None, request.target, b.get("max_steps"), b.get("step_percent"),
        b.get("seed") or 0, b.get("preflight"), b.get("snapshot_of"), b.get("of", "found"),
    )  # fmt: skip


def new_run(
    deployment: Deployment, store: Store, task: str, choice: Choice, principal: str, request: int | None
) -> NewRun:
    """What a run of a task will be.

    Raises:
        UnknownNameError, IncompatibleAgentError, StoreConflictError, SetpointLimitError: it cannot be built.
    """
    kit = deployment.kit(task)
    check_enabled(store, kit, choice)
    proposer = course_of(store, kit, choice)[1].proposer
    name, _, digest = proposer.partition("@")
    return NewRun(
        section=kit.key,
        task=task,
        principal=principal,
        agent=proposer,
        agent_hashes={name: digest} if digest else {},
        configuration_hash=kit.section_hash,
        request=request,
    )


def check_enabled(store: Store, kit: TaskKit, choice: Choice) -> None:
    """An agent that somebody has switched off proposes nothing.

    Raises:
        UnknownNameError: there is no such agent.
        IncompatibleAgentError: says who has switched it off, and why.
    """
    agent = trained_agent(kit, choice)
    switch = None if agent is None else store.switches.get(agent.id)
    if switch is not None and not switch.enabled:
        why = f": {switch.reason}" if switch.reason else ""
        raise IncompatibleAgentError(
            f"agent {switch.agent} was disabled by {switch.principal} at {switch.time:%Y-%m-%d %H:%M} UTC{why}"
        )


class ControlWorkshop:
    """See :class:`beamctl.run.supervisor.Workshop`.

    Args:
        deployment: machines and settings.
        store: where runs are recorded.
        make_engine: a fresh engine for each run.
        listen: who is told of what a run reports, from the run and its budget.
    """

    def __init__(
        self,
        deployment: Deployment,
        store: Store,
        make_engine: Callable[[], RequestingEngine],
        listen: Callable[[Run, int], Listener] = lambda _run, _budget: lambda _: None,
    ) -> None:
        self._listen = listen
        self._deployment = deployment
        self._store = store
        self._make_engine = make_engine

    def describe(self, request: Request) -> NewRun:
        """What the run of a request will be."""
        return new_run(self._deployment, self._store, request.task, choice_of(request), request.principal, request.id)

    def attempt(self, request: Request, lease: Lease, run: Run, orders: Orders) -> Attempt:
        """The run itself."""
        kit, choice = self._deployment.kit(request.task), choice_of(request)
        choice, course = course_of(self._store, kit, choice)
        layout = kit.layout()
        engine = with_fences(self._make_engine(), layout)
        tuning = TuningRun(
            engine,
            layout,
            course,
            self._listen(run, course.max_steps),
            self._deployment.settings.connect_timeout_s,
            StoreRecord(self._store, lease, run.id, asdict(choice), course.max_steps),
            orders,
            asks=request.needs_approval and choice.algorithm != PREFLIGHT,
        )
        return RunAttempt(engine, tuning, self._store, run.id, dry_run=request.dry_run)

    def recovery(self, lease: Lease, run: Run, orders: Orders) -> Attempt:
        """Bringing back what a run has left behind."""
        kit, record = self._deployment.kit(run.task), StoreRecord(self._store, lease, run.id)
        left = Left(run.snapshot, self._store.journal.of_run(run.id), taken_over(self._store, run.id))
        timeout_s = self._deployment.settings.connect_timeout_s
        layout = kit.layout()
        work = partial(recover, layout=layout, left=left, journal=record, gate=orders.gate, connect_timeout_s=timeout_s)
        return RecoveryAttempt(with_fences(self._make_engine(), layout), work, self._store, run.id)
