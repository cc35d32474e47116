"""Fits on a GPU, beside one thread of the CPU, and in half beside single precision.

    python benchmarks/gpu.py [FOLDER] [--steps default macro micro]

The tables are synthetic, and three epochs long: what counts is how long a step takes.
With FOLDER, which holds MNIST's test images as for ``images.py``, whole fits of images
too. ``--steps`` takes steps of networks on random images: of a default one, and of two
as large as Pham et al. (2018) had for CIFAR-10. "Before" is what a fit takes beside its
steps, a recording among it.
"""

from __future__ import annotations

import argparse
import time
from contextlib import nullcontext
from itertools import product
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from images import load_mnist
from sklearn.datasets import make_classification
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import train_test_split

from sknas import ConvMacroSpace, ConvMicroSpace, NASClassifier

TABLES = [(2_000, 20), (20_000, 20), (50_000, 20), (200_000, 50)]
LARGE_MAPS = "sknas.spaces._convolutional.LARGE_MAPS"  # have half precision
NEVER = mock.patch("sknas.training._net.can_be_recorded", return_value=False)
PRECISIONS = {
    "half": mock.patch(LARGE_MAPS, 0),
    "single": mock.patch(LARGE_MAPS, float("inf")),
}
RECORDING = {"recorded": nullcontext(), "step by step": NEVER}
PAPER = {"optimizer": "sgd", "lr": 0.05, "batch_size": 144}
NETWORKS = {  # a space, the size of the images, and how to train
    "default": (ConvMacroSpace(), (1, 28, 28), {"batch_size": 64}),
    "macro": (ConvMacroSpace(12, 96, stem_stride=1), (3, 32, 32), PAPER),
    "micro": (
        ConvMicroSpace(n_cells=15, n_filters=36, n_nodes=5, stem_stride=1),
        (3, 32, 32),
        PAPER,
    ),
}


def fit(model: NASClassifier, X: np.ndarray, y: np.ndarray) -> float:
    """Fit, and give the seconds that it took."""
    started = time.perf_counter()
    model.fit(X, y)
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - started


def tables(device: str) -> None:
    """Time short fits of tables."""
    for n_rows, n_columns in TABLES:
        X, y = make_classification(
            n_rows, n_columns, n_informative=10, random_state=0, n_classes=3
        )
        model = NASClassifier(
            search_epochs=1,
            n_candidates=2,
            ensemble_size=1,
            max_epochs=3,
            early_stopping=False,
            device=device,
            random_state=0,
        )
        seconds = fit(model, X.astype(np.float32), y)
        print(f"{device} table {n_rows} x {n_columns}: {seconds:.1f} s", flush=True)


def images(folder: Path, device: str, n_train: int, seeds: list[int]) -> None:
    """Time whole fits of images, and judge them."""
    X, y = load_mnist(folder)
    for seed in seeds:
        X_train, X_test, y_train, y_test = train_test_split(
            X, y, test_size=2500, stratify=y, random_state=seed
        )
        for name, precision in PRECISIONS.items():
            if device == "cpu" and name == "half":
                continue
            model = NASClassifier(device=device, random_state=seed)
            with precision:
                seconds = fit(model, X_train[:n_train], y_train[:n_train])
            probability = model.predict_proba(X_test)
            accuracy = accuracy_score(y_test, probability.argmax(axis=1))
            loss = log_loss(y_test, probability)
            print(
                f"{device}, {name}: MNIST, {n_train} images, seed {seed}: "
                f"{accuracy:.4f} / {loss:.4f} in {seconds:.1f} s",
                flush=True,
            )


def steps(names: list[str], n_steps: int = 20) -> None:
    """Time steps of networks, and measure their memory."""
    rng = np.random.RandomState(0)
    for name in names:
        space, size, training = NETWORKS[name]
        architecture = space.decisions().sample(1, rng)[0]
        n_rows = n_steps * training["batch_size"]
        X = rng.randint(256, size=(n_rows, *size)).astype(np.uint8)
        y = np.arange(n_rows) % 10
        for (recorded, recording), (half, precision) in product(
            RECORDING.items(), PRECISIONS.items()
        ):
            seconds = {}
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
            for n_epochs in (5, 5, 8):  # in the first, libraries are loaded
                model = NASClassifier(
                    space,
                    architecture=architecture,
                    max_epochs=n_epochs,
                    ensemble_size=1,
                    early_stopping=False,
                    device="cuda",
                    random_state=0,
                    **training,
                )
                with precision, recording:
                    seconds[n_epochs] = fit(model, X, y)
            step = (seconds[8] - seconds[5]) / (3 * n_steps)
            memory = torch.cuda.max_memory_allocated() / 1e9
            print(
                f"{name}, {half}, {recorded}: {1000 * step:.1f} ms a step, "
                f"{seconds[5] - 5 * n_steps * step:.1f} s before, {memory:.1f} GB",
                flush=True,
            )


def main() -> None:
    """Print one line for each fit."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--devices", nargs="*", default=["cuda", "cpu"])
    parser.add_argument("--n-train", type=int, default=3000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--steps", nargs="*", default=[], choices=list(NETWORKS))
    arguments = parser.parse_args()
    steps(arguments.steps)
    for device in arguments.devices:
        torch.set_num_threads(1)
        tables(device)
        if arguments.folder is not None:
            images(arguments.folder, device, arguments.n_train, arguments.seeds)


if __name__ == "__main__":
    main()
