"""Checks of the constructor's arguments."""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np
import torch
from sklearn.metrics import get_scorer
from skorch.callbacks import Callback

from sknas.rules import is_count, is_flag, is_integer, is_number
from sknas.training import (
    AUGMENTATIONS,
    OPTIMIZERS,
    REGRESSION_LOSSES,
    SCHEDULES,
)


def _count_or_auto(value: object) -> bool:
    return value == "auto" if isinstance(value, str) else is_count(value)


def _count_or_none(value: object) -> bool:
    return value is None or is_count(value)


def _is_seed(value: object) -> bool:
    if value is None or isinstance(value, np.random.RandomState):
        return True
    return is_integer(value) and 0 <= value < 2**32


def _is_device(value: object) -> bool:
    if not isinstance(value, str | torch.device):
        return False
    try:
        return value == "auto" or torch.device(value) is not None
    except RuntimeError:
        return False


def _is_scoring(value: object) -> bool:
    if value is None or callable(value):
        return True
    try:
        return isinstance(value, str) and get_scorer(value) is not None
    except ValueError:
        return False


def _is_image_shape(value: object) -> bool:
    if value is None:
        return True
    return (
        isinstance(value, tuple | list)
        and len(value) == 3
        and all(map(is_count, value))
    )


def _is_augmentation(value: object) -> bool:
    if value is None or isinstance(value, str):
        return value in (None, "auto")
    return isinstance(value, tuple | list) and all(
        callable(v) or (isinstance(v, str) and v in AUGMENTATIONS) for v in value
    )


_COUNT_OR_AUTO = 'an integer from 1 up or "auto"'

# what each parameter must be: in words, and as a test
RULES: dict[str, tuple[str, Callable[[object], bool]]] = {
    "search_epochs": (_COUNT_OR_AUTO, _count_or_auto),
    "n_candidates": (_COUNT_OR_AUTO, _count_or_auto),
    "ensemble_size": (_COUNT_OR_AUTO, _count_or_auto),
    "max_epochs": (_COUNT_OR_AUTO, _count_or_auto),
    "batch_size": (_COUNT_OR_AUTO, _count_or_auto),
    "lr": ("a number above 0", lambda v: is_number(v) and v > 0),
    "weight_decay": ("a number from 0 up", lambda v: is_number(v) and v >= 0),
    "optimizer": (
        f"one of {['auto', *sorted(OPTIMIZERS)]}",
        lambda v: isinstance(v, str) and v in ("auto", *OPTIMIZERS),
    ),
    "lr_schedule": (
        f"one of {sorted(SCHEDULES)}",
        lambda v: isinstance(v, str) and v in SCHEDULES,
    ),
    "max_gradient_norm": (
        "None or a number above 0",
        lambda v: v is None or (is_number(v) and v > 0),
    ),
    "augmentation": (
        f'"auto", None, or a tuple of callables and of {sorted(AUGMENTATIONS)}',
        _is_augmentation,
    ),
    "image_shape": (
        "None or a tuple of three integers, (channels, height, width)",
        _is_image_shape,
    ),
    "n_steps": ("None or an integer from 1 up", _count_or_none),
    "n_features": ("None or an integer from 1 up", _count_or_none),
    "n_tokens": ("None or an integer from 1 up", _count_or_none),
    "validation_fraction": (
        "a number from 0.01 to 0.5",
        lambda v: is_number(v) and 0.01 <= v <= 0.5,
    ),
    "early_stopping": ("True or False", is_flag),
    "n_iter_no_change": (_COUNT_OR_AUTO, _count_or_auto),
    "scoring": ("None, a callable or the name of a scikit-learn scorer", _is_scoring),
    "loss": (
        f"one of {sorted(REGRESSION_LOSSES)}",
        lambda v: isinstance(v, str) and v in REGRESSION_LOSSES,
    ),
    "quantile": (
        "None or a number between 0 and 1, both excluded",
        lambda v: v is None or (is_number(v) and 0 < v < 1),
    ),
    "class_weight": (
        'None, "balanced" or a dictionary from class to weight',
        lambda v: (
            v is None or isinstance(v, dict) or (isinstance(v, str) and v == "balanced")
        ),
    ),
    "time_limit": (
        "None or a number of seconds above 0",
        lambda v: v is None or (is_number(v) and v > 0),
    ),
    "checkpoint": (
        "None or the path of a folder",
        lambda v: v is None or isinstance(v, str | os.PathLike),
    ),
    "callbacks": (
        "None or a list of skorch callbacks (instances, not classes)",
        lambda v: (
            v is None
            or (isinstance(v, list | tuple) and all(isinstance(c, Callback) for c in v))
        ),
    ),
    "verbose": (
        "True, False or an integer from 0 up",
        lambda v: is_flag(v) or (is_integer(v) and v >= 0),
    ),
    "device": (
        '"auto" or the name of a torch device such as "cpu" or "cuda"',
        _is_device,
    ),
    "n_jobs": (
        "None or an integer other than 0",
        lambda v: v is None or (is_integer(v) and v),
    ),
    "random_state": (
        "None, an integer from 0 to 2**32 - 1 or a numpy RandomState",
        _is_seed,
    ),
    "warm_start": ("True or False", is_flag),
}


def check_parameters(estimator) -> None:
    """Check an estimator's parameters, as far as they can be without data.

    Raises
    ------
    TypeError, ValueError
        If a parameter is none of what it must be. The message names it, tells what
        it must be, and what it was.
    """
    parameters = estimator.get_params(deep=False)
    for name, value in parameters.items():
        if name in RULES:
            rule, is_right = RULES[name]
            if not is_right(value):
                raise ValueError(
                    f"The {name!r} parameter of {type(estimator).__name__} must be "
                    f"{rule}. Got {value!r} instead."
                )
    if parameters.get("loss") == "quantile" and parameters["quantile"] is None:
        raise ValueError(
            f"The 'quantile' parameter of {type(estimator).__name__} must be set, to a "
            'number between 0 and 1, where loss="quantile".'
        )
    kinds = [("image_shape",), ("n_steps", "n_features"), ("n_tokens",)]
    given = [names for names in kinds if any(parameters.get(n) for n in names)]
    if "image_shape" in parameters and len(given) > 1:
        raise ValueError(
            f"The {given[0][0]!r} and {given[1][0]!r} parameters of "
            f"{type(estimator).__name__} say that X is different things: set one."
        )
    class_weight = parameters.get("class_weight")
    if isinstance(class_weight, dict):
        for label, weight in class_weight.items():
            if not is_number(weight) or weight < 0:
                raise ValueError(
                    f"The 'class_weight' parameter of {type(estimator).__name__} must "
                    f"hold numbers from 0 up. Got {weight!r} for class {label!r}."
                )
