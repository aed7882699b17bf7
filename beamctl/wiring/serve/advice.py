"""What would be done from a reading: the same code as in a run, without anything that could write."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from beamctl.api.schemas.advice import Advice, AskAdvice, Option
from beamctl.errors import BeamControlError, UnknownNameError
from beamctl.store.live import LiveRow
from beamctl.store.open import Store
from beamctl.task.mapping import Mapping
from beamctl.wiring.control import check_enabled
from beamctl.wiring.deployment import Deployment
from beamctl.wiring.kit import Choice, TaskKit
from beamctl.wiring.orbit import OrbitKit
from beamctl.wiring.preflight import with_preflight
from beamctl.wiring.serve.options import NOTHING, Proposals, failed, figures_of, nothing, numbers_of, title
from beamctl.wiring.serve.requests import check_target
from beamctl.wiring.serve.situation import Situation, situation_of
from beamctl.wiring.serve.tasks import default_target

ASKED = {"orbit": ("tbsac", "bls"), "transmission": ("tbsac+gp", "design+gp")}
"""who is asked where nobody is named"""


def advise(deployment: Deployment, store: Store, asked: AskAdvice, live: LiveRow) -> Advice:
    """What several would do; deterministic.

    Raises:
        StaleReadingError: the reading is not complete enough.
        BeamControlError: as for a request.
    """
    kit = deployment.kit(asked.task)
    check_target(kit, asked.target)
    is_orbit = isinstance(kit, OrbitKit)
    names = _names(kit, asked.algorithms or ASKED["orbit" if is_orbit else "transmission"])
    now, layout = situation_of(kit, live), kit.layout()
    choice = Choice(agent=asked.agent, target=asked.target, preflight=asked.preflight)
    choice, mapping = with_preflight(store, kit, choice)
    plain = kit.plain_course(choice, mapping)
    plain.start()
    measured = plain.seen(now.setpoint_a, now.measured)
    figures = figures_of(plain.figures(measured))
    options = [_option(store, kit, replace(choice, algorithm=name), mapping, now) for name in names]
    return Advice(
        task=asked.task,
        section=kit.key,
        time=live.time,
        age_s=max(0.0, (datetime.now(UTC) - live.time).total_seconds()),
        figure="rms_mm" if is_orbit else "transmission",
        target=default_target(kit) if asked.target is None else asked.target,
        figures=figures,
        values=numbers_of(measured.values, measured.valid),
        valid=measured.valid.tolist(),
        setpoint_a=now.setpoint_a.tolist(),
        knobs=[knob.name for knob in layout.knobs],
        channels=list(layout.channel_names),
        is_reached=plain.is_reached(measured),
        unfit=[str(why) for why in live.payload.get("unfit") or ()],
        preflight=choice.preflight or None,
        options=[*options, nothing(figures, now)],
    )


def _names(kit: TaskKit, asked: Sequence[str]) -> list[str]:
    """Each once, without the comparison that is always there."""
    for name in asked:
        if name not in (*kit.algorithms, NOTHING):
            raise UnknownNameError("algorithm", name, kit.algorithms)
    return [name for name in dict.fromkeys(asked) if name != NOTHING]


def _option(store: Store, kit: TaskKit, choice: Choice, mapping: Mapping | None, now: Situation) -> Option:
    """What one of them would do."""
    name = choice.algorithm or ""
    if name in kit.references:
        return failed(name, f"{title(name)} knows no model: it learns from the machine's answers, not from one reading")
    try:
        check_enabled(store, kit, choice)
        course = kit.course(choice, mapping)
    except BeamControlError as error:
        return failed(name, str(error))
    return Proposals(course, kit.layout().knobs, now).option(name)
