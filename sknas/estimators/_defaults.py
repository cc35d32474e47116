"""What the constructor's arguments stand for, "auto" among them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from functools import partial

import numpy as np
import torch
from sklearn.base import clone

from sknas.architecture import Architecture
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
from sknas.training import Augmentation, can_compute

MAX_ROUNDS = 8  # through distinct rows, in an epoch
MIN_GPU_ROWS = 20_000  # of a table, where device is "auto"
MANY_ROWS = 50_000  # of a table, from where on trainings are shorter and fewer

# what search_space="auto" stands for, by the kind of the data
AUTOMATIC_SPACES = {
    "table": TabularSpace,
    "image": ConvMacroSpace,
    "series": SequenceSpace,
    "text": SequenceSpace,
    "language": partial(RecurrentSpace, dropout=0.4),
}


def resolve_space(
    search_space: object,
    kind: str,
    ensemble_size: int | str,
    options: dict[str, object],
) -> SearchSpace:
    """Give the search space that the parameter `search_space` stands for.

    `kind` is that of the data, as in :class:`DataSpec`; `options` are the
    parameters of the tabular space that suit the task.
    """
    if isinstance(search_space, SearchSpace):
        return clone(search_space)
    if isinstance(search_space, str):
        spaces = SPACES | {"auto": AUTOMATIC_SPACES[kind]}
        if spaces.get(search_space) is TabularSpace:
            # one network that is asked for is one plain network
            n_heads = {"n_heads": 1} if ensemble_size == 1 else {}
            return TabularSpace(**options | n_heads)
        if search_space in spaces:
            return spaces[search_space]()
    raise ValueError(
        f"The 'search_space' parameter must be one of {['auto', *sorted(SPACES)]} or "
        f"an instance of SearchSpace. Got {search_space!r} instead."
    )


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
    if isinstance(architecture, Mapping):
        raise TypeError(
            "The 'architecture' parameter is a dictionary: give Architecture("
            f"{space.name!r}, {architecture!r}) instead."
        )
    if not isinstance(architecture, Iterable):
        raise TypeError(
            "The 'architecture' parameter must be None, an Architecture, its JSON, "
            f'"default", or a list of them. Got {architecture!r} instead.'
        )
    found = []
    for one in architecture:
        if isinstance(one, str) and one == "default":
            one = space.default_architecture()
        elif isinstance(one, str):
            one = Architecture.from_json(one)
        if not isinstance(one, Architecture):
            raise TypeError(
                "The 'architecture' parameter must be None, an Architecture, its JSON, "
                f'"default", or a list of them. Got a {type(one).__name__} instead.'
            )
        space.decisions().check(one)
        found.append(one)
    if not found:
        raise ValueError("The 'architecture' parameter is an empty list.")
    return found


def resolve_device(device: str, kind: str, n_rows: int) -> str:
    """Give the device that the parameter `device` stands for."""
    if device == "auto":
        if kind == "table" and n_rows < MIN_GPU_ROWS:
            return "cpu"  # steps are so small that a GPU waits for the next one
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


# on tables, Muon bears batches that are larger by a factor, where rows are not so few
# that an epoch has but a handful of steps; and what follows needs fewer steps
MUON_FACTOR = 2
QUICK_WITH_MUON = {("table", "search"), ("series", "training")}


def resolve_batch_size(
    batch_size: int | str, kind: str, n_rows: int, optimizer: str, least_muon_rows: int
) -> int:
    """Give the batch size: small where rows are few, so that steps are many.

    From `least_muon_rows` on it is larger for Muon.
    """
    if batch_size != "auto":
        return min(int(batch_size), n_rows)
    sizes = DEFAULT_BATCH_SIZES[kind]
    size = next(size for limit, size in sizes.items() if n_rows < limit)
    if kind == "table" and optimizer == "muon" and n_rows >= least_muon_rows:
        size *= MUON_FACTOR
    # several steps in an epoch, even of a handful of distinct rows
    return min(size, max(8, n_rows // 4), n_rows)


def resolve_rounds(
    batch_size: int | str,
    kind: str,
    copies: np.ndarray,
    optimizer: str,
    least_muon_rows: int,
) -> int:
    """Give the rounds that an epoch goes through distinct rows, by their copies.

    It has about as many steps as it had if copies were rows, or there would be too few
    to learn from; but eight rounds at most. All rows twice are all rows once.
    """
    n_rows = int(copies.sum() // np.gcd.reduce(copies))
    n_steps, n_steps_of_round = (
        math.ceil(
            n / resolve_batch_size(batch_size, kind, n, optimizer, least_muon_rows)
        )
        for n in (n_rows, len(copies))
    )
    return max(1, min(round(n_steps / n_steps_of_round), MAX_ROUNDS))


# by default: most and least epochs of the search and of a training, and how many steps
# they may come to between the two; those of images and sequences cost more
DEFAULT_EPOCHS = {
    "table": {"search": (15, 3, 1_125), "training": (100, 3, 4_000)},
    "image": {"search": (12, 4, 160), "training": (20, 10, 400)},
    "series": {"search": (40, 4, 400), "training": (100, 8, 1_000)},
    "text": {"search": (20, 4, 200), "training": (60, 8, 600)},
    "language": {"search": (8, 2, 1_000), "training": (40, 3, 4_000)},
}
# steps for which these hold: shorter rows get more steps of training
PLACES = {"series": 256, "text": 256}

# networks of images that are slow to learn may take several times as many epochs, if
# these come to no more steps; easy ones, such as digits, would not gain by them
MAX_TIMES, MAX_STEPS = 4, 2_000

# networks to train and average, by default: fewer from so many rows on, since of images
# long trainings of two gain more than short ones of four, and on large tables, where
# each sees so much, two are about as good as four
DEFAULT_ENSEMBLE_SIZES = {"table": 4, "image": 4, "series": 4, "text": 4, "language": 1}
FEWER_NETWORKS_FROM, SMALL_ENSEMBLE_SIZE = {"table": MANY_ROWS, "image": 2_000}, 2


def resolve_epochs(
    epochs: int | str, spec: DataSpec, phase: str, n_steps: int, optimizer: str
) -> int:
    """Give a number of epochs: the default one, less where an epoch is long."""
    if epochs != "auto":
        return int(epochs)
    most, least, max_steps = DEFAULT_EPOCHS[spec.kind][phase]
    if optimizer == "muon" and (spec.kind, phase) in QUICK_WITH_MUON:
        max_steps //= MUON_FACTOR
    if spec.kind in PLACES:
        places = PLACES[spec.kind]
        max_steps = max_steps * places // min(math.prod(spec.sizes), places)
    return max(least, min(most, max_steps // n_steps))


def resolve_most_epochs(
    epochs: int | str, kind: str, max_epochs: int, n_steps: int
) -> int:
    """Give how many epochs there may be where networks are slow to learn."""
    if epochs != "auto" or kind != "image":
        return max_epochs
    return max(max_epochs, min(MAX_TIMES * max_epochs, MAX_STEPS // n_steps))


def resolve_ensemble_size(ensemble_size: int | str, kind: str, n_rows: int) -> int:
    """Give the number of networks."""
    if ensemble_size != "auto":
        return int(ensemble_size)
    if n_rows >= FEWER_NETWORKS_FROM.get(kind, math.inf):
        return SMALL_ENSEMBLE_SIZE
    return DEFAULT_ENSEMBLE_SIZES[kind]


# rows of a table from which on neighbors are asked too, by default: on 54 splits of 47
# tables of so many, log-loss -0.009 +- 0.004, lower on 23 and higher on 1, accuracy
# +0.005 +- 0.003; most of it on wines and phonemes, -0.0015 +- 0.0005 and
# +0.0004 +- 0.0002 without these. Of fewer, what is held back says too little of it
MIN_NEIGHBOR_ROWS = 1_000


def resolve_neighbors(
    neighbors: bool | str, kind: str, n_rows: int, n_networks: int, early_stopping: bool
) -> bool:
    """Say whether rows of the training may be asked, besides the networks.

    `early_stopping` says whether networks hold back rows, by which to judge it.
    """
    if neighbors == "auto":
        is_large = n_rows >= MIN_NEIGHBOR_ROWS
        return kind == "table" and is_large and n_networks > 1 and early_stopping
    if neighbors and kind != "table":
        raise ValueError(
            f"The 'neighbors' parameter is for tables, but X is a {kind}: leave it at "
            '"auto", or set it to False.'
        )
    if neighbors and not early_stopping:
        raise ValueError(
            "The 'neighbors' parameter is True, but without early_stopping no rows are "
            "held back, by which neighbors are judged."
        )
    return bool(neighbors)


# architectures that are ranked in the end, by default
N_CANDIDATES = {"table": 48, "image": 12, "series": 12, "text": 12, "language": 8}

# held-back rows that a step of the strategy is judged by, and those that architectures
# are ranked by in the end, None for all: convolutional ones answer each by itself, and
# took half as long for both as their shared training
REWARD_ROWS_BY_KIND = {
    "table": 128,
    "image": 64,
    "series": 64,
    "text": 64,
    "language": 16,
}
RANKING_ROWS_BY_KIND = {
    "table": None,
    "image": 256,
    "series": 256,
    "text": 256,
    "language": None,
}

# epochs without improvement, by default: small held-back parts are noisy
DEFAULT_PATIENCE = {"table": 8, "image": 8, "series": 16, "text": 16, "language": 3}

# for how long networks are trained on with all rows in the end, as a share of the
# epochs that led to their best. Default architectures, without search: of classes,
# accuracy +0.0038 +- 0.0012 and log-loss -0.0048 +- 0.0019 on the 54 tables of
# benchmarks/more_tables.py, +0.003 and -0.015 on 3,000 images of MNIST; of numbers,
# squared errors lower by 1.2 +- 0.8 % on 25 tables, R2 higher by 0.004 to 0.041 on six
# splits of images, by 0.001 to 0.032 on five of series. Texts were not tried
DEFAULT_COOLDOWNS = {"table": 0.5, "image": 0.3, "series": 0.3}
# of tables of many rows, whose few epochs bring the learning rate down by themselves
SHORT_COOLDOWN = 0.2


def resolve_cooldown(kind: str, n_rows: int) -> float:
    """Give the share of the epochs that a cooldown goes on for."""
    if kind == "table" and n_rows >= MANY_ROWS:
        return SHORT_COOLDOWN
    return DEFAULT_COOLDOWNS.get(kind, 0.0)


AUTOMATIC_AUGMENTATIONS = {"image": ("affine",), "series": ("crop",)}


def resolve_augmentation(augmentation: object, kind: str) -> Augmentation | None:
    """Give what the parameter `augmentation` stands for, on data of a kind."""
    if augmentation == "auto":
        augmentation = AUTOMATIC_AUGMENTATIONS.get(kind)
    if not augmentation:
        return None
    if kind not in ("image", "series"):
        raise ValueError(
            f"The 'augmentation' parameter is for images and series, but X is a {kind}:"
            ' leave it at "auto", or set it to None.'
        )
    if kind == "series" and "affine" in augmentation:
        raise ValueError(
            "The 'augmentation' parameter has \"affine\", which is for images, but X "
            'has series: "crop" shifts them.'
        )
    return Augmentation(tuple(augmentation))
