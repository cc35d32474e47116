"""The interface of a search space."""

from __future__ import annotations

from abc import ABCMeta, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from sklearn.base import BaseEstimator
from torch import Tensor, nn

from sknas.architecture import Architecture
from sknas.decisions import Decisions
from sknas.spaces._graph import Graph, Node


@dataclass(frozen=True)
class DataSpec:
    """What a network must know about the data that it is built for.

    Parameters
    ----------
    n_outputs : int
        Number of outputs: classes, for a classifier; targets, for a regressor.

    n_numeric : int, default=0
        Number of numeric inputs, scaled to about zero mean and unit spread; indicators
        of missing values are among them.

    category_sizes : tuple of int, default=()
        For each categorical input, how many codes it has: they run from 0 to
        the size less one, and the size itself stands for "unknown".

    bin_edges : ndarray of shape (n_edges, n_numeric) or None, default=None
        For each numeric input, ascending values between which there are about as many
        training rows.

    image_shape : tuple of int or None, default=None
        Of images, (n_channels, height, width); of series, (n_features, n_steps).
        None: the data are something else.

    image_mean, image_scale : ndarray of shape (n_channels,) or None, default=None
        Mean and standard deviation of each channel on the training rows. None: 0 and 1,
        where there is an `image_shape`.

    n_tokens : int or None, default=None
        Of text, the number of tokens that there are: ids run from 1 to it less one, and
        0 follows the end of a row. None: the data are something else.

    n_steps : int or None, default=None
        Of text, the number of ids in a row.

    predicts_tokens : bool, default=False
        Whether each next token is to be predicted, as by a language model.

    relevance : ndarray of shape (n_numeric + n_categorical,) or None, default=None
        For each numeric input, then for each categorical one, how much it matters, as
        :meth:`SearchSpace.relevance` found it. None: not known.
    """

    n_outputs: int
    n_numeric: int = 0
    category_sizes: tuple[int, ...] = ()
    bin_edges: np.ndarray | None = field(default=None, compare=False)
    image_shape: tuple[int, ...] | None = None
    image_mean: np.ndarray | None = field(default=None, compare=False)
    image_scale: np.ndarray | None = field(default=None, compare=False)
    n_tokens: int | None = None
    n_steps: int | None = None
    predicts_tokens: bool = False
    relevance: np.ndarray | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if self.image_shape is None:
            return
        for name, make in (("image_mean", np.zeros), ("image_scale", np.ones)):
            if getattr(self, name) is None:
                object.__setattr__(self, name, make(self.image_shape[0]))

    @property
    def kind(self) -> str:
        """What the data are: "table", "image", "series", "text" or "language"."""
        if self.n_tokens is not None:
            return "language" if self.predicts_tokens else "text"
        if self.image_shape is None:
            return "table"
        return "image" if len(self.image_shape) == 3 else "series"

    @property
    def sizes(self) -> tuple[int, ...]:
        """Height and width of images; number of steps of series and texts."""
        return (self.n_steps,) if self.n_tokens is not None else self.image_shape[1:]


class SearchSpace(BaseEstimator, metaclass=ABCMeta):
    """What can be built: decisions, and the networks that they lead to.

    A subclass stores its constructor's arguments under their own names, as every
    scikit-learn estimator does, and knows nothing of strategies or training.

    Its networks take the inputs as keyword arguments: for tables, `numeric`, a
    float tensor of shape (n_rows, n_numeric), and `categorical`, an integer tensor
    of shape (n_rows, n_categorical); for images and series, `image`, a tensor of
    floats or bytes of shape (n_rows, n_channels, ...), not scaled, where NaN is a
    missing value of a series or follows its end; for text, `tokens`, ids of shape
    (n_rows, n_steps), where 0 follows the end. Language models get `next_tokens` too,
    of the same shape, and give, instead of logits, the logarithms of their
    probabilities; and, of shape (n_rows,), `goes_on`: whether a row goes on where that
    of the last batch ended.
    """

    name: str
    """Name of the space, which its architectures carry."""

    tells_relevance: bool = False
    """Whether networks wait for what :meth:`relevance` says of others."""

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
            This one, with each parameter ``final_x`` that is not None in the place of
            its parameter ``x``. The decisions must be the same.
        """
        parameters = self.get_params(deep=False)
        final = {
            name.removeprefix("final_"): value
            for name, value in parameters.items()
            if name.startswith("final_")
            and name.removeprefix("final_") in parameters
            and value is not None
        }
        return type(self)(**(parameters | final)) if final else self

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
            Name in the supernet, whose leading slice is the network's own; an axis of
            length one there serves all along it, such as several predictors.
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

        Raises
        ------
        ValueError
            If a parameter has more axes, or is longer along one, than the shared one.
        """
        shared = supernet.state_dict()
        with torch.no_grad():
            for name, own in network.state_dict().items():
                shared_name = self.shared_name(name, architecture)
                source = shared.get(shared_name)
                if source is None:
                    continue
                sizes = zip(source.shape, own.shape, strict=False)
                if source.ndim != own.ndim or any(
                    1 < shared_size < size for shared_size, size in sizes
                ):
                    raise ValueError(
                        f"{name!r} of a network of {type(self).__name__}, of shape "
                        f"{tuple(own.shape)}, is no part of the supernet's "
                        f"{shared_name!r}, of shape {tuple(source.shape)}: the method "
                        "'shared_name' says which it comes from."
                    )
                own.copy_(source[tuple(slice(size) for size in own.shape)])

    def relevance(
        self,
        network: nn.Module,
        inputs: dict[str, Tensor],
        weight: Tensor,
        join: Callable[[Tensor], Tensor],
    ) -> np.ndarray | None:
        """Say how much each column of a table matters to a trained network.

        Where :attr:`tells_relevance` is true, the second half of an ensemble's networks
        are built, by :meth:`network`, with what this method found of the first half, as
        :attr:`DataSpec.relevance`: the root of the mean square, relative to the
        greatest. And of all networks it says how much columns count in the distances
        between rows, where `neighbors` of a classifier are asked.

        Parameters
        ----------
        network : torch.nn.Module
            A trained network of this space, on the CPU.

        inputs : dict of str to Tensor
            Rows of the training data. Gradients are enabled.

        weight : Tensor of shape (n_rows,)
            Their weights.

        join : callable
            Makes one answer of what a network gives, logits or numbers of shape
            (n_rows, n_outputs).

        Returns
        -------
        relevance : array-like of shape (n_numeric + n_categorical,) or None
            Of each input, above 0. None, as in the base class: it is not known.
        """
        return None

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

    def source(
        self, architecture: Architecture, spec: DataSpec, name: str
    ) -> list[str]:
        """Write the stand-alone network as PyTorch code that needs torch alone.

        Parameters
        ----------
        architecture : Architecture
            An architecture of this space.

        spec : DataSpec
            What the data look like.

        name : str
            What to call the network's class.

        Returns
        -------
        definitions : list of str
            Functions and classes, each as code; the last is the network's, a
            `torch.nn.Module` that is built without arguments. Its parameters and
            buffers have the names, and its inputs and outputs are those, of what
            :meth:`network` builds; what serves training alone may be left out. `torch`,
            `nn` and `F` are imported.

        Raises
        ------
        NotImplementedError
            If the space does not say how, as the base class.
        """
        raise NotImplementedError(
            f"The space {self.name!r} does not say how its networks are written as "
            f"code: that is what a method 'source' of {type(self).__name__} is for."
        )

    def graph(self, architecture: Architecture, spec: DataSpec | None = None) -> Graph:
        """Give the architecture as a graph.

        Parameters
        ----------
        architecture : Architecture
            An architecture of this space.

        spec : DataSpec or None, default=None
            What the data look like. None: shapes are left out.

        Returns
        -------
        graph : Graph
            What the network does. That of the base class is a chain of its decisions.
        """
        nodes = {"input": Node("input", "input")}
        nodes |= {
            f"decision_{name}": Node(f"{name}: {option}")
            for name, option in architecture.items()
        }
        nodes["output"] = Node("output", "output")
        names = list(nodes)
        return Graph(nodes, list(zip(names, names[1:], strict=False)))
