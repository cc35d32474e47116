"""NASClassifier on raw text, beside an LSTM by hand and counted words.

    python benchmarks/text.py FOLDER --seeds 0 1

FOLDER holds `review_polarity.tar.gz`, the movie reviews of Pang and Lee (2004): 2,000
texts, half of them of praise. A quarter is tested on. The LSTM, an embedding of 64 and
one layer of 128 units under skorch, reads the ids of the same TokenEncoder; it has a
fifth of the rows held back, and trains for as long as NASClassifier took, with its best
weights kept.
"""

from __future__ import annotations

import argparse
import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from images import measure
from sequences import ScaledLSTM
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline

from sknas import NASClassifier
from sknas.preprocessing import TokenEncoder


def load_reviews(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Give the texts, and 1 for those that praise."""
    texts, y = [], []
    with tarfile.open(folder / "review_polarity.tar.gz") as archive:
        for member in sorted(archive.getmembers(), key=lambda m: m.name):
            folder_name = Path(member.name).parent.name
            if member.isfile() and folder_name in ("neg", "pos"):
                texts.append(archive.extractfile(member).read().decode("latin-1"))
                y.append(folder_name == "pos")
    return np.array(texts, dtype=object), np.array(y, dtype=int)


class EncodedLSTM(ScaledLSTM):
    """The LSTM on texts."""

    def fit(self, X, y):
        """Learn the vocabulary, and train."""
        self.encoder_ = TokenEncoder().fit(X)
        self.n_tokens = self.encoder_.n_tokens_
        return super().fit(self.encoder_.transform(X), y)

    def predict_proba(self, X):
        """Give probabilities."""
        return super().predict_proba(self.encoder_.transform(X))


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    X, y = load_reviews(arguments.folder)
    rows = []
    for seed in arguments.seeds:
        X_train, X_test, y_train, y_test = train_test_split(
            X, y, stratify=y, random_state=seed
        )
        estimators = {
            "NASClassifier": lambda _, seed=seed: make_pipeline(
                TokenEncoder(), NASClassifier(random_state=seed)
            ),
            "LSTM in skorch, same time": lambda wall, seed=seed: EncodedLSTM(
                seed, wall
            ),
            "TfidfVectorizer, LogisticRegression": lambda _: make_pipeline(
                TfidfVectorizer(), LogisticRegression(max_iter=1000)
            ),
        }
        wall = 0.0
        for name, make in estimators.items():
            estimator = make(wall)
            row, _ = measure(
                lambda estimator=estimator, X=X_train, y=y_train: estimator.fit(X, y),
                X_test,
                y_test,
            )
            wall = wall or row["wall"]
            rows.append({"model": name, "seed": seed, **row})
            print(rows[-1], flush=True)
    table = pd.DataFrame(rows).drop(columns="seed")
    columns = ["accuracy", "log_loss", "cpu", "wall"]
    print(table.groupby("model", sort=False)[columns].mean().round(4).to_string())


if __name__ == "__main__":
    main()
