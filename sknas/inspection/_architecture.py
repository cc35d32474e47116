"""The picture of a network that was found."""

from __future__ import annotations

from textwrap import fill

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sknas.architecture import Architecture
from sknas.inspection._layout import Layout, is_chain, lay_out
from sknas.inspection._matplotlib import import_pyplot
from sknas.spaces import DataSpec, Graph, Node, SearchSpace
from sknas.training import private_random_state

COLORS = {
    "input": ("#dbe9f6", "#4a7fb0"),
    "operation": ("#fdeed3", "#c98a1b"),
    "join": ("#ffffff", "#666666"),
    "output": ("#dcefdc", "#4c9a52"),
}
EDGE_COLOR = "#555555"
ARC_COLORS = ("#8c6bb1", "#2b8cbe", "#d95f0e", "#238b45", "#ce1256", "#7a5230")
FONT_SIZE = 9.0  # points
LETTER = 0.072  # inches that a letter of that size takes up
LINE = 0.155
GAP = 0.3  # between layers that are a chain: room for a line of text
WIDE_GAP = 0.46  # and between others, where arrows turn after that line
PART_GAP = 0.4
MAX_WIDTH = 12.0  # of all parts side by side
MARGIN = 0.15
JOIN_SIZE = 0.24


class ArchitectureDisplay:
    """A picture of a network: what it does, how wide it is, and how it is connected.

    It is best made by :meth:`from_estimator` or :meth:`from_architecture`. Boxes are
    operations, with the number of their parameters; beside arrows stands the shape of
    what goes along them, the rows left out. The picture of a micro space shows the
    network, and the first of its normal and of its reduction cells.

    Parameters
    ----------
    graph : Graph
        What is drawn.

    n_parameters : dict of str to int
        For each node, the number of its parameters.

    title : str, default=""
        What stands above.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        The axes that were drawn in.

    figure_ : matplotlib.figure.Figure
        The figure of the axes.

    Examples
    --------
    >>> from sknas import ArchitectureDisplay, ConvMacroSpace
    >>> space = ConvMacroSpace(n_layers=3)
    >>> display = ArchitectureDisplay.from_architecture(
    ...     space.default_architecture(), space
    ... )
    >>> len(display.graph.nodes)
    6
    """

    def __init__(
        self, graph: Graph, n_parameters: dict[str, int], title: str = ""
    ) -> None:
        self.graph = graph
        self.n_parameters = n_parameters
        self.title = title

    @classmethod
    def from_estimator(
        cls, estimator, *, member: int | None = None, ax=None
    ) -> ArchitectureDisplay:
        """Draw a network of a fitted estimator.

        Parameters
        ----------
        estimator : NASClassifier, NASRegressor or NASLanguageModel
            A fitted estimator.

        member : int or None, default=None
            Which of its networks, from 0 up. None: the best, `architecture_`.

        ax : matplotlib.axes.Axes or None, default=None
            Where to draw. None: on a figure of its own, of the size that it needs.

        Returns
        -------
        display : ArchitectureDisplay
            The picture.

        Raises
        ------
        ValueError
            If there is no such member.
        """
        check_is_fitted(estimator)
        architectures = estimator.architectures_
        if member is None:
            architecture = estimator.architecture_
        elif isinstance(member, int) and 0 <= member < len(architectures):
            architecture = architectures[member]
        else:
            raise ValueError(
                f"member must be None or a number from 0 to {len(architectures) - 1}, "
                f"got {member!r}."
            )
        return cls.from_architecture(
            architecture, estimator.space_, estimator.data_spec_, ax=ax
        )

    @classmethod
    def from_architecture(
        cls,
        architecture: Architecture,
        space: SearchSpace,
        spec: DataSpec | None = None,
        *,
        ax=None,
    ) -> ArchitectureDisplay:
        """Draw an architecture, fitted or not.

        Parameters
        ----------
        architecture : Architecture
            The architecture.

        space : SearchSpace
            The space that it belongs to.

        spec : DataSpec or None, default=None
            What the data look like. None: shapes and parameters are left out.

        ax : matplotlib.axes.Axes or None, default=None
            Where to draw. None: on a figure of its own, of the size that it needs.

        Returns
        -------
        display : ArchitectureDisplay
            The picture.

        Raises
        ------
        ValueError
            If the architecture is not one of the space.
        """
        space.decisions().check(architecture)
        graph = space.graph(architecture, spec)
        title, n_parameters = architecture.space, dict.fromkeys(graph.nodes, 0)
        if spec is not None:
            sizes = count_parameters(space, architecture, spec)
            title = f"{title}: {sum(sizes.values()):,} parameters"
            n_parameters = {
                name: sum(n for own, n in sizes.items() if node.has_parameter(own))
                for name, node in graph.nodes.items()
            }
        return cls(graph, n_parameters, title).plot(ax)

    def plot(self, ax=None) -> ArchitectureDisplay:
        """Draw the picture.

        Parameters
        ----------
        ax : matplotlib.axes.Axes or None, default=None
            Where to draw. None: on a figure of its own, of the size that it needs.

        Returns
        -------
        display : ArchitectureDisplay
            Itself.
        """
        plt = import_pyplot()
        columns = _arrange([_Part(*part, self) for part in split_parts(self.graph)])
        widths = [max(part.width for part in column) for column in columns]
        used = sum(widths) + PART_GAP * (len(columns) - 1)
        width = max(used, LETTER * 1.2 * len(self.title)) + 2 * MARGIN
        top = 2 * LINE if self.title else 0.0
        height = max(_height(column) for column in columns) + top + 2 * MARGIN
        if ax is None:
            figure = plt.figure(figsize=(width, height))
            ax = figure.add_axes((0, 0, 1, 1))
        self.ax_, self.figure_ = ax, ax.figure
        box = ax.get_window_extent().transformed(ax.figure.dpi_scale_trans.inverted())
        scale = min(box.width / width, box.height / height)
        ax.set(xlim=(0, width), ylim=(0, height), aspect="equal")
        ax.set_axis_off()
        if self.title:
            ax.text(
                width / 2,
                height - MARGIN,
                self.title,
                ha="center",
                va="top",
                fontsize=1.1 * FONT_SIZE * scale,
                weight="bold",
            )
        x = (width - used) / 2
        for column, own in zip(columns, widths, strict=True):
            y = height - MARGIN - top
            for part in column:
                part.draw(ax, x + (own - part.width) / 2, y, scale)
                y -= part.height + PART_GAP
            x += own + PART_GAP
        return self


def _arrange(parts: list[_Part]) -> list[list[_Part]]:
    """Put parts side by side, or those that are not chains below one another."""
    if sum(part.width for part in parts) <= MAX_WIDTH:
        return [[part] for part in parts]
    chains = [[part] for part in parts if is_chain(part.graph)]
    return [*chains, [part for part in parts if not is_chain(part.graph)]]


def _height(column: list[_Part]) -> float:
    return sum(part.height for part in column) + PART_GAP * (len(column) - 1)


def count_parameters(
    space: SearchSpace, architecture: Architecture, spec: DataSpec
) -> dict[str, int]:
    """Give the sizes of a stand-alone network's parameters, by their names."""
    with private_random_state(0):
        network = space.network(architecture, spec)
    return {name: p.numel() for name, p in network.named_parameters()}


def split_parts(graph: Graph) -> list[tuple[str, Graph]]:
    """Give the parts of a graph, with their names."""
    parts = dict.fromkeys(node.part for node in graph.nodes.values())
    return [
        (
            part,
            Graph(
                {name: n for name, n in graph.nodes.items() if n.part == part},
                [(s, t) for s, t in graph.edges if graph.nodes[s].part == part],
            ),
        )
        for part in parts
    ]


def short_number(n: int) -> str:
    """Write a number with three digits at most, as 950, 12k or 3.4M."""
    for unit, factor in (("M", 10**6), ("k", 10**3)):
        if n >= 0.9995 * factor:
            value = n / factor
            return f"{value:.1f}{unit}" if value < 9.95 else f"{value:.0f}{unit}"
    return str(n)


class _Part:
    """A part of the picture: its nodes' texts and sizes, and where they are."""

    def __init__(self, name: str, graph: Graph, display: ArchitectureDisplay) -> None:
        self.name = name
        self.graph = graph
        self.texts, self.details = {}, {}
        widths, heights = {}, {}
        for key, node in graph.nodes.items():
            n = display.n_parameters[key]
            lines = fill(node.label, 22).split("\n")
            self.texts[key] = "\n".join(lines)
            self.details[key] = f"{short_number(n)} parameters" if n else ""
            letters = max(*map(len, lines), 0.85 * len(self.details[key]))
            n_lines = len(lines) + bool(n)
            is_sum = node.label == "+"
            widths[key] = JOIN_SIZE if is_sum else LETTER * letters + 0.22
            heights[key] = JOIN_SIZE if is_sum else LINE * n_lines + 0.11
        self.widths, self.heights = widths, heights
        self.gap = GAP if is_chain(graph) else WIDE_GAP
        self.layout: Layout = lay_out(graph, widths, heights, self.gap)
        self.shapes = self._find_shapes()
        self.arcs = [edge for edge in graph.edges if edge not in self.layout.paths]
        # on both sides where there are many
        sources = list(dict.fromkeys(s for s, _ in self.arcs))
        both = len(self.arcs) > 6
        self.sides = {s: -1 if both and i % 2 else 1 for i, s in enumerate(sources)}
        self.colors = {
            s: ARC_COLORS[i % len(ARC_COLORS)] for i, s in enumerate(sources)
        }
        self.heading = 1.6 * LINE if name else 0.0
        reach = {side: self.layout.width / 2 for side in (-1, 1)}
        for edge in self.arcs:
            side = self.sides[edge[0]]
            reach[side] = max(reach[side], self._bulge(edge))
        # shapes stand to the right of an arrow
        for key, text in self.shapes.items():
            right = self.layout.x[key] + 0.1 + 0.8 * LETTER * len(text)
            reach[1] = max(reach[1], right)
        self.left = max(reach[-1], 0.55 * LETTER * len(name))
        self.width = self.left + max(reach[1], 0.55 * LETTER * len(name))
        self.height = self.layout.height + self.heading

    def _find_shapes(self) -> dict[str, str]:
        """Give what is written below nodes: shapes; outside chains, new ones alone."""
        texts = {}
        for key, node in self.graph.nodes.items():
            above = [self.graph.nodes[s].shape for s, t in self.graph.edges if t == key]
            leaves = any(s == key for s, _ in self.graph.edges)
            is_new = is_chain(self.graph) or node.shape not in above
            if node.shape is not None and leaves and is_new:
                texts[key] = shape_text(node.shape)
        return texts

    def _bulge(self, edge: tuple[str, str]) -> float:
        """Give how far from the middle an arc reaches."""
        s, t = edge
        distance = self.layout.y[s] - self.layout.y[t]
        return self.layout.width / 2 + 0.15 + 0.3 * np.sqrt(distance)

    def draw(self, ax, left: float, top: float, scale: float) -> None:
        """Draw it, from a corner on."""
        x0 = left + self.left
        if self.name:
            ax.text(
                x0,
                top,
                self.name,
                ha="center",
                va="top",
                fontsize=FONT_SIZE * scale,
                style="italic",
            )
        layers = self.layout.y
        highest = max(layers[k] + self.heights[k] / 2 for k in layers)
        y0 = top - self.heading - highest
        for edge in self.graph.edges:
            self._draw_edge(ax, edge, x0, y0, scale)
        for key, node in self.graph.nodes.items():
            self._draw_node(ax, key, node, x0, y0, scale)
        for key, text in self.shapes.items():
            ax.text(
                x0 + self.layout.x[key] + 0.06,
                y0 + layers[key] - self.heights[key] / 2 - 0.5 * GAP,
                text,
                ha="left",
                va="center",
                fontsize=0.8 * FONT_SIZE * scale,
                color="#444444",
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.4},
                zorder=4,
            )

    def _draw_node(self, ax, key: str, node: Node, x0, y0, scale: float) -> None:
        from matplotlib.patches import Ellipse, FancyBboxPatch

        x, y = x0 + self.layout.x[key], y0 + self.layout.y[key]
        width, height = self.widths[key], self.heights[key]
        face, edge = COLORS[node.kind]
        style = {"facecolor": face, "edgecolor": edge, "zorder": 3}
        if node.label == "+":
            ax.add_patch(Ellipse((x, y), width, height, **style))
        else:
            corner = (x - width / 2, y - height / 2)
            box = f"round,pad=0,rounding_size={0.07}"
            ax.add_patch(FancyBboxPatch(corner, width, height, boxstyle=box, **style))
        detail = self.details[key]
        ax.text(
            x,
            y + (0.5 * LINE if detail else 0),
            self.texts[key],
            ha="center",
            va="center_baseline" if node.label == "+" else "center",
            fontsize=FONT_SIZE * scale,
            zorder=5,
        )
        if detail:
            ax.text(
                x,
                y - height / 2 + 0.06,
                detail,
                ha="center",
                va="bottom",
                fontsize=0.75 * FONT_SIZE * scale,
                color="#555555",
                zorder=5,
            )

    def _draw_edge(self, ax, edge: tuple[str, str], x0, y0, scale: float) -> None:
        from matplotlib.patches import FancyArrowPatch
        from matplotlib.path import Path

        source, target = edge
        layout = self.layout
        if edge in layout.paths:
            points = [(x0 + x, y0 + y) for x, y in layout.paths[edge]]
            points[0] = points[0][0], points[0][1] - self.heights[source] / 2
            points[-1] = points[-1][0], points[-1][1] + self.heights[target] / 2
            vertices, codes = [points[0]], [Path.MOVETO]
            if source in self.shapes and not is_chain(self.graph):
                points[0] = points[0][0], points[0][1] - GAP
                vertices.append(points[0])
                codes.append(Path.LINETO)
            for (from_x, from_y), (to_x, to_y) in zip(points, points[1:], strict=False):
                middle = (from_y + to_y) / 2
                vertices += [(from_x, middle), (to_x, middle), (to_x, to_y)]
                codes += [Path.CURVE4] * 3
            color = EDGE_COLOR
        else:
            side = self.sides[source]
            start = x0 + side * self.widths[source] / 2, y0 + layout.y[source]
            end = x0 + side * self.widths[target] / 2, y0 + layout.y[target]
            # a cubic curve comes three quarters of the way to its control points
            reach = x0 + side * (self._bulge(edge) * 4 / 3 - self.layout.width / 6)
            vertices = [start, (reach, start[1]), (reach, end[1]), end]
            codes = [Path.MOVETO, *[Path.CURVE4] * 3]
            color = self.colors[source]
        ax.add_patch(
            FancyArrowPatch(
                path=Path(vertices, codes),
                arrowstyle="-|>",
                mutation_scale=8 * scale,
                linewidth=1.1 * scale,
                color=color,
                zorder=2,
                shrinkA=0,
                shrinkB=0,
            )
        )


def shape_text(shape: tuple[int, ...] | None) -> str:
    """Write a shape as 16 x 8 x 8."""
    return "" if shape is None else " \N{MULTIPLICATION SIGN} ".join(map(str, shape))
