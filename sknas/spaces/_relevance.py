"""How much the columns of a table matter to networks that are trained."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

PASS_ROWS = 256  # in one pass: gradients of wide tables take much memory
PASS_COLUMNS = 512  # whose correlations with all others are found at once
N_CHANGES = 2  # of each row
CHANCE = 4.0  # times 1 / n_rows: a squared correlation that is no more may be chance
# of the most relevant column's: none is shut out, since it may matter to other networks
MIN_RELEVANCE = 0.05


def column_relevance(
    networks: list[nn.Module],
    inputs: dict[str, Tensor],
    weight: Tensor,
    join: Callable[[Tensor], Tensor],
) -> np.ndarray | None:
    """Say how much each column of a table matters to networks.

    A column's relevance is the root of how much answers change, in the mean of their
    squares, per unit of its own change, as recursive feature machines weight columns
    (Radhakrishnan et al., "Mechanism for feature learning in neural networks and
    backpropagation-free machine learning models", Science 383, 2024). On which of
    several alike columns a network relies is chance: each number shares in what those
    have that it correlates with.

    Parameters
    ----------
    networks : list of TabularNetwork
        Trained networks.

    inputs : dict of str to Tensor
        Rows in any order: "numeric" and "categorical".

    weight : Tensor of shape (n_rows,)
        Their weights.

    join : callable
        Makes one answer of what a network gives, of shape (n_rows, n_outputs).

    Returns
    -------
    relevance : ndarray of shape (n_numeric + n_categorical,) or None
        Of each column, from 0.05 to 1. None where answers depend on no column, or are
        not finite.
    """
    sensitivities = []
    for network in networks:
        found = _sensitivity(network, inputs, weight, join).cpu().double()
        if found.isfinite().all() and found.max() > 0:
            sensitivities.append(found / found.max())
    if not sensitivities:
        return None
    total = torch.stack(sensitivities).sum(dim=0)
    n_numeric = inputs["numeric"].shape[1]
    total[:n_numeric] = _shared(total[:n_numeric], inputs["numeric"].cpu())
    return (total / total.max()).sqrt().clamp(min=MIN_RELEVANCE).numpy()


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
    of_answers = weight.new_zeros(n_columns)
    of_columns = weight.new_zeros(n_columns)
    for _ in range(N_CHANGES):
        order = torch.randperm(len(weight)).to(weight.device)
        for rows in torch.arange(len(weight), device=weight.device).split(PASS_ROWS):
            here = {name: tensor[rows] for name, tensor in inputs.items()}
            other = {name: tensor[order[rows]] for name, tensor in inputs.items()}
            before = [tensor.detach() for tensor in network.encode(**here)]
            after = [tensor.detach() for tensor in network.encode(**other)]
            for tensor in before:
                tensor.requires_grad_(True)
            outputs = join(network.answer(*before))
            # the outputs' changes, squared, add up to that of a sum with random signs;
            # given to `grad`, they would load PyTorch's compiler
            signs = torch.randint(0, 2, outputs.shape).to(outputs) * 2 - 1
            gradients = torch.autograd.grad((outputs * signs).sum(), before)
            change = outputs.new_zeros(len(rows), n_columns)
            for gradient, old, new, columns in zip(
                gradients, before, after, network.columns, strict=True
            ):
                step = gradient * (new - old.detach())
                change.index_add_(1, torch.from_numpy(columns).to(step.device), step)
            own = torch.hstack(
                [
                    (other["numeric"] - here["numeric"]).square(),
                    # one code goes from one to zero, and another from zero to one
                    2.0 * (other["categorical"] != here["categorical"]),
                ]
            )
            of_answers += weight[rows] @ change.square()
            of_columns += weight[rows] @ own
    # a column that never changes says nothing
    return torch.where(of_columns > 0, of_answers / of_columns, 0.0)


def _shared(sensitivity: Tensor, numeric: Tensor) -> Tensor:
    """Add, to each column's, its share in those of columns that it correlates with.

    A share is the squared correlation, less what chance would give.
    """
    centred = numeric - numeric.mean(dim=0)
    norm = centred.norm(dim=0)
    unit = centred / torch.where(norm > 0, norm, 1.0)
    shared = []
    for columns in unit.split(PASS_COLUMNS, dim=1):
        share = (columns.T @ unit).square() - CHANCE / len(unit)
        share.diagonal(offset=sum(map(len, shared))).fill_(0.0)  # its own counts whole
        shared.append(share.clamp(min=0.0).double() @ sensitivity)
    return sensitivity + torch.cat(shared)
