"""A transmission task of an injector's description as a concrete problem."""

import math

import numpy as np

from beamctl.machine.injector import InjectorDescription
from beamctl.machine.loader import find_transmission_task
from beamctl.task.transmission_problem import TransmissionProblem


def transmission_problem(
    machine: InjectorDescription,
    task_name: str,
    target: float | None = None,
    max_steps: int | None = None,
    step_percent: float | None = None,
) -> TransmissionProblem:
    """Limits, steps, design setting and beam floor of a task.

    Args:
        machine: the description.
        task_name: one of ``machine.tasks``.
        target, max_steps: instead of the task's own.
        step_percent: largest change in one step, per cent of each knob's interval; never more than the machine's own.

    Raises:
        UnknownNameError: no such task.
    """
    task, lebt, monitors = find_transmission_task(machine, task_name), machine.lebt, machine.monitors
    chosen = [(i, knob) for i, knob in enumerate(lebt.knobs) if knob.name in task.knobs]
    lo = np.array([knob.limits.lo for _, knob in chosen])
    hi = np.array([knob.limits.hi for _, knob in chosen])
    share = lebt.supply.step_share.si()
    if step_percent is not None:
        share = min(share, 0.01 * step_percent)
    return TransmissionProblem(
        task=task_name,
        knobs=tuple(knob.name for _, knob in chosen),
        slots=np.array([i for i, _ in chosen], dtype=np.int64),
        lo_a=lo,
        hi_a=hi,
        step_a=share * (hi - lo),
        optimum_a=np.array([knob.design for _, knob in chosen]),
        floor_ma=monitors.beam_floor.value,
        noise_ma=monitors.noise.value * math.sqrt(0.5 * math.pi / monitors.readings_per_step),  # of a median
        source_ma=machine.source.current.value,
        max_steps=task.max_steps if max_steps is None else max_steps,
        target_transmission=task.target_transmission if target is None else target,
    )
