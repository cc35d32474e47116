"""What parameters must be: the rules that several packages share."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Iterable
from typing import NamedTuple

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


class Rule(NamedTuple):
    """What a parameter must be."""

    words: str
    """It, in words."""

    is_right: Callable[[object], bool]
    """A test of it."""


COUNT = Rule("an integer from 1 up", is_count)
FLAG = Rule("True or False", is_flag)
NOT_NEGATIVE = Rule("a number from 0 up", lambda value: is_number(value) and value >= 0)
POSITIVE = Rule("a number above 0", lambda value: is_number(value) and value > 0)
RATE = Rule(
    "a number from 0 to below 1", lambda value: is_number(value) and 0 <= value < 1
)


def one_of(names: Iterable[str]) -> Rule:
    """Give the rule of a parameter that is one of some names."""
    names = list(names)
    return Rule(
        f"one of {names}", lambda value: isinstance(value, str) and value in names
    )


def some_of(rule: Rule) -> Rule:
    """Give the rule of a parameter that has one or more options, each by a rule."""

    def is_right(values: object) -> bool:
        return (
            isinstance(values, tuple | list)
            and len(values) > 0
            and all(map(rule.is_right, values))
            and len(set(values)) == len(values)
        )

    return Rule(
        f"a tuple of one or more different options, each {rule.words}", is_right
    )


def or_none(rule: Rule) -> Rule:
    """Give the rule of a parameter that may be None instead."""
    return Rule(
        f"None or {rule.words}", lambda value: value is None or rule.is_right(value)
    )


def or_auto(rule: Rule) -> Rule:
    """Give the rule of a parameter that may be "auto" instead."""
    return Rule(
        f'"auto" or {rule.words}',
        lambda value: (
            value == "auto" if isinstance(value, str) else rule.is_right(value)
        ),
    )


def check_rules(owner: BaseEstimator, rules: dict[str, Rule]) -> None:
    """Raise a ValueError if a parameter of an estimator, or its like, breaks its rule.

    Parameters
    ----------
    owner : sklearn.base.BaseEstimator
        Who has the parameters.

    rules : dict of str to Rule
        The rules of some of them, by their names.
    """
    for name, rule in rules.items():
        value = getattr(owner, name)
        if not rule.is_right(value):
            raise ValueError(
                f"The {name!r} parameter of {type(owner).__name__} must be "
                f"{rule.words}. Got {value!r} instead."
            )
