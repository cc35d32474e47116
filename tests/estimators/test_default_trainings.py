"""How networks are trained by default: optimizers, batches, epochs, the cooldown."""

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_digits, load_iris
from skorch.callbacks import Callback

from sknas import (
    ConvMacroSpace,
    NASClassifier,
    NASRegressor,
    TabularSpace,
)

X, y = load_iris(return_X_y=True)
PLAIN = TabularSpace().default_architecture()


class NoteOptimizer(Callback):
    """Notes the optimizer of each net."""

    def __init__(self):
        self.used = []

    def on_train_begin(self, net, **kwargs):
        self.used.append(type(net.optimizer_).__name__)


class StopAtOnce(Callback):
    """Ends each training after an epoch; notes how many there might have been."""

    def __init__(self):
        self.epochs = []

    def on_train_begin(self, net, **kwargs):
        self.epochs.append((type(net.optimizer_).__name__, net.max_epochs))

    def on_epoch_end(self, net, **kwargs):
        raise KeyboardInterrupt


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "muon", "sgd"])
def test_all_optimizers_learn(quick, optimizer):
    lr = 0.03 if optimizer == "sgd" else 0.003
    model = NASClassifier(**quick, optimizer=optimizer, lr=lr).fit(X, y)
    assert model.score(X, y) > 0.8


def test_muon_is_the_default_of_some_data(quicker):
    def probability(**arguments):
        model = NASClassifier(**quicker | arguments)
        return model.fit(X, y).predict_proba(X)

    np.testing.assert_array_equal(probability(), probability(optimizer="muon"))
    assert (probability() != probability(optimizer="adamw")).all()

    noted = NoteOptimizer()
    quicker |= {"callbacks": [noted]}
    images = np.random.RandomState(0).rand(40, 6, 6)
    series = images[:, :, :2]
    for model, rows, target, expected in (
        (NASClassifier, X, y, {"Muon"}),
        (NASClassifier, images, np.arange(40) % 2, {"Muon"}),
        (NASClassifier, series, np.arange(40) % 2, {"AdamW"}),
        (NASRegressor, X, y, {"Muon", "AdamW"}),
        (NASRegressor, images, np.arange(40.0), {"Muon"}),
        (NASRegressor, series, np.arange(40.0), {"AdamW", "Muon"}),
    ):
        noted.used.clear()
        model(**quicker).fit(rows, target)
        assert set(noted.used) == expected


def test_networks_of_regressors_of_tables_take_turns_with_two_optimizers(quicker):
    X, y = load_diabetes(return_X_y=True)
    noted = NoteOptimizer()
    own = TabularSpace().default_architecture()
    reg = NASRegressor(**quicker | {"ensemble_size": 4}, architecture=own)
    reg.set_params(callbacks=[noted], early_stopping=False).fit(X, y)
    assert noted.used == ["Muon", "AdamW", "Muon", "AdamW"]
    noted.used.clear()
    reg.set_params(optimizer="adamw").fit(X, y)
    assert noted.used == ["AdamW"] * 4


def test_networks_of_series_have_half_as_many_epochs_with_muon():
    series = np.random.RandomState(0).rand(900, 256, 1)
    space = ConvMacroSpace(n_layers=1, n_filters=2)
    noted = StopAtOnce()
    NASRegressor(
        space,
        architecture=space.default_architecture(),
        ensemble_size=2,
        early_stopping=False,
        callbacks=[noted],
    ).fit(series, series.mean(axis=(1, 2)))
    # of 45 steps each: 1,000 steps, or half as many
    assert noted.epochs == [("AdamW", 22), ("Muon", 11)]


@pytest.mark.parametrize(
    ("estimator", "optimizer", "n_rows", "batch_size"),
    [
        (NASClassifier, "muon", 390, 32),
        (NASClassifier, "muon", 410, 64),
        (NASClassifier, "muon", 1100, 128),
        (NASClassifier, "adamw", 1100, 64),
        (NASRegressor, "muon", 410, 32),
        (NASRegressor, "muon", 1100, 128),
    ],
)
def test_muon_takes_larger_batches_of_many_rows(
    quicker, estimator, optimizer, n_rows, batch_size
):
    images, digits = load_digits(return_X_y=True)
    images, digits = images[:n_rows], digits[:n_rows]

    def answer(**arguments):
        model = estimator(**quicker, optimizer=optimizer, **arguments)
        model.fit(images, digits)
        return getattr(model, "predict_proba", model.predict)(images)

    expected = answer(batch_size=batch_size)
    np.testing.assert_array_equal(answer(), expected)


def test_of_images_muon_takes_batches_as_others_do():
    images, digits = load_digits(return_X_y=True)
    images, digits = images[:1100], digits[:1100]
    space = ConvMacroSpace(n_layers=2, n_filters=4)
    model = NASClassifier(
        space,
        image_shape=(1, 8, 8),
        architecture=space.default_architecture(),
        ensemble_size=1,
        max_epochs=1,
        random_state=0,
    )
    by_default = model.fit(images, digits).predict_proba(images)
    model.set_params(batch_size=64).fit(images, digits)
    np.testing.assert_array_equal(model.predict_proba(images), by_default)


@pytest.mark.parametrize(("n_rows", "n_more"), [(1_000, 5), (65_000, 2)])
def test_of_many_rows_the_cooldown_is_short(n_rows, n_more):
    X = np.random.RandomState(0).normal(size=(n_rows, 1))
    model = NASClassifier(
        TabularSpace(numeric_embeddings=("none",), widths=(8,)),
        ensemble_size=1,
        max_epochs=10,
        batch_size=n_rows,
        lr=0.01,  # in ten steps of a warm-up: each is the best so far
        random_state=0,
    )
    space = model.search_space
    model.set_params(architecture=space.default_architecture())
    model.fit(X, (X[:, 0] > 0).astype(int))
    assert model.n_iter_ == 10 + n_more
