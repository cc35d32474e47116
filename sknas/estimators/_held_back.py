"""The data of a fit, and which of its rows each network holds back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from sknas.training import TensorTable


class HeldBackData(Protocol):
    """The data of a fit, of which each network holds back another part."""

    n_parts: int
    """The number of parts that are held back in turn."""

    def split(self, i: int) -> tuple[TensorTable, TensorTable]:
        """Give the rows to train on and to judge by, for the i-th network."""

    def everything(self, i: int) -> tuple[TensorTable, None]:
        """Give all rows to train on, and none to judge by."""


@dataclass
class FitData:
    """The rows of a fit, and how they are held back.

    Parameters
    ----------
    table : TensorTable
        All rows.

    shares : list of ndarray of shape (n_rows,)
        What is held back, for each network in turn: of each row, a share of its
        copies.
    """

    table: TensorTable
    shares: list[np.ndarray]

    @property
    def n_parts(self) -> int:
        """The number of parts that are held back in turn."""
        return len(self.shares)

    def split(self, i: int) -> tuple[TensorTable, TensorTable]:
        """Give the rows to train on and to judge by, for the i-th network."""
        held = self.shares[i % len(self.shares)]
        rest = 1 - held
        if not rest.any():  # too few rows to hold any back
            rest = held
        train = self._take(rest)
        train.rounds = self.table.rounds
        return train, self._take(held)

    def _take(self, share: np.ndarray) -> TensorTable:
        """Take a share of each row's weight, and the rows of which any is left."""
        rows = torch.from_numpy(np.flatnonzero(share))
        table = self.table.subset(rows)
        table.weight *= torch.from_numpy(share)[rows].to(table.weight.device)
        return table

    def everything(self, i: int) -> tuple[TensorTable, None]:
        """Give all rows to train on, and none to judge by."""
        return self.table, None
