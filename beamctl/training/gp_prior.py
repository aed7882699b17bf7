"""The prior of the Gaussian-process agent, fitted to simulated machines: what their readings have in common.

Marginal likelihood of whole episodes: mean, kernel and noise are those that make the readings of many machines most
probable. The readings come from a survey (on the way from where a machine is found to a family of matched settings,
and around it), and from episodes of the agent that the survey's fit gives.
"""

import numpy as np
import torch
from torch import Tensor

from beamctl.agent.gaussian_process import LEAST_SHARE, GaussianProcessAgent, GpFamily, GpParameters
from beamctl.engine.simulated.injector_batch import InjectorBatch
from beamctl.machine.injector import InjectorDescription
from beamctl.task.transmission import MFC1, Array
from beamctl.task.transmission_problem import TransmissionProblem
from beamctl.training.injector_families import injector_families
from beamctl.training.injectors import prior_injectors, whole_problem
from beamctl.training.transmission_rollout import transmission_rollout

FLOOR = 0.2
ITERATIONS = 300
LEARNING_RATE = 0.05
WAY, AROUND = 6, 25
"""readings of a survey on the way, and around a family"""
SPREAD = (0.10, 0.10, 0.25, 0.25, 0.25, 0.25)
"""rms distance of those around, in ranges; half of them lie within a third of it"""
PRIOR_MACHINES = 300
BETAS = (0.5, 1.5)
"""timid and bold episodes"""


def injector_prior(machine: InjectorDescription, seed: int = 0, machines: int = PRIOR_MACHINES) -> GpParameters:
    """The prior for an injector as described: its families are found, then fitted. Some four CPU minutes.

    Args:
        machine: the description.
        seed: of the machines, the survey and the episodes.
        machines: how many machines are looked at.
    """
    batch = prior_injectors(machine, seed, machines)
    return fit_gp(batch, whole_problem(machine), injector_families(machine), seed)


def fit_gp(batch: InjectorBatch, problem: TransmissionProblem, families_a: Array, seed: int) -> GpParameters:
    """Parameters for all families.

    Args:
        batch: training machines.
        problem: with all knobs of the injector.
        families_a: about where the families are, the preferred one first, A, shape (families, k).
        seed: of the survey and of the episodes' noise.
    """
    return GpParameters(families=tuple(_fit_twice(batch, problem, family, seed) for family in families_a))


def _fit_twice(batch: InjectorBatch, problem: TransmissionProblem, family_a: Array, seed: int) -> GpFamily:
    span, noise = problem.hi_a - problem.lo_a, problem.noise_ma / problem.source_ma
    centre = (family_a - problem.lo_a) / span
    seen, level = survey(batch, problem, family_a, np.random.default_rng(seed))
    first = fit_family(seen, level, centre, noise)
    length = problem.max_steps + 1
    settings, levels = [seen[:, :length]], [level[:, :length]]
    for beta in BETAS:
        agent = GaussianProcessAgent(GpParameters(families=(first,), beta=beta))
        agent.start(problem)
        batch.restart(np.random.default_rng(seed))
        episode = transmission_rollout(agent, batch, problem)
        settings.append((episode.setpoint_a - problem.lo_a) / span)
        levels.append(np.maximum(episode.reading_ma[..., MFC1], 0.0) / problem.source_ma)
    return fit_family(np.concatenate(settings), np.concatenate(levels), centre, noise)


def survey(
    batch: InjectorBatch, problem: TransmissionProblem, family_a: Array, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Readings of every machine of a batch on the way to a family and around it.

    Args:
        batch: the machines.
        problem: with all knobs of the injector.
        family_a: its middle, A, shape (k,).
        rng: chooses settings.

    Returns:
        Settings in ranges, shape (n, t, k), and MFC1 relative to the described source, shape (n, t).
    """
    n, span = len(batch), problem.hi_a - problem.lo_a
    start = (batch.start_a - problem.lo_a) / span
    centre = (family_a - problem.lo_a) / span
    size = np.where(rng.random((n, AROUND, 1)) < 0.5, 1.0, 1.0 / 3.0) * np.array(SPREAD)
    around = centre + size * rng.standard_normal((n, AROUND, len(span)))
    share = np.linspace(0.0, 1.0, WAY, endpoint=False)[None, :, None]
    way = start[:, None] + share * (around[:, :1] - start[:, None])
    x = np.clip(np.concatenate([way, around], axis=1), 0.0, 1.0)
    level = np.stack([batch.read_ma(problem.lo_a + span * x[:, t])[:, MFC1] for t in range(x.shape[1])], axis=1)
    return x, np.maximum(level, 0.0) / problem.source_ma


def fit_family(x: Array, level: Array, centre: Array, noise: float, iterations: int = ITERATIONS) -> GpFamily:
    """Parameters of the largest marginal likelihood.

    Args:
        x: settings in ranges, shape (n, t, k).
        level: MFC1 relative to the source, shape (n, t).
        centre: where to look for the family first, in ranges, shape (k,).
        noise: rms of ``level``.
        iterations: of Adam.
    """
    model = _Prior(torch.tensor(centre), noise)
    settings, reading = torch.tensor(x), torch.tensor(level)
    optimiser = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, iterations)
    for _ in range(iterations):
        optimiser.zero_grad()
        loss = model.loss(settings, reading)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
    return model.result()


class _Prior(torch.nn.Module):
    """The same prior as :class:`~beamctl.agent.gaussian_process.Prior`, with gradients; metrics as L L^T."""

    def __init__(self, centre: Tensor, noise: float) -> None:
        super().__init__()
        self._noise = noise
        first = torch.full((len(centre),), 4.0, dtype=torch.float64)
        first[:2] = 10.0
        self.root = torch.nn.Parameter(torch.diag(first.log()))
        self.bump_root = torch.nn.Parameter(torch.diag((0.7 * first).log()))
        self.centre = torch.nn.Parameter(centre.clone())
        self.scales = torch.nn.Parameter(torch.tensor([1.0, 0.5, 0.3, 0.005], dtype=torch.float64).log())

    def loss(self, x: Tensor, level: Tensor) -> Tensor:
        """Minus the mean log likelihood of a reading."""
        height, amplitude, offset, noise = self.scales.exp()
        z = x @ _lower(self.root)
        square = (z[:, :, None] - z[:, None]).square().sum(-1)
        r = (5.0 * square + 1e-12).sqrt()
        shared = amplitude**2 * (1.0 + r + r * r / 3.0) * torch.exp(-r) + offset**2
        variance = noise**2 + (self._noise / (level + FLOOR).clamp(min=LEAST_SHARE)).square()
        factor = torch.linalg.cholesky(shared + torch.diag_embed(variance))
        away = ((x - self.centre) @ _lower(self.bump_root)).square().sum(-1)
        rest = (level + FLOOR).log() - (FLOOR + height * torch.exp(-0.5 * away)).log()
        explained = torch.linalg.solve_triangular(factor, rest[..., None], upper=False)
        volume = torch.diagonal(factor, dim1=-2, dim2=-1).log().sum(-1)
        loss: Tensor = (0.5 * explained.square().sum((-2, -1)) + volume).mean() / x.shape[1]
        return loss

    def result(self) -> GpFamily:
        """As numbers."""
        height, amplitude, offset, noise = self.scales.exp().tolist()
        bump, root = _lower(self.bump_root).detach(), _lower(self.root).detach()
        return GpFamily(
            height=height,
            centre=tuple(self.centre.tolist()),
            bump=_rows(bump @ bump.T),
            metric=_rows(root @ root.T),
            amplitude=amplitude,
            offset=offset,
            noise=noise,
            floor=FLOOR,
        )


def _lower(raw: Tensor) -> Tensor:
    """Lower triangular, with a positive diagonal that is kept as a logarithm."""
    lower: Tensor = torch.tril(raw, -1) + torch.diag(torch.diagonal(raw).exp())
    return lower


def _rows(matrix: Tensor) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(row) for row in matrix.tolist())
