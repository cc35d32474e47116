"""What a fitted estimator leaves in a file: numpy arrays and plain Python.

Torch modules are built from these at the end of `fit` and on loading, never on the
first prediction; so a file does not depend on torch's or skorch's insides, is safe
to load with skops, and can be mapped into memory.
"""

from __future__ import annotations

import warnings

import torch
from skorch.dataset import Dataset
from skorch.history import History

from sknas._version import __version__
from sknas.architecture import Architecture
from sknas.estimators._images import ImageEncoder
from sknas.estimators._sequences import TokenReader
from sknas.estimators._streams import LanguageReader
from sknas.estimators._table import TableEncoder
from sknas.spaces import SPACES, SearchSpace
from sknas.training import (
    BatchIterator,
    TrainingNet,
    can_compute,
    load_weights,
    network_weights,
    private_random_state,
)

ENCODERS = {
    encoder.kind: encoder
    for encoder in (TableEncoder, ImageEncoder, TokenReader, LanguageReader)
}


def to_state(attributes: dict) -> dict:
    """Turn an estimator's attributes into plain values."""
    state = dict(attributes)
    if "networks_" not in state:
        return state
    networks = state.pop("networks_")
    state.pop("net_", None)
    if state["_weights"] is None:  # in the middle of a fit
        state["_weights"] = [network_weights(network) for network in networks]
    state["architecture_"] = state["architecture_"].to_json()
    state["architectures_"] = [a.to_json() for a in state["architectures_"]]
    encoder = state["_encoder"]
    state["_encoder"] = {"kind": encoder.kind, "state": encoder.to_state()}
    state["_spec"] = state["_spec"].n_outputs
    state["_space"] = _space_to_state(state["_space"])
    state["_sknas_version"] = __version__
    return state


def from_state(state: dict, estimator_name: str) -> dict:
    """Turn plain values into an estimator's attributes."""
    attributes = dict(state)
    if "_sknas_version" not in attributes:
        return attributes
    version = attributes.pop("_sknas_version")
    if version != __version__:
        warnings.warn(
            f"This {estimator_name} was saved by sknas {version} and is loaded by "
            f"sknas {__version__}: results may differ.",
            UserWarning,
            stacklevel=4,
        )
    attributes["architecture_"] = Architecture.from_json(attributes["architecture_"])
    attributes["architectures_"] = [
        Architecture.from_json(text) for text in attributes["architectures_"]
    ]
    encoder = attributes["_encoder"]
    encoder = ENCODERS[encoder["kind"]].from_state(encoder["state"])
    attributes["_encoder"] = encoder
    attributes["_spec"] = encoder.spec(attributes["_spec"])
    attributes["_space"] = _space_from_state(attributes["_space"])
    if not can_compute(attributes["_device"]):
        attributes["_device"] = "cpu"
    attributes["networks_"] = build_networks(attributes)
    return attributes


def build_networks(attributes: dict) -> list[torch.nn.Module]:
    """Build the trained networks, whose parameters are the arrays themselves."""
    space, spec = attributes["_space"], attributes["_spec"]
    networks = []
    for architecture, weights in zip(
        attributes["architectures_"], attributes["_weights"], strict=True
    ):
        with private_random_state(0):
            network = space.network(architecture, spec)
        load_weights(network, weights, copy=False)
        network.requires_grad_(False)
        networks.append(network.to(attributes["_device"]).eval())
    return networks


def build_net(estimator) -> TrainingNet:
    """Build the skorch net of an estimator's best network."""
    criterion = estimator._criterion()
    net = TrainingNet(
        estimator.networks_[estimator._best],
        criterion,
        lr=estimator.lr,
        batch_size=len(estimator.networks_),
        iterator_train=BatchIterator,
        iterator_valid=BatchIterator,
        dataset=Dataset,
        train_split=None,
        predict_nonlinearity=criterion.predict,
        verbose=0,
        device=estimator._device,
    ).initialize()
    net.history = History(estimator._history)
    return net


def _space_to_state(space: SearchSpace) -> object:
    """Write a space of our own as a name and parameters, others as they are."""
    if SPACES.get(space.name) is not type(space):
        return space
    parameters = {
        name: _space_to_state(value) if isinstance(value, SearchSpace) else value
        for name, value in space.get_params(deep=False).items()
    }
    return {"name": space.name, "parameters": parameters}


def _space_from_state(state: object) -> SearchSpace:
    if not isinstance(state, dict):
        return state
    parameters = {
        name: _space_from_state(value) for name, value in state["parameters"].items()
    }
    return SPACES[state["name"]](**parameters)
