"""A run that was asked for on the command line: by the control process where there is one, else in this process."""

import getpass
import secrets
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field

from rich.console import Console

from beamctl.cli.display import RunDisplay
from beamctl.cli.rows import Rows, make_rows
from beamctl.cli.store_client import StoreClient
from beamctl.cli.terms import PLAIN, Terms
from beamctl.engine.fenced import RequestingEngine
from beamctl.errors import EngineError, LeaseHeldError
from beamctl.run.attempt import write_result
from beamctl.run.course import Course
from beamctl.run.events import Advice, Event, RunResult, Stepped
from beamctl.run.orders import HINTS, PARKED, Orders
from beamctl.run.session import TuningRun
from beamctl.run.store_record import StoreRecord
from beamctl.store.open import Store, open_store
from beamctl.store.requests import NewRequest
from beamctl.store.states import RunState
from beamctl.wiring.control import new_request, new_run
from beamctl.wiring.courses import course_of
from beamctl.wiring.deployment import Deployment
from beamctl.wiring.engines import epics_engine, with_fences
from beamctl.wiring.kit import Choice, TaskKit


@dataclass
class Done:
    """A run that has ended.

    Attributes:
        rows: that it was shown with.
        proposer: identity of the agent.
        steps: every reading.
        run: number in the store, 0 for advice.
    """

    rows: Rows
    proposer: str
    steps: list[Stepped] = field(default_factory=list)
    result: RunResult = field(init=False)
    run: int = 0
    advice: Advice | None = None


def carry_out(
    d: Deployment,
    task: str,
    choice: Choice,
    console: Console | None,
    *,
    advise: bool = False,
    terms: Terms = PLAIN,
    engine: RequestingEngine | None = None,
) -> Done:
    """One run, shown on the console; None: nowhere.

    Raises:
        BeamControlError: before anything was written.
    """
    if advise:
        return _advice(d, task, choice, console, engine)
    with open_store(d.settings.store) as store:
        if is_by_control(store, terms):
            return _by_the_control_process(d, store, task, choice, console, terms)
        if terms.dry_run:
            return _advice(d, task, choice, console, engine)
        return _here(d, store, task, choice, console, engine)


def is_by_control(store: Store, terms: Terms) -> bool:
    """Whether the control process is asked, or this process does it.

    Raises:
        LeaseHeldError: nobody could do it on these terms.
    """
    if store.leases.is_held("control") or terms.wait_for_control:
        return True
    if terms.wait_for_control is False:
        raise LeaseHeldError("no control process is running (beamctl operate), and --refuse asks not to do without one")
    if terms.needs_control:
        raise LeaseHeldError(f"{terms.needs_control} needs a control process, which takes the answer: beamctl operate")
    return False


def requested(d: Deployment, task: str, choice: Choice, terms: Terms) -> NewRequest:
    """A run as it is asked of the control process."""
    return new_request(
        d, task, choice, getpass.getuser(), secrets.token_hex(8),
        dry_run=terms.dry_run, review=terms.review, approval=terms.approval, note=terms.note,
    )  # fmt: skip


def _advice(d: Deployment, task: str, choice: Choice, console: Console | None, engine: RequestingEngine | None) -> Done:
    """Reads only: needs neither the section nor a record."""
    kit = d.kit(task)
    course = kit.course(choice)
    done = Done(make_rows(kit, choice.target), course.proposer)
    own_engine = engine is None
    engine = engine or epics_engine()
    display = _display(console, kit, course, done, "")
    run = TuningRun(engine, kit.layout(), course, _noting(done.steps, display), d.settings.connect_timeout_s)
    try:
        with display or nullcontext():
            done.result, done.advice = run.advise()
    finally:
        if own_engine:
            engine.close()
    return done


def _display(console: Console | None, kit: TaskKit, course: Course, done: Done, run: str) -> RunDisplay | None:
    if console is None:
        return None
    title = f"{run}{kit.facts.title}: {course.proposer}, goal: {course.goal}"
    return RunDisplay(console, title, done.rows, [k.name for k in kit.layout().knobs])


def _here(
    d: Deployment, store: Store, task: str, choice: Choice, console: Console | None, engine: RequestingEngine | None
) -> Done:
    """In this process, with the section's lease and everything written down."""
    kit = d.kit(task)
    choice, course = course_of(store, kit, choice)
    done = Done(make_rows(kit, choice.target), course.proposer)
    store.check_space()
    new = new_run(d, store, task, choice, getpass.getuser(), None)
    with store.leases.section(new.section) as lease:
        _check_nothing_owed(store, new.section)
        own_engine = engine is None
        reached = with_fences(engine or epics_engine(), kit.layout())
        run = store.runs.create(lease, new)
        done.run = run.id
        record = StoreRecord(store, lease, run.id, asdict(choice), course.max_steps)
        display = _display(console, kit, course, done, f"run {run.id}, ")
        tuning = TuningRun(
            reached, kit.layout(), course, _noting(done.steps, display), d.settings.connect_timeout_s, record, Orders()
        )
        try:
            with _signals_abort(tuning, to_the_end=own_engine), display or nullcontext():
                done.result = tuning.execute()
        except EngineError as error:
            store.runs.finish(lease, run.id, RunState.IDLE, "not armed", str(error))
            raise
        finally:
            if own_engine:
                reached.close()
        write_result(store, run.id, done.result)
        if tuning.state not in PARKED:
            store.runs.finish(lease, run.id, tuning.state, done.result.outcome.value, done.result.reason)
    return done


def _check_nothing_owed(store: Store, section: str) -> None:
    """A section that an earlier run has left behind is not tuned before that is settled."""
    for run in store.runs.unfinished():
        if run.section == section:
            then = f", then {HINTS[run.state].format(run=run.id)}" if run.state in PARKED else ", which restores it"
            raise LeaseHeldError(
                f"{section} still owes something: run {run.id} ({run.task}) has left it {run.state.value}. Start "
                f"beamctl operate{then}"
            )


def _by_the_control_process(
    d: Deployment, store: Store, task: str, choice: Choice, console: Console | None, terms: Terms
) -> Done:
    """As a request; abort is a command, and leaving does not disturb the run."""
    kit = d.kit(task)
    course = kit.course(choice)
    done = Done(make_rows(kit, choice.target), course.proposer)
    client = StoreClient(store, kit, console)
    with _handling(lambda *_: client.end()):
        done.run, done.result = client.carry_out(requested(d, task, choice, terms))
    done.steps.extend(client.story.steps)
    done.advice = client.story.advice
    return done


def _noting(steps: list[Stepped], display: RunDisplay | None) -> Callable[[Event], None]:
    def listen(event: Event) -> None:
        if isinstance(event, Stepped):
            steps.append(event)
        if display is not None:
            display(event)

    return listen


@contextmanager
def _signals_abort(run: TuningRun, *, to_the_end: bool) -> Iterator[None]:
    """Signals ask the run to end and to restore; a second one changes nothing.

    Args:
        run: that shall end.
        to_the_end: whether the process ends with the run; a late signal then does not cut off its report.
    """

    def ask(_number: int, _frame: object) -> None:
        run.abort()

    with _handling(ask, to_the_end=to_the_end):
        yield


@contextmanager
def _handling(ask: Callable[[int, object], None], *, to_the_end: bool = True) -> Iterator[None]:
    """Ctrl-C, SIGTERM and a terminal that goes away call ``ask``."""
    ends = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup
        ends.append(signal.SIGHUP)
    before = {number: signal.signal(number, ask) for number in ends}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_IGN if to_the_end else handler)
