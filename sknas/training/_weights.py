"""Parameters of networks as arrays."""

from __future__ import annotations

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
    to_tensor = torch.tensor if copy else _as_tensor
    # the network is to be one that can be trained, whatever the caller has set
    with torch.inference_mode(False):
        tensors = {name: to_tensor(array) for name, array in weights.items()}
        network.load_state_dict(tensors, assign=not copy)


def _as_tensor(array: np.ndarray) -> torch.Tensor:
    """See an array as a tensor, without torch's warning if it is read-only.

    Warnings' filters belong to the whole process, and models are loaded in threads.
    """
    array = np.asarray(array)
    if array.flags.writeable:
        return torch.from_numpy(array)
    # torch asks for the flag alone; the address says all
    interface = array.__array_interface__
    address, _ = interface["data"]
    holder = _Writable(array, interface | {"data": (address, False)})
    return torch.from_numpy(np.asarray(holder))


class _Writable:
    """Memory of an array, which it keeps, said to be writable."""

    def __init__(self, array: np.ndarray, interface: dict) -> None:
        self.array = array
        self.__array_interface__ = interface


def count_parameters(network: nn.Module) -> int:
    """Count a network's parameters."""
    return sum(parameter.numel() for parameter in network.parameters())
