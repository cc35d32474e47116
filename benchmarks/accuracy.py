"""Accuracy and log-loss of NASClassifier beside its peers, on many tables.

    python benchmarks/accuracy.py [FOLDER] --seeds 0 1 2

FOLDER holds more tables and a `datasets.json` that describes them. Results are
appended to a file, one line for each model, table and seed, and those that are
there already are not computed again.

What the search earns, with the same training in all three:
``--models sknas sknas_random sknas_default``. What a time limit costs:
``--models sknas_5s sknas_10s sknas_30s sknas_60s mlp hgb``.
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
from peers import DEFAULT, MODELS
from sklearn.metrics import log_loss
from sklearn.preprocessing import LabelEncoder
from threadpoolctl import threadpool_limits


def run(model: str, name: str, seed: int, folder: Path | None) -> dict:
    """Fit one model on one split of one table."""
    X, y = datasets.load(name, folder)
    X_train, X_test, y_train, y_test = datasets.split(X, y, seed)
    labels = LabelEncoder().fit(y_train)
    seen = y_test.isin(labels.classes_)  # a class with one row may be in the test part
    X_test, y_test = X_test[seen], labels.transform(y_test[seen])
    y_train = labels.transform(y_train)
    row = {"model": model, "set": name, "seed": seed, "n_rows": len(X_train)}
    torch.set_num_threads(1)
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            started, cpu = time.perf_counter(), time.process_time()
            fitted = MODELS[model](X_train, y_train, seed).fit(X_train, y_train)
            row["fit_cpu"] = time.process_time() - cpu
            row["fit"] = time.perf_counter() - started
            started = time.perf_counter()
            probability = np.asarray(fitted.predict_proba(X_test), dtype=np.float64)
            row["predict"] = time.perf_counter() - started
        except Exception as error:  # a peer that cannot do a table is a result too
            return row | {"error": f"{type(error).__name__}: {error}"[:200]}
    row["accuracy"] = float(np.mean(probability.argmax(axis=1) == y_test))
    probability = np.clip(probability, 1e-7, 1)
    probability /= probability.sum(axis=1, keepdims=True)
    row["log_loss"] = float(
        log_loss(y_test, probability, labels=np.arange(len(labels.classes_)))
    )
    return row


def table(results: pd.DataFrame) -> str:
    """Compare the models on the splits that all of them finished."""
    results = results.drop_duplicates(["model", "set", "seed"], keep="last")
    n_models = results["model"].nunique()
    done = results.dropna(subset=["accuracy"]) if "accuracy" in results else results
    counts = done.groupby(["set", "seed"])["model"].transform("nunique")
    done = done[counts == n_models].copy()
    by_split = done.groupby(["set", "seed"])
    done["acc_rank"] = by_split["accuracy"].rank(ascending=False)
    done["loss_rank"] = by_split["log_loss"].rank()
    summary = done.groupby("model").agg(
        acc_rank=("acc_rank", "mean"),
        accuracy=("accuracy", "mean"),
        loss_rank=("loss_rank", "mean"),
        log_loss=("log_loss", "mean"),
        fit_cpu_median=("fit_cpu", "median"),
        fit_cpu_max=("fit_cpu", "max"),
        predict_median=("predict", "median"),
    )
    lines = [
        f"{len(done) // max(n_models, 1)} splits of {done['set'].nunique()} tables "
        f"that all {n_models} models finished",
        summary.sort_values("loss_rank").round(4).to_string(),
    ]
    means = done.groupby(["set", "model"])[["accuracy", "log_loss"]].mean().unstack()
    lines += ["", means.round(4).to_string()]
    if {"sknas", "mlp"} <= set(done["model"]):
        better = (means["accuracy"]["sknas"] > means["accuracy"]["mlp"]) & (
            means["log_loss"]["sknas"] < means["log_loss"]["mlp"]
        )
        lines.append(
            f"\nsknas beats mlp in both measures on {better.sum()} of {len(better)} "
            "tables"
        )
    return "\n".join(lines)


def main() -> None:
    """Run what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--models", nargs="+", choices=list(MODELS), default=DEFAULT)
    parser.add_argument("--sets", nargs="+")
    parser.add_argument("--results", type=Path, default=Path("accuracy.jsonl"))
    parser.add_argument("--n-jobs", type=int, default=1)
    arguments = parser.parse_args()
    known = []
    if arguments.results.exists():
        known = [json.loads(line) for line in arguments.results.open()]
    done = {(row["model"], row["set"], row["seed"]) for row in known}
    tasks = [
        (model, name, seed)
        for name in arguments.sets or datasets.names(arguments.folder)
        for seed in arguments.seeds
        for model in arguments.models
        if (model, name, seed) not in done
    ]
    rows = Parallel(n_jobs=arguments.n_jobs, return_as="generator_unordered")(
        delayed(run)(*task, arguments.folder) for task in tasks
    )
    with arguments.results.open("a") as file:
        for row in rows:
            known.append(row)
            file.write(json.dumps(row) + "\n")
            file.flush()
            print(json.dumps(row), flush=True)
    results = pd.DataFrame(known)
    chosen = results["model"].isin(arguments.models)
    print(table(results[chosen & results["seed"].isin(arguments.seeds)]))


if __name__ == "__main__":
    main()
