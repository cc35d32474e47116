"""NASClassifier on images, beside a hand-written CNN and scikit-learn's classifiers.

    python benchmarks/images.py [FOLDER] --seeds 0 1

FOLDER holds MNIST's test images as published, `t10k-images-idx3-ubyte.gz` and
`t10k-labels-idx1-ubyte.gz`, perhaps with a prefix; they are put on random textures too,
since easy images say little of hard ones. The CNN, under skorch, has a fifth of the
rows held back and trains for as long as NASClassifier took, with its best weights kept.
The last columns are the wall time of the search over that of training the best network
found alone: for as many epochs as the search and its candidates had, and for as many as
the shared parameters had.
"""

from __future__ import annotations

import argparse
import gzip
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.datasets import load_digits
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import StratifiedKFold, train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch import NeuralNetClassifier
from skorch.callbacks import Callback, EarlyStopping
from skorch.dataset import ValidSplit
from torch import nn

from sknas import NASClassifier


class PlainCNN(nn.Sequential):
    """Two convolutions with pooling, dropout, and two linear layers."""

    def __init__(self, size: int) -> None:
        super().__init__(
            nn.Conv2d(1, 32, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Dropout(0.25),
            nn.Linear(64 * (size // 4) ** 2, 128),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Linear(128, 10),
        )


class StopAfter(Callback):
    """Ends training when its time is up."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def on_train_begin(self, net, **kwargs) -> None:
        """Begin to count."""
        self.started_ = time.monotonic()

    def on_batch_end(self, net, **kwargs) -> None:
        """Stop when time is up."""
        if time.monotonic() > self.started_ + self.seconds:
            raise KeyboardInterrupt


def skorch_cnn(X: np.ndarray, y: np.ndarray, seed: int, seconds: float):
    """Train the hand-written CNN for a time."""
    torch.manual_seed(seed)
    best = EarlyStopping("valid_acc", 100_000, lower_is_better=False, load_best=True)
    net = NeuralNetClassifier(
        PlainCNN,
        module__size=X.shape[-1],
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam,
        lr=0.001,
        max_epochs=100_000,
        batch_size=64,
        iterator_train__shuffle=True,
        train_split=ValidSplit(0.2, stratified=True, random_state=seed),
        callbacks=[StopAfter(seconds), best],
        callbacks__print_log=None,
        verbose=0,
    )
    return net.fit(as_floats(X), y)


def as_floats(X: np.ndarray) -> np.ndarray:
    """Scale bytes to between 0 and 1."""
    return X.astype(np.float32) / X.max()


def load_mnist(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read the gzipped IDX files of MNIST's test part."""
    (images,) = folder.glob("*t10k-images-idx3-ubyte.gz")
    (labels,) = folder.glob("*t10k-labels-idx1-ubyte.gz")
    pixels = np.frombuffer(gzip.decompress(images.read_bytes()), np.uint8, offset=16)
    y = np.frombuffer(gzip.decompress(labels.read_bytes()), np.uint8, offset=8)
    return pixels.reshape(-1, 1, 28, 28), y.astype(np.int64)


def on_textures(X: np.ndarray) -> np.ndarray:
    """Put digits, light or dark, on blocks of random greys: much harder than before."""
    rng = np.random.RandomState(7)
    blocks = rng.rand(len(X), 1, 7, 7).repeat(4, axis=2).repeat(4, axis=3)
    ground = 160 * blocks + 60 * rng.rand(*X.shape)
    ink = 255 - X * rng.uniform(0, 0.7, size=(len(X), 1, 1, 1))
    images = np.where(X > 110, ink, ground).clip(0, 255)
    is_dark = rng.rand(len(X), 1, 1, 1) < 0.5
    return np.where(is_dark, 255 - images, images).astype(np.uint8)


def splits(folder: Path | None, seeds: list[int]):
    """Give the name, seed, and train and test parts of each task."""
    digits = load_digits()
    X, y = digits.images[:, None].astype(np.uint8), digits.target
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    for i, (train, test) in enumerate(folds.split(X, y)):
        yield "digits, 5-fold", i, X[train], X[test], y[train], y[test]
    if folder is None:
        return
    X, y = load_mnist(folder)
    for name, images, n_train in [
        ("mnist, 3000 images", X, 3000),
        ("mnist, 7500 images", X, 7500),
        ("textures, 3000 images", on_textures(X), 3000),
    ]:
        for seed in seeds:
            sizes = {"train_size": n_train, "test_size": 2500}
            parts = train_test_split(images, y, **sizes, stratify=y, random_state=seed)
            yield name, seed, *parts


def measure(fit, X_test, y_test) -> tuple[dict, object]:
    """Fit a model, and judge it."""
    wall, cpu = time.perf_counter(), time.process_time()
    model = fit()
    row = {
        "wall": time.perf_counter() - wall,
        "cpu": time.process_time() - cpu,
    }
    probability = model.predict_proba(X_test)
    row["accuracy"] = accuracy_score(y_test, probability.argmax(axis=1))
    row["log_loss"] = log_loss(y_test, np.clip(probability, 1e-7, 1))
    return row, model


def search_ratios(searched: NASClassifier, X, y, seed: int) -> dict[str, float]:
    """Give the search's time over that of training the found network alone."""
    n_epochs = len(searched.history_)
    n_rows = round(len(X) * (1 - searched.validation_fraction))  # as in the search
    alone = NASClassifier(
        "conv-macro",
        architecture=searched.search_results_["architecture"][0],
        ensemble_size=1,
        max_epochs=n_epochs,
        early_stopping=False,
        random_state=seed,
    ).fit(X[:n_rows], y[:n_rows])
    whole = searched.search_time_ / alone.refit_time_
    n_all = n_epochs + searched.search_results_["n_epochs"].sum()
    return {"search, an epoch": whole * n_epochs / n_all, "whole search": whole}


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1])
    parser.add_argument("--sets", nargs="+", help="beginnings of names")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    rows = []
    for name, seed, X, X_test, y, y_test in splits(arguments.folder, arguments.seeds):
        if arguments.sets and not name.startswith(tuple(arguments.sets)):
            continue
        nas, model = measure(
            lambda X=X, y=y, seed=seed: NASClassifier(random_state=seed).fit(X, y),
            X_test,
            y_test,
        )
        nas |= search_ratios(model, X, y, seed)
        own = {"NASClassifier": nas}
        own["skorch CNN, same time"], _ = measure(
            lambda X=X, y=y, seed=seed, wall=nas["wall"]: skorch_cnn(X, y, seed, wall),
            as_floats(X_test),
            y_test,
        )
        flat, flat_test = X.reshape(len(X), -1), X_test.reshape(len(X_test), -1)
        for peer, estimator in {
            "MLPClassifier": make_pipeline(
                StandardScaler(), MLPClassifier(random_state=seed)
            ),
            "HistGradientBoosting": HistGradientBoostingClassifier(random_state=seed),
        }.items():
            own[peer], _ = measure(
                lambda estimator=estimator, y=y, flat=flat: estimator.fit(flat, y),
                flat_test,
                y_test,
            )
        for peer, row in own.items():
            rows.append({"set": name, "model": peer, "seed": seed, **row})
            print(rows[-1], flush=True)
    table = pd.DataFrame(rows).drop(columns="seed")
    means = table.groupby(["set", "model"], sort=False).mean()
    print(means.round(4).to_string())


if __name__ == "__main__":
    main()
