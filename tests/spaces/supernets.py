"""Supernets, and networks with their weights, for the tests of all spaces."""

import torch

from sknas.training import private_random_state


def make_supernet(space, spec):
    """A supernet all of whose parameters differ, those of the norms too."""
    with private_random_state(0):
        supernet = space.supernet(spec)
        with torch.no_grad():
            for parameter in supernet.parameters():
                parameter += 0.3 * torch.randn_like(parameter)
    return supernet


def stand_alone(space, spec, supernet, architecture):
    network = space.network(architecture, spec)
    space.copy_shared_weights(supernet, network, architecture)
    return network.train(supernet.training)
