import os

os.environ.setdefault("SCIPY_ARRAY_API", "1")  # read when scipy is first imported
# tests run beside one another, where small networks on several threads each take ten
# times as long
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from sknas import NASClassifier

QUICK = {
    "max_epochs": 8,
    "search_epochs": 3,
    "n_candidates": 3,
    "ensemble_size": 2,
    "random_state": 0,
}


def make_mixed(n_rows=200, seed=0):
    """Make a table of all kinds of columns, with missing values, and its labels."""
    rng = np.random.RandomState(seed)
    size = rng.normal(50.0, 10.0, n_rows)
    count = rng.randint(0, 8, n_rows)
    flag = rng.rand(n_rows) < 0.4
    city = rng.choice(["Oslo", "Rome", "Lima", "Kyiv"], n_rows)
    grade = rng.choice(["low", "mid", "high"], n_rows)
    score = (size - 50) / 10 + 0.3 * count + flag + (city == "Rome")
    y = np.where(score > np.median(score), "good", "bad")
    X = pd.DataFrame(
        {
            "size": np.where(rng.rand(n_rows) < 0.1, np.nan, size),
            "count": count,
            "flag": flag,
            "city": pd.Series(city).where(rng.rand(n_rows) > 0.1),
            "grade": pd.Categorical(grade).set_categories(["low", "mid", "high"]),
        }
    )
    return X, pd.Series(y, name="verdict")


@pytest.fixture(autouse=True)
def seeded():
    """Let tests that draw from torch's generator draw the same each time."""
    torch.manual_seed(0)


@pytest.fixture
def quick():
    """Constructor arguments with which a fit takes less than half a second."""
    return dict(QUICK)


@pytest.fixture
def quicker(quick):
    """For tests that compare models and do not mind how good they are."""
    return quick | {"max_epochs": 2, "search_epochs": 2}


@pytest.fixture(scope="session")
def digits():
    """Some of the digits: X_train, X_test, y_train, y_test."""
    X, y = load_digits(return_X_y=True)
    return train_test_split(
        X, y, train_size=300, test_size=300, stratify=y, random_state=0
    )


@pytest.fixture
def mixed():
    """A DataFrame of all kinds of columns, and labels that are strings."""
    return make_mixed()


@pytest.fixture(scope="session")
def fitted_digits(digits):
    """A classifier fitted on the digits, which tests must not change."""
    X, _, y, _ = digits
    return NASClassifier(**QUICK).fit(X, y)


@pytest.fixture(scope="session")
def fitted_mixed():
    """A classifier fitted on the mixed table, which tests must not change."""
    return NASClassifier(**QUICK).fit(*make_mixed())
