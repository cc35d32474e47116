"""Whether, and how far, to trust the rows of the training that are near."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from sknas.modules import NeighborAttention
from sknas.spaces import DataSpec
from sknas.training import (
    TensorTable,
    Weights,
    load_weights,
    predict_logits,
    single_thread,
)

MAX_ROWS = 4_000  # that are kept: to ask them takes about as long as the networks
MAX_VALUES = 200_000  # of their features
MIN_WEIGHT = 0.01  # of a row that is kept, of the mean: networks hardly know of others
MAX_JUDGED = 1_000  # rows that each network held back
CHUNK_ROWS = 64  # looked at together: more would not stay in the caches
MIN_GAIN = 1e-3  # of log-loss, for which it pays to hold rows and to ask them

# widths of the attention, in units of the distance between nearest rows, and trusts
WIDTHS = (0.1, 0.2, 0.4, 0.8)
TRUSTS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


def choose_neighbors(
    spec: DataSpec,
    table: TensorTable,
    judges: list[tuple[TensorTable, TensorTable, np.ndarray]],
    relevance: np.ndarray | None,
) -> NeighborAttention | None:
    """Choose the attention to rows of the training that has the least log-loss.

    It is judged by the rows that each network held back, of whose neighbors those are
    known that the network learnt from. Of the trust that is best by these, a share is
    kept: less, the less certain it is that it pays.

    Parameters
    ----------
    spec : DataSpec
        What the data look like.

    table : TensorTable
        All rows.

    judges : list of (TensorTable, TensorTable, ndarray)
        For each of several networks the rows that it was trained on, those that it held
        back, which no other did, and its answers for the latter, (n_rows, n_classes).

    relevance : ndarray of shape (n_numeric + n_categorical,) or None
        How much each column matters; None: all alike.

    Returns
    -------
    neighbors : NeighborAttention or None
        None where it does not pay.
    """
    sizes = list(spec.category_sizes)
    if relevance is None:
        relevance = np.ones(spec.n_numeric + len(sizes))
    scale = np.repeat(relevance, [1] * spec.n_numeric + sizes)
    rng = np.random.RandomState(0)  # which rows are kept does not depend on the seed
    # on the CPU, whose sums have an order
    with torch.no_grad(), single_thread():
        neighbors, kept = _keep_rows(spec, table, torch.from_numpy(scale), rng)
        neighbors.reach.fill_(_spacing(neighbors.rows, rng))
        judged = [_judge(neighbors, kept, len(table), *one, rng) for one in judges]
        width, trust = _best(*map(torch.cat, zip(*judged, strict=True)))
        if not trust:
            return None
        neighbors.width.fill_(width * neighbors.reach)
        neighbors.trust.fill_(trust)
    return neighbors


def renew_neighbors(
    last: NeighborAttention, spec: DataSpec, table: TensorTable
) -> NeighborAttention:
    """Give attention to other rows, that is trusted as much.

    Networks that train on have learnt from the rows that they now hold back: their
    answers for these say no more how much their neighbors have to add.
    """
    rng = np.random.RandomState(0)
    neighbors, _ = _keep_rows(spec, table, last.scale, rng)
    for name in ("width", "reach", "trust"):
        getattr(neighbors, name).copy_(getattr(last, name))
    return neighbors


def build_neighbors(weights: Weights, spec: DataSpec) -> NeighborAttention:
    """Build what is in a file; its buffers are the arrays themselves."""
    neighbors = _attention(spec, len(weights["rows"]))
    load_weights(neighbors, weights, copy=False)
    return neighbors


def ask_neighbors(
    neighbors: NeighborAttention, inputs: dict[str, Tensor], log_probability: Tensor
) -> Tensor:
    """Mix the networks' answers with those of neighbors.

    Parameters
    ----------
    neighbors : NeighborAttention
        The neighbors.

    inputs : dict of str to Tensor
        The rows, as networks read them.

    log_probability : Tensor of shape (n_rows, n_classes)
        Logarithms of the networks' probabilities.

    Returns
    -------
    mixed : Tensor of shape (n_rows, n_classes)
        Logarithms of the mixed probabilities.
    """
    with single_thread():
        part = predict_logits(neighbors, inputs, "cpu", CHUNK_ROWS)
    answer, rest = part[:, :-1], part[:, -1:]
    # of `logaddexp`, the last bits depend on how many rows there are
    mixed = torch.stack([log_probability + rest.log(), answer.log()]).logsumexp(dim=0)
    return mixed.log_softmax(dim=1)


def _attention(spec: DataSpec, n_rows: int) -> NeighborAttention:
    """Build attention to rows that are not known yet."""
    sizes = tuple(spec.category_sizes)
    return NeighborAttention(sizes, spec.n_numeric, n_rows, spec.n_outputs).eval()


def _keep_rows(
    spec: DataSpec,
    table: TensorTable,
    scale: Tensor,
    rng: np.random.RandomState,
) -> tuple[NeighborAttention, Tensor]:
    """Keep rows of a table, at random if there are too many; tell which."""
    n_most = max(2, min(MAX_ROWS, MAX_VALUES // len(scale)))
    heavy = torch.nonzero(table.weight.cpu() >= MIN_WEIGHT)[:, 0]
    kept = heavy[_some_of(len(heavy), n_most, rng)]
    inputs, (target, weight) = _rows(table, kept)
    neighbors = _attention(spec, len(kept))
    neighbors.scale.copy_(scale)
    neighbors.rows.copy_(neighbors.encode(**inputs))
    labels = torch.nn.functional.one_hot(target, spec.n_outputs)
    neighbors.labels.copy_(labels)
    neighbors.log_weights.copy_(weight.log())
    return neighbors, kept


def _rows(table: TensorTable, rows: Tensor) -> tuple[dict, tuple[Tensor, Tensor]]:
    """Take rows of a table to the CPU."""
    inputs, (target, weight) = table[rows.to(table.target.device)]
    inputs = {name: tensor.cpu() for name, tensor in inputs.items()}
    return inputs, (target.cpu(), weight.cpu())


def _some_of(n_rows: int, n_most: int, rng: np.random.RandomState) -> Tensor:
    """Give the numbers of rows, at random if there are too many."""
    if n_rows <= n_most:
        return torch.arange(n_rows)
    return torch.from_numpy(np.sort(rng.choice(n_rows, n_most, replace=False)))


def _spacing(rows: Tensor, rng: np.random.RandomState) -> float:
    """Give the median distance from a kept row to the nearest other."""
    nearest = []
    for own in _some_of(len(rows), MAX_JUDGED, rng).split(CHUNK_ROWS):
        distances = torch.cdist(rows[own], rows).float()
        distances[torch.arange(len(own)), own] = torch.inf
        nearest.append(distances.amin(1))
    return max(float(torch.cat(nearest).median()), 1e-3)


def _judge(
    neighbors: NeighborAttention,
    kept: Tensor,
    n_rows: int,
    train: TensorTable,
    valid: TensorTable,
    answers: np.ndarray,
    rng: np.random.RandomState,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Give what a network and its neighbors say of the right classes of held-back rows.

    Logarithms of the probabilities: the network's of shape (n_rows,), the neighbors',
    for each width, (n_rows, n_widths). Then how near the nearest is, and the weights.
    """
    weight = torch.zeros(n_rows)
    weight[train.rows.cpu()] = train.weight.cpu()
    learnt = weight[kept] > 0  # of others, it knows no neighbors
    log_weights = weight[kept][learnt].log()
    labels = neighbors.labels[learnt]
    if not len(labels):  # so few rows are kept, of columns without number
        nothing = torch.zeros(0)
        return nothing, torch.zeros(0, len(WIDTHS)), nothing, nothing
    parts = []
    for own in _some_of(len(valid), MAX_JUDGED, rng).split(CHUNK_ROWS):
        inputs, (target, own_weight) = _rows(valid, own)
        distances = neighbors.distances(**inputs)[:, learnt]
        nearest = distances.amin(dim=1, keepdim=True)
        right = target[:, None]
        attention = []
        for width in WIDTHS:
            answer = neighbors.vote(
                distances, nearest, width * neighbors.reach, log_weights, labels
            )
            attention.append(answer.gather(1, right)[:, 0].log())
        nearness = (-nearest[:, 0] / neighbors.reach).exp()
        of_network = torch.from_numpy(answers)[own].log_softmax(1)
        parts.append(
            (
                of_network.gather(1, right)[:, 0],
                torch.stack(attention, dim=1),
                nearness,
                own_weight,
            )
        )
    return tuple(map(torch.cat, zip(*parts, strict=True)))


def _best(
    network: Tensor, attention: Tensor, nearness: Tensor, weight: Tensor
) -> tuple[float, float]:
    """Give the width and the trust that lead to the least log-loss.

    Of the trust, the share is kept that Stein's rule keeps of a gain: one less the
    square of its standard error over it. None at all, where hardly a gain is left.
    """
    best, left = (0.0, 0.0, 0.0), 0.0
    for i, width in enumerate(WIDTHS):
        for trust in TRUSTS:
            by_row = trust * nearness
            mixed = torch.logaddexp(
                (-by_row).log1p() + network, by_row.log() + attention[:, i]
            )
            gains = (mixed - network) * weight
            gain = float(gains.mean())
            if gain > best[0]:
                error = float(gains.std() / len(gains) ** 0.5)
                share = max(0.0, 1.0 - (error / gain) ** 2)
                best, left = (gain, width, share * trust), share * gain
    return best[1:] if left >= MIN_GAIN else (0.0, 0.0)
