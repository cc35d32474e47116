"""Transformers that make data ready for the estimators."""

from sknas.preprocessing._token_encoder import TokenEncoder, TokenIds

__all__ = ["TokenEncoder", "TokenIds"]
