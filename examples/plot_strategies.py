"""
Compare strategies of search
============================

Does the controller of ENAS find better networks than chance does, and either better
ones than no search? With all else the same, that is one parameter each, and a question
that has to be asked again on each kind of data.
"""

# %%
# One network instead of an average of four, so that differences show.
import matplotlib.pyplot as plt
import pandas as pd
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedShuffleSplit

from sknas import ENAS, NASClassifier, PolicyDisplay, RandomSearch, TabularSpace

space = TabularSpace()
strategies = {
    "ENAS": {"strategy": ENAS()},
    "random search": {"strategy": RandomSearch()},
    "no search": {"architecture": space.default_architecture()},
}
rows = []
for load in (load_wine, load_breast_cancer, load_digits):
    X, y = load(return_X_y=True)
    splits = StratifiedShuffleSplit(2, train_size=0.4, random_state=0).split(X, y)
    for seed, (train, test) in enumerate(splits):
        for name, parameters in strategies.items():
            clf = NASClassifier(
                space, **parameters, ensemble_size=1, random_state=seed
            ).fit(X[train], y[train])
            rows.append(
                {
                    "data": load.__name__.removeprefix("load_"),
                    "how": name,
                    "accuracy": clf.score(X[test], y[test]),
                    "log-loss": log_loss(y[test], clf.predict_proba(X[test])),
                    "seconds": clf.search_time_ + clf.refit_time_,
                }
            )
            if name == "ENAS":
                searched = clf
results = pd.DataFrame(rows)
means = results.groupby(["data", "how"]).mean()
print(means.round(3).to_string())

# %%
# What the controller prefers in the end, on the last data set. A random search prefers
# nothing.
PolicyDisplay.from_estimator(searched)

# %%
# Two splits say little: the dots show how far they are apart. The documentation has
# the figures over 60 splits.
figure, axes = plt.subplots(1, 3, figsize=(10, 3.5), layout="constrained")
for ax, (data, group) in zip(axes, results.groupby("data"), strict=True):
    for i, name in enumerate(strategies):
        values = group.loc[group["how"] == name, "log-loss"]
        ax.scatter(values, [i] * len(values), s=40)
    ax.set(yticks=range(3), yticklabels=strategies, title=data, xlabel="log-loss")
    ax.set_xlim(left=0)
    ax.label_outer()
plt.show()
