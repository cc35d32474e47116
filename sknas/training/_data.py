"""Data in memory: a data set of tensors, and batches that index into it."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.utils.data import Dataset

from sknas.training._augmentation import Augmentation

LOOKUP_VALUES = 2**18  # of rows that are looked up at once

Batch = tuple[dict[str, Tensor], tuple[Tensor, Tensor]]


class TensorTable(Dataset):
    """Inputs by name, targets and weights, as tensors on one device.

    Parameters
    ----------
    inputs : dict of str to Tensor
        The inputs, each with the rows along its first axis.

    target : Tensor of shape (n_rows, ...)
        The targets: classes of shape (n_rows,), numbers of shape (n_rows, n_outputs),
        the next tokens of shape (n_rows, n_steps).

    weight : Tensor of shape (n_rows,)
        The rows' weights, with a mean of about one.

    rows : Tensor of int, of shape (n_rows,), or None, default=None
        Which rows of the inputs the table has: tables of parts of the same rows share
        their inputs. None: all.

    batch_rows : int or None, default=None
        Of rows whose order counts, the number of rows of each batch, which then is not
        drawn at random. None: batches of any rows will do.

    rounds : int, default=1
        How often an epoch goes through the rows: more than once where each stands for
        several that were equal.
    """

    def __init__(
        self,
        inputs: dict[str, Tensor],
        target: Tensor,
        weight: Tensor,
        rows: Tensor | None = None,
        batch_rows: int | None = None,
        rounds: int = 1,
    ) -> None:
        self.inputs = inputs
        self.target = target
        self.weight = weight
        self.rows = rows
        self.batch_rows = batch_rows
        self.rounds = rounds

    def __len__(self) -> int:
        return len(self.target)

    def __getitem__(self, index: int | slice | Tensor) -> Batch:
        rows = index if self.rows is None else self.rows[index]
        inputs = {name: tensor[rows] for name, tensor in self.inputs.items()}
        return inputs, (self.target[index], self.weight[index])

    def subset(self, index: Tensor) -> TensorTable:
        """Take the rows of an index, in its order; the inputs are not copied.

        Of these, an epoch has one round.
        """
        index = index.to(self.target.device)
        rows = index if self.rows is None else self.rows[index]
        return TensorTable(self.inputs, self.target[index], self.weight[index], rows)

    def reweighted(self, weight: Tensor) -> TensorTable:
        """Give the same rows other weights."""
        return TensorTable(
            self.inputs, self.target, weight, self.rows, self.batch_rows, self.rounds
        )

    def to(self, device: str) -> TensorTable:
        """Move all tensors to a device."""
        inputs = {name: tensor.to(device) for name, tensor in self.inputs.items()}
        rows = None if self.rows is None else self.rows.to(device)
        return TensorTable(
            inputs,
            self.target.to(device),
            self.weight.to(device),
            rows,
            self.batch_rows,
            self.rounds,
        )


class BatchIterator:
    """Batches of a :class:`TensorTable`, the whole batch taken at once.

    A skorch iterator without workers and without work for each row.

    Parameters
    ----------
    dataset : TensorTable
        The data.

    batch_size : int
        Rows in a batch. The last batch takes what is left.

    shuffle : bool, default=False
        Whether to draw a new order, from torch's default generator, in each pass, of
        rows whose order does not count.

    n_batches : int or None, default=None
        Batches in a pass; where the rows do not suffice, they are gone through
        again. None: as many as the rows fill, in all rounds that the data set has.

    augmentation : callable or None, default=None
        Changes the inputs of a batch at random.
    """

    def __init__(
        self,
        dataset: TensorTable,
        batch_size: int,
        shuffle: bool = False,
        n_batches: int | None = None,
        augmentation: Augmentation | None = None,
    ) -> None:
        self.dataset = dataset
        self.augmentation = augmentation
        # skorch makes datasets of its own, whose order does not count
        batch_rows = getattr(dataset, "batch_rows", None)
        self.rounds = getattr(dataset, "rounds", 1)
        self.batch_size = batch_rows or batch_size
        self.shuffle = shuffle and batch_rows is None
        self.n_batches = n_batches

    def __len__(self) -> int:
        if self.n_batches is not None:
            return self.n_batches
        return self.rounds * -(-len(self.dataset) // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        n_rows, size = len(self.dataset), self.batch_size
        per_round = max(-(-n_rows // size), 1)
        for first in range(0, len(self), per_round):
            end = min((len(self) - first) * size, n_rows)
            if self.shuffle:
                yield from self._shuffled(n_rows, end)
            else:
                for start in range(0, end, size):
                    yield self.dataset[start : min(start + size, n_rows)]

    def _shuffled(self, n_rows: int, end: int) -> Iterator[Batch]:
        """Give the batches of the first rows in a new order."""
        order = torch.randperm(n_rows).to(self.dataset.target.device)
        size = self.batch_size
        # rows are looked up for several batches at once, which is quicker
        n_values = sum(t[0].numel() for t in self.dataset.inputs.values())
        at_once = size * max(1, LOOKUP_VALUES // (size * max(n_values, 1)))
        for start in range(0, end, at_once):
            rows = order[start : min(start + at_once, end)]
            inputs, (target, weight) = self.dataset[rows]
            parts = {name: tensor.split(size) for name, tensor in inputs.items()}
            targets, weights = target.split(size), weight.split(size)
            for i, goal in enumerate(zip(targets, weights, strict=True)):
                own = {name: split[i] for name, split in parts.items()}
                if self.augmentation is not None:
                    own = self.augmentation(own)
                yield own, goal
