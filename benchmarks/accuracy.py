"""NASClassifier and NASRegressor beside their peers, on many tables.

    python benchmarks/accuracy.py [FOLDER] --seeds 0 1 2

FOLDER holds more tables and a `datasets.json` that describes them. Results are
appended to a file, one line for each model, table and seed, and those that are
there already are not computed again.

What the search earns, with the same training in all:
``--models sknas sknas_random sknas_default sknas_default_6``. What a time limit costs:
``--models sknas_5s sknas_10s sknas_30s sknas_60s mlp hgb``. Regression:
``--task regression``. With a file of results of their own (``--results``): larger
tables, ``--max-rows 100000``, and columns of noise in each, ``--noise 50``.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from pathlib import Path

import datasets
import numpy as np
import pandas as pd
import torch
from joblib import Parallel, delayed
from peers import DEFAULT, DEFAULT_REGRESSORS, MODELS, REGRESSORS
from sklearn.metrics import log_loss, r2_score
from sklearn.preprocessing import LabelEncoder
from threadpoolctl import threadpool_limits


def run(
    model: str,
    name: str,
    seed: int,
    folder: Path | None,
    task: str = "classification",
    max_rows: int = datasets.MAX_ROWS,
    n_noise: int = 0,
) -> dict:
    """Fit one model on one split of one table."""
    X, y = datasets.load(name, folder)
    X = datasets.with_noise(X, n_noise, seed)
    is_regression = task == "regression"
    X_train, X_test, y_train, y_test = datasets.split(
        X, y, seed, not is_regression, max_rows
    )
    if not is_regression:
        labels = LabelEncoder().fit(y_train)
        # a class with one row may be in the test part
        seen = y_test.isin(labels.classes_)
        X_test, y_test = X_test[seen], labels.transform(y_test[seen])
        y_train = labels.transform(y_train)
    row = {"model": model, "set": name, "seed": seed, "n_rows": len(X_train)}
    torch.set_num_threads(1)
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            make = (REGRESSORS if is_regression else MODELS)[model]
            started, cpu = time.perf_counter(), time.process_time()
            fitted = make(X_train, y_train, seed).fit(X_train, y_train)
            row["fit_cpu"] = time.process_time() - cpu
            row["fit"] = time.perf_counter() - started
            predict = fitted.predict if is_regression else fitted.predict_proba
            started = time.perf_counter()
            answer = np.asarray(predict(X_test), dtype=np.float64)
            row["predict"] = time.perf_counter() - started
        except Exception as error:  # a peer that cannot do a table is a result too
            return row | {"error": f"{type(error).__name__}: {error}"[:200]}
    if is_regression:
        return row | {"r2": float(r2_score(y_test, answer.ravel()))}
    row["accuracy"] = float(np.mean(answer.argmax(axis=1) == y_test))
    answer = np.clip(answer, 1e-7, 1)
    answer /= answer.sum(axis=1, keepdims=True)
    row["log_loss"] = float(
        log_loss(y_test, answer, labels=np.arange(len(labels.classes_)))
    )
    return row


# for each task its measures, and whether more of it is better
MEASURES = {
    "classification": {"accuracy": True, "log_loss": False},
    "regression": {"r2": True},
}


def table(results: pd.DataFrame, task: str) -> str:
    """Compare the models on the splits that all of them finished."""
    measures = MEASURES[task]
    results = results.drop_duplicates(["model", "set", "seed"], keep="last")
    n_models = results["model"].nunique()
    done = results.dropna(subset=[m for m in measures if m in results])
    counts = done.groupby(["set", "seed"])["model"].transform("nunique")
    done = done[counts == n_models].copy()
    by_split = done.groupby(["set", "seed"])
    for measure, more_is_better in measures.items():
        done[f"{measure}_rank"] = by_split[measure].rank(ascending=not more_is_better)
    columns = [c for m in measures for c in (f"{m}_rank", m)]
    by_model = done.groupby("model")
    summary = (
        by_model[columns]
        .mean()
        .assign(
            fit_cpu_median=by_model["fit_cpu"].median(),
            fit_cpu_max=by_model["fit_cpu"].max(),
            predict_median=by_model["predict"].median(),
        )
    )
    lines = [
        f"{len(done) // max(n_models, 1)} splits of {done['set'].nunique()} tables "
        f"that all {n_models} models finished",
        summary.sort_values(columns[-2]).round(4).to_string(),
    ]
    means = done.groupby(["set", "model"])[list(measures)].mean().unstack()
    lines += ["", means.round(4).to_string()]
    if {"sknas", "mlp"} <= set(done["model"]):
        better = np.ones(len(means), dtype=bool)
        for measure, more_is_better in measures.items():
            ahead = means[measure]["sknas"] - means[measure]["mlp"]
            better &= (ahead > 0) if more_is_better else (ahead < 0)
        lines.append(
            f"\nsknas beats mlp in all measures on {better.sum()} of {len(better)} "
            "tables"
        )
    return "\n".join(lines)


def main() -> None:
    """Run what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--task", choices=list(MEASURES), default="classification")
    parser.add_argument("--models", nargs="+", choices=[*MODELS, *REGRESSORS])
    parser.add_argument("--sets", nargs="+")
    parser.add_argument("--results", type=Path)
    parser.add_argument("--n-jobs", type=int, default=1)
    parser.add_argument(
        "--max-rows", type=int, default=datasets.MAX_ROWS, help="of each part"
    )
    parser.add_argument(
        "--noise", type=int, default=0, help="columns of noise that each table gets"
    )
    arguments = parser.parse_args()
    task = arguments.task
    is_regression = task == "regression"
    models = arguments.models or (DEFAULT_REGRESSORS if is_regression else DEFAULT)
    path = arguments.results or Path("r2.jsonl" if is_regression else "accuracy.jsonl")
    known = [json.loads(line) for line in path.open()] if path.exists() else []
    done = {(row["model"], row["set"], row["seed"]) for row in known}
    tasks = [
        (model, name, seed)
        for name in arguments.sets or datasets.names(arguments.folder, task)
        for seed in arguments.seeds
        for model in models
        if (model, name, seed) not in done
    ]
    rows = Parallel(n_jobs=arguments.n_jobs, return_as="generator_unordered")(
        delayed(run)(
            *split, arguments.folder, task, arguments.max_rows, arguments.noise
        )
        for split in tasks
    )
    with path.open("a") as file:
        for row in rows:
            known.append(row)
            file.write(json.dumps(row) + "\n")
            file.flush()
            print(json.dumps(row), flush=True)
    results = pd.DataFrame(known)
    chosen = results["model"].isin(models)
    print(table(results[chosen & results["seed"].isin(arguments.seeds)], task))


if __name__ == "__main__":
    main()
