"""Parameters of networks as arrays."""

from __future__ import annotations

import warnings

import numpy as np
import torch
from torch import nn

Weights = dict[str, np.ndarray]


def network_weights(network: nn.Module) -> Weights:
    """Copy a network's parameters and buffers into arrays."""
    return {
        name: tensor.detach().cpu().numpy().copy()
        for name, tensor in network.state_dict().items()
    }


def load_weights(network: nn.Module, weights: Weights, copy: bool = True) -> None:
    """Give a network its weights.

    Parameters
    ----------
    network : torch.nn.Module
        The network.

    weights : dict of str to ndarray
        Its parameters and buffers.

    copy : bool, default=True
        Whether to copy the arrays. If not, the network's parameters are the arrays
        themselves, which may be read-only as long as the network is not trained.
    """
    # the network is to be one that can be trained, whatever the caller has set
    with warnings.catch_warnings(), torch.inference_mode(False):
        # torch warns of arrays that cannot be written to, such as mapped ones
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        tensors = {
            name: torch.tensor(array) if copy else torch.from_numpy(np.asarray(array))
            for name, array in weights.items()
        }
        network.load_state_dict(tensors, assign=not copy)


def count_parameters(network: nn.Module) -> int:
    """Count a network's parameters."""
    return sum(parameter.numel() for parameter in network.parameters())
