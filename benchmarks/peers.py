"""What users would pick instead, each with its defaults."""

from __future__ import annotations

import numpy as np
import torch
from scipy.stats import loguniform
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import RandomizedSearchCV
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from skorch import NeuralNetClassifier
from skorch.callbacks import EarlyStopping
from torch import nn

from sknas import NASClassifier, NASRegressor, TabularSpace


def encode():
    """Scale and impute numbers, encode categories one-hot."""
    numbers = make_pipeline(
        SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler()
    )
    categories = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    return make_column_transformer(
        (categories, make_column_selector(dtype_include="category")),
        (numbers, make_column_selector(dtype_exclude="category")),
    )


class PlainMLP(nn.Module):
    """Two hidden layers of 256 units."""

    def __init__(self, n_inputs: int, n_classes: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(n_inputs, 256),
            nn.ReLU(),
            nn.Linear(256, 256),
            nn.ReLU(),
            nn.Linear(256, n_classes),
        )

    def forward(self, X):
        """Give the logits."""
        return self.layers(X)


def skorch_mlp(X, y, seed: int):
    """Make skorch's plain MLP: Adam, 50 epochs, early stopping."""
    torch.manual_seed(seed)
    to_float32 = FunctionTransformer(np.float32)
    net = NeuralNetClassifier(
        PlainMLP,
        module__n_inputs=encode().fit_transform(X).shape[1],
        module__n_classes=len(np.unique(y)),
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam,
        lr=0.001,
        max_epochs=50,
        callbacks=[EarlyStopping(load_best=True, sink=lambda text: None)],
        verbose=0,
    )
    return make_pipeline(encode(), to_float32, net)


def mlp_search(X, y, seed: int):
    """Make a random search over MLPClassifier."""
    search = RandomizedSearchCV(
        MLPClassifier(random_state=seed),
        {
            "hidden_layer_sizes": [(64,), (128,), (256,), (64, 64), (128, 128)],
            "alpha": loguniform(1e-6, 1e-1),
            "learning_rate_init": loguniform(1e-4, 1e-2),
            "activation": ["relu", "tanh"],
            "early_stopping": [True, False],
        },
        n_iter=20,
        cv=3,
        random_state=seed,
    )
    return make_pipeline(encode(), search)


def default_architecture(n_networks: int):
    """Make networks of the space's plain default architecture, without search."""
    plain = TabularSpace().default_architecture()
    return lambda X, y, seed: NASClassifier(
        architecture=plain, ensemble_size=n_networks, random_state=seed
    )


def limited(seconds: float):
    """Make NASClassifier with a time limit."""
    return lambda X, y, seed: NASClassifier(time_limit=seconds, random_state=seed)


def as_categories(X):
    """Make missing categories a level of their own."""
    columns = X.select_dtypes("category").columns
    return X.assign(
        **{c: X[c].astype(object).fillna("missing").astype("category") for c in columns}
    )


def impute():
    """Put medians in the place of missing numbers; leave categories as they are."""
    imputer = SimpleImputer(strategy="median", keep_empty_features=True)
    return make_column_transformer(
        ("passthrough", make_column_selector(dtype_include="category")),
        (imputer, make_column_selector(dtype_exclude="category")),
        verbose_feature_names_out=False,
    ).set_output(transform="pandas")


def pytabkit(name: str):
    """Make one of pytabkit's networks (extra "peers")."""

    def make(X, y, seed: int):
        from pytabkit.models.sklearn import sklearn_interfaces as models

        network = getattr(models, name)(device="cpu", n_threads=1, random_state=seed)
        return make_pipeline(FunctionTransformer(as_categories), impute(), network)

    return make


MODELS = {
    "sknas": lambda X, y, seed: NASClassifier(random_state=seed),
    "sknas_random": lambda X, y, seed: NASClassifier(
        strategy="random", random_state=seed
    ),
    "sknas_default": default_architecture(4),
    "sknas_default_5": default_architecture(5),  # takes as long as a search and 4
    "sknas_default_6": default_architecture(6),  # takes longer
    **{f"sknas_{seconds}s": limited(seconds) for seconds in (5, 10, 30, 60)},
    "logreg": lambda X, y, seed: make_pipeline(
        encode(), LogisticRegression(max_iter=1000)
    ),
    "hgb": lambda X, y, seed: HistGradientBoostingClassifier(random_state=seed),
    "mlp": lambda X, y, seed: make_pipeline(encode(), MLPClassifier(random_state=seed)),
    "mlp_search20": mlp_search,
    "skorch_mlp": skorch_mlp,
    "realmlp_s": pytabkit("RealMLP_TD_S_Classifier"),
    "realmlp": pytabkit("RealMLP_TD_Classifier"),
    "tabm": pytabkit("TabM_D_Classifier"),
}
DEFAULT = ["sknas", "mlp", "mlp_search20", "hgb", "skorch_mlp", "logreg"]

REGRESSORS = {
    "sknas": lambda X, y, seed: NASRegressor(random_state=seed),
    "sknas_random": lambda X, y, seed: NASRegressor(
        strategy="random", random_state=seed
    ),
    "ridge": lambda X, y, seed: make_pipeline(encode(), Ridge()),
    "hgb": lambda X, y, seed: HistGradientBoostingRegressor(random_state=seed),
    "mlp": lambda X, y, seed: make_pipeline(encode(), MLPRegressor(random_state=seed)),
    "realmlp_s": pytabkit("RealMLP_TD_S_Regressor"),
    "realmlp": pytabkit("RealMLP_TD_Regressor"),
    "tabm": pytabkit("TabM_D_Regressor"),
}
DEFAULT_REGRESSORS = ["sknas", "mlp", "hgb", "ridge"]
