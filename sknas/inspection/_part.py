"""A part of the picture of a network: where its nodes are, and how they are drawn."""

from __future__ import annotations

from textwrap import fill

import numpy as np

from sknas.inspection._layout import Layout, is_chain, lay_out
from sknas.spaces import Graph, Node

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
JOIN_SIZE = 0.24


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


class Part:
    """A part of the picture: its nodes' texts and sizes, and where they are."""

    def __init__(self, name: str, graph: Graph, n_parameters: dict[str, int]) -> None:
        self.name = name
        self.graph = graph
        self.texts, self.details = {}, {}
        widths, heights = {}, {}
        for key, node in graph.nodes.items():
            n = n_parameters[key]
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
                parse_math=False,
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
            parse_math=False,
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
