"""Convolutional networks stacked from two cells: the space named "conv-micro"."""

from __future__ import annotations

from itertools import groupby

from torch import nn

from sknas.architecture import Architecture
from sknas.decisions import Decision, Decisions
from sknas.rules import COUNT, RATE, or_none
from sknas.spaces._base import DataSpec
from sknas.spaces._conv_micro_network import (
    CELLS,
    OPERATIONS,
    STEM_FACTOR,
    MicroNetwork,
    loose_nodes,
    reduction_cells,
)
from sknas.spaces._conv_micro_source import micro_source
from sknas.spaces._convolutional import ConvSpace, input_shape
from sknas.spaces._graph import Graph, Node


class ConvMicroSpace(ConvSpace):
    """Convolutional networks stacked from two cells: the space named "conv-micro".

    The micro space of ENAS (Pham et al., 2018, section 2.4): a normal cell, and a
    reduction cell that halves the size. The nodes of a cell each apply two operations
    to the outputs of two earlier nodes and add the results; nodes 0 and 1 are the
    outputs of the two cells before. What no node reads is the cell's output. For
    images, and with convolutions along the steps for series.

    Parameters
    ----------
    n_cells : int, default=3
        Number of normal cells; the reduction cells come on top. The paper searches 6
        and trains 15.

    n_filters : int or "auto", default="auto"
        Channels of a node of the first cells, an even number; each reduction doubles
        them. "auto" is 16 where the stem leaves no more than 100 places, else 12. The
        paper searches with 20 and trains with 36.

    n_nodes : int, default=3
        Nodes of a cell that are decided on. The paper has 5.

    final_n_cells, final_n_filters : int or None, default=None
        `n_cells` and `n_filters` of the networks that are trained once the search is
        over. None: as in the search.

    n_reductions : int or "auto", default="auto"
        Number of reduction cells, at equal distances. "auto" is 2, as in the paper,
        or fewer where the images are too small for it.

    stem_stride : int or "auto", default="auto"
        By how much the first convolution reduces the size: a power of two. "auto" is
        the least that leaves no more than 256 places, 16 x 16 or 256 steps; the
        paper has 1.

    dropout : float, default=0.2
        Dropout rate before the output layer.

    drop_path : float, default=0.0
        Rate at which operations are left out while a network is trained: that of the
        last cell at the end of the training, it grows from 0 with both. The paper's
        final training has 0.4.

    auxiliary_weight : float, default=0.0
        Weight of the loss of a second output, from the last reduction cell, while a
        found network is trained; 0 for none. The paper's has 0.4, one cell later.

    embedding_size : int, default=32
        Of texts, how many numbers each token becomes.

    Examples
    --------
    >>> from sknas import Architecture, ConvMicroSpace
    >>> space = ConvMicroSpace(n_nodes=1)
    >>> found = Architecture.from_fixed_arc("0 2 0 0 1 0 0 3", space)
    >>> print(space.describe(found))
    normal cell: 2 = average_pool3x3(0) + separable_conv3x3(0)
    reduction cell: 2 = separable_conv3x3(1) + max_pool3x3(0)
    """

    name = "conv-micro"
    _n_filters = (12, 16)

    _rules = ConvSpace._rules | {
        "n_cells": COUNT,
        "n_nodes": COUNT,
        "final_n_cells": or_none(COUNT),
        "drop_path": RATE,
        "auxiliary_weight": RATE,
    }

    def __init__(
        self,
        n_cells: int = 3,
        n_filters: int | str = "auto",
        n_nodes: int = 3,
        final_n_cells: int | None = None,
        final_n_filters: int | None = None,
        n_reductions: int | str = "auto",
        stem_stride: int | str = "auto",
        dropout: float = 0.2,
        drop_path: float = 0.0,
        auxiliary_weight: float = 0.0,
        embedding_size: int = 32,
    ) -> None:
        self.n_cells = n_cells
        self.n_filters = n_filters
        self.n_nodes = n_nodes
        self.final_n_cells = final_n_cells
        self.final_n_filters = final_n_filters
        self.n_reductions = n_reductions
        self.stem_stride = stem_stride
        self.dropout = dropout
        self.drop_path = drop_path
        self.auxiliary_weight = auxiliary_weight
        self.embedding_size = embedding_size

    def decisions(self) -> Decisions:
        """List the decisions: for each node of both cells, two inputs and operations.

        Returns
        -------
        decisions : Decisions
            "normal_input_k_1" is the first input of node k of the normal cell,
            "normal_operation_k_1" what is applied to it; and so on.
        """
        self._check_parameters()
        decisions = []
        for cell in CELLS:
            for k in self._nodes():
                for i in (1, 2):
                    decisions += [
                        Decision(
                            f"{cell}_input_{k}_{i}",
                            tuple(range(k)),
                            kind="index",
                            node=k,
                        ),
                        Decision(f"{cell}_operation_{k}_{i}", OPERATIONS, node=k),
                    ]
        return Decisions(self.name, decisions)

    def _nodes(self) -> range:
        return range(2, 2 + self.n_nodes)

    def default_architecture(self) -> Architecture:
        """Give a chain of separable convolutions, each with a skip over it."""
        choices = {}
        for cell in CELLS:
            for k in self._nodes():
                choices |= {
                    f"{cell}_input_{k}_1": k - 1,
                    f"{cell}_operation_{k}_1": "separable_conv3x3",
                    f"{cell}_input_{k}_2": k - 2,
                    f"{cell}_operation_{k}_2": "identity",
                }
        return Architecture(self.name, choices)

    def _network(self, spec: DataSpec, architecture: Architecture | None):
        return MicroNetwork(
            spec,
            architecture,
            n_cells=self.n_cells,
            n_nodes=self.n_nodes,
            **self._sizes(spec),
            dropout=self.dropout,
            drop_path=self.drop_path if architecture else 0.0,
            auxiliary_weight=self.auxiliary_weight if architecture else 0.0,
            embedding_size=self.embedding_size,
        )

    def supernet(self, spec: DataSpec) -> MicroNetwork:
        """Build the network that shares its parameters; see the base class."""
        return self._network(spec, None)

    def network(self, architecture: Architecture, spec: DataSpec) -> nn.Module:
        """Build the stand-alone network; see the base class."""
        return self._network(spec, architecture)

    def describe(self, architecture: Architecture) -> str:
        """Say in words what an architecture is."""
        lines = []
        for cell in CELLS:
            nodes = [
                f"{k} = "
                + " + ".join(
                    f"{architecture[f'{cell}_operation_{k}_{i}']}"
                    f"({architecture[f'{cell}_input_{k}_{i}']})"
                    for i in (1, 2)
                )
                for k in self._nodes()
            ]
            lines.append(f"{cell} cell: {', '.join(nodes)}")
        return "\n".join(lines)

    def source(
        self, architecture: Architecture, spec: DataSpec, name: str
    ) -> list[str]:
        """Write the stand-alone network as code; see the base class."""
        sizes = self._sizes(spec)
        return micro_source(
            architecture,
            spec,
            kinds=self._cell_kinds(spec),
            ends={c: loose_nodes(architecture, c, self.n_nodes) for c in CELLS},
            n_nodes=self.n_nodes,
            n_filters=sizes["n_filters"],
            stem_filters=STEM_FACTOR * sizes["n_filters"],
            stem_stride=sizes["stem_stride"],
            dropout=self.dropout,
            embedding_size=self.embedding_size,
            name=name,
            description=self.describe(architecture),
        )

    def graph(self, architecture: Architecture, spec: DataSpec | None = None) -> Graph:
        """Give both cells, and the network that is stacked from them, as a graph."""
        nodes: dict[str, Node] = {}
        edges: list[tuple[str, str]] = []
        kinds: list[str] = []
        if spec is not None:
            kinds = self._cell_kinds(spec)
            self._add_stack(nodes, edges, kinds, architecture, spec)
        for cell in CELLS:
            if not kinds or cell in kinds:
                self._add_cell(nodes, edges, cell, kinds, architecture, spec)
        return Graph(nodes, edges)

    def _cell_kinds(self, spec: DataSpec) -> list[str]:
        """Give the kinds of the network's cells, from first to last."""
        n_reductions = self._sizes(spec)["n_reductions"]
        reduced = reduction_cells(self.n_cells, n_reductions)
        n_all = self.n_cells + n_reductions
        return [CELLS[i in reduced] for i in range(n_all)]

    def _add_stack(
        self,
        nodes: dict[str, Node],
        edges: list[tuple[str, str]],
        kinds: list[str],
        architecture: Architecture,
        spec: DataSpec,
    ) -> None:
        """Add the stem, the cells and the output; equal neighbours become one node."""
        sizes, part = self._sizes(spec), "network"
        given = input_shape(spec, self.embedding_size)
        nodes["input"] = Node("input", "input", given, ("entry.",), part)
        n_filters, *places = self._map_shape(spec, sizes, 0)
        shape = STEM_FACTOR * n_filters, *places
        nodes["stem"] = Node("stem", "operation", shape, ("stem.",), part)
        level = 0
        for kind, run in groupby(range(len(kinds)), key=kinds.__getitem__):
            cells = list(run)
            level += len(cells) if kind == "reduction" else 0
            several = len(cells) > 1
            n_filters, *places = self._map_shape(spec, sizes, level)
            n_ends = len(loose_nodes(architecture, kind, self.n_nodes))
            nodes[f"cells_{cells[0]}"] = Node(
                f"{len(cells)} {kind} cells" if several else f"{kind} cell",
                "operation",
                (n_ends * n_filters, *places),
                tuple(f"cells.{i}." for i in cells),
                part,
            )
        own = "head.", "auxiliary.", "counts."
        nodes["output"] = Node("mean, output", "output", (spec.n_outputs,), own, part)
        names = list(nodes)
        edges += zip(names, names[1:], strict=False)

    def _add_cell(
        self,
        nodes: dict[str, Node],
        edges: list[tuple[str, str]],
        cell: str,
        kinds: list[str],
        architecture: Architecture,
        spec: DataSpec | None,
    ) -> None:
        """Add a cell: its inputs, operations, sums and output, of the first such."""
        part, shape, before, place = f"{cell} cell", None, None, "-"
        if spec is not None:
            sizes, place = self._sizes(spec), kinds.index(cell)
            level = kinds[: place + 1].count("reduction")
            shape = self._map_shape(spec, sizes, level)
            # inputs are calibrated to the cell's filters, before it reduces them
            halved = self._map_shape(spec, sizes, level - (cell == "reduction"))
            before = shape[0], *halved[1:]
        own = f"cells.{place}."
        for name, label, i in (("0", "cell before the last", 0), ("1", "last cell", 1)):
            calibration = (f"{own}calibrations.{i}.", *([f"{own}base."] if i else []))
            nodes[f"{cell}_{name}"] = Node(label, "input", before, calibration, part)
        for k in self._nodes():
            for i in (1, 2):
                name = f"{cell}_operation_{k}_{i}"
                source = architecture[f"{cell}_input_{k}_{i}"]
                option = architecture[name]
                nodes[name] = Node(
                    option,
                    "operation",
                    shape,
                    (f"{own}operations.{k}_{i}_{source}_{option}.",),
                    part,
                )
                edges.append((f"{cell}_{source}", name))
            nodes[f"{cell}_{k}"] = Node("+", "join", shape, (), part)
            edges += [(f"{cell}_operation_{k}_{i}", f"{cell}_{k}") for i in (1, 2)]
        ends = loose_nodes(architecture, cell, self.n_nodes)
        output = shape and (shape[0] * len(ends), *shape[1:])
        name = f"{cell}_output"
        nodes[name] = Node(
            "side by side", "output", output, (f"{own}reductions.",), part
        )
        edges += [(f"{cell}_{k}", name) for k in ends]
