"""Building blocks that search spaces share."""

from sknas.modules._activations import ACTIVATIONS
from sknas.modules._convolutions import (
    BatchNorm,
    DropPath,
    Halving,
    PooledHead,
    Projection,
    average_pool,
    convolution,
    max_pool,
    separable_convolution,
    side_by_side,
)
from sknas.modules._dropout import SharedDropout
from sknas.modules._embeddings import (
    OneHotColumns,
    PeriodicEmbedding,
    PiecewiseLinearEmbedding,
)
from sknas.modules._grouped import (
    apply_by_option,
    masked_layer_norm,
    on_device,
    unit_mask,
)
from sknas.modules._heads import OutputHeads, ScaledLinear
from sknas.modules._neighbors import NeighborAttention
from sknas.modules._recurrent import CellDesign, RecurrentCell, loose_ends

__all__ = [
    "ACTIVATIONS",
    "BatchNorm",
    "CellDesign",
    "DropPath",
    "Halving",
    "NeighborAttention",
    "OneHotColumns",
    "OutputHeads",
    "PeriodicEmbedding",
    "PiecewiseLinearEmbedding",
    "PooledHead",
    "Projection",
    "RecurrentCell",
    "ScaledLinear",
    "SharedDropout",
    "apply_by_option",
    "average_pool",
    "convolution",
    "loose_ends",
    "masked_layer_norm",
    "max_pool",
    "on_device",
    "separable_convolution",
    "side_by_side",
    "unit_mask",
]
