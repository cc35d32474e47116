"""The interface of a search space."""

from __future__ import annotations

from abc import ABCMeta, abstractmethod
from dataclasses import dataclass, field

import numpy as np
import torch
from sklearn.base import BaseEstimator
from torch import nn

from sknas.architecture import Architecture, Decisions


@dataclass(frozen=True)
class DataSpec:
    """What a network must know about the data that it is built for.

    Parameters
    ----------
    n_outputs : int
        Number of outputs: classes, for a classifier; targets, for a regressor.

    n_numeric : int, default=0
        Number of numeric inputs, scaled to about zero mean and unit spread.

    category_sizes : tuple of int, default=()
        For each categorical input, how many codes it has: they run from 0 to
        the size less one, and the size itself stands for "unknown".

    quantiles : ndarray of shape (n_edges, n_numeric) or None, default=None
        Increasing quantiles of each numeric input on the training rows.

    image_shape : tuple of int or None, default=None
        Of images, (n_channels, height, width); of signals, (n_channels, n_steps).
        None: the data are tables.

    image_mean, image_scale : ndarray of shape (n_channels,) or None, default=None
        Mean and standard deviation of each channel on the training rows.
    """

    n_outputs: int
    n_numeric: int = 0
    category_sizes: tuple[int, ...] = ()
    quantiles: np.ndarray | None = field(default=None, compare=False)
    image_shape: tuple[int, ...] | None = None
    image_mean: np.ndarray | None = field(default=None, compare=False)
    image_scale: np.ndarray | None = field(default=None, compare=False)

    @property
    def kind(self) -> str:
        """What the data are: "table" or "image", as which signals count too."""
        return "table" if self.image_shape is None else "image"


class SearchSpace(BaseEstimator, metaclass=ABCMeta):
    """What can be built: decisions, and the networks that they lead to.

    A subclass stores its constructor's arguments under their own names, as every
    scikit-learn estimator does, and knows nothing of strategies or training.

    Its networks take the inputs as keyword arguments: for tables, `numeric`, a
    float tensor of shape (n_rows, n_numeric), and `categorical`, an integer tensor
    of shape (n_rows, n_categorical); for images and signals, `image`, a tensor of
    floats or bytes of shape (n_rows, n_channels, ...), not scaled.
    """

    name: str
    """Name of the space, which its architectures carry."""

    @abstractmethod
    def decisions(self) -> Decisions:
        """List what is left open.

        Returns
        -------
        decisions : Decisions
            The decisions in the order in which they are made.
        """

    def check_data(self, spec: DataSpec) -> None:
        """Check that networks of this space can read such data.

        Parameters
        ----------
        spec : DataSpec
            What the data look like.

        Raises
        ------
        ValueError
            If they cannot, with a hint what to do. The base class accepts all data.
        """

    @abstractmethod
    def supernet(self, spec: DataSpec) -> nn.Module:
        """Build the network that shares its parameters among all architectures.

        Parameters
        ----------
        spec : DataSpec
            What the data look like.

        Returns
        -------
        supernet : torch.nn.Module
            ``supernet(**inputs, architectures=[...])`` gives logits of shape
            (n_architectures, n_rows, n_outputs). The inputs have either the shape
            given above, and all architectures see the same rows, or one leading
            axis more, of length n_architectures, and each sees rows of its own.
        """

    @abstractmethod
    def network(self, architecture: Architecture, spec: DataSpec) -> nn.Module:
        """Build the stand-alone network of one architecture.

        Parameters
        ----------
        architecture : Architecture
            An architecture of this space.

        spec : DataSpec
            What the data look like.

        Returns
        -------
        network : torch.nn.Module
            ``network(**inputs)`` gives logits of shape (n_rows, n_outputs), or of
            shape (n_heads, n_rows, n_outputs) when it holds several predictors
            whose answers are to be averaged.
        """

    def default_architecture(self) -> Architecture:
        """Give the plain architecture that one would set by hand.

        Returns
        -------
        architecture : Architecture
            The first option of each decision, unless a space says otherwise.
        """
        decisions = self.decisions()
        return decisions.architecture([0] * len(decisions))

    def final_space(self) -> SearchSpace:
        """Give the space in which the architectures that were found are trained.

        Returns
        -------
        space : SearchSpace
            One whose networks may be larger and whose decisions are the same: this
            one, unless a space says otherwise.
        """
        return self

    def shared_name(self, name: str, architecture: Architecture) -> str:
        """Say which parameter of the supernet a network's parameter comes from.

        Parameters
        ----------
        name : str
            Name of a parameter or buffer of the stand-alone network.

        architecture : Architecture
            The network's architecture.

        Returns
        -------
        shared_name : str
            Name in the supernet, whose leading slice is the network's own.
        """
        return name

    def copy_shared_weights(
        self, supernet: nn.Module, network: nn.Module, architecture: Architecture
    ) -> None:
        """Give a stand-alone network the shared parameters of its architecture.

        Parameters
        ----------
        supernet : torch.nn.Module
            What :meth:`supernet` built.

        network : torch.nn.Module
            What :meth:`network` built for the architecture. Parameters that the
            supernet does not have keep their values.

        architecture : Architecture
            The architecture.
        """
        shared = supernet.state_dict()
        with torch.no_grad():
            for name, own in network.state_dict().items():
                source = shared.get(self.shared_name(name, architecture))
                if source is not None:
                    own.copy_(source[tuple(slice(size) for size in own.shape)])

    def describe(self, architecture: Architecture) -> str:
        """Say in words what an architecture is.

        Parameters
        ----------
        architecture : Architecture
            An architecture of this space.

        Returns
        -------
        text : str
            A line, or a few.
        """
        return str(architecture)

    def graph(self, architecture: Architecture) -> tuple[dict[str, str], list[tuple]]:
        """Give the architecture as a graph.

        Parameters
        ----------
        architecture : Architecture
            An architecture of this space.

        Returns
        -------
        nodes : dict of str to str
            Label of each node, in topological order.

        edges : list of (str, str)
            Pairs of nodes, from source to target.
        """
        nodes = {"input": "input"}
        nodes |= {name: f"{name}: {option}" for name, option in architecture.items()}
        nodes["output"] = "output"
        names = list(nodes)
        return nodes, list(zip(names, names[1:], strict=False))
