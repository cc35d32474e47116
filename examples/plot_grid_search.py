"""
Grid search over a search
=========================

``NASClassifier`` has few parameters that are worth a search of their own: what it
searches by itself, it searches faster. What it can be searched over, and how, is shown
here: its own parameters, those of its strategy and of its search space, and those of
the steps of a pipeline around it.
"""

# %%
# Small budgets: each of the fits below takes about a second.
import matplotlib.pyplot as plt
import pandas as pd
from sklearn.datasets import load_wine
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import PowerTransformer, StandardScaler

from sknas import ENAS, NASClassifier, TabularSpace

X, y = load_wine(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(
    X, y, test_size=0.5, stratify=y, random_state=0
)
pipeline = Pipeline(
    [
        ("scale", StandardScaler()),
        (
            "network",
            NASClassifier(
                TabularSpace(),
                strategy=ENAS(),
                search_epochs=4,
                n_candidates=4,
                max_epochs=20,
                random_state=0,
            ),
        ),
    ]
)

# %%
# Nested parameters have the names that they have everywhere in scikit-learn.
grid = GridSearchCV(
    pipeline,
    [
        {
            "network__ensemble_size": [1, 4],
            "network__search_space__depths": [(1,), (1, 2, 3)],
        },
        {
            "scale": [PowerTransformer()],
            "network__strategy__entropy_weight": [0.01, 0.1],
        },
    ],
    scoring="neg_log_loss",
    cv=3,
).fit(X_train, y_train)
results = pd.DataFrame(grid.cv_results_).sort_values("rank_test_score")
names = results["params"].map(
    lambda params: ", ".join(
        f"{name.split('__')[-1]}={value!r}" for name, value in params.items()
    )
)
print(grid.best_params_)
print(f"test accuracy {grid.best_estimator_.score(X_test, y_test):.3f}")

# %%
# The network of the best one is an attribute of the pipeline's last step.
found = grid.best_estimator_[-1]
print(found.search_space.describe(found.architecture_))

# %%
# The means over the folds, with their deviations: differences this small are the
# folds', not the parameters'.
figure, ax = plt.subplots(figsize=(9, 4), layout="constrained")
ax.barh(
    names, -results["mean_test_score"], xerr=results["std_test_score"], color="#7fb3d5"
)
ax.invert_yaxis()
ax.set(xlabel="log-loss, less is better", title="six ways to set up a search")
plt.show()
