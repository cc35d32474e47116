"""The networks of the tabular space: shared and stand-alone."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sknas.architecture import Architecture
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
    on_device,
    unit_mask,
)
from sknas.spaces._base import DataSpec

N_DIMENSIONS = 8  # of a number's embedding
N_FREQUENCIES = 8  # of the periodic embedding
MAX_EMBEDDED_UNITS = 256  # of all numbers' embeddings together, if they are many


def _piecewise_linear(spec: DataSpec, n_dimensions: int) -> nn.Module:
    return PiecewiseLinearEmbedding(spec.bin_edges, n_dimensions)


def _periodic(spec: DataSpec, n_dimensions: int) -> nn.Module:
    return PeriodicEmbedding(spec.n_numeric, N_FREQUENCIES, n_dimensions)


EMBEDDINGS = {"piecewise_linear": _piecewise_linear, "periodic": _periodic}


def build_embedding(name: str, spec: DataSpec) -> nn.Module | None:
    """Build the embedding of the numeric inputs; none where there are none."""
    if name == "none" or spec.n_numeric == 0:
        return None
    return EMBEDDINGS[name](spec, embedded_units(spec) // spec.n_numeric)


def embedded_units(spec: DataSpec) -> int:
    """Give the number of units that all numbers' embeddings have together."""
    n_dimensions = min(N_DIMENSIONS, MAX_EMBEDDED_UNITS // spec.n_numeric)
    return spec.n_numeric * max(1, n_dimensions)


def join_inputs(numeric: Tensor, encoded: Tensor) -> Tensor:
    """Put numbers and encoded categories side by side, if there are both."""
    if encoded.shape[-1] == 0:
        return numeric
    return torch.cat([numeric, encoded], dim=-1)


def unit_columns(spec: DataSpec, n_embedded: int) -> list[np.ndarray]:
    """Tell from which column each unit comes that a first layer reads.

    Parameters
    ----------
    spec : DataSpec
        What the data look like.

    n_embedded : int
        Number of units of all numbers' embeddings.

    Returns
    -------
    columns : list of ndarray of int
        For numbers and encoded categories, then for the embeddings, if there are any.
    """
    numbers = np.arange(spec.n_numeric)
    categories = spec.n_numeric + np.arange(len(spec.category_sizes))
    columns = [np.concatenate([numbers, np.repeat(categories, spec.category_sizes)])]
    if n_embedded:
        columns.append(np.repeat(numbers, n_embedded // spec.n_numeric))
    return columns


def _taken(groups: Tensor, places: list[int]) -> Tensor:
    return groups[on_device(tuple(places), torch.int64, groups.device)]


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

    is_recordable = True

    def __init__(
        self, architecture: Architecture, spec: DataSpec, n_heads: int
    ) -> None:
        super().__init__()
        depth = architecture["n_layers"]
        widths = [architecture[f"width_{k}"] for k in range(1, depth + 1)]
        self.one_hot = OneHotColumns(spec.category_sizes)
        n_inputs = spec.n_numeric + self.one_hot.n_outputs
        self.input = ScaledLinear(n_inputs, widths[0], n_heads)
        self.embedding = build_embedding(architecture["numeric_embedding"], spec)
        if self.embedding is not None:
            self.embedded_input = ScaledLinear(
                self.embedding.n_outputs,
                widths[0],
                n_heads,
                bias=False,
            )
        self.layers = nn.ModuleDict(
            {
                str(k): nn.Linear(widths[k - 2], widths[k - 1])
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
        first, n_embedded = [self.input], 0
        if self.embedding is not None:
            first, n_embedded = [*first, self.embedded_input], self.embedding.n_outputs
        self.unit_columns = unit_columns(spec, n_embedded)
        if spec.relevance is not None:
            for layer, columns in zip(first, self.unit_columns, strict=True):
                layer.scale_inputs(spec.relevance[columns])

    def forward(self, numeric: Tensor, categorical: Tensor) -> Tensor:
        """Give logits of shape (n_heads, n_rows, n_outputs)."""
        return self.answer(*self.encode(numeric, categorical))

    def encode(self, numeric: Tensor, categorical: Tensor) -> list[Tensor]:
        """Give what the first layer reads: columns, and embeddings if there are any."""
        x = join_inputs(numeric, self.one_hot(categorical))
        return [x] if self.embedding is None else [x, self.embedding(numeric)]

    def answer(self, x: Tensor, embedded: Tensor | None = None) -> Tensor:
        """Give logits, of shape (n_heads, n_rows, n_outputs), from :meth:`encode`."""
        hidden = None
        for k, activation in enumerate(self.activations, start=1):
            if k == 1:
                unit = self.input(x.unsqueeze(0))
                if embedded is not None:
                    unit = unit + self.embedded_input(embedded.unsqueeze(0))
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
            {str(k): nn.Linear(n_units, n_units) for k in range(2, max(depths) + 1)}
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
                outputs.append(self._head(str(k), _taken(hidden, last)))
                order += [going[i] for i in last]
                rest = [i for i in range(len(going)) if i not in set(last)]
                going, hidden = [going[i] for i in rest], _taken(hidden, rest)
        return _taken(torch.cat(outputs), np.argsort(order).tolist())

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
            skipping = on_device(tuple(skips), torch.float32, unit.device)
            keep = mask * skipping.view(-1, 1, 1)
            unit = torch.addcmul(unit, hidden, keep)
        return unit

    def _head(self, depth: str, hidden: Tensor) -> Tensor:
        head = self.heads[depth]
        return F.linear(hidden, head.weight[0], head.bias[0, 0])
