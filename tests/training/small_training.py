"""A small network, data for it, and a recipe to train it."""

import numpy as np
import torch
from torch import nn

from sknas.training import CrossEntropy, Recipe, TensorTable, load_weights


class SmallNet(nn.Module):
    """Several predictors side by side; the forward passes are counted."""

    def __init__(self, n_heads=1, dropout=0.0, interrupt_at=None):
        super().__init__()
        self.hidden = nn.Linear(3, 8)
        self.dropout = nn.Dropout(dropout)
        self.heads = nn.Parameter(0.3 * torch.randn(n_heads, 8, 2))
        self.interrupt_at = interrupt_at
        self.n_passes = 0

    def forward(self, numeric):
        self.n_passes += 1
        if self.n_passes == self.interrupt_at:
            raise KeyboardInterrupt
        return self.dropout(self.hidden(numeric).tanh()) @ self.heads


def make_table(n_rows, seed, weighted=False, noise=0.0):
    rng = np.random.RandomState(seed)
    numeric = rng.normal(size=(n_rows, 3)).astype(np.float32)
    target = numeric[:, 0] + noise * rng.normal(size=n_rows) > 0
    weight = rng.uniform(0.1, 3.0, n_rows) if weighted else np.ones(n_rows)
    return TensorTable(
        {"numeric": torch.from_numpy(numeric)},
        torch.from_numpy(target.astype(np.int64)),
        torch.from_numpy(weight.astype(np.float32)),
    )


def make_recipe(**kwargs):
    """Make a recipe that differs from a plain one by the arguments."""
    return Recipe(
        **{
            "criterion": CrossEntropy(),
            "max_epochs": 5,
            "batch_size": 16,
            "lr": 0.02,
            "weight_decay": 0.0,
            "optimizer": "adamw",
            "n_iter_no_change": None,
            "device": "cpu",
        }
        | kwargs
    )


def same(one, other):
    """Whether two sets of weights are equal."""
    return one.keys() == other.keys() and all((one[n] == other[n]).all() for n in one)


def loss_of(build, weights, table, criterion):
    """Give a network's loss on a table, by weights that it came to."""
    network = build().eval()
    load_weights(network, weights)
    inputs, (target, weight) = table[:]
    with torch.no_grad():
        return criterion.eval()(network(**inputs), target, weight).item()
