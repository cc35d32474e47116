"""Dropout with cheap random numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

LEVELS = 256  # a rate is rounded to a multiple of 1 / LEVELS, below 1


def random_bytes(shape: Sequence[int], device: torch.device) -> Tensor:
    """Draw bytes from torch's default generator, eight from each of its numbers.

    On the CPU, drawing a number for each unit costs more than the matrix products
    of a small network.
    """
    n = math.prod(shape)
    words = torch.empty(-(-n // 8), dtype=torch.int64, device=device)
    return words.random_(-(2**63), None).view(torch.uint8)[:n].view(*shape)


class SharedDropout(nn.Module):
    """Zero units with a probability, while training, and scale up the others.

    Predictors side by side lose the same units of the same row.

    Parameters
    ----------
    rate : float
        The probability; it is rounded to a multiple of 1/256.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.n_dropped = min(round(rate * LEVELS), LEVELS - 1)

    def forward(self, x: Tensor) -> Tensor:
        """Drop units of a tensor of shape (n_heads, n_rows, n_units)."""
        if not self.training or self.n_dropped == 0:
            return x
        # 1 where a byte is at least n_dropped: quicker so than by a comparison
        kept = random_bytes(x.shape[1:], x.device).float()
        kept.sub_(self.n_dropped - 1).clamp_(0, 1)
        return x * kept.mul_(LEVELS / (LEVELS - self.n_dropped))
