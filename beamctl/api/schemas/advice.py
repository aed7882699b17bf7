"""What would be done from the present reading; nothing is written."""

from datetime import datetime
from typing import Annotated

from pydantic import Field

from beamctl.api.schemas.base import Asked, Count, Finite, Told, Word


class AskAdvice(Asked):
    """Ask for advice.

    Attributes:
        algorithms: who is asked; null: the task's default and the least squares or model-based reference.
        agent, target, preflight: as in a request for a run.
    """

    task: Word
    algorithms: Annotated[list[Word], Field(min_length=1, max_length=6)] | None = None
    agent: Word | None = None
    target: Annotated[Finite, Field(gt=0, le=1000)] | None = None
    preflight: Count | None = None


class Option(Told):
    """What one of them would do.

    Attributes:
        algorithm: ``nothing`` for leaving everything as it is.
        proposer: identity, with hash.
        setpoint_a, change_a: next step, per knob, inside all limits; empty where it failed.
        predicted: figures by the model after the step; empty where the model cannot tell.
        predicted_values: per channel, null where not valid or not known.
        rollout: the first figure step by step, if it went on so on the model; starts with the present one.
        final_values: per channel at the end of the rollout.
        note: for people, mostly empty.
        error: why it could not say; empty where it could.
    """

    algorithm: str
    title: str
    proposer: str
    setpoint_a: list[float]
    change_a: list[float]
    predicted: dict[str, float | None]
    predicted_values: list[float | None]
    rollout: list[float | None]
    final_values: list[float | None]
    note: str
    error: str


class Advice(Told):
    """What several of them would do from the same reading.

    Attributes:
        time, age_s: of the reading.
        figure: name of the first figure, for example ``rms_mm``.
        figures, values, valid, setpoint_a: of the reading.
        is_reached: the goal is reached already.
        unfit: why nothing could be written now, a sentence each.
        preflight: run whose findings were used; null: none.
    """

    task: str
    section: str
    time: datetime
    age_s: float
    figure: str
    target: float
    figures: dict[str, float | None]
    values: list[float | None]
    valid: list[bool]
    setpoint_a: list[float]
    knobs: list[str]
    channels: list[str]
    is_reached: bool
    unfit: list[str]
    preflight: int | None
    options: list[Option]
