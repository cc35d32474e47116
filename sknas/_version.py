"""The version of sknas."""

__version__ = "0.1.0.dev0"
