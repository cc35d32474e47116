"""What a search is given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from sknas.architecture import Architecture
from sknas.search._net import REWARD_ROWS
from sknas.spaces import DataSpec, SearchSpace
from sknas.training import Recipe, TensorTable, private_random_state


@dataclass(frozen=True)
class Problem:
    """What is searched, and by what it is judged.

    Parameters
    ----------
    space : SearchSpace
        What can be built.

    spec : DataSpec
        What the data look like.

    train, valid : TensorTable
        Rows to train on, and rows to judge by.

    reward : callable
        Gives rewards from logits (n_architectures, n_rows, n_outputs), targets and
        weights.

    recipe : Recipe
        How stand-alone networks are trained.

    reward_rows : int, default=128
        Held-back rows that a step of the strategy is judged by.

    ranking_rows : int or None, default=None
        Held-back rows, at most, that architectures are ranked by with the shared
        parameters; None: all.
    """

    space: SearchSpace
    spec: DataSpec
    train: TensorTable
    valid: TensorTable
    reward: Callable
    recipe: Recipe
    reward_rows: int = REWARD_ROWS
    ranking_rows: int | None = None

    @property
    def n_outputs(self) -> int | None:
        """Outputs of a row; None of language models, where rows have many tokens."""
        return None if self.spec.kind == "language" else self.spec.n_outputs

    def build(self, architecture: Architecture) -> nn.Module:
        """Build the stand-alone network of an architecture.

        Its first weights are not for training, and draw on no training's randomness.
        """
        with private_random_state(0):
            return self.space.network(architecture, self.spec)
