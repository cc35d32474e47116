"""How much the columns of a table matter to the networks of an ensemble."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from sknas.architecture import Architecture
from sknas.spaces import DataSpec, SearchSpace, checked_relevance
from sknas.training import (
    TensorTable,
    Weights,
    load_weights,
    private_random_state,
    single_thread,
)

N_ROWS = 1024  # that networks are asked about, at most


def ensemble_relevance(
    space: SearchSpace,
    spec: DataSpec,
    table: TensorTable,
    criterion: nn.Module,
    architectures: list[Architecture],
    weights: list[Weights],
) -> np.ndarray | None:
    """Say how much each column matters to several networks.

    Parameters
    ----------
    space : SearchSpace
        The space of the networks, which says it of each.

    spec : DataSpec
        What the data look like.

    table : TensorTable
        Rows of which some are taken at random.

    criterion : torch.nn.Module
        The loss, which joins what a network gives to one answer.

    architectures : list of Architecture
        Those of the networks, and of others that are still to come.

    weights : list of dict
        The networks' weights.

    Returns
    -------
    relevance : ndarray of shape (n_numeric + n_categorical,) or None
        The root of the mean of the squares of what the space says, relative to the
        greatest. None where it says nothing of any network.

    Raises
    ------
    ValueError
        If what the space says has another shape, or numbers that are not finite, or not
        above 0.
    """
    squares = np.zeros(spec.n_numeric + len(spec.category_sizes))
    # on the CPU, whose sums have an order
    with private_random_state(0), single_thread():
        rows = torch.randperm(len(table))[:N_ROWS]
        inputs, (_, weight) = table[rows.to(table.target.device)]
        inputs = {name: tensor.cpu() for name, tensor in inputs.items()}
        for architecture, own in zip(architectures, weights, strict=False):
            network = space.network(architecture, spec)
            load_weights(network, own)
            relevance = checked_relevance(
                space, network.eval(), spec, inputs, weight.cpu(), criterion.join
            )
            if relevance is not None:
                squares += np.square(relevance)
    return np.sqrt(squares / squares.max()) if squares.any() else None
