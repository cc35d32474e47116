"""Data sets for the benchmarks: scikit-learn's own, and those of a folder."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn import datasets
from sklearn.model_selection import train_test_split

BUNDLED = {
    "breast_cancer": datasets.load_breast_cancer,
    "digits": datasets.load_digits,
    "iris": datasets.load_iris,
    "wine": datasets.load_wine,
    "diabetes": datasets.load_diabetes,
}
BUNDLED_REGRESSION = ["diabetes"]
MAX_ROWS = 3000  # in each of train and test part


def names(folder: Path | None, task: str = "classification") -> list[str]:
    """List the tables of a task: scikit-learn's, then the folder's."""
    is_regression = task == "regression"
    found = [n for n in BUNDLED if (n in BUNDLED_REGRESSION) == is_regression]
    if folder is not None:
        described = json.loads((folder / "datasets.json").read_text())
        found += [
            name
            for name, about in described.items()
            if about.get("task") == task and str(about.get("file", "")).endswith(".csv")
        ]
    return found


def load(name: str, folder: Path | None) -> tuple[pd.DataFrame, pd.Series]:
    """Read a table; its categorical columns have the category dtype."""
    if name in BUNDLED:
        return BUNDLED[name](return_X_y=True, as_frame=True)
    about = json.loads((folder / "datasets.json").read_text())[name]
    text = {column: "str" for column in about["categorical"]}
    X = pd.read_csv(
        folder / about["file"], dtype=text, keep_default_na=False, na_values=[""]
    )
    y = X.pop("target")
    return X.astype({column: "category" for column in text}), y


def with_noise(X: pd.DataFrame, n_columns: int, seed: int) -> pd.DataFrame:
    """Add columns that say nothing, at random places among the others."""
    rng = np.random.RandomState(seed)
    names = [f"noise_{i}" for i in range(n_columns)]
    noise = pd.DataFrame(rng.normal(size=(len(X), n_columns)), X.index, names)
    joined = pd.concat([X, noise], axis=1)
    return joined.iloc[:, rng.permutation(joined.shape[1])] if n_columns else X


def split(
    X: pd.DataFrame,
    y: pd.Series,
    seed: int,
    stratify: bool = True,
    max_rows: int = MAX_ROWS,
) -> tuple:
    """Split three to one, with at most `max_rows` rows in each part."""
    X_train, X_test, y_train, y_test = train_test_split(
        X, y, test_size=0.25, stratify=y if stratify else None, random_state=seed
    )
    return tuple(part[:max_rows] for part in (X_train, X_test, y_train, y_test))
