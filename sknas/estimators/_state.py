"""What a fitted estimator leaves in a file: numpy arrays and plain Python.

Torch modules are built from these at the end of `fit` and on loading, never on the
first prediction; so a file does not depend on torch's or skorch's insides, is safe
to load with skops, and can be mapped into memory.
"""

from __future__ import annotations

import numpy as np
import torch
from sklearn.base import BaseEstimator
from skorch.dataset import Dataset
from skorch.history import History

from sknas._version import __version__
from sknas.architecture import Architecture
from sknas.estimators._neighbors import build_neighbors
from sknas.notices import warn_caller
from sknas.readers import ENCODERS
from sknas.search import STRATEGIES
from sknas.spaces import SPACES
from sknas.training import (
    OPTIMIZERS,
    BatchIterator,
    TrainingNet,
    can_compute,
    load_weights,
    network_weights,
    private_generator,
)

OBJECTS = ("search_space", "architecture", "strategy")  # parameters that can be such
OWN_CLASSES = {c.__name__: c for c in (*SPACES.values(), *STRATEGIES.values())}


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
    if state.get("neighbors_") is not None:
        state["neighbors_"] = network_weights(state["neighbors_"])
    encoder = state["_encoder"]
    state["_encoder"] = {"kind": encoder.kind, "state": encoder.to_state()}
    state["_spec"] = state["_spec"].n_outputs
    state["_space"] = _object_to_state(state["_space"])
    state["_parameters"] = {
        name: _object_to_state(state.pop(name)) for name in OBJECTS if name in state
    }
    state["_sknas_version"] = __version__
    return state


def from_state(state: dict, estimator_name: str) -> dict:
    """Turn plain values into an estimator's attributes."""
    if "_sknas_version" not in state:
        return dict(state)
    attributes = _without_memmaps(state)
    version = attributes.pop("_sknas_version")
    if version != __version__:
        warn_caller(
            f"This {estimator_name} was saved by sknas {version} and is loaded by "
            f"sknas {__version__}: results may differ."
        )
    attributes["architecture_"] = Architecture.from_json(attributes["architecture_"])
    attributes["architectures_"] = [
        Architecture.from_json(text) for text in attributes["architectures_"]
    ]
    encoder = attributes["_encoder"]
    encoder = ENCODERS[encoder["kind"]].from_state(encoder["state"])
    attributes["_encoder"] = encoder
    attributes["_spec"] = encoder.spec(attributes["_spec"])
    attributes["_space"] = _object_from_state(attributes["_space"])
    for name, value in attributes.pop("_parameters").items():
        attributes[name] = _object_from_state(value)
    if not can_compute(attributes["_device"]):
        attributes["_device"] = "cpu"
    attributes["networks_"] = build_networks(attributes)
    if attributes.get("neighbors_") is not None:
        attributes["neighbors_"] = build_neighbors(
            attributes["neighbors_"], attributes["_spec"]
        )
    return attributes


def build_networks(attributes: dict) -> list[torch.nn.Module]:
    """Build the trained networks, whose parameters are the arrays themselves."""
    space, spec = attributes["_space"], attributes["_spec"]
    networks = []
    for architecture, weights in zip(
        attributes["architectures_"], attributes["_weights"], strict=True
    ):
        with private_generator(0):  # another thread may be training
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
        optimizer=OPTIMIZERS["adamw"],  # for those who train it on
        lr=estimator.lr,
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


def _without_memmaps(value: object) -> object:
    """See memory-mapped arrays as the plain ones that all of numpy's readers know."""
    if isinstance(value, np.memmap):
        return np.asarray(value)
    if type(value) in (list, tuple):
        return type(value)(_without_memmaps(part) for part in value)
    if type(value) is dict:
        return {key: _without_memmaps(part) for key, part in value.items()}
    if isinstance(value, BaseEstimator):  # such as a scaler
        vars(value).update(_without_memmaps(vars(value)))
    return value


def _object_to_state(value: object) -> object:
    """Write architectures, and our own spaces and strategies, as plain values."""
    if type(value) in (list, tuple):
        return type(value)(_object_to_state(part) for part in value)
    if isinstance(value, Architecture):
        return {"architecture": value.to_json()}
    name = type(value).__name__
    if OWN_CLASSES.get(name) is not type(value):
        return value
    parameters = value.get_params(deep=False)
    return {
        "class": name,
        "parameters": {key: _object_to_state(v) for key, v in parameters.items()},
    }


def _object_from_state(state: object) -> object:
    """Read what :func:`_object_to_state` wrote."""
    if type(state) in (list, tuple):
        return type(state)(_object_from_state(part) for part in state)
    if not isinstance(state, dict):
        return state
    if "architecture" in state:
        return Architecture.from_json(state["architecture"])
    parameters = state["parameters"]
    return OWN_CLASSES[state["class"]](
        **{name: _object_from_state(value) for name, value in parameters.items()}
    )
