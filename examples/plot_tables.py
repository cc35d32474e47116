"""
Tables with categories and missing values
=========================================

A DataFrame goes in as it is: numbers of any scale, categories, strings, booleans, and
holes in all of them. Nothing is encoded, imputed or scaled by hand.
"""

# %%
# The table is made, so that the probabilities to be found are known: customers of whom
# some leave, for reasons that depend on one another.
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.calibration import CalibrationDisplay
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from sknas import ArchitectureDisplay, NASClassifier

rng = np.random.RandomState(0)
n = 2_000
X = pd.DataFrame(
    {
        "months": rng.gamma(2, 15, n),
        "bill": np.exp(rng.normal(3, 1, n)),  # of a heavy tail
        "calls": rng.poisson(1.5, n).astype(float),
        "plan": pd.Categorical(rng.choice(["basic", "family", "business"], n)),
        "region": rng.choice(list("ABCDEFGH"), n),
        "automatic": rng.rand(n) < 0.6,  # payment
    }
)
logit = (
    1.5 * np.cos(X["months"] / 8)  # contracts end every four years
    + np.where(X["plan"] == "basic", 1.2, -0.8) * np.log(X["bill"] / 20)
    + 0.7 * X["calls"] * ~X["automatic"]
    - 0.5 * X["region"].isin(["A", "C"])
    - 0.3
)
leaves = 1 / (1 + np.exp(-logit))
y = np.where(rng.rand(n) < leaves, "leaves", "stays")
for column in ("bill", "calls", "region"):
    X.loc[rng.rand(n) < 0.08, column] = None
X_train, X_test, y_train, y_test, leaves_train, leaves_test = train_test_split(
    X, y, leaves, stratify=y, random_state=0
)
print(X.head().to_string())

# %%
# Beside it, gradient boosting, which takes such tables as well, and scikit-learn's own
# network, which needs some help.
by_hand = make_column_transformer(
    (
        make_pipeline(SimpleImputer(add_indicator=True), StandardScaler()),
        make_column_selector(dtype_include="number"),
    ),
    (
        OneHotEncoder(handle_unknown="ignore"),
        make_column_selector(dtype_exclude="number"),
    ),
)
codes = pd.CategoricalDtype(list("ABCDEFGH"))
models = {
    "NASClassifier": NASClassifier(random_state=0),
    "HistGradientBoostingClassifier": make_pipeline(
        FunctionTransformer(pd.DataFrame.astype, kw_args={"dtype": {"region": codes}}),
        HistGradientBoostingClassifier(random_state=0),
    ),
    "MLPClassifier, prepared by hand": make_pipeline(
        by_hand, MLPClassifier(early_stopping=True, random_state=0)
    ),
}
rows = []
for name, model in models.items():
    model.fit(X_train, y_train)
    probability = model.predict_proba(X_test)
    rows.append((name, model.score(X_test, y_test), log_loss(y_test, probability)))
truth = np.c_[leaves_test, 1 - leaves_test]
best = np.where(leaves_test > 0.5, "leaves", "stays")
rows.append(
    ("the true probabilities", np.mean(best == y_test), log_loss(y_test, truth))
)
print(pd.DataFrame(rows, columns=["model", "accuracy", "log-loss"]).to_string())

# %%
# What was found: the embedding of the numbers, then the layers.
clf = models["NASClassifier"]
ArchitectureDisplay.from_estimator(clf)

# %%
# How far the probabilities can be relied on.
figure, ax = plt.subplots(figsize=(6, 5), layout="constrained")
for name, model in models.items():
    CalibrationDisplay.from_estimator(
        model, X_test, y_test, n_bins=8, strategy="quantile", ax=ax, name=name
    )
ax.set_title("who leaves")
plt.show()
