"""Recurrent cells for series, texts and language models: the space "recurrent"."""

from __future__ import annotations

from torch import nn

from sknas.architecture import Architecture
from sknas.decisions import Decision, Decisions
from sknas.modules import CellDesign, loose_ends
from sknas.rules import (
    COUNT,
    POSITIVE,
    RATE,
    check_rules,
    one_of,
    or_auto,
    or_none,
    some_of,
)
from sknas.spaces._base import DataSpec, SearchSpace
from sknas.spaces._dag import read_dag, write_dag
from sknas.spaces._fixed_arc import FixedArcMixin
from sknas.spaces._graph import Graph, Node
from sknas.spaces._recurrent_network import (
    READOUTS,
    LanguageNetwork,
    SequenceNetwork,
)
from sknas.spaces._recurrent_source import language_source, sequence_source

# in the order of the numbers that the code of each variant has for them
ACTIVATIONS = {
    "paper": ("tanh", "relu", "identity", "sigmoid"),
    "corrected": ("tanh", "relu", "sigmoid", "identity"),
}
LONGEST = 64  # steps that the stem leaves, where stem_stride is "auto"
HIDDEN_SIZES = {"series": 64, "text": 64, "language": 128}


def check_sequences(spec: DataSpec, name: str) -> None:
    """Raise an error, which names the space, if data are no sequences."""
    if spec.kind not in ("series", "text", "language"):
        raise ValueError(
            f'search_space "{name}" is for sequences: X of 3 dimensions, '
            "(n_samples, steps, features), or of 2 with n_steps or n_features, or "
            "ids of tokens, as sknas.preprocessing.TokenEncoder gives them."
        )


class RecurrentSpace(FixedArcMixin, SearchSpace):
    """Recurrent cells: the space named "recurrent".

    The recurrent space of ENAS (Pham et al., 2018, sections 2.1 and 3.1). A cell has
    some nodes. The first reads the input and the last state; each other one reads an
    earlier node and applies an activation, with a highway connection past it. The mean
    of the nodes that no other reads is the output and the new state. Every pair of
    nodes has a matrix of its own, shared by all cells. For series and tokens of text,
    and for :class:`sknas.NASLanguageModel`.

    Parameters
    ----------
    n_nodes : int, default=8
        Nodes of a cell. The paper has 12.

    variant : {"paper", "corrected"}, default="paper"
        "corrected" is the cell of the authors' second implementation, `enas_lm`, which
        replaced the one that they had withdrawn: the first node is always a tanh, and
        the output is the mean of all nodes but the first.

    activations : tuple of str, default=all four
        Which activations a node may have: of "tanh", "relu", "identity" and "sigmoid".

    hidden_size : int or "auto", default="auto"
        Units of a node. "auto" is 64, and 128 in a language model. The paper trains
        with 748.

    embedding_size : int, default=32
        Units that a step becomes before the cell. A language model has `hidden_size`,
        since its output layer shares the matrix.

    final_hidden_size : int or None, default=None
        `hidden_size` of the networks that are trained once the search is over. None:
        as in the search.

    stem_stride : int or "auto", default="auto"
        How many steps become one before the cell, by a convolution. "auto" is the least
        power of two that leaves no more than 64. A language model has 1.

    readout : {"concat", "max", "mean", "last"}, default="concat"
        What the output layer reads: the last state, the mean or the maximum of all
        states, or all three side by side. Not for language models.

    dropout : float, default=0.2
        Dropout rate of the cell's inputs and outputs. As that of the states, it drops
        the same units in all steps of a row.

    recurrent_dropout : float, default=0.0
        Dropout rate of what nodes read of the state and of other nodes.

    max_norm : float or None, default=25.0
        Norm to which states are scaled down where it is larger, since cells with
        unbounded activations may explode. How often that was so is in the histories, as
        "clipped_states". None: never.

    Examples
    --------
    >>> from sknas import Architecture, RecurrentSpace
    >>> space = RecurrentSpace(n_nodes=3)
    >>> found = Architecture.from_fixed_arc("0 0 1 0 3", space)
    >>> print(space.describe(found))
    1 = tanh(input, state), 2 = relu(1), 3 = sigmoid(1); output = mean(2, 3)
    """

    name = "recurrent"

    _rules = {
        "n_nodes": COUNT,
        "variant": one_of(ACTIVATIONS),
        "activations": some_of(one_of(ACTIVATIONS["paper"])),
        "hidden_size": or_auto(COUNT),
        "embedding_size": COUNT,
        "final_hidden_size": or_none(COUNT),
        "stem_stride": or_auto(COUNT),
        "readout": one_of(READOUTS),
        "dropout": RATE,
        "recurrent_dropout": RATE,
        "max_norm": or_none(POSITIVE),
    }

    def __init__(
        self,
        n_nodes: int = 8,
        variant: str = "paper",
        activations: tuple[str, ...] = ACTIVATIONS["paper"],
        hidden_size: int | str = "auto",
        embedding_size: int = 32,
        final_hidden_size: int | None = None,
        stem_stride: int | str = "auto",
        readout: str = "concat",
        dropout: float = 0.2,
        recurrent_dropout: float = 0.0,
        max_norm: float | None = 25.0,
    ) -> None:
        self.n_nodes = n_nodes
        self.variant = variant
        self.activations = activations
        self.hidden_size = hidden_size
        self.embedding_size = embedding_size
        self.final_hidden_size = final_hidden_size
        self.stem_stride = stem_stride
        self.readout = readout
        self.dropout = dropout
        self.recurrent_dropout = recurrent_dropout
        self.max_norm = max_norm

    def decisions(self) -> Decisions:
        """List the decisions: for each node, the one that it reads, and its activation.

        Returns
        -------
        decisions : Decisions
            "previous_k" is the node that node k reads, "activation_k" what it applies.
            The first node has an activation alone, and none to decide on where
            `variant` is "corrected".
        """
        check_rules(self, self._rules)
        decisions = []
        for k in range(1, self.n_nodes + 1):
            if k > 1:
                decisions.append(
                    Decision(f"previous_{k}", tuple(range(1, k)), kind="index", node=k)
                )
            if k > 1 or self.variant == "paper":
                decisions.append(
                    Decision(f"activation_{k}", tuple(self.activations), node=k)
                )
        return Decisions(self.name, decisions)

    def default_architecture(self) -> Architecture:
        """Give a shallow cell: all nodes read the first, with all activations in turn.

        Returns
        -------
        architecture : Architecture
            The cell.
        """
        choices = {}
        for decision in self.decisions():
            if decision.kind == "index":
                choices[decision.name] = 1
            else:
                turn = (decision.node - 1) % len(decision.options)
                choices[decision.name] = decision.options[turn]
        return Architecture(self.name, choices)

    def check_data(self, spec: DataSpec) -> None:
        """Check that the data are sequences; see the base class."""
        check_rules(self, self._rules)
        check_sequences(spec, self.name)

    def design(self, architecture: Architecture) -> CellDesign:
        """Give the cell of an architecture as the networks build it.

        Parameters
        ----------
        architecture : Architecture
            An architecture of this space.

        Returns
        -------
        design : CellDesign
            What each node reads and applies, and what the output is the mean of.
        """
        nodes = range(2, self.n_nodes + 1)
        previous = tuple(architecture[f"previous_{k}"] for k in nodes)
        activations = tuple(architecture[f"activation_{k}"] for k in nodes)
        if self.variant == "paper":
            first, outputs = architecture["activation_1"], loose_ends(previous)
        else:
            first, outputs = "tanh", tuple(nodes) or (1,)
        return CellDesign(previous, (first, *activations), outputs)

    def _hidden_size(self, spec: DataSpec) -> int:
        if self.hidden_size == "auto":
            return HIDDEN_SIZES[spec.kind]
        return self.hidden_size

    def _stride(self, spec: DataSpec) -> int:
        stride = self.stem_stride
        if stride == "auto":
            stride = 1
            while -(-spec.sizes[0] // stride) > LONGEST:
                stride *= 2
        return stride

    def _network(
        self, spec: DataSpec, pairs: list[str], architecture: Architecture | None
    ) -> nn.Module:
        options = {
            "hidden_size": self._hidden_size(spec),
            "dropout": self.dropout,
            "recurrent_dropout": self.recurrent_dropout,
            "max_norm": self.max_norm,
        }
        if spec.predicts_tokens:
            return LanguageNetwork(spec, pairs, self.design, architecture, **options)
        return SequenceNetwork(
            spec,
            pairs,
            self.design,
            architecture,
            embedding_size=self.embedding_size,
            stem_stride=self._stride(spec),
            readout=self.readout,
            **options,
        )

    def supernet(self, spec: DataSpec) -> nn.Module:
        """Build the network that shares its parameters; see the base class."""
        pairs = ["0_1"]
        pairs += [f"{i}_{j}" for j in range(2, self.n_nodes + 1) for i in range(1, j)]
        return self._network(spec, pairs, None)

    def network(self, architecture: Architecture, spec: DataSpec) -> nn.Module:
        """Build the stand-alone network; see the base class."""
        return self._network(spec, self.design(architecture).pairs, architecture)

    def _arc_options(self, decision: Decision) -> tuple:
        if decision.kind == "operation":
            return ACTIVATIONS[self.variant]
        return decision.options

    def read_dag(self, text: str) -> Architecture:
        """Read a cell from a `dag.json` of ENAS-pytorch.

        Parameters
        ----------
        text : str
            The JSON text.

        Returns
        -------
        architecture : Architecture
            The cell, of as many nodes as the space has.

        Raises
        ------
        ValueError
            If the text is no such graph, or is not one of this space.
        """
        options = read_dag(text, self.n_nodes)
        decisions = self.decisions()
        if self.variant == "corrected" and options["activation_1"] != "tanh":
            raise ValueError(
                f"the dag's first node is {options['activation_1']!r}, but where "
                'variant is "corrected" it is always "tanh".'
            )
        names = {decision.name for decision in decisions}
        architecture = Architecture(
            self.name, {name: o for name, o in options.items() if name in names}
        )
        decisions.check(architecture)
        return architecture

    def write_dag(self, architecture: Architecture) -> str:
        """Write a cell as a `dag.json` of ENAS-pytorch.

        Parameters
        ----------
        architecture : Architecture
            An architecture of this space.

        Returns
        -------
        text : str
            What :meth:`read_dag` reads.
        """
        self.decisions().check(architecture)
        return write_dag(self.design(architecture))

    def describe(self, architecture: Architecture) -> str:
        """Say in words what an architecture is."""
        design = self.design(architecture)
        nodes = [f"1 = {design.activations[0]}(input, state)"]
        nodes += [
            f"{k} = {activation}({previous})"
            for k, (previous, activation) in enumerate(
                zip(design.previous, design.activations[1:], strict=True), start=2
            )
        ]
        outputs = ", ".join(map(str, design.outputs))
        return f"{', '.join(nodes)}; output = mean({outputs})"

    def source(
        self, architecture: Architecture, spec: DataSpec, name: str
    ) -> list[str]:
        """Write the stand-alone network as code; see the base class."""
        options = {
            "hidden_size": self._hidden_size(spec),
            "max_norm": self.max_norm,
            "name": name,
            "description": self.describe(architecture),
        }
        design = self.design(architecture)
        if spec.predicts_tokens:
            return language_source(design, spec, **options)
        return sequence_source(
            design,
            spec,
            embedding_size=self.embedding_size,
            stem_stride=self._stride(spec),
            readout=self.readout,
            dropout=self.dropout,
            **options,
        )

    def graph(self, architecture: Architecture, spec: DataSpec | None = None) -> Graph:
        """Give the cell as a graph: input and last state, nodes, their mean, output."""
        design = self.design(architecture)
        shape = spec and (self._hidden_size(spec),)
        given = shape
        if spec is not None and not spec.predicts_tokens:
            n_steps = -(-spec.sizes[0] // self._stride(spec))
            given = self.embedding_size, n_steps
        nodes = {
            "input": Node("input", "input", given, ("stem.", "embedding.", "entry.")),
            "state": Node("last state", "input", shape),
        }
        edges = [("input", "node_1"), ("state", "node_1")]
        for k, (activation, pair) in enumerate(
            zip(design.activations, design.pairs, strict=True), start=1
        ):
            own = (f"cell.weights.{pair}", *(["cell.input_weight"] if k == 1 else []))
            nodes[f"node_{k}"] = Node(f"{k}: {activation}", "operation", shape, own)
            if k > 1:
                edges.append((f"node_{design.previous[k - 2]}", f"node_{k}"))
        nodes["mean"] = Node("mean, new state", "join", shape)
        around = "head.", "counts.", "bias"
        shape = spec and (spec.n_outputs,)
        nodes["output"] = Node("output", "output", shape, around)
        edges += [(f"node_{k}", "mean") for k in design.outputs]
        return Graph(nodes, [*edges, ("mean", "output")])
