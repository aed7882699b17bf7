"""Preflight and then the shipped agent on machines with a fault: found, named, corrected.

``python -m tests.bench preflight``: 200 machines per module and fault, seed 600_613, that nothing was tuned on.
"""

import numpy as np

from beamctl.agent.least_squares import best_reachable_rms
from beamctl.machine.loader import load_machine
from beamctl.settings import Settings
from beamctl.task.orbit import orbit_rms
from beamctl.task.prior import section_prior
from beamctl.training.machines import report_batch
from beamctl.training.preflight_rollout import preflight_rollout, score
from beamctl.wiring.deployment import Deployment
from beamctl.wiring.kit import Choice
from beamctl.wiring.orbit import DEFAULT_AGENT

SEED, MACHINES = 600_613, 200
SCENARIOS = (
    "nominal", "err5", "err10", "reversed", "reversed3", "swapped", "crossed", "weak", "dead-corrector",
    "reversed-bpm", "dead",
)  # fmt: skip


def judge_preflight(algorithms: tuple[str, ...] = ("tbsac",), seed: int = SEED, machines: int = MACHINES) -> None:
    """One row per module, fault and algorithm."""
    print(f"{DEFAULT_AGENT} after the preflight, {machines} machines each, seed {seed}; RMS in mm, true, all channels")
    print(
        f"{'task':10}{'scenario':15}{'agent':6}{'reads':>6}{'named':>8}{'false':>7}{'done':>8}{'< 0.5':>8}"
        f"{'reachable':>11}{'seen':>8}{'mean':>7}{'p95':>7}{'max':>7}{'steps':>7}"
    )
    for task in load_machine("cafe2").tasks:
        kit = Deployment(Settings()).orbit(task)
        prior = section_prior(kit.machine, kit.design, kit.ion, task)
        problem, valid = kit.problem(), kit.layout().valid_range
        for scenario in SCENARIOS:
            for algorithm in algorithms:
                batch = report_batch(kit.site(), task, scenario, seed, machines)
                best = best_reachable_rms(batch.response_mm_per_a, batch.bare_mm, problem.lo_a, problem.hi_a)
                result = preflight_rollout(kit.agent(Choice(algorithm=algorithm)), batch, problem, prior, valid)
                found, final = score(batch, result.mapping), result.rollout.final_true
                seen = orbit_rms(batch.true_orbit_mm(result.rollout.final_setpoint_a), batch.working)
                done = (final < problem.target_mm) | ((best >= problem.target_mm) & (final <= 1.1 * best))
                shares = [found.named, found.false_alarm, done, final < problem.target_mm, best < problem.target_mm]
                cells = [f"{100 * np.mean(s):.1f}" for s in (*shares, seen < problem.target_mm)]
                widths = (8, 7, 8, 8, 11, 8)
                text = "".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))
                sizes = f"{final.mean():7.3f}{np.percentile(final, 95):7.3f}{final.max():7.3f}"
                steps = np.median(result.rollout.steps)
                print(f"{task:10}{scenario:15}{algorithm:6}{result.reads:6}{text}{sizes}{steps:7.0f}", flush=True)
