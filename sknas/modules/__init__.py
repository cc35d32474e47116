"""Building blocks that search spaces share."""

from sknas.modules._activations import ACTIVATIONS
from sknas.modules._dropout import SharedDropout
from sknas.modules._embeddings import (
    OneHotColumns,
    PeriodicEmbedding,
    PiecewiseLinearEmbedding,
)
from sknas.modules._grouped import (
    apply_by_option,
    masked_layer_norm,
    unit_mask,
)
from sknas.modules._heads import OutputHeads, ScaledLinear

__all__ = [
    "ACTIVATIONS",
    "OneHotColumns",
    "OutputHeads",
    "PeriodicEmbedding",
    "PiecewiseLinearEmbedding",
    "ScaledLinear",
    "SharedDropout",
    "apply_by_option",
    "masked_layer_norm",
    "unit_mask",
]
