"""
CIFAR-10 with the settings of the ENAS paper
============================================

The micro space of Pham et al. (2018): 150 epochs of search with 6 + 2 cells of 20
filters, then one network of 15 + 2 cells of 36 filters, trained for 630 epochs. This is
for a GPU; sknas's own tests run it on a tiny stand-in only. The data are fetched by
scikit-learn, or read from a folder of the "python version" that
https://www.cs.toronto.edu/~kriz/cifar.html has.

    python examples/cifar10.py [--folder cifar-10-batches-py] [--macro]

``--quick`` runs it all with a few small epochs, to see that it works.
"""

from __future__ import annotations

import argparse
import pickle
from pathlib import Path

import numpy as np
from sklearn.datasets import fetch_openml

from sknas import ENAS, ConvMacroSpace, ConvMicroSpace, NASClassifier

SHAPE = (3, 32, 32)
N_TRAIN = 50_000


def load(folder: Path | None) -> tuple[np.ndarray, ...]:
    """Give X_train, X_test, y_train and y_test, the images as bytes."""
    if folder is None:
        X, y = fetch_openml("CIFAR_10", version=1, return_X_y=True, as_frame=False)
        X, y = X.astype(np.uint8).reshape(-1, *SHAPE), y.astype(np.int64)
        return X[:N_TRAIN], X[N_TRAIN:], y[:N_TRAIN], y[N_TRAIN:]
    parts = []
    for pattern in ("data_batch_*", "test_batch"):
        files = sorted(folder.glob(pattern))
        if not files:
            raise FileNotFoundError(f"{folder} has no file named {pattern}.")
        batches = [pickle.loads(f.read_bytes(), encoding="bytes") for f in files]
        X = np.concatenate([batch[b"data"] for batch in batches])
        y = np.concatenate([batch[b"labels"] for batch in batches])
        parts.append((X.reshape(-1, *SHAPE), y))
    (X_train, y_train), (X_test, y_test) = parts
    return X_train, X_test, y_train, y_test


def make_classifier(macro: bool = False, quick: bool = False) -> NASClassifier:
    """Set the classifier up as in the paper, and in its code."""
    if macro:
        space = ConvMacroSpace(
            n_layers=12, n_filters=36, final_n_filters=96, stem_stride=1, dropout=0.5
        )
        updates, search_epochs, max_epochs, batch_size = 50, 310, 310, 100
    else:
        space = ConvMicroSpace(
            n_cells=6,
            n_filters=20,
            n_nodes=5,
            final_n_cells=15,
            final_n_filters=36,
            stem_stride=1,
            dropout=0.2,
            drop_path=0.4,
            auxiliary_weight=0.4,
        )
        updates, search_epochs, max_epochs, batch_size = 30, 150, 630, 144
    n_candidates = 10
    if quick:
        space.set_params(n_filters=4, final_n_filters=6)
        updates, search_epochs, max_epochs, batch_size = 1, 2, 2, 64
        n_candidates = 2
    return NASClassifier(
        space,
        strategy=ENAS(
            controller_lr=0.001 if macro else 0.0035,
            tanh_constant=1.5 if macro else 1.1,
            entropy_weight=0.0001,
            baseline_decay=0.99,
            updates_per_epoch=updates,
            samples_per_update=20 if macro else 10,
        ),
        search_epochs=search_epochs,
        n_candidates=n_candidates,
        ensemble_size=1,
        max_epochs=max_epochs,
        batch_size=batch_size,
        optimizer="sgd",  # with Nesterov momentum
        lr=0.05,
        weight_decay=0.0002,
        lr_schedule="cosine_restarts",
        max_gradient_norm=5.0,
        augmentation=("crop", "flip", "cutout"),
        validation_fraction=0.1,  # 5,000 images
        early_stopping=False,  # the final network trains on all images
        random_state=0,
        verbose=1,
    )


def main() -> None:
    """Search, train and judge."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[1])
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--macro", action="store_true")
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    X_train, X_test, y_train, y_test = load(arguments.folder)
    if arguments.quick:
        X_train, y_train, X_test, y_test = (
            part[:100] for part in (X_train, y_train, X_test, y_test)
        )
    clf = make_classifier(arguments.macro, arguments.quick).fit(X_train, y_train)
    print(f"test error {1 - clf.score(X_test, y_test):.2%}")
    print("fixed arc:", clf.architecture_.to_fixed_arc(clf.search_space))


if __name__ == "__main__":
    main()
