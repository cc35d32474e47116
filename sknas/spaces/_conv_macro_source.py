"""Networks of the macro space, as PyTorch code."""

from __future__ import annotations

from collections.abc import Mapping

from sknas.architecture import Architecture
from sknas.spaces._base import DataSpec
from sknas.spaces._conv_source import (
    HALVING,
    PROJECTION,
    SEPARABLE_CONV,
    ConvSource,
    pool_code,
)
from sknas.spaces._source import dictionary_lines

MACRO_LAYERS = {
    "conv": '''
def conv_layer(n_filters, kernel_size):
    """A 1x1 convolution, and a larger one."""
    return nn.Sequential(
        conv(n_filters, n_filters, 1),
        nn.BatchNorm2d(n_filters),
        nn.ReLU(),
        conv(n_filters, n_filters, kernel_size),
        nn.BatchNorm2d(n_filters),
        nn.ReLU(),
    )
''',
    "separable": '''
def separable_layer(n_filters, kernel_size):
    """A 1x1 convolution, and a larger, separable one."""
    return nn.Sequential(
        conv(n_filters, n_filters, 1),
        nn.BatchNorm2d(n_filters),
        nn.ReLU(),
        separable_conv(n_filters, kernel_size),
        nn.BatchNorm2d(n_filters),
        nn.ReLU(),
    )
''',
    "pool": '''
def pool_layer(n_filters, pool):
    """A 1x1 convolution, and pooling."""
    return nn.Sequential(
        conv(n_filters, n_filters, 1), nn.BatchNorm2d(n_filters), nn.ReLU(), pool
    )
''',
}


def macro_source(
    architecture: Architecture,
    spec: DataSpec,
    *,
    skips: Mapping[int, list[int]],
    levels: list[int],
    n_filters: int,
    stem_stride: int,
    dropout: float,
    embedding_size: int,
    name: str,
    description: str,
) -> list[str]:
    """Write a network of the macro space; see :meth:`SearchSpace.source`."""
    source = ConvSource(spec, embedding_size)
    source.add_stem(n_filters, stem_stride)
    filters = [n_filters * 2**level for level in levels]
    layers, joins, reductions = [], [], []
    run = source.run
    run.append("node_0 = self.stem(x)")
    known = {0: 0}  # of each node, after how many reductions there is a value

    def value(node: int, level: int) -> str:
        """Give the variable of a node after so many reductions."""
        for to in range(known[node] + 1, level + 1):
            source.need(PROJECTION, HALVING)
            reduction = f"{node}_{to}"
            n = n_filters * 2 ** (to - 1)
            reductions.append(f'"{reduction}": Halving({n}, {2 * n})')
            run.append(
                f"{variable(node, to)} = "
                f'self.reductions["{reduction}"]({variable(node, to - 1)})'
            )
            known[node] = to
        return variable(node, level)

    def variable(node: int, level: int) -> str:
        n_halved = level - levels[node]
        return f"node_{node}" + (f"_halved_{n_halved}" if n_halved else "")

    for k in range(1, len(levels)):
        option, n = architecture[f"operation_{k}"], filters[k]
        size = 5 if option.endswith("5x5") else 3
        if "pool" in option:
            source.need(MACRO_LAYERS["pool"])
            layer = f"pool_layer({n}, {pool_code(option)})"
        elif option.startswith("separable"):
            source.need(SEPARABLE_CONV, MACRO_LAYERS["separable"])
            layer = f"separable_layer({n}, {size})"
        else:
            source.need(MACRO_LAYERS["conv"])
            layer = f"conv_layer({n}, {size})"
        layers.append(f'"{k}": nn.ModuleDict({{"{option}": {layer}}})')
        own = f'self.layers["{k}"]["{option}"]({value(k - 1, levels[k])})'
        known[k] = levels[k]
        if not skips[k]:
            run.append(f"node_{k} = {own}")
            continue
        source.need(PROJECTION)
        run.append(f"own = {own}")
        values = {str(j): value(j, levels[k]) for j in skips[k]} | {"own": "own"}
        sizes = ", ".join(f'"{j}": {n}' for j in values)
        joins.append(f'"{k}": Projection({{{sizes}}}, {n})')
        tensors = ", ".join(f'"{j}": {v}' for j, v in values.items())
        run.append(f'node_{k} = self.joins["{k}"]({{{tensors}}})')
    source.build += dictionary_lines("self.layers", layers)
    for attribute, entries in (("joins", joins), ("reductions", reductions)):
        if entries:
            source.build += dictionary_lines(f"self.{attribute}", entries)
    last = len(levels) - 1
    source.add_head(
        {"all": filters[-1]},
        dropout,
        f'{{"all": node_{last}}}',
        stem_stride * 2 ** levels[-1],
    )
    return source.finish(name, description)
