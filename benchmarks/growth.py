"""How fit's time and memory grow with rows, features and classes.

    python benchmarks/growth.py [--most-rows 1000000] [--time-limit 300]

On made data, one thread, each fit in a process of its own. Prints a table: seconds
of `fit`, peak memory in GB with and without what the process held before, accuracy
on 2,000 other rows, and the exponent with which seconds grew since the line before:
1 is linear. Writes a plot beside it.
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import resource
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from sknas import NASClassifier

N_TEST = 2000
GIGABYTE = 2**20  # in the unit of ru_maxrss on Linux, kilobytes


def make_data(n_rows: int, n_features: int, n_classes: int) -> tuple:
    """Make classes that are regions of a random network's output, in float32."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n_rows, n_features), dtype=np.float32)
    n_informative = min(n_features, 10)
    weight = rng.standard_normal((n_informative, 16), dtype=np.float32)
    scores = rng.standard_normal((16, n_classes), dtype=np.float32)
    y = np.empty(n_rows, dtype=np.int64)
    for start in range(0, n_rows, 10_000):
        part = X[start : start + 10_000, :n_informative]
        y[start : start + 10_000] = (np.tanh(part @ weight) @ scores).argmax(axis=1)
    return X, y


def measure(
    n_rows: int, n_features: int, n_classes: int, time_limit: float | None
) -> dict:
    """Fit once, in this process."""
    X, y = make_data(n_rows + N_TEST, n_features, n_classes)
    torch.set_num_threads(1)
    # torch's late imports
    NASClassifier(search_epochs=1, max_epochs=1).fit(X[:20], np.arange(20) % 2)
    gc.collect()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / GIGABYTE
    started = time.perf_counter()
    clf = NASClassifier(time_limit=time_limit, random_state=0).fit(
        X[:-N_TEST], y[:-N_TEST]
    )
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / GIGABYTE
    return {
        "rows": n_rows,
        "features": n_features,
        "classes": n_classes,
        "time_limit": time_limit,
        "fit_seconds": seconds,
        "peak_gb": peak,
        "of_fit_gb": peak - before,
        "accuracy": clf.score(X[-N_TEST:], y[-N_TEST:]),
    }


def plot(results: pd.DataFrame, path: Path) -> None:
    """Draw seconds and memory against each of the three."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(2, 3, figsize=(10, 6), sharey="row", squeeze=False)
    for column, axis in enumerate(("rows", "features", "classes")):
        part = results[results["axis"] == axis].sort_values(axis)
        for row, name in enumerate(("fit_seconds", "peak_gb")):
            axes[row, column].loglog(part[axis], part[name], "o-")
            axes[row, column].grid(visible=True, alpha=0.3)
            axes[row, column].set(xlabel=axis, ylabel=name if column == 0 else None)
    figure.tight_layout()
    figure.savefig(path)


def main() -> None:
    """Measure, print the table and write the plot."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--most-rows", type=int, default=1_000_000)
    parser.add_argument("--time-limit", type=float, help="of the fit of most rows")
    parser.add_argument("--axes", nargs="+", default=["rows", "features", "classes"])
    parser.add_argument("--plot", type=Path, default=Path("growth.png"))
    arguments = parser.parse_args()
    sizes = [
        *(
            ("rows", n, 50, 2, None)
            for n in (1000, 10_000, 100_000)
            if n < arguments.most_rows
        ),
        ("rows", arguments.most_rows, 50, 2, arguments.time_limit),
        *(("features", 3000, n, 2, None) for n in (10, 100, 500, 2000)),
        *(("classes", 10_000, 20, n, None) for n in (2, 10, 30, 100)),
    ]
    context = multiprocessing.get_context("spawn")
    rows = []
    for axis, *size in sizes:
        if axis not in arguments.axes:
            continue
        with context.Pool(1) as pool:
            rows.append({"axis": axis, **pool.apply(measure, size)})
        print(rows[-1], flush=True)
    results = pd.DataFrame(rows)
    for axis, part in results.groupby("axis", sort=False):
        growth = part["fit_seconds"].pct_change() + 1
        factor = part[axis].pct_change() + 1
        results.loc[part.index, "exponent"] = np.log(growth) / np.log(factor)
    print(results.round(3).to_string(index=False))
    plot(results, arguments.plot)


if __name__ == "__main__":
    main()
