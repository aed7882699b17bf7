"""A run on one page for the logbook: no script, nothing from elsewhere, everything escaped."""

from collections import Counter
from datetime import UTC, datetime
from importlib.metadata import version

from beamctl.api import run_parts, runs_view
from beamctl.api.report.figures import changes, figures_by_step, readings
from beamctl.api.report.markup import Markup, document, element, style
from beamctl.api.report.style import RULES
from beamctl.api.report.tables import amount, facts, moment, table
from beamctl.api.schemas.runs import Put, Run, Setpoints, Step
from beamctl.api.service import Service
from beamctl.store.events import Event

TOLD = ("state", "ended", "command", "refusal", "takeover")
"""kinds of events that say what people and the run have done"""


def report(service: Service, number: int) -> str:
    """The page.

    Raises:
        ProblemError: there is no such run.
    """
    run = runs_view.detail(service, number)
    steps = run_parts.steps(service, number).steps
    told = service.store.pages.events(number, TOLD)
    title = f"Run {run.id}: {run.task}"
    return document(
        element(
            "html",
            element("head", element("meta", charset="utf-8"), element("title", title), style(RULES)),
            element(
                "body",
                element("h1", title),
                element(
                    "p", f"{run.state.value}{', ' if run.outcome else ''}{run.outcome}: {run.reason}", class_="reason"
                ),
                *_notes(run),
                _facts(run, run_parts.puts(service, number).puts),
                *_section("Figures", _figures(run), *figures_by_step(_target(service, run), steps)),
                *_section("Instruments", *readings(run, steps)),
                *_section("Setpoints", *changes(run, steps), _setpoints(run_parts.setpoints(service, number))),
                *_section("Steps", _steps(steps)),
                *_section("What happened", _happened(told)),
                _footer(service, told),
            ),
            lang="en",
        )
    )


def _section(title: str, *content: Markup) -> list[Markup]:
    return [element("h2", title), *content] if content else []


def _notes(run: Run) -> list[Markup]:
    return [element("p", f"Note: {run.note}")] if run.note else []


def _facts(run: Run, puts: list[Put]) -> Markup:
    outcomes = Counter(put.outcome or "not known" for put in puts)
    spoken = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.items())
    hashes = ", ".join(f"{name} {digest}" for name, digest in run.agent_hashes.items())
    took = "" if run.ended is None else f"{(run.ended - run.started).total_seconds():.0f} s"
    return facts([
        ("asked for by", run.principal),
        ("section", run.section),
        ("begun", moment(run.started)),
        ("ended", moment(run.ended)),
        ("took", took or "-"),
        ("goal", run.goal or "-"),
        ("algorithm", run.algorithm),
        ("agent", run.agent),
        ("agent's hashes", hashes or "-"),
        ("configuration hash", run.configuration_hash),
        ("preflight", "none" if run.preflight is None else f"run {run.preflight}"),
        ("steps", f"{run.step} of {run.max_steps}" if run.max_steps is not None else run.step),
        ("puts", f"{len(puts)}{': ' if spoken else ''}{spoken}"),
        ("asked for", ", ".join(f"{n} {_spoken(v)}" for n, v in run.choice.items() if v not in (None, ""))),
        ("restore owed", "yes" if run.restore_owed else "no"),
    ])  # fmt: skip


def _spoken(value: object) -> str:
    return str(value) if not isinstance(value, bool) else "yes" if value else "no"


def _target(service: Service, run: Run) -> float | None:
    """The goal as a number; None where there is none or nobody knows it any more."""
    return service.targets.get(run.task) if run.target is None and run.kind == "tune" else run.target


def _figures(run: Run) -> Markup:
    names = list(run.initial or run.best or run.final)
    rows = [(name, *(amount(of.get(name)) for of in (run.initial, run.best, run.final))) for name in names]
    return table(("figure", "first", "best", "last"), rows)


def _setpoints(found: Setpoints) -> Markup:
    heads = ("knob", "PV", "found, A", "written last, A", "restore", "")
    rows = [(s.name, s.pv, s.snapshot, s.last, s.restored, s.message) for s in found.setpoints]
    return table(heads, rows)


def _steps(steps: list[Step]) -> Markup:
    rows = []
    for step in steps:
        figures = ", ".join(f"{name} {amount(value)}" for name, value in step.figures.items())
        note = " ".join(filter(None, ("read again, the one before is void" if step.is_again else "", step.note)))
        rows.append((str(step.step), amount(step.seconds, 1), figures, note))
    return table(("step", "after, s", "figures", "note"), rows)


def _happened(events: list[Event]) -> Markup:
    rows = [(f"{event.time:%H:%M:%S}", event.principal, event.kind, _said(event)) for event in events]
    return table(("UTC", "who", "what", ""), rows)


def _said(event: Event) -> str:
    p = event.payload
    if event.kind == "command":
        return str(p["verb"])
    if event.kind == "refusal":
        return f"{p['action']}: {p['reason']}"
    if event.kind == "takeover":
        return ", ".join(f"{pv} {value} A" for pv, value in p.items())
    return f"{p['state']}: {p['reason']}"


def _footer(service: Service, told: list[Event]) -> Markup:
    last = f"; its newest event here is {told[-1].seq} with hash {told[-1].hash}" if told else ""
    return element(
        "footer",
        f"beamctl {version('beamctl')}, written {moment(datetime.now(UTC))} from {service.store.name}{last}.",
    )
