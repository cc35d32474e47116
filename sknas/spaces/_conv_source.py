"""Networks of the convolutional spaces, as PyTorch code."""

from __future__ import annotations

from collections.abc import Mapping

from sknas.architecture import Architecture
from sknas.spaces._base import DataSpec
from sknas.spaces._entry_source import entry_source, input_name
from sknas.spaces._source import dictionary_lines, network_class

CONV = '''
def conv(n_inputs, n_outputs, kernel_size, stride=1, groups=1):
    """A convolution without bias that keeps the size, rounded up by the stride."""
    padding = kernel_size // 2
    return nn.Conv2d(
        n_inputs, n_outputs, kernel_size, stride, padding, groups=groups, bias=False
    )
'''

SEPARABLE_CONV = '''
def separable_conv(n_filters, kernel_size, stride=1):
    """A depthwise convolution and a pointwise one after it."""
    return nn.Sequential(
        conv(n_filters, n_filters, kernel_size, stride, n_filters),
        conv(n_filters, n_filters, 1),
    )
'''

PROJECTION = '''
class Projection(nn.Module):
    """A 1x1 convolution over tensors side by side, after a ReLU; normalized.

    One that halves the size sees the even places with one half of its filters, and the
    odd ones with the other (a factorized reduction).
    """

    def __init__(self, sources, n_outputs, halves=False, rectifies=True):
        super().__init__()
        self.halves, self.rectifies = halves, rectifies
        self.weights = nn.ParameterDict(
            {name: conv(n, n_outputs, 1).weight for name, n in sources.items()}
        )
        self.norm = nn.BatchNorm2d(n_outputs)

    def forward(self, tensors):
        x = torch.cat(list(tensors.values()), dim=1)
        weight = torch.cat([self.weights[name] for name in tensors], dim=1)
        if self.rectifies:
            x = F.relu(x)
        if not self.halves:
            return self.norm(F.conv2d(x, weight))
        even, odd = x[:, :, ::2, ::2], F.pad(x, (0, 1, 0, 1))[:, :, 1::2, 1::2]
        return self.norm(F.conv2d(torch.cat([even, odd], dim=1), weight, groups=2))
'''

HALVING = '''
class Halving(Projection):
    """Halves the size of one tensor."""

    def __init__(self, n_inputs, n_outputs):
        super().__init__({"all": n_inputs}, n_outputs, halves=True, rectifies=False)

    def forward(self, x):
        return super().forward({"all": x})
'''

POOLED_HEAD = '''
class PooledHead(nn.Module):
    """ReLU, the mean over all places, and a linear layer."""

    def __init__(self, sources, n_outputs, dropout):
        super().__init__()
        self.weights = nn.ParameterDict(
            {name: nn.Linear(n, n_outputs).weight for name, n in sources.items()}
        )
        self.bias = nn.Parameter(torch.zeros(n_outputs))
        self.dropout = nn.Dropout(dropout)

    def forward(self, tensors, present=None):
        x = F.relu(torch.cat(list(tensors.values()), dim=1)).flatten(2)
        if present is None:
            x = x.mean(dim=2)
        else:  # the places before the end of each row
            counted = present.unsqueeze(1).float()
            x = (x * counted).sum(dim=2) / counted.sum(dim=2)
        weight = torch.cat([self.weights[name] for name in tensors], dim=1)
        return F.linear(self.dropout(x), weight, self.bias)
'''

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


def pool_code(option: str, stride: int = 1) -> str:
    """Write a pooling of three places."""
    if option.startswith("average"):
        return f"nn.AvgPool2d(3, {stride}, 1, count_include_pad=False)"
    return f"nn.MaxPool2d(3, {stride}, 1)"


def in_dimensions(definitions: list[str], n_dimensions: int) -> list[str]:
    """Write what is written for images for series, if need be."""
    if n_dimensions == 2:
        return definitions
    changes = {
        "conv2d": "conv1d",
        "Conv2d": "Conv1d",
        "Norm2d": "Norm1d",
        "Pool2d": "Pool1d",
        "x[:, :, ::2, ::2], F.pad(x, (0, 1, 0, 1))[:, :, 1::2, 1::2]": (
            "x[:, :, ::2], F.pad(x, (0, 1))[:, :, 1::2]"
        ),
    }
    for image, series in changes.items():
        definitions = [text.replace(image, series) for text in definitions]
    return definitions


class ConvSource:
    """Writes a network: what both convolutional spaces have in common.

    Parameters
    ----------
    spec : DataSpec
        What the data look like.

    embedding_size : int
        Numbers that each token of a text becomes.
    """

    def __init__(self, spec: DataSpec, embedding_size: int) -> None:
        self.spec = spec
        self.definitions = [*entry_source(spec, embedding_size), CONV]
        self.build = ["self.entry = Entry()"]
        if spec.n_tokens is not None:
            sizes = f"{spec.n_tokens}, {spec.n_outputs}"
            self.build.append(f"self.counts = TokenCounts({sizes})")
        self.input = input_name(spec)
        given = f"self.entry({self.input})"
        has_ends = spec.kind != "image"
        self.run = [f"x, present = {given}" if has_ends else f"x = {given}"]
        n_channels = embedding_size if spec.image_shape is None else spec.image_shape[0]
        self.n_channels = n_channels

    def need(self, *definitions: str) -> None:
        """Add what is not there yet."""
        self.definitions += [d for d in definitions if d not in self.definitions]

    def add_stem(self, n_filters: int, stride: int) -> None:
        """Add the first convolutions, one for each halving."""
        n_inputs = self.n_channels
        lines = []
        for own_stride in [2] * (stride.bit_length() - 1) or [1]:
            lines += ["nn.ReLU()"] if lines else []
            lines.append(f"conv({n_inputs}, {n_filters}, 3, {own_stride})")
            lines.append(f"nn.BatchNorm2d({n_filters})")
            n_inputs = n_filters
        self.build += [
            "self.stem = nn.Sequential(",
            *[f"    {line}," for line in lines],
            ")",
        ]

    def add_head(
        self, sources: Mapping[str, int], dropout: float, value: str, stride: int
    ) -> None:
        """Add the output layer, which reads `value`."""
        self.need(POOLED_HEAD)
        arguments = f"{dict(sources)}, {self.spec.n_outputs}, {dropout}"
        self.build.append(f"self.head = PooledHead({arguments})")
        ends = f", present[:, ::{stride}]" if self.spec.kind != "image" else ""
        counts = " + self.counts(tokens)" if self.spec.n_tokens is not None else ""
        self.run.append(f"return self.head({value}{ends}){counts}")

    def finish(self, name: str, description: str) -> list[str]:
        """Give the definitions, the network's last."""
        network = network_class(name, description, self.build, self.run, self.input)
        return in_dimensions([*self.definitions, network], len(self.spec.sizes))


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
