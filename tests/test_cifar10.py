"""The example on CIFAR-10 runs, and reads the data as they come."""

import pickle
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
CIFAR = str(EXAMPLES / "cifar10.py")
N_ROWS = 60


def make_batch(seed):
    rng = np.random.RandomState(seed)
    return {
        b"data": rng.randint(256, size=(N_ROWS, 3072), dtype=np.uint8),
        b"labels": (np.arange(N_ROWS) % 10).tolist(),
    }


@pytest.fixture
def folder(tmp_path):
    """A folder as that of CIFAR-10's "python version", with fewer images."""
    for name in [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]:
        batch = make_batch(len(list(tmp_path.iterdir())))
        (tmp_path / name).write_bytes(pickle.dumps(batch))
    return tmp_path


def test_cifar_is_read_from_a_folder(folder):
    load = runpy.run_path(CIFAR)["load"]
    X_train, X_test, y_train, y_test = load(folder)
    assert X_train.shape == (5 * N_ROWS, 3, 32, 32)
    assert X_train.dtype == np.uint8
    np.testing.assert_array_equal(X_train[N_ROWS].ravel(), make_batch(1)[b"data"][0])
    np.testing.assert_array_equal(X_test[3].ravel(), make_batch(5)[b"data"][3])
    assert y_train.shape == (5 * N_ROWS,)
    assert y_test.tolist() == make_batch(5)[b"labels"]
    (folder / "test_batch").unlink()
    with pytest.raises(FileNotFoundError, match="test_batch"):
        load(folder)


def test_cifar_is_fetched(monkeypatch):
    rng = np.random.RandomState(0)
    X = rng.randint(256, size=(50_020, 3072)).astype(np.uint8)
    y = (np.arange(len(X)) % 10).astype(str)
    monkeypatch.setattr("sklearn.datasets.fetch_openml", lambda *_, **__: (X, y))
    X_train, X_test, y_train, y_test = runpy.run_path(CIFAR)["load"](None)
    assert X_train.shape == (50_000, 3, 32, 32)
    assert X_test.shape == (20, 3, 32, 32)
    assert y_train.dtype == y_test.dtype == np.int64


@pytest.mark.parametrize("arguments", [[], ["--macro"]], ids=["micro", "macro"])
def test_cifar_runs_through(folder, monkeypatch, capsys, arguments):
    monkeypatch.setattr(
        sys, "argv", [CIFAR, "--folder", str(folder), "--quick", *arguments]
    )
    runpy.run_path(CIFAR, run_name="__main__")
    printed = capsys.readouterr().out
    n_numbers = len(printed.split("fixed arc:")[1].split())
    assert n_numbers == (78 if arguments else 40)
    assert 0 <= float(printed.split("test error")[1].split("%")[0]) <= 100
