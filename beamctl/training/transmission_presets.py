"""Training configurations for the transmission task."""

from dataclasses import dataclass, replace

from beamctl.training.presets import SacPreset, preset_named


@dataclass(frozen=True)
class TransmissionPreset(SacPreset):
    """One way of training for the transmission.

    Attributes:
        scenario: errors of the training machines, and of the fixed ones.
        dark_share: share of the episodes that start with hardly any beam.
        fixed_orbit_share: share of the episodes in which only the solenoids move.
        odd_shares: share of the episodes on machines of other scenarios, by name.
        step_share: step limits that episodes are drawn from, as shares of the knobs' ranges.
        episode_steps: length of a training episode.
        selection_machines: number of fixed machines that choose the checkpoint, for each of the two orbits.
    """

    scenario: str
    dark_share: float
    fixed_orbit_share: float
    odd_shares: tuple[tuple[str, float], ...]
    step_share: tuple[float, float]
    episode_steps: int
    selection_machines: int


FAST = TransmissionPreset(
    name="fast",
    scenario="nominal",
    dark_share=0.06,
    fixed_orbit_share=0.2,
    odd_shares=(("shifted", 0.15), ("reversed", 0.1)),
    step_share=(0.03, 0.06),
    episode_steps=30,
    selection_machines=200,
    n_envs=256,
    gradient_steps=16,
    batch_size=128,
    learning_rate=1e-3,
    learning_rate_end=5e-5,
    gamma=0.93,
    tau=0.005,
    buffer_size=400_000,
    initial_temperature=0.1,
    learning_starts=1000,
    net=(96, 96),
    average_updates=1000,
    updates=24_000,
    evaluate_every=2000,
)

SMOKE = replace(
    FAST,
    name="smoke",
    selection_machines=20,
    n_envs=16,
    batch_size=32,
    learning_starts=64,
    buffer_size=5000,
    net=(16, 16),
    average_updates=32,
    updates=320,
    evaluate_every=160,
)
"""seconds, to see that everything goes together; learns nothing"""

TRANSMISSION_PRESETS = {preset.name: preset for preset in (FAST, SMOKE)}


def find_transmission_preset(name: str) -> TransmissionPreset:
    """A preset by name; errors as :func:`~beamctl.training.presets.preset_named`."""
    return preset_named(name, TRANSMISSION_PRESETS)
