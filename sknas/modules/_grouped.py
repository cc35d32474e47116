"""One pass for many architectures: rows in groups that share large products.

Every tensor has the shape (n_groups, n_rows, n_units). Each group follows another
architecture; units beyond a group's own width are zero.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def unit_mask(widths: Sequence[int], n_units: int, like: Tensor) -> Tensor:
    """Give ones for the first ``widths[g]`` units: shape (n_groups, 1, n_units)."""
    width = torch.tensor(widths, device=like.device).view(-1, 1, 1)
    return (torch.arange(n_units, device=like.device) < width).to(like.dtype)


def dropout_mask(rates: Sequence[float], mask: Tensor, n_rows: int) -> Tensor:
    """Multiply a unit mask with dropout noise, each group having its own rate."""
    keep = 1 - torch.tensor(rates, device=mask.device).view(-1, 1, 1)
    noise = torch.rand(len(rates), n_rows, mask.shape[2], device=mask.device) < keep
    return noise * (mask / keep)


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
    distinct = sorted(set(options), key=str)
    if len(distinct) == 1:
        return functions[distinct[0]](*tensors)
    members = {o: [g for g, own in enumerate(options) if own == o] for o in distinct}
    parts = [functions[o](*(t[members[o]] for t in tensors)) for o in distinct]
    order = [g for o in distinct for g in members[o]]
    back = sorted(range(len(order)), key=order.__getitem__)
    return torch.cat(parts)[back]
