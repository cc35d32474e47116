"""NASClassifier on time series, beside an LSTM by hand and MLPClassifier.

    python benchmarks/sequences.py FOLDER --seeds 0 1 2

FOLDER holds series of UCR and UEA as `NAME.npz`, with arrays X of (samples, channels,
steps) and y; and `IndoorMovement.zip`, the archive of UCI's Indoor User Movement
Prediction, whose series have unequal lengths. A quarter of each set is tested on. The
LSTM, one layer of 128 units under skorch, has a fifth of the rows held back and trains
for as long as NASClassifier took, with its best weights kept. MLPClassifier reads the
flattened series; with the same time, as many are averaged as can be fitted in it.
"""

from __future__ import annotations

import argparse
import time
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from images import StopAfter, measure
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import LabelEncoder, StandardScaler
from skorch import NeuralNetClassifier
from skorch.callbacks import EarlyStopping, GradientNormClipping
from skorch.dataset import ValidSplit
from torch import Tensor, nn

from sknas import ConvMacroSpace, NASClassifier

SETS = ("GunPoint", "ArrowHead", "BasicMotions", "IndoorMovement")


class PlainLSTM(nn.Module):
    """An LSTM, and a linear layer on its last state; of series, or of ids of tokens."""

    def __init__(self, n_inputs: int, n_classes: int, n_tokens: int = 0) -> None:
        super().__init__()
        self.embedding = nn.Embedding(n_tokens, n_inputs) if n_tokens else None
        self.lstm = nn.LSTM(n_inputs, 128, batch_first=True)
        self.head = nn.Linear(128, n_classes)

    def forward(self, X: Tensor) -> Tensor:
        """Give logits from (n_rows, n_steps, n_inputs) with NaN, or ids with 0."""
        is_given = X != 0 if self.embedding else ~X.isnan().all(dim=2)
        steps = torch.arange(1, X.shape[1] + 1)
        last = (is_given * steps).amax(dim=1).clamp(min=1) - 1
        x = self.embedding(X) if self.embedding else X.nan_to_num(0.0)
        states, _ = self.lstm(x)
        return self.head(states[torch.arange(len(x)), last])


class ScaledLSTM:
    """The LSTM under skorch, trained for a time on standardized features.

    Parameters
    ----------
    seed : int
        Seed of weights, batches, and of what is held back.

    seconds : float
        How long to train.

    n_tokens : int, default=0
        Of ids, how many there are; 0: the data are series.
    """

    def __init__(self, seed: int, seconds: float, n_tokens: int = 0) -> None:
        self.seed = seed
        self.seconds = seconds
        self.n_tokens = n_tokens

    def fit(self, X: np.ndarray, y: np.ndarray) -> ScaledLSTM:
        """Train."""
        if not self.n_tokens:
            self.mean_ = np.nanmean(X, axis=(0, 1))
            self.scale_ = np.nanstd(X, axis=(0, 1)) + 1e-9
        torch.manual_seed(self.seed)
        self.net_ = NeuralNetClassifier(
            PlainLSTM,
            module__n_inputs=64 if self.n_tokens else X.shape[2],
            module__n_classes=len(np.unique(y)),
            module__n_tokens=self.n_tokens,
            criterion=nn.CrossEntropyLoss,
            optimizer=torch.optim.Adam,
            lr=0.001,
            max_epochs=100_000,
            batch_size=32,
            iterator_train__shuffle=True,
            train_split=ValidSplit(0.2, stratified=True, random_state=self.seed),
            callbacks=[
                StopAfter(self.seconds),
                GradientNormClipping(1.0),
                EarlyStopping("valid_loss", 100_000, load_best=True),
            ],
            callbacks__print_log=None,
            verbose=0,
        ).fit(self._scaled(X), y)
        return self

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Give probabilities."""
        return self.net_.predict_proba(self._scaled(X))

    def _scaled(self, X: np.ndarray) -> np.ndarray:
        if self.n_tokens:
            return np.asarray(X)
        return ((X - self.mean_) / self.scale_).astype(np.float32)


class FlatMLP:
    """MLPClassifiers on flattened series, averaged: as many as a time allows.

    Parameters
    ----------
    seed : int
        Seed of the first.

    seconds : float
        The time; 0 for a single one.
    """

    def __init__(self, seed: int, seconds: float) -> None:
        self.seed = seed
        self.seconds = seconds

    def fit(self, X: np.ndarray, y: np.ndarray) -> FlatMLP:
        """Fit one after the other."""
        started = time.perf_counter()
        self.models_ = []
        while not self.models_ or time.perf_counter() - started < self.seconds:
            model = make_pipeline(
                StandardScaler(),
                MLPClassifier(random_state=self.seed + len(self.models_)),
            )
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                self.models_.append(model.fit(self._flat(X), y))
        return self

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Give the mean of the probabilities."""
        return np.mean([m.predict_proba(self._flat(X)) for m in self.models_], axis=0)

    @staticmethod
    def _flat(X: np.ndarray) -> np.ndarray:
        return np.nan_to_num(X).reshape(len(X), -1)


def load_indoor_movement(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read the series from the archive; shorter ones are padded with NaN."""
    series, target = {}, None
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            file = Path(name).name
            if file.startswith("MovementAAL_RSS_"):
                number = int(Path(file).stem.rsplit("_", 1)[1])
                series[number] = pd.read_csv(archive.open(name)).to_numpy(np.float32)
            elif file == "MovementAAL_target.csv":
                target = pd.read_csv(archive.open(name)).to_numpy()
    labels = dict(target.tolist())
    n_steps = max(map(len, series.values()))
    X = np.full((len(series), n_steps, 4), np.nan, dtype=np.float32)
    for row, number in zip(X, sorted(series), strict=True):
        row[: len(series[number])] = series[number]
    return X, np.array([labels[number] for number in sorted(series)])


def load(folder: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Give series, (samples, steps, features), and labels from 0 up."""
    if name == "IndoorMovement":
        X, y = load_indoor_movement(folder / f"{name}.zip")
    else:
        data = np.load(folder / f"{name}.npz", allow_pickle=True)
        X, y = data["X"].swapaxes(1, 2).astype(np.float32), data["y"]
    return X, LabelEncoder().fit_transform(y)


def models(seed: int, seconds: float) -> dict[str, object]:
    """Give what is compared, once it is known how long NASClassifier took."""
    conv = ConvMacroSpace()
    return {
        "LSTM in skorch, same time": ScaledLSTM(seed, seconds),
        "MLPClassifier": FlatMLP(seed, 0),
        "MLPClassifiers, same time": FlatMLP(seed, seconds),
        "four default networks, no search": NASClassifier(
            conv, architecture=conv.default_architecture(), random_state=seed
        ),
    }


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--sets", nargs="+", default=SETS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for name in arguments.sets:
        X, y = load(arguments.folder, name)
        for seed in arguments.seeds:
            X_train, X_test, y_train, y_test = train_test_split(
                X, y, stratify=y, random_state=seed
            )

            def note(model, estimator, name=name, seed=seed, parts=None):
                X_train, X_test, y_train, y_test = parts
                row, fitted = measure(
                    lambda: estimator.fit(X_train, y_train), X_test, y_test
                )
                rows.append({"set": name, "model": model, "seed": seed, **row})
                print(rows[-1], flush=True)
                return fitted

            parts = (X_train, X_test, y_train, y_test)
            found = note("NASClassifier", NASClassifier(random_state=seed), parts=parts)
            print("found", [a.get("family") for a in found.architectures_])
            for model, estimator in models(seed, rows[-1]["wall"]).items():
                note(model, estimator, parts=parts)
    table = pd.DataFrame(rows).drop(columns="seed")
    columns = ["accuracy", "log_loss", "cpu", "wall"]
    means = table.groupby(["set", "model"], sort=False)[columns].mean()
    print(means.round(4).to_string())
    print(means.groupby("model", sort=False).mean().round(4).to_string())


if __name__ == "__main__":
    main()
