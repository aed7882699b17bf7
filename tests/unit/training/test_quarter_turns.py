"""A policy that turns with the beam. Seeds are fixed."""

import pytest
import torch
from torch import nn

from beamctl.training.symmetry import QuarterTurnPolicy, quarter_turn


class Lopsided(nn.Module):
    """A policy without any symmetry, in [-1, 1]."""

    def __init__(self, columns=10):
        super().__init__()
        torch.manual_seed(1)
        self.layers = nn.Sequential(
            nn.Flatten(), nn.Linear(3 * columns, 32), nn.ReLU(), nn.Linear(32, columns), nn.Tanh()
        )

    def forward(self, observation):
        return self.layers(observation)


@pytest.fixture
def policy():
    return QuarterTurnPolicy(Lopsided()).eval()


def test_a_quarter_turn_moves_x_to_y_and_y_to_minus_x():
    pairs = torch.tensor([[1.0, 2.0, 3.0, -4.0]])
    torch.testing.assert_close(quarter_turn(pairs), torch.tensor([[-2.0, 1.0, 4.0, 3.0]]))


def test_four_quarter_turns_are_none():
    pairs = torch.randn(5, 3, 10)
    turned = pairs
    for _ in range(4):
        turned = quarter_turn(turned)
    torch.testing.assert_close(turned, pairs)


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_the_action_turns_with_the_beam(policy, turns):
    torch.manual_seed(2)
    observation = torch.randn(20, 3, 10)
    turned, expected = observation, policy(observation)
    for _ in range(turns):
        turned, expected = quarter_turn(turned), quarter_turn(expected)
    torch.testing.assert_close(policy(turned), expected, atol=1e-6, rtol=1e-5)
    assert not torch.allclose(
        policy.actor(quarter_turn(observation)), quarter_turn(policy.actor(observation)), atol=0.1
    )


def test_a_centred_orbit_asks_for_nothing(policy):
    assert policy.actor(torch.zeros(1, 3, 10)).abs().max() > 0.01
    torch.testing.assert_close(policy(torch.zeros(3, 3, 10)), torch.zeros(3, 10), atol=1e-7, rtol=0)


def test_the_mirrored_orbit_asks_for_the_mirrored_step(policy):
    observation = torch.randn(20, 3, 10)
    torch.testing.assert_close(policy(-observation), -policy(observation), atol=1e-6, rtol=1e-5)


def test_stays_within_full_steps(policy):
    assert policy(100 * torch.randn(50, 3, 10)).abs().max() <= 1.0


def test_a_policy_that_has_the_symmetry_is_left_as_it_is():
    class Symmetric(nn.Module):
        def forward(self, observation):
            return torch.tanh(observation[:, 2]) * observation[:, 1].square().sum(dim=1, keepdim=True)

    observation = torch.randn(6, 3, 10)
    torch.testing.assert_close(QuarterTurnPolicy(Symmetric())(observation), Symmetric()(observation))
