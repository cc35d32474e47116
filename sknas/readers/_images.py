"""Reading of images, and what networks must know of images and series."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from sklearn.utils import check_array

from sknas.readers._rows import row_digests
from sknas.spaces import DataSpec

FIT_VALUES = 2_000_000  # pixels that means and spreads are taken from
CHANNELS = (1, 3, 4)  # numbers of channels that images in files have
MANY_CHANNELS = 4
WILD = 10  # times the range of 98 % of the values: so far beyond it nothing counts
FAR = 1e3  # times its range from zero, where float32 begins to miss what differs


@dataclass
class Images:
    """Images with the channels first, or series with the features first.

    Parameters
    ----------
    pixels : ndarray of shape (n_rows, n_channels, height, width) or (n_rows, \
n_features, n_steps)
        Of images, uint8 where all values are whole numbers from 0 to 255; else numbers
        as they came.
    """

    pixels: np.ndarray

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def n_values(self) -> int:
        """Numbers in a row."""
        return self.pixels[0].size

    @cached_property
    def parts(self) -> list[np.ndarray]:
        """What tells rows apart: a digest of each, since images are long."""
        return [row_digests(self.pixels)]

    def take(self, index: np.ndarray) -> Images:
        """Take some rows."""
        return Images(self.pixels[index])


def read_images(X, fitted: ImageEncoder | None, estimator) -> Images:
    """Check images, and put their channels first.

    Parameters
    ----------
    X : array-like
        The images.

    fitted : ImageEncoder or None
        What was learnt of the images that the estimator was fitted on; None: it is
        being fitted.

    estimator : BaseEstimator
        Whose `image_shape` counts, and whose name errors are to tell.

    Returns
    -------
    images : Images
        The images.
    """
    pixels = check_array(
        one_array(X),
        allow_nd=True,
        dtype="numeric",
        ensure_all_finite="allow-nan",
        estimator=estimator,
        input_name="X",
    )
    if pixels.ndim > 4:
        raise ValueError(
            f"X has {pixels.ndim} dimensions; {type(estimator).__name__} reads images "
            "of (n_samples, channels, height, width) or (n_samples, height, width), "
            "and series of (n_samples, steps, features)."
        )
    shape = None if fitted is None else fitted.shape
    refuse_empty(pixels)
    if np.isnan(pixels.min()):  # without a mask as large as the images
        raise ValueError(
            "Input X contains NaN: images may not miss pixels, so fill them in."
        )
    pixels = _channels_first(pixels, estimator.image_shape, shape)
    if fitted is not None and pixels.shape[1:] != shape:
        raise ValueError(
            f"X has images of shape {pixels.shape[1:]}, channels first, but "
            f"{type(estimator).__name__} was fitted on images of shape {shape}."
        )
    is_near = fitted is None or fitted.offset is None
    if is_near and pixels.dtype != np.uint8:
        if pixels.min() >= 0 and pixels.max() <= 255:
            as_bytes = pixels.astype(np.uint8)
            if (as_bytes == pixels).all():
                pixels = as_bytes
    return Images(pixels)


def refuse_empty(values: np.ndarray) -> None:
    """Raise an error if rows hold nothing."""
    if 0 in values.shape:
        raise ValueError(
            f"X has the shape {values.shape}: there is nothing in it, and each of its "
            "dimensions must be at least 1."
        )


def one_array(X) -> np.ndarray:
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
            else "it is (channels, height, width); if it is right as it is, give X "
            "that shape, of 4 dimensions"
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
        Mean and standard deviation of each channel, once the offset is taken off and
        wild values are drawn in.

    offset : ndarray of shape (n_channels,) or None
        What is taken off each channel, if one is too far from zero for float32.
    """

    shape: tuple[int, ...] | None = None
    mean: np.ndarray | None = None
    scale: np.ndarray | None = None
    offset: np.ndarray | None = None

    @property
    def kind(self) -> str:
        """What was read: "image" or "series"."""
        return "image" if len(self.shape) == 3 else "series"

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
        with warnings.catch_warnings():  # of channels that are missing altogether
            warnings.simplefilter("ignore", RuntimeWarning)
            if _is_wide(pixels.dtype):
                self.offset = _offset(sample, axes)
                if self.offset is not None:
                    sample -= self._offset_column()
            if pixels.dtype != np.uint8:
                _tame(sample, axes)
            mean, spread = np.nanmean(sample, axis=axes), np.nanstd(sample, axis=axes)
        self.mean = np.nan_to_num(mean, nan=0.0)
        self.scale = np.where(spread > 0, spread, 1.0)
        return self

    def _offset_column(self) -> np.ndarray:
        """Give the offset in a shape that goes with rows."""
        return self.offset.reshape(-1, *[1] * (len(self.shape) - 1))

    def transform(self, images: Images) -> dict[str, np.ndarray]:
        """Give the networks' inputs."""
        pixels = images.pixels
        if pixels.dtype != np.uint8 or self.offset is not None:
            with np.errstate(over="ignore"):
                if self.offset is not None:
                    pixels = pixels - self._offset_column()
                pixels = pixels.astype(np.float32, copy=False)
            if np.isinf(pixels).any():
                raise ValueError("X has values too large for float32: scale it down.")
        # torch would warn of arrays that cannot be written to
        return {"image": np.require(pixels, requirements=["C", "W"])}

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


def _tame(sample: np.ndarray, axes: tuple[int, ...]) -> None:
    """Draw in values, such as a sensor's faults, that would take all the spread."""
    low, high = np.nanquantile(sample, [0.01, 0.99], axis=axes, keepdims=True)
    with np.errstate(over="ignore"):
        reach = np.where(high > low, WILD * (high - low), np.inf)
        np.clip(sample, low - reach, high + reach, out=sample)


def _is_wide(dtype: np.dtype) -> bool:
    """Whether float32 may miss differences between numbers of a type."""
    return dtype.itemsize > (4 if dtype.kind == "f" else 2)


def _offset(sample: np.ndarray, axes: tuple[int, ...]) -> np.ndarray | None:
    """Give the median of each channel that is far from zero for its range."""
    low, middle, high = np.nanquantile(sample, [0.01, 0.5, 0.99], axis=axes)
    with np.errstate(over="ignore", invalid="ignore"):
        width = high - low
        whole = np.nanmax(sample, axis=axes) - np.nanmin(sample, axis=axes)
        width = np.where(width > 0, width, whole)
        is_far = (width > 0) & (np.abs(middle) > FAR * width)
    return np.where(is_far, middle, 0.0) if is_far.any() else None
