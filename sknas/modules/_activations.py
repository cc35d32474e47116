"""Activation functions by name."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F


def identity(x: Tensor) -> Tensor:
    """Return the input."""
    return x


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "identity": identity,
    "relu": F.relu,
    "selu": F.selu,
    "silu": F.silu,
    "tanh": torch.tanh,
}
