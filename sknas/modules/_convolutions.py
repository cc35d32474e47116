"""Convolutions, pooling and normalization, of series and of images alike.

Tensors have the shape (n_rows, n_channels, height, width). Series have a height of one:
in the layout of images, with channels last, networks of them take 0.5 to 0.8 of the
time that layers for one axis take.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class SeriesConvolution(nn.Conv1d):
    """A convolution of series that are images of height one.

    Its parameters are those of torch's for one axis, which exported code has.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Convolve a tensor (n_rows, n_channels, 1, n_steps)."""
        return F.conv2d(
            x,
            self.weight.unsqueeze(2),
            stride=(1, *self.stride),
            padding=(0, *self.padding),
            groups=self.groups,
        )


_CONVOLUTIONS = {1: SeriesConvolution, 2: nn.Conv2d}


class BatchNorm(nn.BatchNorm2d):
    """Batch normalization that does not fail on one value for each channel."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalize a tensor (n_rows, n_channels, height, width)."""
        if self.training and x.numel() == x.shape[1]:
            return F.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias
            )
        return super().forward(x)


def convolution(
    n_dimensions: int,
    n_inputs: int,
    n_outputs: int,
    kernel_size: int,
    stride: int = 1,
    groups: int = 1,
) -> nn.Module:
    """Build a convolution without bias that keeps the size, rounded up by `stride`."""
    return _CONVOLUTIONS[n_dimensions](
        n_inputs,
        n_outputs,
        kernel_size,
        stride=stride,
        padding=kernel_size // 2,
        groups=groups,
        bias=False,
    )


def separable_convolution(
    n_dimensions: int, n_inputs: int, n_outputs: int, kernel_size: int, stride: int = 1
) -> nn.Sequential:
    """Build a depthwise convolution and a pointwise one after it."""
    return nn.Sequential(
        convolution(n_dimensions, n_inputs, n_inputs, kernel_size, stride, n_inputs),
        convolution(n_dimensions, n_inputs, n_outputs, 1),
    )


def _window(n_dimensions: int, stride: int) -> dict[str, object]:
    """Give the arguments of a pooling over 3 places that keeps the size."""
    if n_dimensions == 2:
        return {"kernel_size": 3, "stride": stride, "padding": 1}
    return {"kernel_size": (1, 3), "stride": (1, stride), "padding": (0, 1)}


def max_pool(n_dimensions: int, stride: int = 1) -> nn.Module:
    """Build a max pooling over 3 places that keeps the size, rounded up by `stride`."""
    return nn.MaxPool2d(**_window(n_dimensions, stride))


def average_pool(n_dimensions: int, stride: int = 1) -> nn.Module:
    """Build an average pooling over 3 places, of which those outside do not count."""
    return nn.AvgPool2d(**_window(n_dimensions, stride), count_include_pad=False)


class Projection(nn.Module):
    """A 1x1 convolution over tensors side by side, normalized.

    Each tensor has a weight of its own, by its name, and any of them may be left out:
    so the columns of one large matrix are shared among all choices of tensors.

    Parameters
    ----------
    n_dimensions : {1, 2}
        Of series, or of images.

    sources : mapping of str to int
        Number of channels of each tensor that there may be.

    n_outputs : int
        Number of channels of the result; even, if it reduces.

    reduces : bool, default=False
        Whether to halve the size, rounded up, by a factorized reduction (Pham et al.,
        2018): one half of the channels sees the even places, the other the odd ones.

    rectifies : bool, default=True
        Whether negative inputs become zero.
    """

    def __init__(
        self,
        n_dimensions: int,
        sources: Mapping[str, int],
        n_outputs: int,
        reduces: bool = False,
        rectifies: bool = True,
    ) -> None:
        super().__init__()
        self.reduces = reduces
        self.rectifies = rectifies
        self.n_dimensions = n_dimensions
        self.weights = nn.ParameterDict(
            {
                name: convolution(n_dimensions, n_inputs, n_outputs, 1).weight
                for name, n_inputs in sources.items()
            }
        )
        self.norm = BatchNorm(n_outputs)

    def forward(self, tensors: Mapping[str, Tensor]) -> Tensor:
        """Project some of the tensors together.

        Parameters
        ----------
        tensors : mapping of str to Tensor of shape (n_rows, n_channels, height, width)
            The tensors, by their names.

        Returns
        -------
        projected : Tensor of shape (n_rows, n_outputs, height, width)
            What they come to.
        """
        x = side_by_side(list(tensors.values()))
        weight = side_by_side([self.weights[name] for name in tensors])
        if self.rectifies:
            x = F.relu(x)
        if self.reduces:
            return self.norm(_halved(x, weight, self.n_dimensions))
        if self.n_dimensions == 1:
            weight = weight.unsqueeze(2)
        return self.norm(F.conv2d(x, weight))


def _halved(x: Tensor, weight: Tensor, n_dimensions: int) -> Tensor:
    """Convolve with a stride of 2: half of the filters even places, half odd ones."""
    x = x.movedim(1, -1)
    even = x[(..., *[slice(0, None, 2)] * n_dimensions, slice(None))]
    if any(size % 2 for size in x.shape[-1 - n_dimensions : -1]):
        x = F.pad(x, (0, 0) + (0, 1) * n_dimensions)
    odd = x[(..., *[slice(1, None, 2)] * n_dimensions, slice(None))]
    # a product of two stacks of matrices is quicker than convolutions in two groups
    both = torch.stack([even, odd])
    halves = both.flatten(1, -2) @ weight.view(2, -1, weight.shape[1]).mT
    return halves.transpose(0, 1).reshape(*even.shape[:-1], -1).movedim(-1, 1)


class Halving(Projection):
    """A factorized reduction of a single tensor, which is not rectified.

    Parameters
    ----------
    n_dimensions : {1, 2}
        Of series, or of images.

    n_inputs, n_outputs : int
        Numbers of channels; the latter even.
    """

    def __init__(self, n_dimensions: int, n_inputs: int, n_outputs: int) -> None:
        super().__init__(
            n_dimensions, {"all": n_inputs}, n_outputs, reduces=True, rectifies=False
        )

    def forward(self, x: Tensor) -> Tensor:
        """Halve the size of a tensor (n_rows, n_inputs, height, width), rounded up."""
        return super().forward({"all": x})


def side_by_side(tensors: list[Tensor]) -> Tensor:
    """Concatenate tensors along their channels."""
    return tensors[0] if len(tensors) == 1 else torch.cat(tensors, dim=1)


def fold_present(present: Tensor, n_places: int) -> Tensor:
    """Say which places are present, once convolutions have halved the steps."""
    stride = 1
    while -(-present.shape[-1] // stride) > n_places:
        stride *= 2
    return present[..., ::stride]


class PooledHead(nn.Module):
    """The end of a convolutional network: mean over all places, then a linear layer.

    Parameters
    ----------
    sources : mapping of str to int
        Number of channels of each tensor that there may be, as in
        :class:`Projection`.

    n_outputs : int
        Number of outputs.

    dropout : float
        Rate of the dropout between the two.
    """

    def __init__(
        self, sources: Mapping[str, int], n_outputs: int, dropout: float
    ) -> None:
        super().__init__()
        self.weights = nn.ParameterDict(
            {name: nn.Linear(n, n_outputs).weight for name, n in sources.items()}
        )
        self.bias = nn.Parameter(torch.zeros(n_outputs))
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, tensors: Mapping[str, Tensor], present: Tensor | None = None
    ) -> Tensor:
        """Map tensors to logits.

        Parameters
        ----------
        tensors : mapping of str to Tensor of shape (n_rows, n_channels, height, width)
            Some of the tensors, by their names.

        present : Tensor of shape (n_rows, n_steps) or None, default=None
            Which steps come before the end of a row; the mean is over those only. The
            tensors may have fewer, halved several times.

        Returns
        -------
        logits : Tensor of shape (n_rows, n_outputs)
            The outputs.
        """
        x = F.relu(side_by_side(list(tensors.values()))).flatten(2)
        if present is None:
            x = x.mean(dim=2)
        else:
            counted = fold_present(present, x.shape[2]).unsqueeze(1)
            x = (x * counted).sum(dim=2) / counted.sum(dim=2)
        weight = side_by_side([self.weights[name] for name in tensors])
        return F.linear(self.dropout(x), weight, self.bias)


class DropPath(nn.Module):
    """Leave out a whole branch, for some rows, while training (Larsson et al., 2017).

    Parameters
    ----------
    rate : float
        How often, at the end of the training; the rate grows with `progress`, as in
        the code of Pham et al. (2018).
    """

    progress: float = 1.0
    """Which share of the training is done; the training's schedule sets it."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """Drop rows of a tensor of shape (n_rows, ...), and scale up the others."""
        rate = self.rate * self.progress
        if not self.training or rate == 0:
            return x
        kept = torch.rand(len(x), *[1] * (x.ndim - 1), device=x.device) >= rate
        return x * (kept / (1 - rate))
