"""Whole convolutional networks, layer by layer: the space named "conv-macro"."""

from __future__ import annotations

from sknas.architecture import Architecture
from sknas.decisions import Decision, Decisions
from sknas.rules import COUNT, one_of, some_of
from sknas.spaces._base import DataSpec
from sknas.spaces._conv_macro_network import MacroNetwork, reduction_levels, skips_of
from sknas.spaces._conv_macro_source import macro_source
from sknas.spaces._convolutional import ConvSpace, input_shape
from sknas.spaces._graph import Graph, Node

# in the order of the official code, whose numbers for them are their places here
OPERATIONS = (
    "conv3x3",
    "separable_conv3x3",
    "conv5x5",
    "separable_conv5x5",
    "average_pool3x3",
    "max_pool3x3",
)
SKIP_PRIOR = 0.6, 0.4  # no, yes: the rate that Pham et al. (2018) draw the policy to


class ConvMacroSpace(ConvSpace):
    """Convolutional networks designed layer by layer: the space named "conv-macro".

    The macro space of ENAS (Pham et al., 2018, section 2.3): each layer has one of six
    operations, and for each earlier layer but the last a yes or no to a skip
    connection. For images, and with convolutions along the steps for series.

    Parameters
    ----------
    n_layers : int, default=6
        Number of layers. The paper searches 12 and trains 24.

    n_filters : int or "auto", default="auto"
        Channels of the first layers, an even number; each reduction doubles them.
        "auto" is 24 where the stem leaves no more than 100 places, else 16. The paper
        searches with 36 and trains with 96.

    operations : tuple of str, default=all six
        Which operations a layer may have: of "conv3x3", "separable_conv3x3",
        "conv5x5", "separable_conv5x5", "average_pool3x3" and "max_pool3x3". The
        first is the default architecture's.

    final_n_filters : int or None, default=None
        `n_filters` of the networks that are trained once the search is over. None:
        as in the search.

    n_reductions : int or "auto", default="auto"
        How often the size is halved, at equal distances. "auto" is 2, as in the
        paper, or fewer where images are too small or layers too few for it.

    stem_stride : int or "auto", default="auto"
        By how much the first convolution reduces the size: a power of two. "auto" is
        the least that leaves no more than 256 places, 16 x 16 or 256 steps; the
        paper has 1.

    dropout : float, default=0.2
        Dropout rate before the output layer.

    embedding_size : int, default=32
        Of texts, how many numbers each token becomes.

    Examples
    --------
    >>> from sknas import ConvMacroSpace
    >>> space = ConvMacroSpace(n_layers=3, operations=("conv3x3", "max_pool3x3"))
    >>> print(space.describe(space.default_architecture()))
    stem -> conv3x3 -> conv3x3 -> conv3x3 -> mean -> output
    """

    name = "conv-macro"
    _n_filters = (16, 24)

    _rules = ConvSpace._rules | {
        "n_layers": COUNT,
        "operations": some_of(one_of(OPERATIONS)),
    }

    def __init__(
        self,
        n_layers: int = 6,
        n_filters: int | str = "auto",
        operations: tuple[str, ...] = OPERATIONS,
        final_n_filters: int | None = None,
        n_reductions: int | str = "auto",
        stem_stride: int | str = "auto",
        dropout: float = 0.2,
        embedding_size: int = 32,
    ) -> None:
        self.n_layers = n_layers
        self.n_filters = n_filters
        self.operations = operations
        self.final_n_filters = final_n_filters
        self.n_reductions = n_reductions
        self.stem_stride = stem_stride
        self.dropout = dropout
        self.embedding_size = embedding_size

    def decisions(self) -> Decisions:
        """List the decisions: for each layer, its operation, then its skips.

        Returns
        -------
        decisions : Decisions
            "operation_k" is that of layer k; "skip_j_k" whether layer j's output, 0
            being the stem's, is put beside it.
        """
        self._check_parameters()
        decisions = []
        for k in range(1, self.n_layers + 1):
            decisions.append(Decision(f"operation_{k}", tuple(self.operations), node=k))
            decisions += [
                Decision(
                    f"skip_{j}_{k}",
                    (False, True),
                    kind="skip",
                    node=k,
                    source=j,
                    prior=SKIP_PRIOR,
                )
                for j in range(k - 1)
            ]
        return Decisions(self.name, decisions)

    def _sizes(self, spec: DataSpec) -> dict[str, int]:
        sizes = super()._sizes(spec)
        if self.n_reductions == "auto":
            sizes["n_reductions"] = min(sizes["n_reductions"], self.n_layers - 1)
        elif sizes["n_reductions"] >= self.n_layers:
            raise ValueError(
                f"n_reductions of {type(self).__name__} must be below n_layers, "
                f"{self.n_layers}, got {self.n_reductions}."
            )
        return sizes

    def _build(
        self, spec: DataSpec, operations, sources, architecture=None
    ) -> MacroNetwork:
        return MacroNetwork(
            spec,
            operations,
            sources,
            **self._sizes(spec),
            dropout=self.dropout,
            embedding_size=self.embedding_size,
            architecture=architecture,
        )

    def supernet(self, spec: DataSpec) -> MacroNetwork:
        """Build the network that shares its parameters; see the base class."""
        layers = range(1, self.n_layers + 1)
        return self._build(
            spec,
            dict.fromkeys(layers, tuple(self.operations)),
            {k: range(k - 1) for k in layers},
        )

    def network(self, architecture: Architecture, spec: DataSpec) -> MacroNetwork:
        """Build the stand-alone network; see the base class."""
        layers = range(1, self.n_layers + 1)
        return self._build(
            spec,
            {k: [architecture[f"operation_{k}"]] for k in layers},
            {k: skips_of(architecture, k) for k in layers},
            architecture,
        )

    def _arc_options(self, decision: Decision) -> tuple:
        return OPERATIONS if decision.kind == "operation" else decision.options

    def describe(self, architecture: Architecture) -> str:
        """Say in words what an architecture is."""
        layers = []
        for k in range(1, self.n_layers + 1):
            skips = [f"layer {j}" if j else "stem" for j in skips_of(architecture, k)]
            beside = f" (beside {', '.join(skips)})" if skips else ""
            layers.append(architecture[f"operation_{k}"] + beside)
        return " -> ".join(["stem", *layers, "mean", "output"])

    def source(
        self, architecture: Architecture, spec: DataSpec, name: str
    ) -> list[str]:
        """Write the stand-alone network as code; see the base class."""
        sizes = self._sizes(spec)
        return macro_source(
            architecture,
            spec,
            skips={k: skips_of(architecture, k) for k in range(1, self.n_layers + 1)},
            levels=reduction_levels(self.n_layers, sizes["n_reductions"]),
            n_filters=sizes["n_filters"],
            stem_stride=sizes["stem_stride"],
            dropout=self.dropout,
            embedding_size=self.embedding_size,
            name=name,
            description=self.describe(architecture),
        )

    def graph(self, architecture: Architecture, spec: DataSpec | None = None) -> Graph:
        """Give the architecture as a graph: the stem, layers with skips, output."""
        shapes: list[tuple[int, ...] | None] = [None] * (self.n_layers + 1)
        levels = [0] * (self.n_layers + 1)
        given = output = None
        if spec is not None:
            sizes = self._sizes(spec)
            levels = reduction_levels(self.n_layers, sizes["n_reductions"])
            shapes = [self._map_shape(spec, sizes, level) for level in levels]
            given, output = input_shape(spec, self.embedding_size), (spec.n_outputs,)
        counted: set[str] = set()

        def reductions(sources: list[int], k: int) -> list[str]:
            """Give the reductions that layer k is the first to need."""
            names = [
                f"reductions.{j}_{to}."
                for j in sources
                for to in range(levels[j] + 1, levels[k] + 1)
            ]
            new = [name for name in names if name not in counted]
            counted.update(new)
            return new

        nodes = {
            "input": Node("input", "input", given, ("entry.",)),
            "layer_0": Node("stem", "operation", shapes[0], ("stem.",)),
        }
        edges = [("input", "layer_0")]
        last = "layer_0"
        for k in range(1, self.n_layers + 1):
            skips = skips_of(architecture, k)
            nodes[f"layer_{k}"] = Node(
                architecture[f"operation_{k}"],
                "operation",
                shapes[k],
                (f"layers.{k}.", *reductions([k - 1], k)),
            )
            edges.append((last, f"layer_{k}"))
            last = f"layer_{k}"
            if skips:
                nodes[f"join_{k}"] = Node(
                    "side by side",
                    "join",
                    shapes[k],
                    (f"joins.{k}.", *reductions(skips, k)),
                )
                edges.append((last, f"join_{k}"))
                last = f"join_{k}"
                edges += [
                    (f"join_{j}" if f"join_{j}" in nodes else f"layer_{j}", last)
                    for j in skips
                ]
        own = ("head.", "counts.")
        nodes["output"] = Node("mean, output", "output", output, own)
        return Graph(nodes, [*edges, (last, "output")])
