"""Random changes of images that leave their labels as they are."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

CROP_SHARE = 1 / 8  # of the size, padded on each side: 4 of 32, as He et al. (2016)
CUTOUT_SHARE = 1 / 2  # of the size: 16 of 32, as DeVries and Taylor (2017)
SHIFT, SCALE, DEGREES = 0.1, 0.1, 10.0  # at most, of an affine map


def _ends(image: Tensor, axis: int) -> Tensor:
    """Give each row's size along an axis; NaN at the end of a series is not of it."""
    size = image.shape[axis]
    if image.ndim > 3:
        return torch.full((len(image),), size, device=image.device)
    step = torch.arange(1, size + 1, device=image.device)
    return torch.where(image.isnan().all(dim=1), 0, step).amax(dim=1)


def _up_to(limit: Tensor) -> Tensor:
    """Draw a whole number from 0 up to each limit."""
    return (torch.rand(len(limit), device=limit.device) * (limit + 1)).long()


def _take(image: Tensor, place: Tensor, end: Tensor, axis: int) -> Tensor:
    """Take places, of shape (n_rows, size), along an axis, up to each row's end."""
    rows = torch.arange(len(image), device=image.device)[:, None]
    here = torch.arange(image.shape[axis], device=image.device)
    place = torch.where(here < end[:, None], place, here)
    # a pair of indices puts its own axis first: (n_rows, size, ...)
    return image.movedim(axis, 1)[rows, place].movedim(1, axis)


def crop(image: Tensor) -> Tensor:
    """Shift images by up to an eighth of their size; edges are repeated outwards."""
    for axis in range(2, image.ndim):
        end = _ends(image, axis)
        margin = (CROP_SHARE * end).round().long().clamp(min=1)
        shift = _up_to(2 * margin) - margin
        place = torch.arange(image.shape[axis], device=image.device) + shift[:, None]
        last = (end - 1).clamp(min=0)[:, None]
        image = _take(image, place.clamp(min=0).minimum(last), end, axis)
    return image


def flip(image: Tensor) -> Tensor:
    """Mirror images left to right, each by chance; series, along their steps."""
    end = _ends(image, -1)
    place = torch.arange(image.shape[-1], device=image.device)
    chosen = torch.rand(len(image), device=image.device) < 0.5
    place = torch.where(chosen[:, None], end[:, None] - 1 - place, place)
    return _take(image, place, end, -1)


def cutout(image: Tensor) -> Tensor:
    """Put the image's mean into a square of half the size, centred anywhere."""
    inside = torch.ones((), dtype=torch.bool, device=image.device)
    for axis in range(2, image.ndim):
        size = image.shape[axis]
        shape = [-1] + [size if a == axis else 1 for a in range(1, image.ndim)]
        end = _ends(image, axis)
        centre, end = _up_to(end - 1)[:, None], end[:, None]
        here = torch.arange(size, device=image.device)
        half = CUTOUT_SHARE * end / 2
        is_near = (centre - half <= here) & (here < centre + half)
        inside = inside & (is_near & (here < end)).view(shape)
    mean = image.flatten(2).nanmean(dim=2)
    mean = mean.view(*image.shape[:2], *[1] * (image.ndim - 2))
    return torch.where(inside, mean, image)


def affine(image: Tensor) -> Tensor:
    """Shift images by up to a tenth, scale by as much, turn by up to 10 degrees."""
    uniform = torch.rand(5, len(image), device=image.device) * 2 - 1
    angle = uniform[0] * math.radians(DEGREES)
    width, height = 1 + uniform[1:3] * SCALE
    across, down = uniform[3:] * 2 * SHIFT
    # a turn is one in pixels; the grid's axes both go from -1 to 1
    ratio = image.shape[2] / image.shape[3]
    left, up = -angle.sin() * ratio, angle.sin() / ratio
    rows = [
        torch.stack([angle.cos() * width, left * height, across], dim=1),
        torch.stack([up * width, angle.cos() * height, down], dim=1),
    ]
    grid = F.affine_grid(torch.stack(rows, dim=1), image.shape, align_corners=False)
    return F.grid_sample(image, grid, padding_mode="border", align_corners=False)


AUGMENTATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "affine": affine,
    "crop": crop,
    "cutout": cutout,
    "flip": flip,
}


@dataclass(frozen=True)
class Augmentation:
    """Changes the images of a batch.

    Parameters
    ----------
    steps : tuple of str or callable
        Names of :data:`AUGMENTATIONS`, or callables that take and give a float
        tensor of shape (n_rows, n_channels, ...), one after the other.
    """

    steps: tuple

    def __call__(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Give the inputs with images changed."""
        image = inputs["image"].float()
        shape = image.shape
        for step in self.steps:
            image = (AUGMENTATIONS[step] if isinstance(step, str) else step)(image)
            if not isinstance(image, Tensor) or image.shape != shape:
                raise ValueError(
                    f"The 'augmentation' parameter has {step!r}, which must give a "
                    f"tensor of the shape that it took, {tuple(shape)}. It gave "
                    f"{_described(image)}."
                )
        return {**inputs, "image": image}


def _described(value: object) -> str:
    shape = f" of shape {tuple(value.shape)}" if hasattr(value, "shape") else ""
    return f"a {type(value).__name__}{shape}"
