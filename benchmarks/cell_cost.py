"""What a step of the recurrent cell costs beside one of torch's LSTM.

    python benchmarks/cell_cost.py

A step is a pass over all steps of a batch, forward and backward, on one thread. Cells
are drawn at random; the LSTM has as many parameters as the cell, or as many units.
"Plain" is the same cell written as plain torch operations, under autograd. The last
columns are four cells that share the rows of a batch, as in a step of the search.
"""

from __future__ import annotations

import time
from functools import partial

import numpy as np
import pandas as pd
import torch
from torch import nn

from sknas import RecurrentSpace
from sknas.modules import CellDesign, RecurrentCell

ACTIVATIONS = {
    "tanh": torch.tanh,
    "relu": torch.relu,
    "identity": lambda x: x,
    "sigmoid": torch.sigmoid,
}
# rows, units, steps, nodes
SIZES = [(32, 128, 35, 8), (32, 128, 35, 12), (64, 200, 35, 8), (16, 64, 64, 6)]
N_CELLS, N_REPEATS = 5, 7
N_TOGETHER = 4  # cells that share a step of the search


def seconds(step) -> float:
    """Give the median time of a step."""
    step()
    times = []
    for _ in range(N_REPEATS):
        started = time.perf_counter()
        step()
        times.append(time.perf_counter() - started)
    return float(np.median(times))


def plain(cell: RecurrentCell, x, design: CellDesign):
    """Run a cell by plain operations: x is (n_steps, n_rows, n_units)."""
    state, states = torch.zeros_like(x[0]), []
    for inputs in x @ cell.input_weight:
        values = [state]
        for j, pair in enumerate(design.pairs):
            read = values[int(pair.split("_")[0])]
            z = read @ cell.weights[pair] + (inputs if j == 0 else 0)
            gate, own = z.chunk(2, dim=-1)
            own = ACTIVATIONS[design.activations[j]](own)
            values.append(torch.lerp(read, own, torch.sigmoid(gate)))
        state = torch.stack([values[j] for j in design.outputs]).mean(dim=0)
        states.append(state)
    return torch.stack(states)


def ratios(n_rows: int, n_units: int, n_steps: int, n_nodes: int) -> np.ndarray:
    """Give the ratios of one size: medians over cells."""
    space = RecurrentSpace(n_nodes)
    x = torch.randn(n_steps, n_rows, n_units)
    n_parameters = 2 * n_units**2 * (n_nodes + 1)
    n_same = int((np.sqrt(n_units**2 + n_parameters) - n_units) / 2)

    def train(run) -> float:
        return seconds(lambda: run().square().mean().backward())

    rows = []
    architectures = space.decisions().sample(N_CELLS, np.random.RandomState(0))
    designs = [space.design(architecture) for architecture in architectures]
    lstm, wide_lstm = (nn.LSTM(n_units, n) for n in (n_units, n_same))
    several = [*designs[:N_TOGETHER]]
    parts = torch.stack(x.chunk(N_TOGETHER, dim=1))
    shared = RecurrentCell(every_pair(n_nodes), n_units, n_units, space.max_norm)
    for design in designs:
        cell = RecurrentCell(design.pairs, n_units, n_units, space.max_norm)
        zeros = torch.zeros(1, n_rows, n_units)
        own = train(partial(run, cell, x.unsqueeze(0), zeros, [design]))
        by_hand = train(partial(plain, cell, x, design))
        zeros = torch.zeros(N_TOGETHER, n_rows // N_TOGETHER, n_units)
        together = train(partial(run, shared, parts, zeros, several))
        one_by_one = train(partial(plain_each, shared, parts, several))
        rows.append(
            [
                own / train(lambda: wide_lstm(x)[0]),
                own / train(lambda: lstm(x)[0]),
                by_hand / own,
                together / own,
                one_by_one / together,
            ]
        )
    return np.median(rows, axis=0)


def every_pair(n_nodes: int) -> list[str]:
    """Give the names of all matrices."""
    nodes = range(2, n_nodes + 1)
    return ["0_1", *(f"{i}_{j}" for j in nodes for i in range(1, j))]


def run(cell, x, state, designs):
    """Run a cell as sknas does."""
    return cell(x, state, designs)[0]


def plain_each(cell, parts, designs):
    """Run several cells by plain operations, one after the other."""
    return torch.stack(
        [plain(cell, x, design) for x, design in zip(parts, designs, strict=True)]
    )


def main() -> None:
    """Run the benchmark."""
    torch.set_num_threads(1)
    rows = [["{} x {}, {}, {}".format(*size), *ratios(*size)] for size in SIZES]
    columns = [
        "rows x units, steps, nodes",
        "ours / LSTM, same parameters",
        "same units",
        "plain / ours",
        f"{N_TOGETHER} cells / one",
        f"plain / {N_TOGETHER} cells",
    ]
    table = pd.DataFrame(rows, columns=columns)
    print(table.to_string(index=False, float_format="%.2f"))


if __name__ == "__main__":
    main()
