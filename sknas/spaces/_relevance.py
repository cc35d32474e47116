"""How much the columns of a table matter to a network that is trained."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

PASS_ROWS = 256  # in one pass: gradients of wide tables take much memory
N_CHANGES = 2  # of each row
MAX_SHARING = 512  # columns whose sensitivity others share in: the most sensitive ones
# of the most relevant column's: none is shut out, since it may matter to other networks
MIN_RELEVANCE = 0.05


def column_relevance(
    network: nn.Module,
    inputs: dict[str, Tensor],
    weight: Tensor,
    join: Callable[[Tensor], Tensor],
) -> np.ndarray | None:
    """Say how much each column of a table matters to a network.

    A column's relevance is the root of how much answers change, in the mean of their
    squares, per square of its own change, as recursive feature machines weight columns
    (Radhakrishnan et al., "Mechanism for feature learning in neural networks and
    backpropagation-free machine learning models", Science 383, 2024). On which of
    several alike columns a network relies is chance: each number shares in what those
    have that it correlates with.

    Parameters are those of :meth:`SearchSpace.relevance`. Gives, of each column, 0.05
    to 1; None where answers depend on no column, or are not finite.
    """
    sensitivity = _sensitivity(network, inputs, weight, join).double()
    if not sensitivity.isfinite().all() or not sensitivity.any():
        return None
    numeric = inputs["numeric"]
    n_numeric = numeric.shape[1]
    if n_numeric:
        sensitivity[:n_numeric] = _shared(sensitivity[:n_numeric], numeric, weight)
    relative = sensitivity / sensitivity.max()
    return relative.sqrt().clamp(min=MIN_RELEVANCE).numpy()


def _sensitivity(
    network: nn.Module,
    inputs: dict[str, Tensor],
    weight: Tensor,
    join: Callable[[Tensor], Tensor],
) -> Tensor:
    """Give, of each column, the squared change of answers per its own squared change.

    A row's columns become those of another row, one at a time, and answers change as
    their gradient by what the first layer reads says.
    """
    n_columns = sum(tensor.shape[1] for tensor in inputs.values())
    answers_change = weight.new_zeros(n_columns)
    columns_change = weight.new_zeros(n_columns)
    for rows in torch.arange(len(weight)).split(PASS_ROWS):
        encoded = network.encode(**{name: t[rows] for name, t in inputs.items()})
        units = [tensor.detach().requires_grad_(True) for tensor in encoded]
        outputs = join(network.answer(*units))
        # the outputs' changes, squared, add up to that of a sum with random signs;
        # given to `grad`, they would load PyTorch's compiler
        signs = torch.randint(0, 2, outputs.shape).to(outputs) * 2 - 1
        gradients = torch.autograd.grad((outputs * signs).sum(), units)
        for shift in range(1, N_CHANGES + 1):
            steps = [
                tensor.detach().roll(shift, 0) - tensor.detach() for tensor in units
            ]
            change, own = weight.new_zeros(2, len(rows), n_columns)
            for gradient, step, columns in zip(
                gradients, steps, network.unit_columns, strict=True
            ):
                change.index_add_(1, torch.from_numpy(columns), gradient * step)
            # of a category, one code goes from one to zero, another from zero to one
            own.index_add_(1, torch.from_numpy(network.unit_columns[0]), steps[0] ** 2)
            answers_change += weight[rows] @ change.square()
            columns_change += weight[rows] @ own
    # a column that never changes says nothing
    return torch.where(columns_change > 0, answers_change / columns_change, 0.0)


def _shared(sensitivity: Tensor, numeric: Tensor, weight: Tensor) -> Tensor:
    """Add, to each column's, its share in those of columns that it correlates with.

    A share is the squared correlation, if it is more than many columns reach by chance.
    """
    n_rows, n_columns = numeric.shape
    centred = numeric - weight @ numeric / weight.sum()
    unit = centred * weight.sqrt().unsqueeze(1)
    norm = unit.norm(dim=0)
    unit = unit / torch.where(norm > 0, norm, 1.0)
    top = sensitivity.argsort(descending=True, stable=True)[:MAX_SHARING]
    chance = (4 + 2 * math.log(n_columns)) / n_rows
    share = (unit.T @ unit[:, top]).square().double()
    share[share <= chance] = 0.0
    share[top, torch.arange(len(top))] = 0.0  # its own counts whole
    return sensitivity + share @ sensitivity[top]
