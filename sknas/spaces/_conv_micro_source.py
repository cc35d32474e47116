"""Networks of the micro space, as PyTorch code."""

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
from sknas.spaces._source import dictionary_lines, network_class

MICRO_OPERATION = '''
def twice_separable(n_filters, kernel_size, stride=1):
    """ReLU and a separable convolution, normalized; twice."""
    return nn.Sequential(
        nn.ReLU(),
        separable_conv(n_filters, kernel_size, stride),
        nn.BatchNorm2d(n_filters),
        nn.ReLU(),
        separable_conv(n_filters, kernel_size),
        nn.BatchNorm2d(n_filters),
    )
'''


def micro_source(
    architecture: Architecture,
    spec: DataSpec,
    *,
    kinds: list[str],
    ends: Mapping[str, list[int]],
    n_nodes: int,
    n_filters: int,
    stem_filters: int,
    stem_stride: int,
    dropout: float,
    embedding_size: int,
    name: str,
    description: str,
) -> list[str]:
    """Write a network of the micro space; see :meth:`SearchSpace.source`."""
    source = ConvSource(spec, embedding_size)
    source.add_stem(stem_filters, stem_stride)
    source.need(PROJECTION)
    classes = {}
    for kind in dict.fromkeys(kinds):
        classes[kind] = f"{name}{kind.capitalize()}Cell"
        text = _cell_class(source, architecture, kind, ends[kind], n_nodes, classes)
        source.need(text)
    sources = [{"stem": stem_filters}] * 2
    source.run += ["x = self.stem(x)", 'before_last = last = {"stem": x}']
    source.run.append("for cell in self.cells:")
    source.run.append("    before_last, last = last, cell(before_last, last)")
    lines = []
    for i, kind in enumerate(kinds):
        n_filters *= 2 if kind == "reduction" else 1
        halves = i > 0 and kinds[i - 1] == "reduction"
        arguments = f"{sources[0]}, {sources[1]}, {n_filters}, {halves}"
        lines.append(f"{classes[kind]}({arguments})".replace("'", '"'))
        sources = [sources[1], {str(k): n_filters for k in ends[kind]}]
    source.build += [
        "self.cells = nn.ModuleList(",
        "    [",
        *[f"        {line}," for line in lines],
        "    ]",
        ")",
    ]
    stride = stem_stride * 2 ** kinds.count("reduction")
    source.add_head(sources[1], dropout, "last", stride)
    return source.finish(name, description)


def _cell_class(
    source: ConvSource,
    architecture: Architecture,
    kind: str,
    ends: list[int],
    n_nodes: int,
    classes: Mapping[str, str],
) -> str:
    """Write the class of a cell."""
    halves = kind == "reduction"
    operations, run = [], []
    for k in range(2, 2 + n_nodes):
        terms = []
        for i in (1, 2):
            j = architecture[f"{kind}_input_{k}_{i}"]
            option = architecture[f"{kind}_operation_{k}_{i}"]
            stride = 2 if halves and j < 2 else 1
            if option == "identity" and stride == 1:
                code = "nn.Identity()"
            elif option == "identity":
                source.need(HALVING)
                code = "Halving(n_filters, n_filters)"
            elif "pool" in option:
                code = pool_code(option, stride)
            else:
                source.need(SEPARABLE_CONV, MICRO_OPERATION)
                size = 5 if option.endswith("5x5") else 3
                code = f"twice_separable(n_filters, {size}, {stride})"
            key = f"{k}_{i}_{j}_{option}"
            operations.append(f'"{key}": {code}')
            terms.append((key, j))
        (first, i), (second, j) = terms
        run.append(f'first = self.operations["{first}"](node_{i})')
        run.append(f'second = self.operations["{second}"](node_{j})')
        run.append(f"node_{k} = first + second")
    build = [
        "self.calibrations = nn.ModuleList(",
        "    [",
        "        Projection(before_last, n_filters, halves=halves_first),",
        "        Projection(last, n_filters),",
        "    ]",
        ")",
        'self.base = Projection({"all": n_filters}, n_filters)',
        *dictionary_lines("self.operations", operations),
    ]
    passed = [j for j in (0, 1) if halves and j in ends]
    if passed:
        source.need(HALVING)
        entries = [f'"{j}": Halving(n_filters, n_filters)' for j in passed]
        build += dictionary_lines("self.reductions", entries)
    outputs = [
        f'"{k}": '
        + (f'self.reductions["{k}"](node_{k})' if k in passed else f"node_{k}")
        for k in ends
    ]
    run = [
        "node_0 = self.calibrations[0](before_last)",
        'node_1 = self.base({"all": self.calibrations[1](last)})',
        *run,
        "return {" + ", ".join(outputs) + "}",
    ]
    text = network_class(
        classes[kind],
        f"The {kind} cell; gives the nodes that no other node reads.",
        build,
        run,
        "before_last, last",
    )
    arguments = "self, before_last, last, n_filters, halves_first"
    return text.replace("def __init__(self):", f"def __init__({arguments}):")
