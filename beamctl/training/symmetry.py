"""Quarter turns of the beam axis.

A cryomodule looks the same after a turn by 90 degrees: x becomes y and y becomes -x, for readings and correctors alike.
The policy's answer, averaged over the four turns, turns with the beam: no direction is preferred, a centred
orbit asks for nothing. Pairs are adjacent in the observation and in the action, (x1, y1, x2, y2, ...).
"""

import torch
from torch import Tensor, nn


class QuarterTurnPolicy(nn.Module):
    """Mean of a policy over the four turns, one pass through the network for all of them.

    Args:
        actor: observations (batch, 3, n) to actions (batch, n) in [-1, 1].
    """

    def __init__(self, actor: nn.Module) -> None:
        super().__init__()
        self.actor = actor

    def forward(self, observation: Tensor) -> Tensor:
        """Symmetrised action, shape (batch, n)."""
        turned = [observation]
        for _ in range(3):
            turned.append(quarter_turn(turned[-1]))
        parts = self.actor(torch.stack(turned).flatten(0, 1)).unflatten(0, (4, -1))
        total: Tensor = parts[0]
        for turns, part in enumerate(parts.unbind()[1:], start=1):
            back = part
            for _ in range(4 - turns):
                back = quarter_turn(back)
            total = total + back
        return total / 4


def quarter_turn(pairs: Tensor) -> Tensor:
    """(x, y) to (-y, x) for all pairs of the last axis."""
    x, y = pairs[..., 0::2], pairs[..., 1::2]
    return torch.stack([-y, x], dim=-1).flatten(-2)
