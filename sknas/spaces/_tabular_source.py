"""Networks of the tabular space, as PyTorch code."""

from __future__ import annotations

from sknas.architecture import Architecture
from sknas.spaces._base import DataSpec
from sknas.spaces._source import dictionary_lines, network_class
from sknas.spaces._tabular_networks import N_FREQUENCIES, embedded_units

SCALED_LINEAR = '''
class ScaledLinear(nn.Module):
    """A linear layer that several predictors share, each scaling its inputs."""

    def __init__(self, n_inputs, n_outputs, n_heads, bias=True):
        super().__init__()
        linear = nn.Linear(n_inputs, n_outputs, bias=bias)
        self.weight, self.bias = linear.weight, linear.bias
        self.scale = nn.Parameter(torch.ones(n_heads, 1, n_inputs))

    def forward(self, x):
        return F.linear(x * self.scale, self.weight, self.bias)
'''

OUTPUT_HEADS = '''
class OutputHeads(nn.Module):
    """An output layer for each predictor."""

    def __init__(self, n_inputs, n_outputs, n_heads):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(n_heads, n_outputs, n_inputs))
        self.bias = nn.Parameter(torch.zeros(n_heads, 1, n_outputs))

    def forward(self, x):
        return x @ self.weight.transpose(1, 2) + self.bias
'''

PIECEWISE_LINEAR = '''
class PiecewiseLinearEmbedding(nn.Module):
    """How far each number reaches through its feature's bins; a linear map, ReLU."""

    def __init__(self, n_features, n_bins, n_dimensions):
        super().__init__()
        self.register_buffer("slope", torch.zeros(n_features, n_bins))
        self.register_buffer("offset", torch.zeros(n_features, n_bins))
        self.weight = nn.Parameter(torch.zeros(n_features, n_bins, n_dimensions))
        self.bias = nn.Parameter(torch.zeros(n_features, 1, n_dimensions))

    def forward(self, x):
        bins = (x.unsqueeze(2) * self.slope - self.offset).clamp(0.0, 1.0)
        embedded = bins.transpose(0, 1) @ self.weight + self.bias
        return embedded.relu().transpose(0, 1).flatten(1)
'''

PERIODIC = '''
class PeriodicEmbedding(nn.Module):
    """Sines and cosines of each number at learnt frequencies; a linear map, ReLU."""

    def __init__(self, n_features, n_frequencies, n_dimensions):
        super().__init__()
        self.frequency = nn.Parameter(torch.zeros(n_features, 1, n_frequencies))
        self.weight = nn.Parameter(
            torch.zeros(n_features, 2 * n_frequencies, n_dimensions)
        )
        self.bias = nn.Parameter(torch.zeros(n_features, 1, n_dimensions))

    def forward(self, x):
        angle = x.transpose(0, 1).unsqueeze(2) * self.frequency
        waves = torch.cat([angle.sin(), angle.cos()], dim=2)
        embedded = (waves @ self.weight + self.bias).relu()
        return embedded.transpose(0, 1).flatten(1)
'''

ONE_HOT = '''
def one_hot(codes, sizes):
    """Encode columns of codes; a code equal to its column's size gives zeros."""
    columns = [F.one_hot(codes[:, i], n + 1)[:, :n] for i, n in enumerate(sizes)]
    return torch.cat(columns, dim=1).float()
'''

ACTIVATIONS = {
    "relu": "F.relu",
    "selu": "F.selu",
    "silu": "F.silu",
    "tanh": "torch.tanh",
}


def tabular_source(
    architecture: Architecture,
    spec: DataSpec,
    n_heads: int,
    name: str,
    description: str,
) -> list[str]:
    """Write a network; see :meth:`SearchSpace.source`."""
    depth = architecture["n_layers"]
    widths = [architecture[f"width_{k}"] for k in range(1, depth + 1)]
    n_numeric, sizes = spec.n_numeric, spec.category_sizes
    embedding = architecture["numeric_embedding"] if n_numeric else "none"
    definitions = [OUTPUT_HEADS]
    build, run = [], []
    if n_heads > 1:
        definitions.append(SCALED_LINEAR)

    def linear(n_inputs: int, bias: bool = True) -> str:
        extra = "" if bias else ", bias=False"
        if n_heads > 1:
            return f"ScaledLinear({n_inputs}, {widths[0]}, {n_heads}{extra})"
        return f"nn.Linear({n_inputs}, {widths[0]}{extra})"

    if sizes:
        definitions.append(ONE_HOT)
        encoded = f"one_hot(categorical, {list(sizes)})"
        run.append(
            f"x = torch.cat([numeric, {encoded}], dim=1)"
            if n_numeric
            else f"x = {encoded}"
        )
    else:
        run.append("x = numeric")
    build.append(f"self.input = {linear(n_numeric + sum(sizes))}")
    layer = "self.input(x)"
    if embedding != "none":
        n_units = embedded_units(spec)
        n_dimensions = n_units // n_numeric
        if embedding == "periodic":
            definitions.append(PERIODIC)
            arguments = f"{n_numeric}, {N_FREQUENCIES}, {n_dimensions}"
            build.append(f"self.embedding = PeriodicEmbedding({arguments})")
        else:
            definitions.append(PIECEWISE_LINEAR)
            n_bins = len(spec.bin_edges) - 1
            arguments = f"{n_numeric}, {n_bins}, {n_dimensions}"
            build.append(f"self.embedding = PiecewiseLinearEmbedding({arguments})")
        build.append(f"self.embedded_input = {linear(n_units, bias=False)}")
        layer += " + self.embedded_input(self.embedding(numeric))"
    layers = [
        f'"{k}": nn.Linear({widths[k - 2]}, {widths[k - 1]})'
        for k in range(2, depth + 1)
    ]
    if layers:
        build += dictionary_lines("self.layers", layers)
    normalized = architecture["normalization"] == "layer"
    if normalized:
        norms = [f'"{k}": nn.LayerNorm({widths[k - 1]})' for k in range(1, depth + 1)]
        build += dictionary_lines("self.norms", norms)
    build.append(f"self.dropout = nn.Dropout({architecture['dropout']})")
    build.append(f"self.head = OutputHeads({widths[-1]}, {spec.n_outputs}, {n_heads})")
    for k in range(1, depth + 1):
        layer = layer if k == 1 else f'self.layers["{k}"](h)'
        run.append(f"new = {layer}")
        if normalized:
            run.append(f'new = self.norms["{k}"](new)')
        activation = architecture[f"activation_{k}"]
        if activation != "identity":
            run.append(f"new = {ACTIVATIONS[activation]}(new)")
        skipped = ""
        if architecture.get(f"skip_{k}"):
            missing = widths[k - 1] - widths[k - 2]
            skipped = f" + F.pad(h, (0, {missing}))" if missing else " + h"
        run.append(f"h = self.dropout(new){skipped}")
    run.append("return self.head(h)")
    # the head takes (n_heads, n_rows, n_units), as the scaled inputs make it
    if n_heads == 1:
        run[-1] = "return self.head(h.unsqueeze(0))"
    return [
        *definitions,
        network_class(name, description, build, run, "numeric, categorical"),
    ]
