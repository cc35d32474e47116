"""The found network in a notebook, in the style of scikit-learn's diagrams."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from sknas.architecture import Architecture
from sknas.inspection._architecture import parameter_sizes, parameters_of_nodes
from sknas.inspection._layout import find_layers
from sknas.inspection._part import shape_text
from sknas.spaces import DataSpec, Graph, SearchSpace

DECISIONS = """
<div class="estimator-table">
  <details>
    <summary>Decisions</summary>
    <table class="parameters-table"><tbody>{rows}</tbody></table>
  </details>
</div>
"""
DECISION = (
    '<tr class="user-set"><td></td><td class="param">{name}</td>'
    '<td class="value">{option}</td></tr>'
)


@dataclass
class Block:
    """A box of scikit-learn's diagrams, as it asks objects for by `_sk_visual_block_`.

    Parameters
    ----------
    kind : {"single", "serial", "parallel"}
        One box, or several below or beside one another.

    estimators : object or list of object
        What is in it.

    names, name_details : str or list
        What stands on it, and what it unfolds to: of a single one, a string each.

    name_caption : str or None, default=None
        What stands below the name.
    """

    kind: str
    estimators: object
    names: object
    name_details: object
    name_caption: str | None = None
    doc_link_label: str | None = None
    dash_wrapped: bool = True

    def _sk_visual_block_(self) -> Block:
        return self


class DecisionTable:
    """The decisions of an architecture, as a table that unfolds.

    Parameters
    ----------
    title : str
        What stands on its box.

    decisions : mapping of str to object
        The options chosen.
    """

    def __init__(self, title: str, decisions: Mapping[str, object]) -> None:
        self.title = title
        self.decisions = decisions

    def _sk_visual_block_(self) -> Block:
        return Block("single", self, self.title, "")

    def _get_params_html(self, deep: bool = True, doc_link: str = "") -> DecisionTable:
        return self

    def _repr_html_inner(self) -> str:
        rows = "".join(
            DECISION.format(name=escape(str(name)), option=escape(str(option)))
            for name, option in self.decisions.items()
        )
        return DECISIONS.format(rows=rows)


def architecture_block(
    architecture: Architecture, space: SearchSpace, spec: DataSpec
) -> Block:
    """Give a found network as boxes: its decisions, then what it does, from the top.

    Parameters
    ----------
    architecture : Architecture
        The architecture.

    space : SearchSpace
        The space that it belongs to.

    spec : DataSpec
        What the data look like.

    Returns
    -------
    block : Block
        The boxes.
    """
    sizes = parameter_sizes(space, architecture, spec)
    title = f"{architecture.space}: {sum(sizes.values()):,} parameters"
    graph = space.graph(architecture, spec)
    n_parameters = parameters_of_nodes(graph, sizes)
    boxes: list[object] = [DecisionTable(title, architecture)]
    first = next(iter(graph.nodes.values())).part
    layers = find_layers(graph)
    own = [n for n, node in graph.nodes.items() if node.part == first]
    for layer in sorted({layers[name] for name in own}):
        row = [
            _node_block(name, graph, n_parameters[name])
            for name in own
            if layers[name] == layer
        ]
        boxes.append(row[0] if len(row) == 1 else _group("parallel", row))
    return _group("serial", boxes)


def _group(kind: str, boxes: Sequence[object]) -> Block:
    nothing = [None] * len(boxes)
    return Block(kind, list(boxes), nothing, nothing, dash_wrapped=False)


def _node_block(name: str, graph: Graph, n_parameters: int) -> Block:
    """Give a node as a box, with its shape and what it reads."""
    node = graph.nodes[name]
    sources = [graph.nodes[s].label for s, t in graph.edges if t == name]
    details = [f"reads: {', '.join(sources)}"] if sources else []
    details += [f"gives: {shape_text(node.shape)}"] if node.shape else []
    details += [f"parameters: {n_parameters:,}"] if n_parameters else []
    caption = shape_text(node.shape) if node.shape else None
    return Block("single", None, node.label, "\n".join(details), caption)
