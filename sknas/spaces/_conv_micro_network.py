"""The network of the micro space: shared and stand-alone."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn import functional as F

from sknas.architecture import Architecture
from sknas.modules import (
    BatchNorm,
    DropPath,
    Halving,
    PooledHead,
    Projection,
    average_pool,
    max_pool,
    separable_convolution,
)
from sknas.spaces._base import DataSpec
from sknas.spaces._convolutional import ConvNetwork, build_stem

CELLS = ("normal", "reduction")
# in the order of the official code, whose numbers for them are their places here
OPERATIONS = (
    "separable_conv3x3",
    "separable_conv5x5",
    "average_pool3x3",
    "max_pool3x3",
    "identity",
)
STEM_FACTOR = 3  # channels of the stem to those of a node, as in the official code
AUXILIARY_FILTERS = 128, 768


def loose_nodes(architecture: Architecture, cell: str, n_nodes: int) -> list[int]:
    """Give the nodes of a cell that no other node reads, inputs among them."""
    read = {
        architecture[f"{cell}_input_{k}_{i}"]
        for k in range(2, 2 + n_nodes)
        for i in (1, 2)
    }
    return [k for k in range(2 + n_nodes) if k not in read]


def reduction_cells(n_cells: int, n_reductions: int) -> list[int]:
    """Give the places of the reduction cells among all cells."""
    distance = n_cells // (n_reductions + 1)
    return [i * distance + i - 1 for i in range(1, n_reductions + 1)]


def build_operation(
    name: str, n_dimensions: int, n_filters: int, stride: int, drop_path: float
) -> nn.Module:
    """Build what a node applies to one of its inputs."""
    if name == "identity":
        if stride == 1:
            return nn.Identity()
        return Halving(n_dimensions, n_filters, n_filters)
    if name == "average_pool3x3":
        layers = [average_pool(n_dimensions, stride)]
    elif name == "max_pool3x3":
        layers = [max_pool(n_dimensions, stride)]
    else:
        kernel_size = 5 if name.endswith("5x5") else 3
        layers = []
        for own_stride in (stride, 1):  # a separable convolution is applied twice
            layers += [
                nn.ReLU(),
                separable_convolution(
                    n_dimensions, n_filters, n_filters, kernel_size, own_stride
                ),
                BatchNorm(n_filters),
            ]
    return nn.Sequential(*layers, *([DropPath(drop_path)] if drop_path else []))


class Cell(nn.Module):
    """One cell, of one architecture or of all.

    Parameters
    ----------
    kind : {"normal", "reduction"}
        Which of the two cells it is.

    architecture : Architecture or None
        Whose operations to build; None: all.

    sources : tuple of two mappings from str to int
        Channels of each tensor that the two cells before may give.

    n_dimensions, n_filters, n_nodes : int
        See :class:`MicroNetwork`.

    reduces_first : bool
        Whether what the cell before the last gives is still twice as large.

    drop_path : float
        The rate of this cell.
    """

    def __init__(
        self,
        kind: str,
        architecture: Architecture | None,
        sources: tuple[Mapping[str, int], Mapping[str, int]],
        *,
        n_dimensions: int,
        n_filters: int,
        n_nodes: int,
        reduces_first: bool,
        drop_path: float,
    ) -> None:
        super().__init__()
        self.kind = kind
        self.n_nodes = n_nodes
        self.calibrations = nn.ModuleList(
            [
                Projection(n_dimensions, sources[0], n_filters, reduces=reduces_first),
                Projection(n_dimensions, sources[1], n_filters),
            ]
        )
        self.base = Projection(n_dimensions, {"all": n_filters}, n_filters)
        halves = kind == "reduction"
        self.operations = nn.ModuleDict()
        for k in range(2, 2 + n_nodes):
            for i in (1, 2):
                if architecture is None:
                    pairs = [(j, o) for j in range(k) for o in OPERATIONS]
                else:
                    pairs = [
                        (
                            architecture[f"{kind}_input_{k}_{i}"],
                            architecture[f"{kind}_operation_{k}_{i}"],
                        )
                    ]
                for j, o in pairs:
                    stride = 2 if halves and j < 2 else 1
                    self.operations[f"{k}_{i}_{j}_{o}"] = build_operation(
                        o, n_dimensions, n_filters, stride, drop_path
                    )
        if architecture is None:
            self.ends = list(range(2 + n_nodes))
        else:
            self.ends = loose_nodes(architecture, kind, n_nodes)
        # inputs that no node reads are passed on, in the size of the others
        self.reductions = nn.ModuleDict(
            {
                str(j): Halving(n_dimensions, n_filters, n_filters)
                for j in (0, 1)
                if halves and j in self.ends
            }
        )

    def forward(
        self,
        before_last: Mapping[str, Tensor],
        last: Mapping[str, Tensor],
        architecture: Architecture,
    ) -> dict[str, Tensor]:
        """Give the loose ends, by the numbers of their nodes."""
        first, second = self.calibrations
        nodes = [first(before_last), self.base({"all": second(last)})]
        for k in range(2, 2 + self.n_nodes):
            results = []
            for i in (1, 2):
                j = architecture[f"{self.kind}_input_{k}_{i}"]
                operation = architecture[f"{self.kind}_operation_{k}_{i}"]
                results.append(self.operations[f"{k}_{i}_{j}_{operation}"](nodes[j]))
            nodes.append(results[0] + results[1])
        ends = {
            str(k): nodes[k] for k in loose_nodes(architecture, self.kind, self.n_nodes)
        }
        for j, reduction in self.reductions.items():
            if j in ends:
                ends[j] = reduction(ends[j])
        return ends


class MicroNetwork(ConvNetwork):
    """The network of the micro space, of one architecture or of all.

    Parameters
    ----------
    spec : DataSpec
        What the data look like.

    architecture : Architecture or None
        The architecture of a stand-alone network; None: shared by all.

    n_cells, n_filters, n_nodes, n_reductions, stem_stride, dropout, drop_path,
    auxiliary_weight, embedding_size
        As in :class:`sknas.ConvMicroSpace`, resolved.
    """

    def __init__(
        self,
        spec: DataSpec,
        architecture: Architecture | None,
        *,
        n_cells: int,
        n_filters: int,
        n_nodes: int,
        n_reductions: int,
        stem_stride: int,
        dropout: float,
        drop_path: float,
        auxiliary_weight: float,
        embedding_size: int,
    ) -> None:
        super().__init__(
            spec, architecture, embedding_size, dropout, n_filters, stem_stride
        )
        self.auxiliary_weight = auxiliary_weight
        reduced = reduction_cells(n_cells, n_reductions)
        n_all = n_cells + n_reductions
        self.stem = build_stem(
            self.n_dimensions,
            self.entry.n_channels,
            STEM_FACTOR * n_filters,
            stem_stride,
        )
        sources = [{"stem": STEM_FACTOR * n_filters}] * 2
        self.cells = nn.ModuleList()
        for i in range(n_all):
            n_filters *= 2 if i in reduced else 1
            cell = Cell(
                "reduction" if i in reduced else "normal",
                architecture,
                tuple(sources),
                n_dimensions=self.n_dimensions,
                n_filters=n_filters,
                n_nodes=n_nodes,
                reduces_first=i - 1 in reduced,
                drop_path=drop_path * (i + 1) / n_all,
            )
            self.cells.append(cell)
            sources = [sources[1], {str(k): n_filters for k in cell.ends}]
            if auxiliary_weight and i == max(reduced, default=-1):
                self.auxiliary_place = i
                self.auxiliary = AuxiliaryHead(
                    self.n_dimensions, sources[1], spec.n_outputs
                )
        self.head = PooledHead(sources[1], spec.n_outputs, dropout)

    def answer(
        self, x: Tensor, architecture: Architecture, present: Tensor | None
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Give an architecture's outputs; see the base class."""
        x = self.stem(x)
        before_last = last = {"stem": x}
        has_auxiliary = self.training and hasattr(self, "auxiliary")
        for i, cell in enumerate(self.cells):
            before_last, last = last, cell(before_last, last, architecture)
            if has_auxiliary and i == self.auxiliary_place:
                second = self.auxiliary(last)
        outputs = self.head(last, present)
        return (outputs, second) if has_auxiliary else outputs


class AuxiliaryHead(nn.Module):
    """A second output, from the middle of a network (Szegedy et al., 2015).

    Parameters
    ----------
    n_dimensions : {1, 2}
        Of series, or of images.

    sources : mapping of str to int
        Channels of each tensor that it reads.

    n_outputs : int
        Number of outputs.
    """

    def __init__(
        self, n_dimensions: int, sources: Mapping[str, int], n_outputs: int
    ) -> None:
        super().__init__()
        n_few, n_many = AUXILIARY_FILTERS
        self.pool = nn.AdaptiveAvgPool2d(2 if n_dimensions == 2 else (1, 2))
        self.projection = Projection(n_dimensions, sources, n_few, rectifies=False)
        self.layers = nn.Sequential(
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(n_few * 2**n_dimensions, n_many),
            nn.LayerNorm(n_many),
            nn.ReLU(),
            nn.Linear(n_many, n_outputs),
        )

    def forward(self, tensors: Mapping[str, Tensor]) -> Tensor:
        """Map tensors (n_rows, n_channels, height, width) to (n_rows, n_outputs)."""
        pooled = {name: self.pool(F.relu(x)) for name, x in tensors.items()}
        return self.layers(self.projection(pooled))
