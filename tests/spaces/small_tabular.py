"""A small tabular space, its networks and inputs, for the tests of it."""

import numpy as np
import torch

from sknas import DataSpec, TabularSpace

N_ROWS = 9
QUANTILES = np.quantile(
    np.random.RandomState(0).normal(size=(200, 3)), np.linspace(0, 1, 7), axis=0
)
SPECS = {
    "numbers and categories": DataSpec(3, 3, (2, 4), QUANTILES),
    "numbers": DataSpec(3, 3, (), QUANTILES),
    "categories": DataSpec(3, 0, (2, 4), np.empty((7, 0))),
}
BOTH = SPECS["numbers and categories"]
OPTIONS = {"depths": (3, 1, 2, 4), "widths": (7, 4, 12)}
SPACE = TabularSpace(**OPTIONS, n_heads=1)
BASE = {
    "numeric_embedding": "periodic",
    "normalization": "layer",
    "dropout": 0.0,
    "n_layers": 3,
    "activation_1": "silu",
    "width_1": 7,
    "activation_2": "tanh",
    "width_2": 7,
    "skip_2": False,
    "activation_3": "selu",
    "width_3": 4,
    "skip_3": True,
}


def make_inputs(spec, *leading, seed=0):
    """Random rows; the last code of each categorical column means "unknown"."""
    rng = np.random.RandomState(seed)
    numeric = rng.normal(size=(*leading, spec.n_numeric)).astype(np.float32)
    codes = [rng.randint(size + 1, size=leading) for size in spec.category_sizes]
    categorical = np.stack(codes, axis=-1) if codes else np.empty((*leading, 0), int)
    return {
        "numeric": torch.from_numpy(numeric),
        "categorical": torch.from_numpy(categorical),
    }


def draw(space, n, seed=0):
    return space.decisions().sample(n, np.random.RandomState(seed))


def changed(space, architecture, name, option):
    """The architecture with another option, and any decision that this activates."""
    choices = dict(space.default_architecture())
    for decision in space.decisions():
        choices.setdefault(decision.name, decision.options[0])
    choices |= dict(architecture) | {name: option}
    decisions = space.decisions()
    return decisions.architecture([d.options.index(choices[d.name]) for d in decisions])


def assert_same(actual, expected):
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-4)
