"""The matrix that stands for three convolutions, against three real convolutions."""

import gymnasium
import numpy as np
import pytest
import torch
from torch import nn

from beamctl.training.network import KERNELS, ROWS, WIDTHS, TrendExtractor, n_features


def extractor(columns, seed=0):
    torch.manual_seed(seed)
    return TrendExtractor(gymnasium.spaces.Box(-np.inf, np.inf, (3, columns), np.float32))


def three_convolutions(own):
    """The published layers with the extractor's weights."""
    layers = []
    for width, kernel, bias in zip(WIDTHS, own.kernels, own.biases, strict=True):
        layer = nn.Conv2d(1, KERNELS, (ROWS, width))
        layer.load_state_dict({"weight": kernel.detach(), "bias": bias.detach()})
        layers.append(layer)
    return layers


def by_convolution(layers, observations):
    picture = observations[:, None]
    return torch.cat([nn.functional.leaky_relu(layer(picture)).flatten(1) for layer in layers], dim=1)


def test_the_published_number_of_features():
    assert n_features(10) == extractor(10).features_dim == 108
    assert n_features(8) == 4 * (8 + 7 + 6)


@pytest.mark.parametrize("columns", [3, 8, 10])
def test_is_the_three_convolutions(columns):
    own = extractor(columns)
    observations = torch.randn(16, 3, columns)
    torch.testing.assert_close(own(observations), by_convolution(three_convolutions(own), observations))


def test_has_the_gradients_of_the_three_convolutions():
    own = extractor(10)
    layers = three_convolutions(own)
    observations, weights = torch.randn(16, 3, 10), torch.randn(16, 108)
    (own(observations) * weights).sum().backward()
    (by_convolution(layers, observations) * weights).sum().backward()
    for layer, kernel, bias in zip(layers, own.kernels, own.biases, strict=True):
        torch.testing.assert_close(kernel.grad, layer.weight.grad)
        torch.testing.assert_close(bias.grad, layer.bias.grad)


def test_learns_only_kernels_and_biases():
    own = extractor(10)
    assert sum(p.numel() for p in own.parameters()) == sum(KERNELS * (ROWS * width + 1) for width in WIDTHS)


def test_row_i_of_a_batch_is_a_solo_run():
    own, observations = extractor(10), torch.randn(7, 3, 10)
    together = own(observations)
    for i in range(7):
        torch.testing.assert_close(own(observations[i : i + 1])[0], together[i])
