"""Transformers that make data ready for the estimators."""

from sknas.preprocessing._token_encoder import (
    PADDING,
    UNKNOWN,
    TokenEncoder,
    TokenIds,
)

__all__ = ["PADDING", "UNKNOWN", "TokenEncoder", "TokenIds"]
