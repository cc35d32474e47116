"""Several predictors that share one network's matrices."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ScaledLinear(nn.Module):
    """A linear layer that several predictors share, each scaling its inputs.

    One matrix for all, one vector for each predictor, which starts as random signs
    and so makes them differ: the "mini" form of TabM (Gorishniy et al., 2024), after
    Wen et al., "BatchEnsemble", 2020. With one predictor it is an ordinary linear
    layer.

    Parameters
    ----------
    n_inputs, n_outputs : int
        Numbers of units.

    n_heads : int
        Number of predictors.

    bias : bool, default=True
        Whether to add a bias.
    """

    def __init__(
        self,
        n_inputs: int,
        n_outputs: int,
        n_heads: int,
        bias: bool = True,
    ) -> None:
        super().__init__()
        linear = nn.Linear(n_inputs, n_outputs, bias=bias)
        self.weight, self.bias = linear.weight, linear.bias
        if n_heads > 1:
            signs = torch.randint(0, 2, (n_heads, 1, n_inputs)) * 2.0 - 1.0
            self.scale = nn.Parameter(signs)
        else:
            self.register_parameter("scale", None)

    @torch.no_grad()
    def scale_inputs(self, factors: np.ndarray) -> None:
        """Multiply the predictors' scales; one predictor alone has none.

        Parameters
        ----------
        factors : ndarray of shape (n_inputs,)
            By what.
        """
        if self.scale is not None:
            self.scale *= torch.as_tensor(factors, dtype=self.scale.dtype)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n_heads or 1, n_rows, n_inputs) to (n_heads, n_rows, n_outputs)."""
        if self.scale is not None:
            x = x * self.scale
        return F.linear(x, self.weight, self.bias)


class OutputHeads(nn.Module):
    """One output layer for each predictor.

    Parameters
    ----------
    n_inputs, n_outputs : int
        Numbers of units.

    n_heads : int
        Number of predictors.
    """

    def __init__(self, n_inputs: int, n_outputs: int, n_heads: int) -> None:
        super().__init__()
        bound = 1 / math.sqrt(n_inputs)
        self.weight = nn.Parameter(
            torch.empty(n_heads, n_outputs, n_inputs).uniform_(-bound, bound)
        )
        self.bias = nn.Parameter(
            torch.empty(n_heads, 1, n_outputs).uniform_(-bound, bound)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (n_heads, n_rows, n_inputs) to (n_heads, n_rows, n_outputs)."""
        return torch.baddbmm(self.bias, x, self.weight.transpose(1, 2))
