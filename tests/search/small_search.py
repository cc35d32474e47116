"""A small problem to search, and the net that searches it."""

import numpy as np
import torch
from skorch.dataset import Dataset

from sknas import ENAS, DataSpec, TabularSpace
from sknas.search import NegativeLoss, Problem
from sknas.search._net import SearchNet
from sknas.training import (
    BatchIterator,
    CrossEntropy,
    Recipe,
    TensorTable,
    optimizer_arguments,
    private_random_state,
)

SPACE = TabularSpace(
    numeric_embeddings=("piecewise_linear", "none"),
    dropouts=(0.0, 0.25),
    depths=(2, 1),
    activations=("relu", "silu"),
    widths=(8, 4),
    n_heads=1,
)


def make_table(n_rows, seed, weighted=False):
    rng = np.random.RandomState(seed)
    numeric = rng.normal(size=(n_rows, 3)).astype(np.float32)
    categorical = rng.randint(2, size=(n_rows, 1))
    target = (numeric[:, 0] + categorical[:, 0] > 0.5).astype(np.int64)
    weight = rng.uniform(0.1, 3.0, n_rows) if weighted else np.ones(n_rows)
    return TensorTable(
        {
            "numeric": torch.from_numpy(numeric),
            "categorical": torch.from_numpy(categorical),
        },
        torch.from_numpy(target),
        torch.from_numpy(weight.astype(np.float32)),
    )


def make_problem():
    """Make a problem with 64 rows to train on and 50 to judge by."""
    quantiles = np.linspace(-2, 2, 5)[:, None].repeat(3, axis=1)
    return Problem(
        space=SPACE,
        spec=DataSpec(2, 3, (2,), quantiles),
        train=make_table(64, seed=0),
        valid=make_table(50, seed=1),
        reward=NegativeLoss(CrossEntropy()),
        recipe=Recipe(
            criterion=CrossEntropy(),
            max_epochs=50,
            batch_size=16,
            lr=0.01,
            weight_decay=0.0,
            optimizer="adamw",
            n_iter_no_change=None,
            device="cpu",
        ),
    )


def make_net(problem, strategy=None, reward=None, valid=None, max_epochs=6, **kwargs):
    """Make the net of a search, to be fitted on the problem's training rows."""
    strategy = ENAS() if strategy is None else strategy
    decisions = SPACE.decisions()
    with private_random_state(0):
        strategy.initialize(decisions, np.random.RandomState(0))
        supernet = SPACE.supernet(problem.spec)
        return SearchNet(
            supernet,
            CrossEntropy(),
            decisions=decisions,
            strategy=strategy,
            reward=reward or NegativeLoss(CrossEntropy()),
            dataset_valid=problem.valid if valid is None else valid,
            random_state=np.random.RandomState(0),
            max_epochs=max_epochs,
            batch_size=16,
            lr=0.01,
            iterator_train=BatchIterator,
            iterator_train__shuffle=True,
            dataset=Dataset,
            train_split=None,
            callbacks__print_log=None,
            callbacks__valid_loss=None,
            verbose=0,
            **optimizer_arguments("adamw", 0.0),
            **kwargs,
        )


def flat(module):
    """Give all parameters of a module as one vector."""
    return torch.cat([p.detach().flatten() for p in module.parameters()])
