"""What the code of all convolutional networks has in common."""

from __future__ import annotations

from collections.abc import Mapping

from sknas.spaces._base import DataSpec
from sknas.spaces._convolutional import stem_strides
from sknas.spaces._entry import entry_channels
from sknas.spaces._entry_source import entry_source, input_name
from sknas.spaces._source import network_class

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
        self.n_channels = entry_channels(spec, embedding_size)

    def need(self, *definitions: str) -> None:
        """Add what is not there yet."""
        self.definitions += [d for d in definitions if d not in self.definitions]

    def add_stem(self, n_filters: int, stride: int) -> None:
        """Add the first convolutions, one for each halving."""
        n_inputs = self.n_channels
        lines = []
        for own_stride in stem_strides(stride):
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
