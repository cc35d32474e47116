"""The network of the macro space: shared by all architectures, or of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from sknas.architecture import Architecture
from sknas.modules import (
    BatchNorm,
    Halving,
    PooledHead,
    Projection,
    average_pool,
    convolution,
    max_pool,
    separable_convolution,
)
from sknas.spaces._base import DataSpec
from sknas.spaces._convolutional import ConvNetwork, build_stem


def reduction_levels(n_layers: int, n_reductions: int) -> list[int]:
    """Give the number of reductions before each node: the stem, then the layers."""
    distance = n_layers // (n_reductions + 1)
    reduced = [i * distance for i in range(1, n_reductions + 1)]
    return [sum(r < k for r in reduced) for k in range(n_layers + 1)]


def skips_of(architecture: Architecture, k: int) -> list[int]:
    """Give the nodes that layer k skips from."""
    return [j for j in range(k - 1) if architecture[f"skip_{j}_{k}"]]


def build_operation(name: str, n_dimensions: int, n_filters: int) -> nn.Sequential:
    """Build a layer's operation, and the 1x1 convolution before it."""
    layers = [
        convolution(n_dimensions, n_filters, n_filters, 1),
        BatchNorm(n_filters),
        nn.ReLU(),
    ]
    if name == "average_pool3x3":
        return nn.Sequential(*layers, average_pool(n_dimensions))
    if name == "max_pool3x3":
        return nn.Sequential(*layers, max_pool(n_dimensions))
    build = separable_convolution if name.startswith("separable") else convolution
    kernel_size = 5 if name.endswith("5x5") else 3
    return nn.Sequential(
        *layers,
        build(n_dimensions, n_filters, n_filters, kernel_size),
        BatchNorm(n_filters),
        nn.ReLU(),
    )


class MacroNetwork(ConvNetwork):
    """The network of the macro space, of some of its operations and skips.

    Node 0 is the stem and node k layer k, which reads node k - 1; the nodes that it
    skips from are put beside its operation's result and projected with it.

    Parameters
    ----------
    spec : DataSpec
        What the data look like.

    operations : mapping of int to sequence of str
        For each layer, the operations to build.

    sources : mapping of int to sequence of int
        For each layer, the nodes that it may skip from.

    n_filters : int
        Channels of the stem; each reduction doubles them.

    n_reductions, stem_stride : int
        How often the size is halved after the stem, and by how much in it.

    dropout : float
        Rate before the output layer.

    embedding_size : int
        Numbers that each token of a text becomes.

    architecture : Architecture or None, default=None
        The architecture of a stand-alone network.
    """

    def __init__(
        self,
        spec: DataSpec,
        operations: Mapping[int, Sequence[str]],
        sources: Mapping[int, Sequence[int]],
        *,
        n_filters: int,
        n_reductions: int,
        stem_stride: int,
        dropout: float,
        embedding_size: int,
        architecture: Architecture | None = None,
    ) -> None:
        super().__init__(
            spec, architecture, embedding_size, dropout, n_filters, stem_stride
        )
        n_layers, n_dimensions = len(operations), self.n_dimensions
        self.levels = reduction_levels(n_layers, n_reductions)
        filters = [n_filters * 2**level for level in range(n_reductions + 1)]
        self.stem = build_stem(
            n_dimensions, self.entry.n_channels, n_filters, stem_stride
        )
        self.layers, self.joins, self.reductions = (nn.ModuleDict() for _ in range(3))
        for k in range(1, n_layers + 1):
            level = self.levels[k]
            n = filters[level]
            self.layers[str(k)] = nn.ModuleDict(
                {o: build_operation(o, n_dimensions, n) for o in operations[k]}
            )
            if sources[k]:
                names = [*map(str, sources[k]), "own"]
                self.joins[str(k)] = Projection(
                    n_dimensions, dict.fromkeys(names, n), n
                )
            for node in (*sources[k], k - 1):
                for to in range(self.levels[node] + 1, level + 1):
                    self.reductions[f"{node}_{to}"] = Halving(
                        n_dimensions, filters[to - 1], filters[to]
                    )
        self.head = PooledHead({"all": filters[-1]}, spec.n_outputs, dropout)

    def answer(
        self, x: Tensor, architecture: Architecture, present: Tensor | None
    ) -> Tensor:
        """Give an architecture's outputs; see the base class."""
        values = {(0, 0): self.stem(x)}

        # a function that called itself would hold all values in a circle of references,
        # and so the memory of a step beyond its end
        def value(node: int, level: int) -> Tensor:
            """Give a node's output after so many reductions."""
            for to in range(self.levels[node] + 1, level + 1):
                if (node, to) not in values:
                    reduction = self.reductions[f"{node}_{to}"]
                    values[node, to] = reduction(values[node, to - 1])
            return values[node, level]

        for k, level in enumerate(self.levels[1:], start=1):
            operation = self.layers[str(k)][architecture[f"operation_{k}"]]
            own = operation(value(k - 1, level))
            skips = skips_of(architecture, k)
            if skips:
                tensors = {str(j): value(j, level) for j in skips}
                own = self.joins[str(k)](tensors | {"own": own})
            values[k, level] = own
        return self.head({"all": own}, present)
