"""What the rows of a training say of others: attention to those that are near."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from sknas.modules._embeddings import OneHotColumns


class NeighborAttention(nn.Module):
    """Class probabilities from the labels of rows that are kept, and trust in them.

    The probabilities for a row are the mean of the kept rows' labels, each with the
    weight ``w exp(-d / width)``, where d is its Euclidean distance: attention, as in
    Khandelwal et al., "Generalization through Memorization" (2020), who mix the answers
    of language models with those of their nearest neighbors. Their trust is constant;
    here it is ``trust exp(-d / reach)`` with the distance of the nearest, so that rows
    that have no near neighbors are left to the networks.

    Parameters
    ----------
    sizes : tuple of int
        Number of levels of each category.

    n_numeric : int
        Number of numbers.

    n_rows : int
        Number of rows that are kept.

    n_classes : int
        Number of classes.
    """

    # two levels of a category are as far apart as 0 and 1
    level_scale: ClassVar[float] = math.sqrt(0.5)

    # of attention: products of what is smaller still are slow
    least_logit: ClassVar[float] = -60.0

    def __init__(
        self, sizes: tuple[int, ...], n_numeric: int, n_rows: int, n_classes: int
    ) -> None:
        super().__init__()
        self.one_hot = OneHotColumns(sizes)
        n_features = n_numeric + sum(sizes)
        for name, shape, dtype in (
            ("scale", (n_features,), torch.float64),
            ("rows", (n_rows, n_features), torch.float64),
            ("labels", (n_rows, n_classes), torch.float32),
            ("log_weights", (n_rows,), torch.float32),
            ("width", (), torch.float32),
            ("reach", (), torch.float32),
            ("trust", (), torch.float32),
        ):
            self.register_buffer(name, torch.zeros(shape, dtype=dtype))

    def encode(self, numeric: Tensor, categorical: Tensor) -> Tensor:
        """Give the features between which distances are: (n_rows, n_features)."""
        levels = self.one_hot(categorical) * self.level_scale
        return torch.cat([numeric, levels], dim=1).double() * self.scale

    def distances(self, numeric: Tensor, categorical: Tensor) -> Tensor:
        """Give the distances to the kept rows: (n_rows, n_kept)."""
        # in double precision, since it subtracts what is nearly the same of near rows;
        # one product instead of `cdist`, which makes larger ones and takes longer
        x, rows = self.encode(numeric, categorical), self.rows
        squares = torch.addmm(rows.square().sum(1), x, rows.T, alpha=-2)
        squares += x.square().sum(1, keepdim=True)
        return squares.float().clamp_(min=0).sqrt_()

    def vote(
        self,
        distances: Tensor,
        nearest: Tensor,
        width: Tensor,
        log_weights: Tensor,
        labels: Tensor,
    ) -> Tensor:
        """Give the mean of kept rows' labels: (n_rows, n_classes)."""
        # a softmax, in fewer passes: the nearest row's logit is its weight's alone, so
        # that nothing overflows, and the labels of a row add up to one
        closeness = nearest - distances
        logits = closeness.div_(width).clamp_(min=self.least_logit).add_(log_weights)
        votes = logits.exp_() @ labels
        return votes / votes.sum(dim=1, keepdim=True)

    def forward(self, numeric: Tensor, categorical: Tensor) -> Tensor:
        """Give the neighbors' part of the probabilities.

        Parameters
        ----------
        numeric : Tensor of shape (n_rows, n_numeric)
            Scaled numbers.

        categorical : Tensor of int, of shape (n_rows, n_categorical)
            Codes.

        Returns
        -------
        part : Tensor of shape (n_rows, n_classes + 1), double
            The neighbors' probabilities times the trust in them, and, last, what is
            left for the networks: one less the trust.
        """
        distances = self.distances(numeric, categorical)
        nearest = distances.amin(dim=1, keepdim=True)
        answer = self.vote(
            distances, nearest, self.width, self.log_weights, self.labels
        )
        trust = self.trust * (-nearest / self.reach).exp()
        return torch.cat([trust * answer, 1 - trust], dim=1).double()
