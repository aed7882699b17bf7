"""The preflight response check: small kicks of every corrector, and whether the machine answers as it is described.

It is a run like any other (armed, guarded, written down, held, aborted by the same rules), whose course is a list of
kicks and which always ends with its snapshot restored. What it finds maps the task for the agent that comes after it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from beamctl.engine.base import Engine
from beamctl.engine.layout import SectionLayout
from beamctl.engine.reader import Measurement
from beamctl.run.course import Figures, Visit
from beamctl.run.events import Listener, Outcome, RunResult
from beamctl.run.orders import Orders
from beamctl.run.record import Record
from beamctl.run.session import TuningRun
from beamctl.store.states import Verb
from beamctl.task.identification import Verdict, channel_verdicts, corrector_verdicts
from beamctl.task.kicks import KickPlan, kick_patterns, plan_kicks
from beamctl.task.mapping import Mapping, conclude
from beamctl.task.orbit import Array, Mask, orbit_rms
from beamctl.task.prior import SectionPrior
from beamctl.task.problem import OrbitProblem, limited_step


@dataclass(frozen=True)
class Finding:
    """One line of the table.

    Attributes:
        device: ``corrector`` or ``bpm``.
        name: of the corrector, or of the BPM channel.
        verdict: what it is.
        confidence: probability of the verdict.
        expected_mm_per_a: rms response as described: of all channels to this corrector, or of this channel to all.
        measured_mm_per_a: the same as measured; NaN where nothing could be read.
        gain: strength relative to the description, with sign, as measured.
        note: for people: what it drives instead, for example.
    """

    device: str
    name: str
    verdict: Verdict
    confidence: float
    expected_mm_per_a: float
    measured_mm_per_a: float
    gain: float
    note: str = ""


@dataclass(frozen=True)
class Findings:
    """Everything that a complete preflight has found.

    Attributes:
        table: a line per corrector, then one per BPM channel.
        mapping: for :class:`beamctl.run.mapped_course.MappedOrbitCourse`.
        correctors, channels: names of columns and rows of the following.
        expected_mm_per_a, measured_mm_per_a: response as described and as measured, NaN where nothing could be read,
            shape (n, k).
        noise_mm: rms noise of a combined reading.
    """

    table: tuple[Finding, ...]
    mapping: Mapping
    correctors: tuple[str, ...]
    channels: tuple[str, ...]
    expected_mm_per_a: Array
    measured_mm_per_a: Array
    noise_mm: float

    @property
    def faults(self) -> tuple[Finding, ...]:
        """The lines that are not good."""
        return tuple(line for line in self.table if line.verdict is not Verdict.GOOD)


@dataclass(frozen=True)
class PreflightResult:
    """How a preflight went, and what it found; nothing where it did not come to its end.

    Attributes:
        run: outcome REACHED when complete; the snapshot is restored in any case, see its report.
        reads: combined readings taken.
        findings: None unless complete.
    """

    run: RunResult
    reads: int
    findings: Findings | None


class PreflightCourse:
    """The kicks as the course of a run; see :class:`beamctl.run.course.Course`.

    Args:
        problem: the task as described.
        prior: of its section.
        valid_range_mm: readings outside are not believed.
    """

    slack = 0.0
    goes_back = True
    is_all_or_nothing = False
    proposer = "preflight"

    def __init__(self, problem: OrbitProblem, prior: SectionPrior, valid_range_mm: tuple[float, float]) -> None:
        self._problem = problem
        self._prior = prior
        self._valid_range_mm = valid_range_mm
        self._plan: KickPlan | None = None
        self.visited: list[tuple[Array, Measurement]] = []
        self.task = problem.task
        self.goal = "the response to every corrector"
        self.max_steps = 2 * len(kick_patterns(problem.n_corrector))

    def start(self) -> None:
        """Forget what was seen before."""
        self._plan = None
        self.visited.clear()

    def seen(self, setpoint_a: Array, measured: Measurement) -> Measurement:
        """Keep it; a setting that was measured again counts once."""
        if self.visited and np.array_equal(self.visited[-1][0], setpoint_a):
            self.visited.pop()
        self.visited.append((setpoint_a.copy(), measured))
        return measured

    def cost(self, measured: Measurement) -> float:
        """Nothing is made small here."""
        return 0.0

    def figures(self, measured: Measurement) -> Figures:
        """RMS, mm."""
        return {"rms_mm": float(orbit_rms(measured.values, measured.valid))}

    def first_move(self, setpoint_a: Array) -> Array | None:
        """None."""
        return None

    def propose(self, visits: Sequence[Visit], steps_left: int) -> Array:
        """To the next setting of the plan, which is made from the first reading."""
        p = self._problem
        if self._plan is None:
            first = visits[0]
            self._plan = plan_kicks(
                first.setpoint_a, p.lo_a, p.hi_a, self._prior.kick_a, p.step_a, first.measured.values,
                p.response_mm_per_a, self._valid_range_mm,
            )  # fmt: skip
        return np.asarray(self._plan.settings_a[len(visits) - 1] - visits[-1].setpoint_a)

    def note(self) -> str:
        """Nothing."""
        return ""

    def limited(self, setpoint_a: Array, change_a: Array) -> Array:
        """Within step and limits."""
        return limited_step(self._problem, setpoint_a, change_a)

    def predict(self, now: Measurement, change_a: Array) -> Figures:
        """RMS by the nominal response, mm."""
        return self.figures(Measurement(now.values + self._problem.response_mm_per_a @ change_a, now.valid))

    def is_done(self, measured: Measurement) -> bool:
        """Never before all kicks are made."""
        return False

    def is_reached(self, measured: Measurement) -> bool:
        """Whether every kick was made and measured once."""
        return len(self.visited) == 1 + self.max_steps

    def why_give_up(self, steps: int, cost: float, first_cost: float, steps_since_best: int) -> str:
        """Never."""
        return ""

    def conclude(self) -> tuple[Mapping, Mask]:
        """What the readings of a complete plan say, and which channels they hold."""
        usable = np.all([m.valid for _, m in self.visited], axis=0)
        settings = np.stack([setpoint for setpoint, _ in self.visited])
        return conclude(settings, np.stack([m.values for _, m in self.visited]), usable, self._prior), usable


class Preflight:
    """A preflight of one section.

    Args:
        engine: the machine.
        layout: PVs and conditions of the section.
        problem: the task as described.
        prior: of its section, see :func:`beamctl.task.prior.section_prior`.
        listener, connect_timeout_s, record, orders: as :class:`beamctl.run.session.TuningRun`; every kick is told as
            a :class:`beamctl.run.events.Stepped`, of :attr:`steps` in all.
    """

    def __init__(
        self,
        engine: Engine,
        layout: SectionLayout,
        problem: OrbitProblem,
        prior: SectionPrior,
        listener: Listener,
        connect_timeout_s: float = 5.0,
        record: Record | None = None,
        orders: Orders | None = None,
    ) -> None:
        self._layout = layout
        self._problem = problem
        self._course = PreflightCourse(problem, prior, layout.valid_range)
        self._run = TuningRun(engine, layout, self._course, listener, connect_timeout_s, record, orders)

    @property
    def steps(self) -> int:
        """Kicks that a complete preflight makes."""
        return self._course.max_steps

    @property
    def orders(self) -> Orders:
        """What people want of it."""
        return self._run.orders

    def abort(self) -> None:
        """Ask for an end; safe in signal handlers and from other threads. The snapshot is restored."""
        self._run.orders.give(Verb.ABORT)

    def execute(self) -> PreflightResult:
        """Kick, read, restore, conclude.

        Raises:
            BeamControlError: arming failed; nothing was written.
        """
        run = self._run.execute()
        reads = len(self._course.visited)
        return PreflightResult(
            run,
            reads,
            findings_of(self._course, self._layout, self._problem) if run.outcome is Outcome.REACHED else None,
        )


def findings_of(course: PreflightCourse, layout: SectionLayout, problem: OrbitProblem) -> Findings:
    """What a complete preflight has found.

    Args:
        course: that has seen every kick.
        layout, problem: of the section as described.
    """
    mapping, usable = course.conclude()
    correctors = tuple(k.name for k in layout.knobs)
    channels = layout.channel_names
    expected = problem.response_mm_per_a
    measured = np.where(usable[:, None], mapping.measured_mm_per_a, np.nan)
    lines = _corrector_lines(mapping, correctors, expected, usable)
    return Findings(
        table=(*lines, *_channel_lines(mapping, channels, expected, usable)),
        mapping=mapping,
        correctors=correctors,
        channels=channels,
        expected_mm_per_a=expected,
        measured_mm_per_a=measured,
        noise_mm=float(mapping.noise_mm.max()),
    )


def _corrector_lines(mapping: Mapping, names: Sequence[str], expected: Array, usable: Mask) -> list[Finding]:
    w = mapping.wiring
    seen = usable & w.responds
    lines = []
    for j, verdict in enumerate(corrector_verdicts(w, mapping.pair)):
        response = (w.channel_sign * mapping.measured_mm_per_a[:, j])[seen]
        described = expected[seen, w.magnet[j]]
        gain = float(response @ described / (described @ described))
        notes = [f"drives {names[w.magnet[j]]}"] if w.magnet[j] != j else []
        notes += ["wrong sign"] if w.corrector_sign[j] < 0 and verdict is not Verdict.REVERSED else []
        lines.append(
            Finding(
                "corrector", names[j], verdict, float(w.corrector_confidence[j]), _rms(expected[seen, j]),
                _rms(response), gain, ", ".join(notes),
            )
        )  # fmt: skip
    return lines


def _channel_lines(mapping: Mapping, names: Sequence[str], expected: Array, usable: Mask) -> list[Finding]:
    w = mapping.wiring
    as_wired = w.corrector_sign * expected[:, w.magnet]
    lines = []
    for i, verdict in enumerate(channel_verdicts(w)):
        described, response = as_wired[i], mapping.measured_mm_per_a[i]
        gain = float(response @ described / (described @ described)) if usable[i] else np.nan
        lines.append(
            Finding(
                "bpm", names[i], verdict, float(w.channel_confidence[i]), _rms(expected[i]),
                _rms(response) if usable[i] else np.nan, gain, "" if usable[i] else "cannot be read",
            )
        )  # fmt: skip
    return lines


def _rms(values: Array) -> float:
    return float(np.sqrt(np.mean(values**2)))
