"""Answers of networks, in passes without gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from sknas.training._isolation import single_precision

# in one pass without gradients: on a CPU, a fifth to a third quicker than four times as
# many
PREDICTION_ROWS = 512
GPU_FACTOR = 4  # times as many elsewhere, where each operation costs its launch
PREDICTION_VALUES = 2**19  # of images and sequences, in one pass
TOKEN_VALUES = 32  # that each token becomes, roughly
ROW_BLOCK = 32  # a pass has a multiple of these, so that products sum in one order


def prediction_rows(inputs: dict[str, Tensor], device: str) -> int:
    """Give the number of rows in one pass without gradients: fewer of long rows."""
    n_rows = PREDICTION_ROWS
    if torch.device(device).type != "cpu":
        n_rows *= GPU_FACTOR
    for name, n_values in {"image": 1, "tokens": TOKEN_VALUES}.items():
        if name in inputs:
            n_values *= inputs[name][0].numel()
            n_rows = min(n_rows, PREDICTION_VALUES // n_values)
            n_rows = max(n_rows // ROW_BLOCK, 1) * ROW_BLOCK
    return n_rows


@torch.no_grad()
def predict_logits(
    network: Callable[..., Tensor],
    inputs: dict[str, Tensor],
    device: str,
    size: int | None = None,
) -> Tensor:
    """Pass rows through a network in chunks; give its logits on the CPU.

    Of `size` rows, a multiple of 32, or by default of as many as networks like.

    The last chunk is filled up with zeros, since the last bits of a row's logits may
    depend on how many rows there are with it.
    """
    with single_precision(device):
        size = size or prediction_rows(inputs, device)
        parts = list(_logits_by_chunk(network, inputs, device, size))
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=-2)


def _logits_by_chunk(
    network: Callable[..., Tensor], inputs: dict[str, Tensor], device: str, size: int
) -> Iterator[Tensor]:
    n_rows = len(next(iter(inputs.values())))
    for start in range(0, max(n_rows, 1), size):
        chunk = {
            name: tensor[start : start + size].to(device)
            for name, tensor in inputs.items()
        }
        n_chunk = min(size, n_rows - start)
        padding = -n_chunk % ROW_BLOCK
        if padding:
            chunk = {
                name: nn.functional.pad(t, (0, 0) * (t.ndim - 1) + (0, padding))
                for name, t in chunk.items()
            }
        yield network(**chunk)[..., :n_chunk, :].cpu()
