"""Training and evaluation figures: three seeds of ``fast``, and the shipped agent on fresh machines.

``python -m tests.bench learning`` trains (about two CPU minutes per seed); ``python -m tests.bench agent`` judges the
shipped agent on 1000 machines per module and scenario that no training and no selection has seen.
"""

import tempfile
from pathlib import Path

from beamctl.machine.loader import load_ion, load_machine
from beamctl.settings import Settings
from beamctl.training.evaluate import Evaluation, evaluate
from beamctl.training.machines import Site
from beamctl.training.presets import AS_PUBLISHED, FAST, Preset
from beamctl.training.train import train
from beamctl.wiring.deployment import Deployment
from beamctl.wiring.kit import Choice
from beamctl.wiring.orbit import DEFAULT_AGENT

SEEDS = (0, 1, 2)
MACHINES = 1000
REPORT_SEED = 424_242


def train_seeds(preset: Preset = FAST) -> None:
    """CPU seconds until 99 % of the fixed nominal machines are below 0.5 mm, per seed."""
    machine = load_machine("cafe2")
    ion = load_ion(machine.ion)
    print(f"preset {preset.name}: CPU s to 99 %, then the exported checkpoint")
    for seed in SEEDS:
        with tempfile.TemporaryDirectory() as folder:
            result = train(
                Site(machine, ion, ion), "cm1-orbit", preset, seed, Path(folder),
                agent_id=f"bench-{seed}", machine_hash="0" * 64,
            )  # fmt: skip
        best = result.best
        when = "never" if result.cpu_s_to_99 is None else f"{result.cpu_s_to_99:5.0f} s"
        print(
            f"seed {seed}: {when}; {best.updates} updates, success {100 * best.success:.1f} %, "
            f"0.2 mm {100 * best.deep_success:.1f} %, steps {best.steps:.1f}, final {best.final_rms_mm:.3f} mm"
        )


def as_published() -> None:
    """The published preset for 10 000 steps on CM1; the paper's mean corrected RMS is 0.52 mm."""
    train_seeds(AS_PUBLISHED)


def _judge(ion: str, task: str, scenarios: tuple[str, ...], target: float, **options: bool) -> Evaluation:
    kit = Deployment(Settings(ion=ion)).orbit(task)
    agents = {"tbsac": kit.agent()}
    problem = kit.problem(Choice(target=target))
    return evaluate(kit.site(), problem, agents, scenarios, seed=REPORT_SEED, machines=MACHINES, **options)


def judge_agent() -> None:
    """The shipped agent: its own ion, other ions, opposite solenoids, the deeper target."""
    print(f"{DEFAULT_AGENT}, {MACHINES} machines each, seed {REPORT_SEED}")
    head = f"{'ion':13}{'task':11}{'scenario':10}{'target':>7}{'success':>9}{'true':>8}{'reachable':>11}"
    print(f"{head}{'median':>8}{'P90':>5}{'final mean':>12}{'max':>7}")
    for ion, target, options, scenarios in (
        ("40Ar12+", 0.5, {}, ("nominal", "err5", "err10", "mis6", "dead")),
        ("40Ar12+", 0.2, {}, ("nominal", "err5")),
        ("54Cr17+", 0.5, {}, ("nominal", "err5")),
        ("40Ca14+", 0.5, {}, ("nominal", "err5")),
        ("40Ar12+", 0.5, {"opposite_solenoids": True}, ("nominal", "err5")),
    ):
        for task in load_machine("cafe2").tasks:
            result = _judge(ion, task, scenarios, target, **options)
            for row in result.rows:
                label = f"{ion}{' -B' if options else ''}"
                median, p90 = ("never" if v is None else f"{v:.0f}" for v in (row.steps_median, row.steps_p90))
                shares = f"{100 * row.success:8.1f}%{100 * row.success_true:7.1f}%{100 * row.reachable:10.1f}%"
                tail = f"{median:>8}{p90:>6}{row.final_mean:11.4f}{row.final_max:8.3f}"
                print(f"{label:13}{task:11}{row.scenario:9}{target:7.1f}{shares}{tail}")
