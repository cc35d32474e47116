"""How images, series and tokens enter a network."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sknas.spaces._base import DataSpec

COUNT_SCALE = 4.0  # so that weights need not grow far
MAX_SPREADS = 30.0  # spreads from the mean: what is beyond would spoil normalization


def entry_channels(spec: DataSpec, embedding_size: int) -> int:
    """Give the number of channels that a network gets, of images, series or tokens."""
    return embedding_size if spec.image_shape is None else spec.image_shape[0]


class Entry(nn.Module):
    """Turns images, series or ids of tokens into numbers of about unit size.

    Parameters
    ----------
    spec : DataSpec
        What the data look like.

    embedding_size : int
        Numbers that each token becomes.
    """

    def __init__(self, spec: DataSpec, embedding_size: int) -> None:
        super().__init__()
        self.reads_tokens = spec.n_tokens is not None
        self.n_axes = len(spec.sizes)
        self.n_channels = entry_channels(spec, embedding_size)
        if self.reads_tokens:
            self.embedding = nn.Embedding(spec.n_tokens, embedding_size, padding_idx=0)
            return
        for name in ("mean", "scale"):
            values = torch.tensor(getattr(spec, f"image_{name}"), dtype=torch.float32)
            self.register_buffer(name, values.view(-1, *[1] * self.n_axes))

    def rows_axis(self, inputs: Tensor) -> int:
        """Give the place of the axis of rows: 0, or 1 after one of architectures."""
        return inputs.ndim - self.n_axes - (1 if self.reads_tokens else 2)

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor | None]:
        """Scale or embed, and find out where rows end.

        Parameters
        ----------
        inputs : Tensor of shape (..., n_channels, height, width), (..., n_channels, \
n_steps) or (..., n_steps)
            Images; series, where NaN is missing, or follows their end; tokens, which 0
            follows.

        Returns
        -------
        x : Tensor of shape (..., n_channels, height, width) or (..., n_channels, \
n_steps)
            The numbers, zero where they are missing.

        present : Tensor of shape (..., n_steps) or None
            Whether a step comes before the end of its row; None for images.
        """
        if self.reads_tokens:
            x = self.embedding(inputs).transpose(-1, -2)
            return x, _before_end(inputs != 0)
        x = ((inputs.float() - self.mean) / self.scale).clamp(-MAX_SPREADS, MAX_SPREADS)
        if self.n_axes == 2:
            return x, None
        is_missing = x.isnan()
        return x.masked_fill(is_missing, 0.0), _before_end(~is_missing.all(dim=-2))


def _before_end(given: Tensor) -> Tensor:
    """Tell, of each step, whether it or a later one is given, or it is the first."""
    present = given.flip(-1).cummax(-1).values.flip(-1)
    present[..., 0] = True
    return present


class TokenCounts(nn.Module):
    """A linear model of how often each token comes, beside a network.

    What says most of a short or a rare text are single words, which a linear model
    learns from fewer texts than a network does.

    Parameters
    ----------
    n_tokens, n_outputs : int
        How many ids there are, and how many outputs.

    dropout : float
        Rate at which tokens are passed over while training.
    """

    def __init__(self, n_tokens: int, n_outputs: int, dropout: float) -> None:
        super().__init__()
        self.weight = nn.Embedding(n_tokens, n_outputs)
        nn.init.zeros_(self.weight.weight)
        self.dropout = dropout

    def forward(self, tokens: Tensor) -> Tensor:
        """Give outputs (..., n_outputs) of ids (..., n_steps)."""
        present = (tokens != 0).to(self.weight.weight.dtype)
        counted = F.dropout(present, self.dropout, self.training)
        length = present.sum(dim=-1, keepdim=True).clamp(min=1)
        # as counts of unit norm, if all tokens of a text are different
        counted = COUNT_SCALE * counted / length.sqrt()
        return (self.weight(tokens) * counted.unsqueeze(-1)).sum(dim=-2)
