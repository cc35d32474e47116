"""Networks of the recurrent space, as PyTorch code."""

from __future__ import annotations

from textwrap import wrap

from sknas.modules import CellDesign
from sknas.spaces._base import DataSpec
from sknas.spaces._entry import entry_channels
from sknas.spaces._entry_source import entry_source, input_name
from sknas.spaces._source import docstring_lines, network_class

ACTIVATIONS = {
    "tanh": "torch.tanh",
    "relu": "F.relu",
    "identity": "nn.Identity()",
    "sigmoid": "torch.sigmoid",
}


def cell_class(
    name: str,
    description: str,
    design: CellDesign,
    n_inputs: int,
    hidden_size: int,
    max_norm: float | None,
) -> str:
    """Write the class of a cell.

    Parameters
    ----------
    name, description : str
        What it is called, and what it is.

    design : CellDesign
        What its nodes read and apply.

    n_inputs, hidden_size : int
        Units of its input and of its state.

    max_norm : float or None
        Norm that states are scaled down to.

    Returns
    -------
    code : str
        The class.
    """
    steps = []
    for k, (pair, activation) in enumerate(
        zip(design.pairs, design.activations, strict=True), start=1
    ):
        read = "state" if k == 1 else f"node_{pair.split('_')[0]}"
        extra = ", x @ self.input_weight" if k == 1 else ""
        function = ACTIVATIONS[activation]
        steps.append(f'node_{k} = self.node("{pair}", {function}, {read}{extra})')
    outputs = [f"node_{k}" for k in design.outputs]
    if len(outputs) == 1:
        steps.append(f"new = {outputs[0]}")
    else:
        steps.append(f"new = ({' + '.join(outputs)}) / {len(outputs)}")
    if max_norm is not None:
        steps.append("norm = new.norm(dim=1, keepdim=True)")
        steps.append(f"new = new * ({max_norm} / norm).clamp(0.0, 1.0)")
    shape = f"{hidden_size}, {2 * hidden_size}"
    pairs = wrap(" ".join(f'"{pair}",' for pair in design.pairs), 72)
    lines = [
        "",
        f"class {name}(nn.Module):",
        *docstring_lines(f"A recurrent cell.\n\n{description}"),
        "",
        "    def __init__(self):",
        "        super().__init__()",
        f"        self.input_weight = matrix({n_inputs}, {2 * hidden_size})",
        "        pairs = [",
        *[f"            {line}" for line in pairs],
        "        ]",
        "        self.weights = nn.ParameterDict(",
        f"            {{pair: matrix({shape}) for pair in pairs}}",
        "        )",
        "",
        "    def node(self, pair, activation, read, extra=0.0):",
        '        """Apply an activation, with a gated way past it."""',
        "        gate, value = (read @ self.weights[pair] + extra).chunk(2, dim=1)",
        "        gate = gate.sigmoid()",
        "        return gate * activation(value) + (1 - gate) * read",
        "",
        "    def forward(self, x, state):",
        '        """Give the next state, by the input and the last state."""',
        *[f"        {line}" for line in steps],
        "        return new",
        "",
    ]
    return "\n".join(lines)


MATRIX = '''
def matrix(n_inputs, n_outputs):
    """Small random numbers, as cells begin with."""
    return nn.Parameter(torch.empty(n_inputs, n_outputs).uniform_(-0.1, 0.1))
'''

READOUTS = {
    "last": ["last = states[:, -1]"],
    "mean": [
        "counted = present.unsqueeze(2).float()",
        "mean = (states * counted).sum(dim=1) / counted.sum(dim=1)",
    ],
    "max": ["highest = states.amax(dim=1)"],
}
NAMES = {"last": "last", "mean": "mean", "max": "highest"}


def sequence_source(
    design: CellDesign,
    spec: DataSpec,
    *,
    embedding_size: int,
    hidden_size: int,
    stem_stride: int,
    readout: str,
    dropout: float,
    max_norm: float | None,
    name: str,
    description: str,
) -> list[str]:
    """Write a network that reads sequences; see :meth:`SearchSpace.source`."""
    given = input_name(spec)
    n_channels = entry_channels(spec, embedding_size)
    kernel, padding = 2 * stem_stride - 1, stem_stride - 1
    readouts = list(READOUTS) if readout == "concat" else [readout]
    values = ", ".join(NAMES[r] for r in readouts)
    build = [
        "self.entry = Entry()",
        "self.stem = nn.Conv1d(",
        f"    {n_channels}, {embedding_size}, {kernel}, {stem_stride}, {padding}",
        ")",
        f"self.cell = {name}Cell()",
        f"self.dropout = nn.Dropout({dropout})",
        f"self.head = nn.Linear({len(readouts) * hidden_size}, {spec.n_outputs})",
    ]
    run = [
        f"x, present = self.entry({given})",
        "x = F.relu(self.stem(x))",
        f"present = present[:, ::{stem_stride}]",
        f"state = x.new_zeros(x.shape[0], {hidden_size})",
        "states = []",
        "for t in range(x.shape[2]):",
        "    new = self.cell(x[:, :, t], state)",
        "    # where a row has ended, its state stays as it is",
        "    state = torch.where(present[:, t : t + 1], new, state)",
        "    states.append(state)",
        "states = torch.stack(states, dim=1)",
        *[line for r in readouts for line in READOUTS[r]],
        f"read = torch.cat([{values}], dim=1)" if len(readouts) > 1 else "",
    ]
    if len(readouts) == 1:
        run[-1] = f"read = {values}"
    if spec.n_tokens is None:
        run.append("return self.head(self.dropout(read))")
    else:
        build.append(f"self.counts = TokenCounts({spec.n_tokens}, {spec.n_outputs})")
        run.append("return self.head(self.dropout(read)) + self.counts(tokens)")
    cell = cell_class(
        f"{name}Cell", description, design, embedding_size, hidden_size, max_norm
    )
    network = network_class(name, "Reads a sequence, step by step.", build, run, given)
    return [*entry_source(spec, embedding_size), MATRIX, cell, network]


def language_source(
    design: CellDesign,
    spec: DataSpec,
    *,
    hidden_size: int,
    max_norm: float | None,
    name: str,
    description: str,
) -> list[str]:
    """Write a network that goes on where tokens end; see :meth:`SearchSpace.source`."""
    build = [
        f"self.embedding = nn.Embedding({spec.n_tokens}, {hidden_size})",
        f"self.bias = nn.Parameter(torch.zeros({spec.n_tokens}))",
        f"self.cell = {name}Cell()",
    ]
    run = [
        "if state is None:",
        f"    state = self.bias.new_zeros(tokens.shape[0], {hidden_size})",
        "logits = []",
        "for t in range(tokens.shape[1]):",
        "    state = self.cell(self.embedding(tokens[:, t]), state)",
        "    logits.append(F.linear(state, self.embedding.weight, self.bias))",
        "return torch.stack(logits, dim=1), state",
    ]
    cell = cell_class(
        f"{name}Cell", description, design, hidden_size, hidden_size, max_norm
    )
    about = "Gives the logits of each next token, and the last state."
    network = network_class(name, about, build, run, "tokens, state=None")
    return [MATRIX, cell, network]
