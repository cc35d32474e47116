"""What parameters must be: the rules that several packages share."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable

import numpy as np
from sklearn.base import BaseEstimator


def is_integer(value: object) -> bool:
    """Whether a value is an integer, which True and False are not here."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def is_flag(value: object) -> bool:
    """Whether a value is True or False, perhaps numpy's."""
    return isinstance(value, bool | np.bool_)


def is_number(value: object) -> bool:
    """Whether a value is a finite number."""
    is_real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    return is_real and math.isfinite(value)


def is_count(value: object) -> bool:
    """Whether a value is an integer from 1 up."""
    return is_integer(value) and value >= 1


def is_rate(value: object) -> bool:
    """Whether a value is a number from 0 to below 1."""
    return is_number(value) and 0 <= value < 1


def is_positive(value: object) -> bool:
    """Whether a value is a finite number above 0."""
    return is_number(value) and value > 0


def check_rules(
    owner: BaseEstimator, rules: dict[str, tuple[str, Callable[[object], bool]]]
) -> None:
    """Raise a ValueError if a parameter of a space or strategy breaks its rule."""
    for name, (rule, is_right) in rules.items():
        value = getattr(owner, name)
        if not is_right(value):
            raise ValueError(
                f"{name} of {type(owner).__name__} must be {rule}, got {value!r}."
            )


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
