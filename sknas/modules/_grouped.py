"""One pass for many architectures: rows in groups that share large products.

Every tensor has the shape (n_groups, n_rows, n_units). Each group follows another
architecture; units beyond a group's own width are zero.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import groupby

import torch
from torch import Tensor


@lru_cache(maxsize=4096)
def unit_mask(widths: tuple[int, ...], n_units: int, device: torch.device) -> Tensor:
    """Give ones for the first ``widths[g]`` units: shape (n_groups, 1, n_units)."""
    with torch.inference_mode(False):  # what is cached must serve training too
        width = torch.tensor(widths).view(-1, 1, 1)
        return (torch.arange(n_units) < width).float().to(device, non_blocking=True)


@lru_cache(maxsize=4096)
def on_device(
    values: tuple[int, ...], dtype: torch.dtype, device: torch.device
) -> Tensor:
    """Give a few numbers as a tensor, which a GPU gets once instead of in each step."""
    with torch.inference_mode(False):
        return torch.tensor(values, dtype=dtype).to(device, non_blocking=True)


def masked_layer_norm(
    x: Tensor, mask: Tensor, weight: Tensor, bias: Tensor, eps: float = 1e-5
) -> Tensor:
    """Layer normalization over the units that a mask keeps."""
    width = mask.sum(dim=2, keepdim=True)
    centred = (x - (x * mask).sum(dim=2, keepdim=True) / width) * mask
    variance = centred.square().sum(dim=2, keepdim=True) / width
    return centred * torch.rsqrt(variance + eps) * weight + bias


def apply_by_option(
    functions: dict[object, Callable[..., Tensor]],
    options: Sequence[object],
    *tensors: Tensor,
) -> Tensor:
    """Apply to each group the function of its option.

    Parameters
    ----------
    functions : dict of object to callable
        A function for each option; what it returns has the first tensor's shape.

    options : sequence of object, of length n_groups
        The option of each group.

    *tensors : Tensor of shape (n_groups, ...)
        The functions' arguments; each function gets the groups of its option.

    Returns
    -------
    result : Tensor of the first tensor's shape
        The groups in the order in which they came.
    """
    runs = [(option, len(list(run))) for option, run in groupby(options)]
    if len(runs) == 1:
        return functions[options[0]](*tensors)
    # neighbours with the same option go together, by views instead of copies
    parts = zip(
        *(tensor.split([n for _, n in runs]) for tensor in tensors), strict=True
    )
    return torch.cat(
        [
            functions[option](*part)
            for (option, _), part in zip(runs, parts, strict=True)
        ]
    )
