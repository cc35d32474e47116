"""Checks of the constructor's arguments."""

from __future__ import annotations

import os

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.metrics import get_scorer
from skorch.callbacks import BatchScoring, Callback, EpochScoring, LRScheduler

from sknas.rules import (
    COUNT,
    FLAG,
    NOT_NEGATIVE,
    POSITIVE,
    Rule,
    check_rules,
    is_count,
    is_flag,
    is_integer,
    is_number,
    one_of,
    or_auto,
    or_none,
)
from sknas.training import (
    AUGMENTATIONS,
    OPTIMIZERS,
    REGRESSION_LOSSES,
    SCHEDULES,
)


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


RULES = {
    "search_epochs": or_auto(COUNT),
    "n_candidates": or_auto(COUNT),
    "ensemble_size": or_auto(COUNT),
    "neighbors": or_auto(FLAG),
    "max_epochs": or_auto(COUNT),
    "batch_size": or_auto(COUNT),
    "lr": POSITIVE,
    "weight_decay": NOT_NEGATIVE,
    "optimizer": one_of(["auto", *sorted(OPTIMIZERS)]),
    "lr_schedule": one_of(sorted(SCHEDULES)),
    "max_gradient_norm": or_none(POSITIVE),
    "augmentation": Rule(
        f'"auto", None, or a tuple of callables and of {sorted(AUGMENTATIONS)}',
        _is_augmentation,
    ),
    "image_shape": or_none(
        Rule("a tuple of three integers, (channels, height, width)", _is_image_shape)
    ),
    "n_steps": or_none(COUNT),
    "n_features": or_none(COUNT),
    "n_tokens": or_none(COUNT),
    "validation_fraction": Rule(
        "a number from 0.01 to 0.5", lambda v: is_number(v) and 0.01 <= v <= 0.5
    ),
    "early_stopping": FLAG,
    "n_iter_no_change": or_auto(COUNT),
    "scoring": Rule(
        "None, a callable or the name of a scikit-learn scorer", _is_scoring
    ),
    "loss": one_of(sorted(REGRESSION_LOSSES)),
    "quantile": or_none(
        Rule(
            "a number between 0 and 1, both excluded",
            lambda v: is_number(v) and 0 < v < 1,
        )
    ),
    "class_weight": Rule(
        'None, "balanced" or a dictionary from class to weight',
        lambda v: (
            v is None or isinstance(v, dict) or (isinstance(v, str) and v == "balanced")
        ),
    ),
    "time_limit": or_none(POSITIVE),
    "checkpoint": or_none(
        Rule("the path of a folder", lambda v: isinstance(v, str | os.PathLike))
    ),
    "callbacks": or_none(
        Rule(
            "a list of skorch callbacks (instances, not classes)",
            lambda v: (
                isinstance(v, list | tuple) and all(isinstance(c, Callback) for c in v)
            ),
        )
    ),
    "verbose": Rule(
        "True, False or an integer from 0 up",
        lambda v: is_flag(v) or (is_integer(v) and v >= 0),
    ),
    "device": Rule(
        '"auto" or the name of a torch device such as "cpu" or "cuda"', _is_device
    ),
    "n_jobs": or_none(Rule("an integer other than 0", lambda v: is_integer(v) and v)),
    "random_state": Rule(
        "None, an integer from 0 to 2**32 - 1 or a numpy RandomState", _is_seed
    ),
    "warm_start": FLAG,
}


def check_parameters(estimator: BaseEstimator, **rules: Rule) -> None:
    """Check an estimator's parameters, as far as they can be without data.

    Parameters
    ----------
    estimator : sklearn.base.BaseEstimator
        The estimator.

    **rules : Rule
        Rules of its own, for parameters that others do not have, or not so.

    Raises
    ------
    ValueError
        If a parameter is none of what it must be. The message names it, tells what
        it must be, and what it was.
    """
    parameters = estimator.get_params(deep=False)
    check_rules(estimator, {n: RULES[n] for n in parameters if n in RULES} | rules)
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
    _check_callbacks(parameters.get("callbacks") or ())
    class_weight = parameters.get("class_weight")
    if isinstance(class_weight, dict):
        for label, weight in class_weight.items():
            if not is_number(weight) or weight < 0:
                raise ValueError(
                    f"The 'class_weight' parameter of {type(estimator).__name__} must "
                    f"hold numbers from 0 up. Got {weight!r} for class {label!r}."
                )


def _check_callbacks(callbacks: list[Callback]) -> None:
    """Tell of callbacks that could not do what they are for."""
    for one in callbacks:
        if isinstance(one, LRScheduler):
            raise ValueError(
                "The 'callbacks' parameter has LRScheduler, but the nets of a fit set "
                "their learning rate before each step: choose 'lr_schedule' instead."
            )
        # nets' targets are encoded
        is_scoring = isinstance(one, EpochScoring | BatchScoring)
        if is_scoring and isinstance(one.scoring, str):
            raise ValueError(
                f"The 'callbacks' parameter has {type(one).__name__}({one.scoring!r}), "
                "but the nets of a fit learn from encoded targets and their weights, "
                "which scikit-learn's scorers do not know: give its ScoringMonitor to "
                "set_callbacks instead."
            )
