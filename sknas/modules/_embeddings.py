"""Embeddings of table columns: numbers and categories as vectors."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

# numbers of a batch's encoding from which on, on a CPU, it is quicker not to write it
# down: it leaves the caches
LARGE_ENCODING = 400_000


class OneHotColumns(nn.Module):
    """One-hot encoding of several columns of codes, side by side.

    Parameters
    ----------
    sizes : tuple of int
        Number of codes of each column. A code equal to its column's size means
        "unknown" and gives zeros.
    """

    def __init__(self, sizes: tuple[int, ...]) -> None:
        super().__init__()
        self.n_outputs = sum(sizes)
        starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]) if sizes else []
        for name, value in (("sizes", sizes), ("starts", starts)):
            value = torch.tensor(np.asarray(value, dtype=np.int64))
            self.register_buffer(name, value, persistent=False)

    def forward(self, codes: Tensor) -> Tensor:
        """Encode codes of shape (..., n_columns) as (..., n_outputs)."""
        if not self.n_outputs:
            return codes.new_zeros(*codes.shape[:-1], 0, dtype=torch.float32)
        # unknown codes go to one more column at the end, which is cut off
        place = torch.where(codes < self.sizes, codes + self.starts, self.n_outputs)
        shape = (*codes.shape[:-1], self.n_outputs + 1)
        encoded = torch.zeros(shape, dtype=torch.float32, device=codes.device)
        return encoded.scatter_(-1, place, 1.0)[..., :-1]


class PiecewiseLinearEmbedding(nn.Module):
    """Piecewise-linear encoding of each number, then a linear map and ReLU.

    Each number x is encoded by how far it reaches through each of its feature's
    bins: 0 before the bin, 1 after it, linear within (Gorishniy et al., "On
    Embeddings for Numerical Features in Tabular Deep Learning", 2022, eq. 1, but that
    numbers beyond the outer edges are encoded as these are).

    Parameters
    ----------
    edges : ndarray of shape (n_bins + 1, n_features)
        Increasing edges of the bins of each feature. Bins without width, as many
        equal values make them, are left out.

    n_dimensions : int
        Length of the vector for each feature.
    """

    def __init__(self, edges: np.ndarray, n_dimensions: int) -> None:
        super().__init__()
        edges = torch.tensor(np.asarray(edges, dtype=np.float32).T.copy())
        width = edges.diff(dim=1)
        slope = torch.where(width > 1e-6, 1 / width.clamp_min(1e-6), 0.0)
        self.register_buffer("slope", slope)  # (n_features, n_bins)
        self.register_buffer("offset", edges[:, :-1] * slope)
        n_features, n_bins = slope.shape
        bound = 1 / math.sqrt(n_bins)
        self.weight = nn.Parameter(
            torch.empty(n_features, n_bins, n_dimensions).uniform_(-bound, bound)
        )
        self.bias = nn.Parameter(
            torch.empty(n_features, 1, n_dimensions).uniform_(-bound, bound)
        )
        self.n_outputs = n_features * n_dimensions

    def forward(self, x: Tensor) -> Tensor:
        """Embed numbers of shape (..., n_features) as (..., n_outputs)."""
        rows = x.reshape(-1, x.shape[-1])
        is_large = len(rows) * self.slope.numel() >= LARGE_ENCODING
        if is_large and self.training and x.device.type == "cpu":
            embedded = self._looked_up(rows)
        else:
            embedded = self._encoded(rows)
        return embedded.relu().reshape(*x.shape[:-1], self.n_outputs)

    def _encoded(self, rows: Tensor) -> Tensor:
        """Give (n_rows, n_features, n_dimensions), by the encoding."""
        slope, offset = self.slope.unsqueeze(1), self.offset.unsqueeze(1)
        encoded = torch.addcmul(-offset, rows.T.unsqueeze(2), slope).clamp(0.0, 1.0)
        return torch.baddbmm(self.bias, encoded, self.weight).transpose(0, 1)

    def _looked_up(self, rows: Tensor) -> Tensor:
        """Give the same from each number's own bin, and the sum of those before it."""
        n_features, n_bins, n_dimensions = self.weight.shape
        # a bin without width begins where the next one does, and so has no numbers
        has_width = self.slope > 0
        begins = torch.where(has_width, self.offset / self.slope, math.inf)
        begins = begins.flip(1).cummin(dim=1).values.flip(1)
        inner = begins[:, 1:].contiguous()
        own = torch.searchsorted(inner, rows.T.contiguous(), right=True).T
        place = own + n_bins * torch.arange(n_features)
        slope, offset = self.slope.view(-1)[place], self.offset.view(-1)[place]
        part = torch.addcmul(-offset, rows, slope).clamp_(0.0, 1.0)
        weight = self.weight * has_width.unsqueeze(2)
        before = torch.cat([self.bias, self.bias + weight[:, :-1].cumsum(dim=1)], dim=1)
        table = torch.cat([before, weight], dim=2).view(-1, 2 * n_dimensions)
        found = F.embedding(place, table)
        before, weight = found[..., :n_dimensions], found[..., n_dimensions:]
        return torch.addcmul(before, part.unsqueeze(2), weight)


class PeriodicEmbedding(nn.Module):
    """Sines and cosines of each number at learnt frequencies, a linear map, ReLU.

    The "PLR" embedding of Gorishniy et al., "On Embeddings for Numerical Features
    in Tabular Deep Learning", 2022, eq. 3, with one linear map for each feature.

    Parameters
    ----------
    n_features : int
        Number of features.

    n_frequencies : int
        Number of frequencies for each feature.

    n_dimensions : int
        Length of the vector for each feature.

    scale : float, default=0.5
        Standard deviation of the frequencies at the start, in periods per unit of
        a scaled feature.
    """

    def __init__(
        self, n_features: int, n_frequencies: int, n_dimensions: int, scale: float = 0.5
    ) -> None:
        super().__init__()
        frequency = torch.randn(n_features, 1, n_frequencies) * (2 * math.pi * scale)
        self.frequency = nn.Parameter(frequency)
        bound = 1 / math.sqrt(2 * n_frequencies)
        self.weight = nn.Parameter(
            torch.empty(n_features, 2 * n_frequencies, n_dimensions).uniform_(
                -bound, bound
            )
        )
        self.bias = nn.Parameter(
            torch.empty(n_features, 1, n_dimensions).uniform_(-bound, bound)
        )
        self.n_outputs = n_features * n_dimensions

    def forward(self, x: Tensor) -> Tensor:
        """Embed numbers of shape (..., n_features) as (..., n_outputs)."""
        rows = x.reshape(-1, x.shape[-1]).T.unsqueeze(2)
        angle = rows * self.frequency
        waves = torch.cat([angle.sin(), angle.cos()], dim=2)
        embedded = torch.baddbmm(self.bias, waves, self.weight).relu()
        return embedded.transpose(0, 1).reshape(*x.shape[:-1], self.n_outputs)
