"""Multilayer perceptrons for tables of numbers and categories."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sknas.architecture import Architecture, Decision, Decisions
from sknas.modules import (
    ACTIVATIONS,
    OneHotColumns,
    OutputHeads,
    PeriodicEmbedding,
    PiecewiseLinearEmbedding,
    ScaledLinear,
    SharedDropout,
    apply_by_option,
    masked_layer_norm,
    unit_mask,
)
from sknas.spaces._base import DataSpec, SearchSpace

N_DIMENSIONS = 8  # of a number's embedding
N_FREQUENCIES = 8  # of the periodic embedding
MAX_EMBEDDED_UNITS = 256  # of all numbers' embeddings together, if they are many


def _piecewise_linear(spec: DataSpec, n_dimensions: int) -> nn.Module:
    return PiecewiseLinearEmbedding(spec.quantiles, n_dimensions)


def _periodic(spec: DataSpec, n_dimensions: int) -> nn.Module:
    return PeriodicEmbedding(spec.n_numeric, N_FREQUENCIES, n_dimensions)


EMBEDDINGS = {"piecewise_linear": _piecewise_linear, "periodic": _periodic}
NORMALIZATIONS = ("none", "layer")


def build_embedding(name: str, spec: DataSpec) -> nn.Module | None:
    """Build the embedding of the numeric inputs; none where there are none."""
    if name == "none" or spec.n_numeric == 0:
        return None
    n_dimensions = max(1, min(N_DIMENSIONS, MAX_EMBEDDED_UNITS // spec.n_numeric))
    return EMBEDDINGS[name](spec, n_dimensions)


def join_inputs(numeric: Tensor, encoded: Tensor) -> Tensor:
    """Put numbers and encoded categories side by side, if there are both."""
    if encoded.shape[-1] == 0:
        return numeric
    return torch.cat([numeric, encoded], dim=-1)


class TabularSpace(SearchSpace):
    """Multilayer perceptrons for tables: the space named "tabular".

    Each layer computes ``dropout(activation(norm(W h + b)))``, plus ``h`` where it
    has a skip connection. The inputs are the scaled numbers, their embeddings and
    the one-hot encoded categories. Of every tuple of options the first is the one
    that the plain default architecture takes.

    Parameters
    ----------
    numeric_embeddings : tuple of {"piecewise_linear", "periodic", "none"}
        How numbers enter, besides as they are.

    normalizations : tuple of {"none", "layer"}
        What comes before each activation.

    dropouts : tuple of float
        Dropout rates after each activation.

    depths : tuple of int
        Numbers of layers.

    activations : tuple of {"relu", "silu", "selu", "tanh", "identity"}
        Operations of a layer.

    widths : tuple of int
        Numbers of units of a layer.

    skips : tuple of bool
        Whether a layer (but the first) adds its input to its output.

    n_heads : int, default=4
        How many predictors a stand-alone network holds. They share its matrices
        and have their own input scales and output layers (BatchEnsemble, TabM);
        their probabilities are averaged. The search itself uses one.
    """

    name = "tabular"

    def __init__(
        self,
        numeric_embeddings: tuple[str, ...] = ("piecewise_linear", "periodic", "none"),
        normalizations: tuple[str, ...] = ("none", "layer"),
        dropouts: tuple[float, ...] = (0.1, 0.0, 0.3),
        depths: tuple[int, ...] = (3, 1, 2, 4),
        activations: tuple[str, ...] = ("relu", "silu", "selu", "tanh", "identity"),
        widths: tuple[int, ...] = (128, 64, 192),
        skips: tuple[bool, ...] = (False, True),
        n_heads: int = 4,
    ) -> None:
        self.numeric_embeddings = numeric_embeddings
        self.normalizations = normalizations
        self.dropouts = dropouts
        self.depths = depths
        self.activations = activations
        self.widths = widths
        self.skips = skips
        self.n_heads = n_heads

    def decisions(self) -> Decisions:
        """List the decisions: those of the whole network, then those of each layer.

        Returns
        -------
        decisions : Decisions
            The decisions of a layer count only where the network is that deep.
        """
        self._check_options()
        decisions = [
            Decision("numeric_embedding", tuple(self.numeric_embeddings)),
            Decision("normalization", tuple(self.normalizations)),
            Decision("dropout", tuple(self.dropouts)),
            Decision("n_layers", tuple(self.depths)),
        ]
        for layer in range(1, max(self.depths) + 1):
            deep = ("n_layers", tuple(d for d in self.depths if d >= layer))
            decisions += [
                Decision(
                    f"activation_{layer}", tuple(self.activations), active_if=deep
                ),
                Decision(f"width_{layer}", tuple(self.widths), active_if=deep),
            ]
            if layer > 1:
                decisions.append(
                    Decision(f"skip_{layer}", tuple(self.skips), active_if=deep)
                )
        return Decisions(self.name, decisions)

    def _check_options(self) -> None:
        for parameter, allowed in {
            "numeric_embeddings": (*EMBEDDINGS, "none"),
            "normalizations": NORMALIZATIONS,
            "activations": tuple(ACTIVATIONS),
            "skips": (False, True),
        }.items():
            wrong = [o for o in getattr(self, parameter) if o not in allowed]
            if wrong:
                raise ValueError(
                    f"{parameter} of TabularSpace must be chosen from {list(allowed)}, "
                    f"got {wrong}."
                )
        for parameter in ("depths", "widths"):
            value = getattr(self, parameter)
            if not all(isinstance(v, int) and v >= 1 for v in value):
                raise ValueError(
                    f"{parameter} of TabularSpace must hold integers from 1 up, got "
                    f"{value!r}."
                )
        if not all(0 <= rate < 1 for rate in self.dropouts):
            raise ValueError(
                "dropouts of TabularSpace must hold numbers from 0 to below 1, got "
                f"{self.dropouts!r}."
            )
        if not (isinstance(self.n_heads, int) and self.n_heads >= 1):
            raise ValueError(
                f"n_heads of TabularSpace must be an integer from 1 up, got "
                f"{self.n_heads!r}."
            )

    def supernet(self, spec: DataSpec) -> TabularSupernet:
        """Build the network that shares its parameters; see the base class."""
        return TabularSupernet(
            spec,
            numeric_embeddings=self.numeric_embeddings,
            dropouts=self.dropouts,
            depths=self.depths,
            n_units=max(self.widths),
        )

    def network(self, architecture: Architecture, spec: DataSpec) -> TabularNetwork:
        """Build the stand-alone network; see the base class."""
        return TabularNetwork(architecture, spec, self.n_heads)

    def shared_name(self, name: str, architecture: Architecture) -> str:
        """Say which parameter of the supernet a network's comes from."""
        embedding = architecture["numeric_embedding"]
        for own, shared in (
            ("embedding.", f"embeddings.{embedding}."),
            ("embedded_input.", f"embedded_inputs.{embedding}."),
            ("head.", f"heads.{architecture['n_layers']}."),
        ):
            if name.startswith(own):
                return shared + name.removeprefix(own)
        return name

    def copy_shared_weights(
        self, supernet: nn.Module, network: nn.Module, architecture: Architecture
    ) -> None:
        """Copy the shared parameters; every head becomes the shared predictor."""
        super().copy_shared_weights(supernet, network, architecture)
        with torch.no_grad():
            for name, own in network.state_dict().items():
                if name.endswith(".scale"):
                    own.fill_(1.0)

    def describe(self, architecture: Architecture) -> str:
        """Say in words what an architecture is."""
        embedding = {
            "none": "as they are",
            "piecewise_linear": "with piecewise-linear embeddings",
            "periodic": "with periodic embeddings",
        }[architecture["numeric_embedding"]]
        layers = [
            f"{architecture[f'width_{k}']} {architecture[f'activation_{k}']}"
            + (" + skip" if architecture.get(f"skip_{k}") else "")
            for k in range(1, architecture["n_layers"] + 1)
        ]
        return (
            f"numbers {embedding} -> {' -> '.join(layers)} -> output; "
            f"normalization: {architecture['normalization']}, "
            f"dropout: {architecture['dropout']}"
        )

    def graph(self, architecture: Architecture) -> tuple[dict[str, str], list[tuple]]:
        """Give the architecture as a graph: inputs, layers with skips, output."""
        nodes = {"numeric": "numbers", "categorical": "categories (one-hot)"}
        edges = [("numeric", "layer_1"), ("categorical", "layer_1")]
        if architecture["numeric_embedding"] != "none":
            nodes["embedding"] = f"{architecture['numeric_embedding']} embedding"
            edges += [("numeric", "embedding"), ("embedding", "layer_1")]
        for k in range(1, architecture["n_layers"] + 1):
            width, activation = (
                architecture[f"{n}_{k}"] for n in ("width", "activation")
            )
            nodes[f"layer_{k}"] = f"{width} {activation}"
            if k > 1:
                edges.append((f"layer_{k - 1}", f"layer_{k}"))
            if architecture.get(f"skip_{k}"):
                nodes[f"add_{k}"] = "+"
                edges += [(f"layer_{k}", f"add_{k}"), (f"layer_{k - 1}", f"add_{k}")]
        nodes["output"] = "output"
        edges.append((f"layer_{architecture['n_layers']}", "output"))
        # what follows a layer with a skip starts from the sum
        sums = {f"layer_{name[4:]}": name for name in nodes if name.startswith("add_")}
        edges = [(s if t == sums.get(s) else sums.get(s, s), t) for s, t in edges]
        return nodes, edges


class TabularNetwork(nn.Module):
    """The stand-alone network of one architecture of the tabular space.

    Parameters
    ----------
    architecture : Architecture
        The architecture.

    spec : DataSpec
        What the data look like.

    n_heads : int
        Number of predictors that share the matrices.
    """

    def __init__(
        self, architecture: Architecture, spec: DataSpec, n_heads: int
    ) -> None:
        super().__init__()
        depth = architecture["n_layers"]
        widths = [architecture[f"width_{k}"] for k in range(1, depth + 1)]
        self.one_hot = OneHotColumns(spec.category_sizes)
        n_inputs = spec.n_numeric + self.one_hot.n_outputs
        self.input = ScaledLinear(n_inputs, widths[0], n_heads, random_signs=True)
        self.embedding = build_embedding(architecture["numeric_embedding"], spec)
        if self.embedding is not None:
            self.embedded_input = ScaledLinear(
                self.embedding.n_outputs,
                widths[0],
                n_heads,
                random_signs=True,
                bias=False,
            )
        self.layers = nn.ModuleDict(
            {
                str(k): ScaledLinear(widths[k - 2], widths[k - 1], n_heads)
                for k in range(2, depth + 1)
            }
        )
        self.norms = nn.ModuleDict()
        if architecture["normalization"] == "layer":
            self.norms.update(
                {str(k): nn.LayerNorm(widths[k - 1]) for k in range(1, depth + 1)}
            )
        self.activations = [
            ACTIVATIONS[architecture[f"activation_{k}"]] for k in range(1, depth + 1)
        ]
        self.skips = [architecture.get(f"skip_{k}", False) for k in range(1, depth + 1)]
        self.dropout = SharedDropout(architecture["dropout"])
        self.head = OutputHeads(widths[-1], spec.n_outputs, n_heads)

    def forward(self, numeric: Tensor, categorical: Tensor) -> Tensor:
        """Give logits of shape (n_heads, n_rows, n_outputs)."""
        x = join_inputs(numeric, self.one_hot(categorical)).unsqueeze(0)
        hidden = None
        for k, activation in enumerate(self.activations, start=1):
            if k == 1:
                unit = self.input(x)
                if self.embedding is not None:
                    embedded = self.embedding(numeric).unsqueeze(0)
                    unit = unit + self.embedded_input(embedded)
            else:
                unit = self.layers[str(k)](hidden)
            if self.norms:
                unit = self.norms[str(k)](unit)
            unit = activation(unit)
            unit = self.dropout(unit)
            if self.skips[k - 1]:
                # where the widths differ, the input is cut off or padded with zeros
                missing = unit.shape[2] - hidden.shape[2]
                unit = unit + F.pad(hidden, (0, missing))
            hidden = unit
        return self.head(hidden)


class TabularSupernet(nn.Module):
    """The network whose parameters all tabular architectures share.

    A narrower layer is the leading slice of the widest one; each depth has its own
    output layer, and each embedding its own input matrix.

    Parameters
    ----------
    spec : DataSpec
        What the data look like.

    numeric_embeddings : sequence of str
        The embeddings on offer.

    dropouts : sequence of float
        The dropout rates on offer.

    depths : sequence of int
        The numbers of layers on offer.

    n_units : int
        The greatest width on offer.
    """

    def __init__(
        self,
        spec: DataSpec,
        numeric_embeddings: Sequence[str],
        dropouts: Sequence[float],
        depths: Sequence[int],
        n_units: int,
    ) -> None:
        super().__init__()
        self.n_units = n_units
        self.dropouts = {rate: SharedDropout(rate) for rate in dropouts}
        self.one_hot = OneHotColumns(spec.category_sizes)
        n_inputs = spec.n_numeric + self.one_hot.n_outputs
        self.input = ScaledLinear(n_inputs, n_units, n_heads=1)
        built = {name: build_embedding(name, spec) for name in numeric_embeddings}
        self.embeddings = nn.ModuleDict(
            {n: e for n, e in built.items() if e is not None}
        )
        self.embedded_inputs = nn.ModuleDict(
            {
                name: ScaledLinear(embedding.n_outputs, n_units, n_heads=1, bias=False)
                for name, embedding in self.embeddings.items()
            }
        )
        self.layers = nn.ModuleDict(
            {
                str(k): ScaledLinear(n_units, n_units, n_heads=1)
                for k in range(2, max(depths) + 1)
            }
        )
        self.norms = nn.ModuleDict(
            {str(k): nn.LayerNorm(n_units) for k in range(1, max(depths) + 1)}
        )
        self.heads = nn.ModuleDict(
            {str(d): OutputHeads(n_units, spec.n_outputs, n_heads=1) for d in depths}
        )

    def forward(
        self, numeric: Tensor, categorical: Tensor, architectures: list[Architecture]
    ) -> Tensor:
        """Give logits of shape (n_architectures, n_rows, n_outputs)."""
        hidden = None
        going, outputs, order = list(range(len(architectures))), [], []
        for k in range(1, max(a["n_layers"] for a in architectures) + 1):
            chosen = [architectures[g] for g in going]
            if k == 1:
                unit = self._first_layer(numeric, categorical, chosen)
            else:
                unit = self.layers[str(k)](hidden)
            hidden = self._finish_layer(k, unit, hidden, chosen)
            last = [i for i, a in enumerate(chosen) if a["n_layers"] == k]
            if last:
                outputs.append(self._head(str(k), hidden[last]))
                order += [going[i] for i in last]
                rest = [i for i in range(len(going)) if i not in set(last)]
                going, hidden = [going[i] for i in rest], hidden[rest]
        back = np.argsort(order)
        return torch.cat(outputs)[torch.from_numpy(back).to(numeric.device)]

    def _first_layer(
        self, numeric: Tensor, categorical: Tensor, chosen: list[Architecture]
    ) -> Tensor:
        x = join_inputs(numeric, self.one_hot(categorical))
        common = self.input(x)  # (n_rows, n_units), or a row of groups of them
        embeddings = [a["numeric_embedding"] for a in chosen]
        if numeric.ndim == 2:  # all architectures see the same rows
            units = {name: common for name in embeddings}
            for name in set(embeddings) & set(self.embeddings):
                embedded = self.embeddings[name](numeric)
                units[name] = common + self.embedded_inputs[name](embedded)
            return torch.stack([units[name] for name in embeddings])
        functions = {"none": lambda _, group: group}
        for name, embedding in self.embeddings.items():
            matrix = self.embedded_inputs[name]
            functions[name] = lambda x, group, e=embedding, m=matrix: group + m(e(x))
        if not self.embeddings:
            return common
        return apply_by_option(functions, embeddings, numeric, common)

    def _finish_layer(
        self, k: int, unit: Tensor, hidden: Tensor | None, chosen: list[Architecture]
    ) -> Tensor:
        widths = tuple(a[f"width_{k}"] for a in chosen)
        mask = unit_mask(widths, self.n_units, unit.device)
        normalizations = [a["normalization"] for a in chosen]
        if "layer" in normalizations:
            norm = self.norms[str(k)]
            normalize = partial(
                masked_layer_norm, weight=norm.weight, bias=norm.bias, eps=norm.eps
            )
            functions = {"none": lambda group, _: group, "layer": normalize}
            unit = apply_by_option(functions, normalizations, unit, mask)
        unit = apply_by_option(
            ACTIVATIONS, [a[f"activation_{k}"] for a in chosen], unit
        )
        unit = unit * mask
        if self.training:
            unit = apply_by_option(self.dropouts, [a["dropout"] for a in chosen], unit)
        skips = [a.get(f"skip_{k}", False) for a in chosen]
        if any(skips):
            keep = mask * torch.tensor(skips, device=unit.device).view(-1, 1, 1)
            unit = torch.addcmul(unit, hidden, keep)
        return unit

    def _head(self, depth: str, hidden: Tensor) -> Tensor:
        head = self.heads[depth]
        return F.linear(hidden, head.weight[0], head.bias[0, 0])
