"""What the parameters of spaces must be."""

from __future__ import annotations

import numbers
from collections.abc import Callable


def is_count(value: object) -> bool:
    """Whether a value is an integer from 1 up."""
    is_integer = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    return is_integer and value >= 1


def is_rate(value: object) -> bool:
    """Whether a value is a number from 0 to below 1."""
    is_real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    return is_real and 0 <= value < 1


def are_options(names: tuple[str, ...]) -> Callable[[object], bool]:
    """Give a test of tuples of one or more different names."""

    def is_right(values: object) -> bool:
        return (
            isinstance(values, tuple | list)
            and len(values) > 0
            and all(isinstance(v, str) and v in names for v in values)
            and len(set(values)) == len(values)
        )

    return is_right
