"""Where the nodes of a graph go: layer by layer, with few crossings (Sugiyama et al.).

Lengths are in inches.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from sklearn.isotonic import isotonic_regression

from sknas.spaces import Graph

SWEEPS = 16  # over all layers, to find orders with few crossings
GAP = 0.18  # between neighbours
BEND_WIDTH = 0.04  # that an edge takes up in a layer that it passes by
BEND_WEIGHT = 8.0  # of bends against nodes: long edges are to be straight


@dataclass
class Layout:
    """Where things are.

    Parameters
    ----------
    x, y : dict of str to float
        Centres of the nodes; y grows upwards, and is 0 in the first layer.

    paths : dict of (str, str) to list of (float, float)
        For each edge, the points that it passes through, its ends among them.

    width, height : float
        Of all together, from outer edge to outer edge.
    """

    x: dict[str, float]
    y: dict[str, float]
    paths: dict[tuple[str, str], list[tuple[float, float]]] = field(
        default_factory=dict
    )
    width: float = 0.0
    height: float = 0.0


def find_layers(graph: Graph) -> dict[str, int]:
    """Give the layer of each node: below all that it reads, inputs as low as can be.

    Parameters
    ----------
    graph : Graph
        The graph.

    Returns
    -------
    layers : dict of str to int
        The layers, from 0 at the top.
    """
    layers = dict.fromkeys(graph.nodes, 0)
    for name in graph.nodes:  # in topological order
        above = [layers[s] for s, t in graph.edges if t == name]
        layers[name] = max(above, default=-1) + 1
    for name in graph.nodes:
        below = [layers[t] for s, t in graph.edges if s == name]
        if below and not any(t == name for _, t in graph.edges):
            layers[name] = min(below) - 1
    return layers


def is_chain(graph: Graph) -> bool:
    """Whether each layer has a single node, so that what skips layers is an arc."""
    layers = find_layers(graph)
    return len(set(layers.values())) == len(layers)


def lay_out(
    graph: Graph, widths: dict[str, float], heights: dict[str, float], gap: float
) -> Layout:
    """Place the nodes of a graph.

    Parameters
    ----------
    graph : Graph
        The graph.

    widths, heights : dict of str to float
        Sizes of the nodes.

    gap : float
        Between layers.

    Returns
    -------
    layout : Layout
        Where the nodes are, and which way edges go. In a chain, edges that skip nodes
        go straight: how they are bent is left to who draws them.
    """
    layers = find_layers(graph)
    n_layers = max(layers.values()) + 1
    rows: list[list] = [[] for _ in range(n_layers)]
    for name, layer in layers.items():
        rows[layer].append(name)
    row_heights = [max(heights[name] for name in row) for row in rows]
    y_of_row, y = [], 0.0
    for i, height in enumerate(row_heights):
        y -= (row_heights[i - 1] + height) / 2 + gap if i else 0.0
        y_of_row.append(y)
    total = -y + (row_heights[0] + row_heights[-1]) / 2
    y_of = {name: y_of_row[layer] for name, layer in layers.items()}
    if is_chain(graph):
        x_of = dict.fromkeys(graph.nodes, 0.0)
        paths = {
            (s, t): [(0.0, y_of[s]), (0.0, y_of[t])]
            for s, t in graph.edges
            if layers[t] - layers[s] == 1
        }
        return Layout(x_of, y_of, paths, max(widths.values()), total)
    links = _add_bends(graph, layers, rows)
    _order(rows, links)
    x = _spread(rows, links, widths)
    paths = {}
    for s, t in graph.edges:
        points = []
        for i in range(layers[s] + 1, layers[t]):  # straight past the nodes there
            top, bottom = (y_of_row[i] + k * row_heights[i] / 2 for k in (1, -1))
            points += [(x[s, t, i], top), (x[s, t, i], bottom)]
        paths[s, t] = [(x[s], y_of[s]), *points, (x[t], y_of[t])]
    left = min(x[name] - widths.get(name, BEND_WIDTH) / 2 for name in x)
    right = max(x[name] + widths.get(name, BEND_WIDTH) / 2 for name in x)
    middle = (left + right) / 2
    x_of = {name: x[name] - middle for name in graph.nodes}
    paths = {
        edge: [(px - middle, py) for px, py in points] for edge, points in paths.items()
    }
    return Layout(x_of, y_of, paths, right - left, total)


def _add_bends(graph: Graph, layers: dict[str, int], rows: list[list]) -> list[tuple]:
    """Give each edge a place in the layers that it passes by; give all short links."""
    links = []
    for s, t in graph.edges:
        chain = [s]
        for i in range(layers[s] + 1, layers[t]):
            rows[i].append((s, t, i))
            chain.append((s, t, i))
        chain.append(t)
        links += zip(chain, chain[1:], strict=False)
    return links


def _order(rows: list[list], links: list[tuple]) -> None:
    """Put each layer in an order that crosses few links."""
    above: dict = {}
    below: dict = {}
    for s, t in links:
        above.setdefault(t, []).append(s)
        below.setdefault(s, []).append(t)
    best, fewest = [list(row) for row in rows], _crossings(rows, below)
    for sweep in range(SWEEPS):
        down = sweep % 2 == 0
        neighbours = above if down else below
        order = range(1, len(rows)) if down else range(len(rows) - 2, -1, -1)
        for i in order:
            place = {name: p for p, name in enumerate(rows[i - 1 if down else i + 1])}
            own = {name: p for p, name in enumerate(rows[i])}
            sign = -1 if sweep % 4 > 1 else 1  # of equals, which is first
            rows[i].sort(
                key=lambda name, place=place, own=own, sign=sign: (
                    np.mean([place[n] for n in neighbours[name]])
                    if name in neighbours
                    else own[name],
                    sign * own[name],
                )
            )
        crossings = _crossings(rows, below)
        if crossings < fewest:
            best, fewest = [list(row) for row in rows], crossings
    rows[:] = best


def _crossings(rows: list[list], below: dict) -> int:
    """Count the links that cross others."""
    count = 0
    for row, following in zip(rows, rows[1:], strict=False):
        place = {name: p for p, name in enumerate(following)}
        ends = [place[t] for name in row for t in sorted(below.get(name, []), key=str)]
        starts = [p for p, name in enumerate(row) for _ in below.get(name, [])]
        for i, (a, b) in enumerate(zip(starts, ends, strict=True)):
            count += sum(
                a < c and b > d
                for c, d in zip(starts[i + 1 :], ends[i + 1 :], strict=True)
            )
    return count


def _spread(
    rows: list[list], links: list[tuple], widths: dict[str, float]
) -> dict[object, float]:
    """Give each node and bend an x near those of its neighbours, none overlapping."""
    above: dict = {}
    below: dict = {}
    both: dict = {}
    for s, t in links:
        above.setdefault(t, []).append(s)
        below.setdefault(s, []).append(t)
        both.setdefault(s, []).append(t)
        both.setdefault(t, []).append(s)
    offsets = []  # the least distance of each from the first of its row
    x: dict = {}
    for row in rows:
        size = np.array([widths.get(name, BEND_WIDTH) for name in row])
        steps = (size[:-1] + size[1:]) / 2 + GAP
        offset = np.concatenate([[0.0], np.cumsum(steps)])
        offsets.append(offset)
        x.update(zip(row, offset - offset[-1] / 2, strict=True))
    n_sweeps = 4 * SWEEPS
    for sweep in range(n_sweeps + 1):
        down = sweep % 2 == 0
        # by the neighbours on one side at first, so that what is far moves soon, and in
        # the end, so that chains are straight
        one = above if down else below
        known = both if SWEEPS <= sweep < n_sweeps else one
        for i in range(len(rows)) if down else range(len(rows) - 1, -1, -1):
            row, offset = rows[i], offsets[i]
            wish = [
                np.mean([x[n] for n in known[name]]) if name in known else x[name]
                for name in row
            ]
            weight = [1.0 if name in widths else BEND_WEIGHT for name in row]
            # the nearest places in this order, at the distances that they need
            fitted = isotonic_regression(np.array(wish) - offset, sample_weight=weight)
            x.update(zip(row, (fitted + offset).tolist(), strict=True))
    return x
