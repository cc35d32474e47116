"""
Reuse an architecture on new data
=================================

A search is paid for once. What it found is a value: it prints, it goes into a file as a
line of text, and it is trained on new data without a search.
"""

# %%
# The digits arrive in three parts; the first is searched on.
import time

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from sknas import Architecture, NASClassifier

X, y = load_digits(return_X_y=True)
X, X_test, y, y_test = train_test_split(X, y, test_size=0.3, stratify=y, random_state=0)
sizes = [200, 400, 800]

searched = NASClassifier(random_state=0).fit(X[: sizes[0]], y[: sizes[0]])
print(searched.architecture_)

# %%
# As text, for a file or an experiment tracker; and back. ``architecture=`` takes one,
# or a list of them, one for each network that is averaged.
lines = [architecture.to_json() for architecture in searched.architectures_]
print(lines[0])
found = [Architecture.from_json(line) for line in lines]
assert found == searched.architectures_

# %%
# As more data arrive, the found networks are trained again, and beside it there is a
# new search each time.
rows = []
for size in sizes:
    for name, clf in {
        "a new search": NASClassifier(random_state=0),
        "found on 200 rows": NASClassifier(architecture=found, random_state=0),
    }.items():
        started = time.perf_counter()
        clf.fit(X[:size], y[:size])
        seconds = time.perf_counter() - started
        rows.append((size, name, clf.score(X_test, y_test), seconds))
results = pd.DataFrame(rows, columns=["rows", "how", "accuracy", "seconds"])
print(results.to_string(index=False))

# %%
# A search's candidates are kept too, so another one can be chosen: here the smallest of
# those that were trained.
table = pd.DataFrame(searched.search_results_)
smallest = table[table["trained"]].nsmallest(1, "n_parameters").iloc[0]
small = NASClassifier(
    architecture=Architecture.from_json(smallest["architecture"]),
    ensemble_size=1,
    random_state=0,
).fit(X[: sizes[-1]], y[: sizes[-1]])
print(
    f"the smallest, {smallest['n_parameters']:,} parameters: "
    f"test accuracy {small.score(X_test, y_test):.3f}"
)

# %%
figure, axes = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
for ax, column in zip(axes, ["accuracy", "seconds"], strict=True):
    for i, (name, group) in enumerate(results.groupby("how")):
        ax.bar(np.arange(3) + 0.4 * i, group[column], width=0.38, label=name)
    ax.set(xticks=np.arange(3) + 0.2, xticklabels=sizes, xlabel="rows", title=column)
axes[0].set_ylim(0.9, 1)
axes[1].legend()
plt.show()
