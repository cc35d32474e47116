"""What the convolutional spaces share: how images enter, and how sizes are chosen."""

from __future__ import annotations

import math
from abc import abstractmethod

import torch
from torch import Tensor, nn

from sknas.architecture import Architecture
from sknas.modules import BatchNorm, convolution
from sknas.rules import (
    COUNT,
    RATE,
    Rule,
    check_rules,
    is_count,
    is_integer,
    or_auto,
    or_none,
)
from sknas.spaces._base import DataSpec, SearchSpace
from sknas.spaces._entry import Entry, TokenCounts, entry_channels
from sknas.spaces._fixed_arc import FixedArcMixin

LARGEST_MAP = 256  # places of the stem's output, where stem_stride is "auto"
SMALL_MAP = 100  # so few places leave time for more filters, where n_filters is "auto"
CALIBRATION_ROWS = 64  # that an architecture's normalization is estimated on
# of large networks, whose memory it halves; small ones take a tenth longer with it, and
# other devices have single precision
TRAINING_PRECISIONS = {"cuda": torch.bfloat16}
LARGE_MAPS = 32 * 32 * 32  # places of the stem's output, times `n_filters`


class ConvNetwork(nn.Module):
    """A network of images or series: of one architecture, or shared by many.

    One class serves as both. It holds the modules of all the options that it is built
    with; those of a single architecture make the stand-alone network, and its
    parameters have the same names in the shared one.

    Parameters
    ----------
    spec : DataSpec
        What the data look like.

    architecture : Architecture or None
        The architecture of a stand-alone network; None: shared by many.

    embedding_size : int
        Numbers that each token of a text becomes.

    dropout : float
        Rate at which tokens of a text do not count.

    n_filters, stem_stride : int
        Filters of the first layers, and by how much the stem reduces the size.
    """

    # each architecture of a step is a pass of its own, which small ones make dear; two
    # or four ranked architectures no better
    n_groups = 1

    auxiliary_weight = 0.0  # of the loss of a second output, in training

    def __init__(
        self,
        spec: DataSpec,
        architecture: Architecture | None,
        embedding_size: int,
        dropout: float,
        n_filters: int,
        stem_stride: int,
    ) -> None:
        super().__init__()
        self.architecture = architecture
        self.entry = Entry(spec, embedding_size)
        self.counts = None
        if self.entry.reads_tokens:
            self.counts = TokenCounts(spec.n_tokens, spec.n_outputs, dropout)
        self.n_dimensions = len(spec.sizes)
        self._calibration: list[Tensor] = []
        self._calibrated: Architecture | None = None
        self.is_recordable = self.n_dimensions == 2
        n_places = math.prod(_divided(spec.sizes, stem_stride))
        self.is_large = n_filters * n_places >= LARGE_MAPS

    def forward(
        self,
        image: Tensor | None = None,
        tokens: Tensor | None = None,
        architectures: list[Architecture] | None = None,
    ) -> Tensor:
        """Give logits: (n_rows, n_outputs), or (n_architectures, n_rows, n_outputs)."""
        inputs = tokens if image is None else image
        if architectures is None:
            return self._answer(inputs, self.architecture)
        is_common = self.entry.rows_axis(inputs) == 0
        parts = [inputs] * len(architectures) if is_common else inputs.unbind()
        if self.training:
            self._remember(inputs if is_common else inputs.flatten(0, 1))
        outputs = []
        for own, architecture in zip(parts, architectures, strict=True):
            if not self.training:
                self.calibrate(architecture)
            outputs.append(self._answer(own, architecture))
        return torch.stack(outputs)

    def estimate(self, architectures: list[Architecture], **inputs: Tensor) -> Tensor:
        """Give logits as the shared network does, sooner, for rewards by the same rows.

        They are normalized by the statistics of the rows themselves, as those of cells
        are in the paper's code, and need no calibration.
        """
        (rows,) = inputs.values()
        return torch.stack([self._normalized(rows, one) for one in architectures])

    def _answer(self, inputs: Tensor, architecture: Architecture) -> Tensor:
        with self._training_precision(inputs.device.type):
            x, present = self.entry(inputs)
            if self.n_dimensions == 1:
                x = x.unsqueeze(2)
            # quicker, pooling most of all. `contiguous` would leave the strides of one
            # channel as they are, and no layer would see which layout is meant
            x = x.to(memory_format=torch.channels_last)
            outputs = self.answer(x, architecture, present)
        outputs, *auxiliary = outputs if isinstance(outputs, tuple) else (outputs,)
        outputs = outputs.float()
        if self.counts is not None:
            outputs = outputs + self.counts(inputs)
        if not auxiliary:
            return outputs
        # the loss is the mean over both; its gradient is to be that of the first plus
        # the weighted one of the second
        second = scale_gradient(auxiliary[0].float(), 2 * self.auxiliary_weight)
        return torch.stack([scale_gradient(outputs, 2.0), second])

    def _training_precision(self, device_type: str) -> torch.autocast:
        halves = self.training and self.is_large
        dtype = training_dtype(device_type) if halves else None
        # without a cache, which within another autocast would outlive this one and
        # hold weights of earlier steps
        return torch.autocast(
            device_type, dtype, enabled=dtype is not None, cache_enabled=False
        )

    @abstractmethod
    def answer(
        self, x: Tensor, architecture: Architecture, present: Tensor | None
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Give an architecture's outputs from scaled images, series or texts.

        Parameters
        ----------
        x : Tensor of shape (n_rows, n_channels, height, width)
            The images; series and texts, with a height of one.

        architecture : Architecture
            Which way to go.

        present : Tensor of shape (n_rows, n_steps) or None
            Of series and texts, whether a step comes before the end of its row.

        Returns
        -------
        outputs : Tensor of shape (n_rows, n_outputs)
            The logits; two of such, in training with an auxiliary head.
        """

    def train(self, mode: bool = True) -> ConvNetwork:
        """Set training mode, in which parameters may change."""
        if mode:
            self._calibrated = None
        return super().train(mode)

    def _remember(self, inputs: Tensor) -> None:
        """Keep the latest training rows."""
        kept = [inputs]
        for earlier in self._calibration:
            if sum(map(len, kept)) < CALIBRATION_ROWS:
                kept.append(earlier)
        self._calibration = kept

    def calibrate(self, architecture: Architecture) -> None:
        """Give the shared network the normalization statistics of an architecture.

        Shared training mixes those of all architectures. They are estimated anew on
        the latest training rows (as in BigNAS, Yu et al., 2020), unless the last call
        was for the same architecture and parameters.

        Parameters
        ----------
        architecture : Architecture
            The architecture.
        """
        if self._calibrated == architecture or not self._calibration:
            return
        self._normalized(torch.cat(self._calibration)[:CALIBRATION_ROWS], architecture)
        self._calibrated = architecture

    @torch.no_grad()
    def _normalized(self, inputs: Tensor, architecture: Architecture) -> Tensor:
        """Answer rows by their own normalization statistics, which are kept."""
        self._calibrated = None
        norms = [m for m in self.modules() if isinstance(m, BatchNorm)]
        momentum = norms[0].momentum
        trained = [module for module in self.modules() if module.training]
        for module in trained:  # no dropout, whose draws would change what follows
            module.training = False
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # the plain mean of all rows
            norm.training = True
        logits = self._answer(inputs, architecture)
        for norm in norms:
            norm.momentum = momentum
            norm.training = False
        for module in trained:
            module.training = True
        return logits


def stem_strides(stride: int) -> list[int]:
    """Give the strides of the stem's convolutions: one for each halving."""
    return [2] * (stride.bit_length() - 1) or [1]


def build_stem(
    n_dimensions: int, n_inputs: int, n_filters: int, stride: int
) -> nn.Sequential:
    """Build the first convolution, or one for each halving of the size."""
    layers = []
    for own_stride in stem_strides(stride):
        if layers:
            layers.append(nn.ReLU())
        layers += [
            convolution(n_dimensions, n_inputs, n_filters, 3, stride=own_stride),
            BatchNorm(n_filters),
        ]
        n_inputs = n_filters
    return nn.Sequential(*layers)


EVEN = Rule(
    "an even integer from 2 up", lambda value: is_count(value) and value % 2 == 0
)


class ConvSpace(FixedArcMixin, SearchSpace):
    """Base class of the convolutional spaces: what they do with sizes and data."""

    _rules = {
        "n_filters": or_auto(EVEN),
        "final_n_filters": or_none(EVEN),
        "n_reductions": or_auto(
            Rule("an integer from 0 up", lambda value: is_integer(value) and value >= 0)
        ),
        "stem_stride": or_auto(
            Rule(
                "a power of two",
                lambda value: is_count(value) and value & (value - 1) == 0,
            )
        ),
        "dropout": RATE,
        "embedding_size": COUNT,
    }
    """What each parameter must be: in words, and as a test."""

    _n_filters: tuple[int, int]
    """What "auto" stands for on large maps, and on small ones."""

    def _check_parameters(self) -> None:
        check_rules(self, self._rules)

    def check_data(self, spec: DataSpec) -> None:
        """Check that the data are images, series or texts, and large enough.

        Parameters
        ----------
        spec : DataSpec
            What the data look like.

        Raises
        ------
        ValueError
            If they are tables, or smaller than `n_reductions` needs.
        """
        self._check_parameters()
        if spec.kind not in ("image", "series", "text"):
            raise ValueError(
                f"search_space {self.name!r} is for images: X of 3 or 4 dimensions, or "
                "of 2 with image_shape=(channels, height, width); and for series and "
                'tokens. For tables there is "tabular".'
            )
        self._sizes(spec)

    def _sizes(self, spec: DataSpec) -> dict[str, int]:
        """Settle the sizes that depend on those of the images."""
        sizes = spec.sizes
        stride = self.stem_stride
        if stride == "auto":
            stride = 1
            while math.prod(_divided(sizes, stride)) > LARGEST_MAP:
                stride *= 2
        sizes = _divided(sizes, stride)
        n_filters = self.n_filters
        if n_filters == "auto":
            n_filters = self._n_filters[math.prod(sizes) <= SMALL_MAP]
        most = (min(sizes) - 1).bit_length()
        n_reductions = self.n_reductions
        if n_reductions == "auto":
            n_reductions = min(2, most)
        elif n_reductions > most:
            raise ValueError(
                f"X has rows of {' x '.join(map(str, spec.sizes))} places: too small "
                f"for n_reductions={n_reductions} of {type(self).__name__} after "
                f"a stem_stride of {stride}. At most {most} can halve them; give "
                'fewer, or "auto".'
            )
        return {
            "n_filters": n_filters,
            "n_reductions": n_reductions,
            "stem_stride": stride,
        }

    @staticmethod
    def _map_shape(spec: DataSpec, sizes: dict[str, int], level: int) -> tuple:
        """Give the shape of a map, (n_filters, ...), after so many reductions."""
        places = _divided(spec.sizes, sizes["stem_stride"])
        for _ in range(level):
            places = _divided(places, 2)
        return sizes["n_filters"] * 2**level, *places

    def copy_shared_weights(
        self, supernet: nn.Module, network: nn.Module, architecture: Architecture
    ) -> None:
        """Copy the shared parameters, and statistics that are the architecture's own.

        Parameters
        ----------
        supernet, network, architecture
            See the base class.
        """
        supernet.calibrate(architecture)
        super().copy_shared_weights(supernet, network, architecture)


def input_shape(spec: DataSpec, embedding_size: int) -> tuple[int, ...]:
    """Give the shape of an image or a series, or of a text's embedded tokens."""
    return entry_channels(spec, embedding_size), *spec.sizes


def scale_gradient(x: Tensor, factor: float) -> Tensor:
    """Leave a tensor as it is, and multiply its gradient."""
    return x.detach() + factor * (x - x.detach())


def training_dtype(device_type: str) -> torch.dtype | None:
    """Give the type of large networks' numbers in training; None: single precision.

    GPUs without half precision in hardware only emulate it, and some operations not.
    """
    if device_type == "cuda" and not torch.cuda.is_bf16_supported(False):
        return None
    return TRAINING_PRECISIONS.get(device_type)


def _divided(sizes: tuple[int, ...], stride: int) -> list[int]:
    return [-(-size // stride) for size in sizes]
