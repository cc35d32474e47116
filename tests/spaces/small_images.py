"""Small convolutional spaces, their networks and images, for the tests of them."""

import numpy as np
import torch

from sknas import ConvMacroSpace, ConvMicroSpace, DataSpec

N_ROWS = 12
SHAPES = {
    "grey": (1, 8, 8),
    "odd and in colours": (3, 9, 7),
    "signals": (2, 11),
}
SPACES = {
    "macro": ConvMacroSpace(n_layers=5, n_filters=4, dropout=0.0),
    "micro": ConvMicroSpace(n_cells=2, n_filters=4, n_nodes=3, dropout=0.0),
}


def make_spec(shape, n_outputs=3):
    n_channels = shape[0]
    return DataSpec(
        n_outputs,
        image_shape=shape,
        image_mean=np.linspace(0.5, 1.0, n_channels),
        image_scale=np.linspace(1.0, 2.0, n_channels),
    )


def make_images(shape, *leading, seed=0):
    rng = np.random.RandomState(seed)
    images = rng.normal(size=(*leading, *shape)).astype(np.float32)
    return torch.from_numpy(images)


def draw(space, n, seed=0):
    sample = space.decisions().sample(n, np.random.RandomState(seed))
    return [space.default_architecture(), *sample]


def every_change(space, architecture):
    """Architectures that differ in one decision: (decision's name, architecture)."""
    decisions = space.decisions()
    indices = decisions.indices(architecture)
    for i, decision in enumerate(decisions):
        for option in range(len(decision.options)):
            if option != indices[i]:
                other = [*indices[:i], option, *indices[i + 1 :]]
                yield decision.name, decisions.architecture(other)


def assert_same(actual, expected):
    torch.testing.assert_close(actual, expected, atol=1e-4, rtol=1e-4)
