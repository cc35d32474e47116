"""Checks of constructor arguments, and the values that "auto" stands for."""

from __future__ import annotations

import math
import numbers
import os
from collections.abc import Callable, Iterable
from functools import partial

import numpy as np
import torch
from sklearn.base import clone
from sklearn.metrics import get_scorer
from skorch.callbacks import Callback

from sknas.architecture import Architecture
from sknas.decisions import Decisions
from sknas.search import STRATEGIES, SearchStrategy, check_strategy
from sknas.spaces import (
    SPACES,
    ConvMacroSpace,
    DataSpec,
    RecurrentSpace,
    SearchSpace,
    SequenceSpace,
    TabularSpace,
)
from sknas.training import (
    AUGMENTATIONS,
    OPTIMIZERS,
    REGRESSION_LOSSES,
    SCHEDULES,
    Augmentation,
    can_compute,
)


def _is_integer(value: object) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    is_real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    return is_real and math.isfinite(value)


def _count(value: object) -> bool:
    return _is_integer(value) and value >= 1


def _count_or_auto(value: object) -> bool:
    return value == "auto" if isinstance(value, str) else _count(value)


def _count_or_none(value: object) -> bool:
    return value is None or _count(value)


def _flag(value: object) -> bool:
    return isinstance(value, bool | np.bool_)


def _is_seed(value: object) -> bool:
    if value is None or isinstance(value, np.random.RandomState):
        return True
    return _is_integer(value) and 0 <= value < 2**32


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
        isinstance(value, tuple | list) and len(value) == 3 and all(map(_count, value))
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
    "ensemble_size": ("an integer from 1 up", _count),
    "max_epochs": (_COUNT_OR_AUTO, _count_or_auto),
    "batch_size": (_COUNT_OR_AUTO, _count_or_auto),
    "lr": ("a number above 0", lambda v: _is_number(v) and v > 0),
    "weight_decay": ("a number from 0 up", lambda v: _is_number(v) and v >= 0),
    "optimizer": (
        f"one of {sorted(OPTIMIZERS)}",
        lambda v: isinstance(v, str) and v in OPTIMIZERS,
    ),
    "lr_schedule": (
        f"one of {sorted(SCHEDULES)}",
        lambda v: isinstance(v, str) and v in SCHEDULES,
    ),
    "max_gradient_norm": (
        "None or a number above 0",
        lambda v: v is None or (_is_number(v) and v > 0),
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
        lambda v: _is_number(v) and 0.01 <= v <= 0.5,
    ),
    "early_stopping": ("True or False", _flag),
    "n_iter_no_change": (_COUNT_OR_AUTO, _count_or_auto),
    "scoring": ("None, a callable or the name of a scikit-learn scorer", _is_scoring),
    "loss": (
        f"one of {sorted(REGRESSION_LOSSES)}",
        lambda v: isinstance(v, str) and v in REGRESSION_LOSSES,
    ),
    "quantile": (
        "None or a number between 0 and 1, both excluded",
        lambda v: v is None or (_is_number(v) and 0 < v < 1),
    ),
    "class_weight": (
        'None, "balanced" or a dictionary from class to weight',
        lambda v: (
            v is None or isinstance(v, dict) or (isinstance(v, str) and v == "balanced")
        ),
    ),
    "time_limit": (
        "None or a number of seconds above 0",
        lambda v: v is None or (_is_number(v) and v > 0),
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
        lambda v: _flag(v) or (_is_integer(v) and v >= 0),
    ),
    "device": (
        '"auto" or the name of a torch device such as "cpu" or "cuda"',
        _is_device,
    ),
    "n_jobs": (
        "None or an integer other than 0",
        lambda v: v is None or (_is_integer(v) and v),
    ),
    "random_state": (
        "None, an integer from 0 to 2**32 - 1 or a numpy RandomState",
        _is_seed,
    ),
    "warm_start": ("True or False", _flag),
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
            if not _is_number(weight) or weight < 0:
                raise ValueError(
                    f"The 'class_weight' parameter of {type(estimator).__name__} must "
                    f"hold numbers from 0 up. Got {weight!r} for class {label!r}."
                )


# what search_space="auto" stands for, by the kind of the data
AUTOMATIC_SPACES = {
    "table": TabularSpace,
    "image": ConvMacroSpace,
    "series": SequenceSpace,
    "text": SequenceSpace,
    "language": partial(RecurrentSpace, dropout=0.4),
}


def resolve_space(
    search_space: object, kind: str, ensemble_size: int, options: dict[str, tuple]
) -> SearchSpace:
    """Give the search space that the parameter `search_space` stands for.

    `kind` is that of the data, as in :class:`DataSpec`; `options` are those of the
    tabular space in the order that suits the task.
    """
    if isinstance(search_space, SearchSpace):
        return clone(search_space)
    if isinstance(search_space, str):
        spaces = SPACES | {"auto": AUTOMATIC_SPACES[kind]}
        if spaces.get(search_space) is TabularSpace:
            # one network that is asked for is one plain network
            n_heads = {"n_heads": 1} if ensemble_size == 1 else {}
            return TabularSpace(**options, **n_heads)
        if search_space in spaces:
            return spaces[search_space]()
    raise ValueError(
        f"The 'search_space' parameter must be one of {['auto', *sorted(SPACES)]} or "
        f"an instance of SearchSpace. Got {search_space!r} instead."
    )


def checked_decisions(space: SearchSpace) -> Decisions:
    """Give the decisions of a space; raise an error if its parameters are wrong.

    So is what else it says of itself.
    """
    decisions = space.decisions()
    name = type(space).__name__
    if not isinstance(decisions, Decisions) or decisions.space != space.name:
        raise TypeError(
            f"{name}.decisions must give Decisions({space.name!r}, ...), with the name "
            f"of the space, got {decisions!r}."
        )
    default = space.default_architecture()
    if not isinstance(default, Architecture):
        raise TypeError(
            f"{name}.default_architecture must give an Architecture, got {default!r}."
        )
    try:
        decisions.check(default)
    except ValueError as error:
        raise ValueError(
            f"{name}.default_architecture gives none of the space: {error}"
        ) from error
    final = space.final_space()
    if not isinstance(final, SearchSpace) or list(final.decisions()) != list(decisions):
        raise TypeError(
            f"{name}.final_space must give a space of the same decisions, got "
            f"{final!r}."
        )
    return decisions


def resolve_strategy(strategy: object) -> SearchStrategy:
    """Give the strategy that the parameter `strategy` stands for, not yet begun."""
    if isinstance(strategy, SearchStrategy):
        strategy = clone(strategy)
        check_strategy(strategy)
        return strategy
    if isinstance(strategy, str) and strategy in STRATEGIES:
        return STRATEGIES[strategy]()
    raise ValueError(
        f"The 'strategy' parameter must be one of {sorted(STRATEGIES)} or an instance "
        f"of SearchStrategy. Got {strategy!r} instead."
    )


def resolve_architectures(
    architecture: object, space: SearchSpace
) -> list[Architecture]:
    """Give the architectures that the parameter `architecture` stands for."""
    if isinstance(architecture, str | Architecture):
        architecture = [architecture]
    if not isinstance(architecture, Iterable):
        raise TypeError(
            "The 'architecture' parameter must be None, an Architecture, its JSON, or "
            f"a list of them. Got {architecture!r} instead."
        )
    found = []
    for one in architecture:
        if isinstance(one, str):
            one = Architecture.from_json(one)
        if not isinstance(one, Architecture):
            raise TypeError(
                "The 'architecture' parameter must be None, an Architecture, its JSON, "
                f"or a list of them. Got a {type(one).__name__} instead."
            )
        space.decisions().check(one)
        found.append(one)
    if not found:
        raise ValueError("The 'architecture' parameter is an empty list.")
    return found


def resolve_device(device: str) -> str:
    """Give the device that the parameter `device` stands for."""
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if not can_compute(device):
        raise ValueError(
            f"The 'device' parameter is {str(device)!r}, but torch finds no such GPU "
            'or device here; use "auto" or "cpu".'
        )
    return str(device)


# numbers of rows, and the batch size by default of data that have fewer
DEFAULT_BATCH_SIZES = {
    "table": {800: 32, 2_000: 64, 20_000: 128, 100_000: 256, math.inf: 512},
    "image": {800: 32, 20_000: 64, 100_000: 128, math.inf: 256},
    "series": {800: 16, 2_000: 32, 20_000: 64, 100_000: 128, math.inf: 256},
    "text": {800: 16, 2_000: 32, 20_000: 64, 100_000: 128, math.inf: 256},
}


def resolve_batch_size(batch_size: int | str, kind: str, n_rows: int) -> int:
    """Give the batch size: small where rows are few, so that steps are many."""
    if batch_size != "auto":
        return min(int(batch_size), n_rows)
    sizes = DEFAULT_BATCH_SIZES[kind]
    size = next(size for limit, size in sizes.items() if n_rows < limit)
    # several steps in an epoch, even of a handful of distinct rows
    return min(size, max(8, n_rows // 4), n_rows)


# by default: most and least epochs of the search and of a training, and how many steps
# they may come to between the two; those of images and sequences cost more
DEFAULT_EPOCHS = {
    "table": {"search": (20, 3, 1_500), "training": (100, 3, 4_000)},
    "image": {"search": (12, 4, 160), "training": (40, 8, 240)},
    "series": {"search": (40, 4, 400), "training": (100, 8, 1_000)},
    "text": {"search": (20, 4, 200), "training": (60, 8, 600)},
    "language": {"search": (8, 2, 1_000), "training": (40, 3, 4_000)},
}
PLACES = 256  # pixels, or steps, for which these hold; smaller images get more


def resolve_epochs(epochs: int | str, spec: DataSpec, phase: str, n_steps: int) -> int:
    """Give a number of epochs: the default one, less where an epoch is long."""
    if epochs != "auto":
        return int(epochs)
    most, least, max_steps = DEFAULT_EPOCHS[spec.kind][phase]
    if spec.kind not in ("table", "language"):
        max_steps = max_steps * PLACES // min(math.prod(spec.sizes), PLACES)
    return max(least, min(most, max_steps // n_steps))


# architectures that are ranked in the end, by default
N_CANDIDATES = {"table": 48, "image": 12, "series": 12, "text": 12, "language": 8}

# epochs without improvement, by default: small held-back parts are noisy
DEFAULT_PATIENCE = {"table": 8, "image": 8, "series": 16, "text": 16, "language": 3}

AUTOMATIC_AUGMENTATIONS = {"image": ("affine",), "series": ("crop",)}


def resolve_augmentation(augmentation: object, kind: str) -> Augmentation | None:
    """Give what the parameter `augmentation` stands for, on data of a kind."""
    if augmentation == "auto":
        augmentation = AUTOMATIC_AUGMENTATIONS.get(kind)
    if not augmentation:
        return None
    if kind not in ("image", "series"):
        raise ValueError(
            f"The 'augmentation' parameter is for images, but X is a {kind}: leave it "
            'at "auto", or set it to None.'
        )
    if kind == "series" and "affine" in augmentation:
        raise ValueError(
            "The 'augmentation' parameter has \"affine\", which is for images, but X "
            'has series: "crop" shifts them.'
        )
    return Augmentation(tuple(augmentation))
