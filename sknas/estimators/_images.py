"""Reading of images, and what networks must know of images and series."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from sklearn.utils import check_array

from sknas.estimators._rows import row_digests
from sknas.spaces import DataSpec

FIT_VALUES = 2_000_000  # pixels that means and spreads are taken from
CHANNELS = (1, 3, 4)  # numbers of channels that images in files have
MANY_CHANNELS = 4


@dataclass
class Images:
    """Images with the channels first, or series with the features first.

    Parameters
    ----------
    pixels : ndarray of shape (n_rows, n_channels, height, width) or (n_rows, \
n_features, n_steps)
        Of images, uint8 where all values are whole numbers from 0 to 255; else float32.
    """

    pixels: np.ndarray

    def __len__(self) -> int:
        return len(self.pixels)

    @cached_property
    def parts(self) -> list[np.ndarray]:
        """What tells rows apart: a digest of each, since images are long."""
        return [row_digests(self.pixels)]

    def take(self, index: np.ndarray) -> Images:
        """Take some rows."""
        return Images(self.pixels[index])


def read_images(
    X, image_shape: tuple[int, ...] | None, fitted: tuple[int, ...] | None, estimator
) -> Images:
    """Check images, and put their channels first.

    Parameters
    ----------
    X : array-like
        The images.

    image_shape : tuple of int or None
        The estimator's parameter.

    fitted : tuple of int or None
        The shape of the images that it was fitted on; None: it is being fitted.

    estimator : BaseEstimator
        Whose name errors are to tell.

    Returns
    -------
    images : Images
        The images.
    """
    pixels = check_array(
        _one_array(X),
        allow_nd=True,
        dtype="numeric",
        estimator=estimator,
        input_name="X",
    )
    if pixels.ndim > 4:
        raise ValueError(
            f"X has {pixels.ndim} dimensions; {type(estimator).__name__} reads images "
            "of (n_samples, channels, height, width) or (n_samples, height, width), "
            "and series of (n_samples, steps, features)."
        )
    pixels = _channels_first(pixels, image_shape, fitted)
    if fitted is not None and pixels.shape[1:] != fitted:
        raise ValueError(
            f"X has images of shape {pixels.shape[1:]}, channels first, but "
            f"{type(estimator).__name__} was fitted on images of shape {fitted}."
        )
    if pixels.dtype != np.uint8 and pixels.min() >= 0 and pixels.max() <= 255:
        as_bytes = pixels.astype(np.uint8)
        if (as_bytes == pixels).all():
            pixels = as_bytes
    if pixels.dtype != np.uint8:
        with np.errstate(over="ignore"):
            pixels = pixels.astype(np.float32, copy=False)
        if not np.isfinite(pixels).all():
            raise ValueError("X has values too large for float32: scale it down.")
    return Images(pixels)


def _one_array(X) -> np.ndarray:
    """Put a list of images into one array."""
    if hasattr(X, "toarray"):  # a sparse matrix, which is refused by check_array
        return X
    try:
        pixels = np.asarray(X)
    except ValueError as error:
        raise ValueError(_sizes_differ(X)) from error
    if pixels.dtype == object and pixels.ndim == 1:
        if len({np.shape(image) for image in pixels}) > 1:
            raise ValueError(_sizes_differ(pixels))
        pixels = np.stack([np.asarray(image) for image in pixels])
    return pixels


def _sizes_differ(X) -> str:
    shapes = []
    for image in X:
        try:
            shape = np.shape(image)
        except ValueError:  # the rows of an image differ
            shape = "one with rows of different lengths"
        if shape not in shapes:
            shapes.append(shape)
    shown = " and ".join(map(str, shapes[:3]))
    return (
        f"X holds images of different sizes: {shown}. Resize or crop them to one size."
    )


def _channels_first(
    pixels: np.ndarray,
    image_shape: tuple[int, ...] | None,
    fitted: tuple[int, ...] | None,
) -> np.ndarray:
    own = pixels.shape[1:]
    if pixels.ndim == 2:
        if image_shape is None:
            raise ValueError(
                "X has 2 dimensions, but the estimator was fitted on images of shape "
                f"{fitted}: give X that shape, or image_shape to the estimator."
            )
        _refuse_channels_last(image_shape, "image_shape")
        if np.prod(image_shape) != own[0]:
            raise ValueError(
                f"The 'image_shape' parameter, {image_shape}, stands for "
                f"{np.prod(image_shape)} pixels, but X has {own[0]} columns."
            )
        return pixels.reshape(len(pixels), *image_shape)
    if pixels.ndim == 4 and image_shape is None and fitted is None:
        _refuse_channels_last(own, "X")
    if pixels.ndim == 3:
        pixels = pixels[:, None]
    if image_shape is not None and pixels.shape[1:] != tuple(image_shape):
        raise ValueError(
            f"The 'image_shape' parameter is {image_shape}, but X has images of shape "
            f"{pixels.shape[1:]}, channels first."
        )
    return pixels


def _refuse_channels_last(shape: tuple[int, ...], name: str) -> None:
    if shape[0] > MANY_CHANNELS and shape[-1] in CHANNELS:
        hint = (
            "np.moveaxis(X, -1, 1) puts them first; if the shape is right as it is, "
            f"set image_shape={tuple(shape)} to say so"
            if name == "X"
            else "it is (channels, height, width)"
        )
        raise ValueError(
            f"{name} seems to have the channels last, {tuple(shape)}, where they must "
            f"come first: {hint}."
        )


@dataclass
class ImageEncoder:
    """Leaves images as they are; networks scale them, batch by batch.

    Parameters
    ----------
    shape : tuple of int or None
        (n_channels, height, width), or (n_features, n_steps).

    mean, scale : ndarray of shape (n_channels,) or None
        Mean and standard deviation of each channel.
    """

    kind = "image"

    shape: tuple[int, ...] | None = None
    mean: np.ndarray | None = None
    scale: np.ndarray | None = None

    def fit(self, images: Images, copies: np.ndarray) -> ImageEncoder:
        """Learn from distinct rows, in a canonical order.

        Parameters
        ----------
        images : Images
            The rows.

        copies : ndarray of shape (n_rows,)
            How often each came, which does not count here.

        Returns
        -------
        self : ImageEncoder
            Itself.
        """
        pixels = images.pixels
        self.shape = pixels.shape[1:]
        step = -(-pixels.size // FIT_VALUES)
        sample = pixels[::step].astype(np.float64)
        axes = (0, *range(2, sample.ndim))
        given = ~np.isnan(sample)
        self.mean = sample.mean(axis=axes, where=given)
        spread = sample.std(axis=axes, where=given)
        is_empty = ~given.any(axis=axes)
        self.mean[is_empty] = 0.0
        self.scale = np.where((spread > 0) & ~is_empty, spread, 1.0)
        return self

    def transform(self, images: Images) -> dict[str, np.ndarray]:
        """Give the networks' inputs."""
        # torch would warn of arrays that cannot be written to
        return {"image": np.require(images.pixels, requirements=["C", "W"])}

    def spec(self, n_outputs: int) -> DataSpec:
        """Say what networks must know of the data."""
        return DataSpec(
            n_outputs,
            image_shape=self.shape,
            image_mean=self.mean,
            image_scale=self.scale,
        )

    def to_state(self) -> dict[str, object]:
        """Give the state as a dictionary, without this class."""
        return dict(vars(self))

    @classmethod
    def from_state(cls, state: dict[str, object]) -> ImageEncoder:
        """Build an encoder from what :meth:`to_state` gave."""
        return cls(**{**state, "shape": tuple(state["shape"])})
