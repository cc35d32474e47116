"""What NASClassifier reaches within a time limit, beside what fits as quickly.

    python benchmarks/anytime.py accuracy.jsonl

Reads what ``benchmarks/accuracy.py --models sknas_5s sknas_10s sknas_30s sknas_60s
...`` wrote. At each limit, on each split, those peers take part whose `fit` took no
longer. Prints the share of splits on which each was in time, its mean rank on these,
and the mean measures of those that always were; writes a plot of the ranks.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd
from accuracy import MEASURES

LIMITS = (5, 10, 30, 60)


def within(results: pd.DataFrame, limit: int) -> pd.DataFrame:
    """Compare, on each split, the peers that fitted within the limit."""
    own = f"sknas_{limit}s"
    models = [m for m in results["model"].unique() if not m.startswith("sknas")]
    part = results[results["model"].isin([own, *models])]
    measures = MEASURES["classification"]
    by_split = part.pivot_table(
        values=["fit", *measures], index=["set", "seed"], columns="model"
    )
    by_split = by_split.dropna(subset=[("accuracy", own)])
    in_time = by_split["fit"] <= limit
    table = pd.DataFrame({"in_time": in_time.mean()})
    always = in_time.columns[in_time.all()]
    for measure, more_is_better in measures.items():
        values = by_split[measure].where(in_time)
        ranks = values.rank(axis=1, ascending=not more_is_better)
        table[f"{measure}_rank"] = ranks.mean()
        table[measure] = values[always].mean()
    table.index = ["sknas" if model == own else model for model in table.index]
    return table.sort_values("log_loss_rank")


def plot(tables: dict[int, pd.DataFrame], path: Path) -> None:
    """Draw mean ranks over the time limit."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(
        1, 2, figsize=(9, 3.5), sharey=True, layout="constrained"
    )
    for axis, measure in zip(axes, MEASURES["classification"], strict=True):
        ranks = pd.DataFrame(
            {t: table[f"{measure}_rank"] for t, table in tables.items()}
        )
        for model, row in ranks.iterrows():
            axis.plot(
                row.index, row, "o-", label=model, lw=3 if model == "sknas" else 1
            )
        axis.set(xscale="log", xlabel="time limit, s", title=measure.replace("_", "-"))
        axis.set_xticks(list(tables), labels=list(tables), minor=False)
        axis.minorticks_off()
    axes[0].set_ylabel("mean rank")
    axes[0].invert_yaxis()
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right")
    figure.savefig(path)


def main() -> None:
    """Print a table for each limit, and write the plot."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("results", type=Path, nargs="?", default=Path("accuracy.jsonl"))
    parser.add_argument("--plot", type=Path, default=Path("anytime.png"))
    arguments = parser.parse_args()
    results = pd.read_json(arguments.results, lines=True).dropna(subset=["accuracy"])
    results = results.drop_duplicates(["model", "set", "seed"], keep="last")
    done = results.drop(columns=["error"], errors="ignore")
    tables = {
        limit: within(done, limit)
        for limit in LIMITS
        if f"sknas_{limit}s" in set(done["model"])
    }
    for limit, table in tables.items():
        print(f"time limit {limit} s\n{table.round(4).to_string()}\n")
    plot(tables, arguments.plot)


if __name__ == "__main__":
    main()
