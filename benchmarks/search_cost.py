"""What the search, skorch and the estimator cost over what is bare.

    python benchmarks/search_cost.py [FOLDER]

For each table of 2,000 rows and more, on one thread, medians over repeats:
(a) the search's wall time over that of training the found network alone for the
same number of epochs, those of the candidates included; then that of the shared
parameters and controller alone, and of the whole search over 20 epochs of the found
network; (b) a step of training under skorch over the same step in a plain loop, both
AdamW's, so that a dear optimizer hides nothing; (c) `predict` of the default over its
networks' forward passes alone.
"""

from __future__ import annotations

import argparse
import copy
import time
import warnings
from pathlib import Path
from statistics import median

import datasets
import pandas as pd
import torch
from sklearn.datasets import make_classification

from sknas import NASClassifier, TabularSpace
from sknas.training import (
    BatchIterator,
    CrossEntropy,
    Recipe,
    TensorTable,
    private_random_state,
    train_network,
)

EPOCHS = 20  # so many that the making of a net does not count


def timed(function, repeats: int = 5) -> float:
    """Give the median of a function's wall times."""
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        function()
        times.append(time.perf_counter() - started)
    return median(times)


def training_data(clf: NASClassifier, X, y) -> TensorTable:
    """Encode a table as the fitted classifier does."""
    inputs = {name: torch.from_numpy(a) for name, a in clf.encode(X).items()}
    target = torch.tensor([clf.classes_.tolist().index(label) for label in y])
    return TensorTable(inputs, target, torch.ones(len(target)))


def search_ratios(X, y, seed: int) -> dict[str, float]:
    """Measure (a)."""
    # patience as short as the candidates' trainings, which it thus leaves alone
    searched = NASClassifier(
        search_epochs=EPOCHS, n_iter_no_change=3, random_state=seed
    ).fit(X, y)
    n_rows = round(len(X) * (1 - searched.validation_fraction))  # as in the search
    alone = NASClassifier(
        architecture=searched.architecture_,
        search_space=TabularSpace(),
        ensemble_size=1,
        max_epochs=EPOCHS,
        early_stopping=False,
        random_state=seed,
    ).fit(X[:n_rows], y[:n_rows])
    n_epochs = EPOCHS + searched.search_results_["n_epochs"].sum()
    epoch_seconds = alone.refit_time_ / EPOCHS
    shared = sum(epoch["dur"] for epoch in searched.history_)
    return {
        "(a) search, an epoch": searched.search_time_ / n_epochs / epoch_seconds,
        "shared part": shared / EPOCHS / epoch_seconds,
        "whole search": searched.search_time_ / EPOCHS / epoch_seconds,
    }


def step_ratio(clf: NASClassifier, data: TensorTable, batch_size: int) -> float:
    """Measure (b), on the best network found."""

    def build():
        return copy.deepcopy(clf.net_.module_).requires_grad_(True).train()

    recipe = Recipe(
        CrossEntropy(), EPOCHS, batch_size, 0.003, 0.01, "adamw", None, "cpu"
    )

    def managed():
        train_network(build, data, None, recipe, seed=0)

    def bare():
        with private_random_state(0):
            network, criterion = build(), CrossEntropy()
            optimizer = torch.optim.AdamW(
                network.parameters(), lr=0.003, weight_decay=0.01, fused=True
            )
            for _ in range(EPOCHS):
                for inputs, target in BatchIterator(data, batch_size, shuffle=True):
                    optimizer.zero_grad()
                    criterion(network(**inputs), *target).backward()
                    optimizer.step()

    ratios = []
    for _ in range(5):
        ratios.append(timed(managed, 1) / timed(bare, 1))
    return median(ratios)


def predict_ratio(clf: NASClassifier, X) -> float:
    """Measure (c)."""
    inputs = {name: torch.from_numpy(a) for name, a in clf.encode(X).items()}

    @torch.no_grad()
    def bare():
        for network in clf.networks_:
            network(**inputs)

    return timed(lambda: clf.predict_proba(X), 15) / timed(bare, 15)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--sets", nargs="+")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    tables = {}
    for n_rows, n_features in ((2000, 10), (3000, 30), (10_000, 20)):
        X, y = make_classification(
            n_rows, n_features, n_informative=8, n_classes=3, random_state=0
        )
        tables[f"made {n_rows} x {n_features}"] = X, y
    for name in datasets.names(arguments.folder):
        X, y = datasets.load(name, arguments.folder)
        if len(X) >= 2000:
            tables[name] = datasets.split(X, y, 0)[::2]
    X, y = tables["made 2000 x 10"]
    NASClassifier(search_epochs=1, max_epochs=1).fit(X, y)  # torch's late imports
    rows = []
    for name, (X, y) in tables.items():
        if arguments.sets and name not in arguments.sets:
            continue
        ratios = [search_ratios(X, y, seed) for seed in range(3)]
        clf = NASClassifier(max_epochs=3, search_epochs=2, random_state=0).fit(X, y)
        data = training_data(clf, X, y)
        rows.append(
            {
                "table": name,
                **{name: median(r[name] for r in ratios) for name in ratios[0]},
                "(b) skorch / bare step": step_ratio(clf, data, 128),
                "(c) predict / forward": predict_ratio(
                    NASClassifier(random_state=0).fit(X, y), X
                ),
            }
        )
        print(rows[-1], flush=True)
    frame = pd.DataFrame(rows).set_index("table")
    frame.loc["median"] = frame.median()
    print(frame.round(2).to_string())


if __name__ == "__main__":
    main()
