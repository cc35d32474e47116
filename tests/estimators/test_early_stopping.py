"""When networks stop, and what they are trained on after it."""

import numpy as np
import pytest
from sklearn.datasets import make_blobs
from skorch.callbacks import Callback

from sknas import (
    ConvMacroSpace,
    NASClassifier,
    NASRegressor,
    SequenceSpace,
    TabularSpace,
)

PLAIN = TabularSpace().default_architecture()


class Rows(Callback):
    """Notes the number of rows of each epoch."""

    def __init__(self):
        self.n_rows = []

    def on_epoch_begin(self, net, dataset_train=None, **kwargs):
        self.n_rows.append(len(dataset_train))


@pytest.fixture
def fit(digits):
    X, _, y, _ = digits

    def fit(estimator=NASClassifier, **parameters):
        rows = Rows()
        parameters = {"architecture": PLAIN, "ensemble_size": 1} | parameters
        model = estimator(**parameters, callbacks=[rows], random_state=0).fit(X, y)
        return model, np.array(rows.n_rows)

    return fit


@pytest.mark.parametrize("estimator", [NASClassifier, NASRegressor])
def test_of_tables_what_was_held_back_is_learnt_in_the_end(fit, estimator):
    space = TabularSpace()  # the architecture is in that of both
    model, n_rows = fit(estimator, search_space=space, max_epochs=12)
    history = model.net_.history
    losses = [row["valid_loss"] for row in history if "valid_loss" in row]
    n_more = max(2, round(0.5 * (1 + np.argmin(losses))))
    assert len(losses) == np.sum(n_rows == 240) <= 12
    assert np.sum(n_rows == 300) == n_more
    assert model.n_iter_ == len(history) == len(n_rows)


def test_what_cannot_become_better_is_soon_over():
    X, y = make_blobs(n_samples=100, random_state=0)
    X[:, 0] += 20 * y
    model = NASClassifier(architecture=PLAIN, ensemble_size=1, random_state=0).fit(X, y)
    history = model.net_.history
    losses = np.array([row["valid_loss"] for row in history if "valid_loss" in row])
    least, last = np.inf, 0
    for epoch, loss in enumerate(losses, start=1):
        if loss < least - 1e-4:
            least, last = loss, epoch
    assert losses.min() < least < 1e-3
    assert len(losses) == last + 8


@pytest.mark.parametrize("estimator", [NASClassifier, NASRegressor])
def test_of_series_what_was_held_back_is_learnt_for_less_long(fit, estimator):
    plain = SequenceSpace().default_architecture()
    model, n_rows = fit(estimator, architecture=plain, n_steps=8, max_epochs=12)
    history = model.net_.history
    losses = [row["valid_loss"] for row in history if "valid_loss" in row]
    n_more = max(2, round(0.3 * (1 + np.argmin(losses))))
    assert n_rows.tolist() == [240] * len(losses) + [300] * n_more


@pytest.mark.parametrize("estimator", [NASClassifier, NASRegressor])
def test_of_texts_what_was_held_back_is_not_learnt(estimator):
    rows = Rows()
    X = np.random.RandomState(0).randint(7, size=(60, 9))
    plain = SequenceSpace().default_architecture()
    model = estimator(
        architecture=plain, n_tokens=7, max_epochs=3, ensemble_size=1, callbacks=[rows]
    )
    model.fit(X, np.arange(60) % 2)
    assert set(rows.n_rows) == {48}
    assert all("valid_loss" in row for row in model.net_.history)


def test_without_early_stopping_all_epochs_have_all_rows(fit):
    model, n_rows = fit(early_stopping=False, max_epochs=4)
    assert n_rows.tolist() == [300] * 4
    assert model.n_iter_ == 4


def losses_of(y, **parameters):
    """Train a small network on bright images and dark ones; give its losses."""
    rng = np.random.RandomState(0)
    is_bright = np.arange(400) % 2
    X = (100 * is_bright[:, None, None] + rng.randint(99, size=(400, 8, 8))) / 255
    space = ConvMacroSpace(n_layers=2, n_filters=8, dropout=0)
    model = NASClassifier(
        space,
        architecture=space.default_architecture(),
        ensemble_size=1,
        random_state=0,
        augmentation=None,
        lr=0.02,
        **{"n_iter_no_change": 100} | parameters,
    ).fit(X, is_bright if y == "easy" else rng.permutation(is_bright))
    history = model.net_.history
    return [row["valid_loss"] for row in history if "valid_loss" in row]


def test_images_that_are_slow_to_learn_get_more_epochs():
    assert len(losses_of("easy")) == 20
    assert len(losses_of("impossible")) == 80


@pytest.mark.parametrize(("n_iter_no_change", "n_misses"), [(9, 9), ("auto", 32)])
def test_images_that_cannot_be_learnt_are_over_sooner(n_iter_no_change, n_misses):
    losses = losses_of("impossible", n_iter_no_change=n_iter_no_change)
    assert len(losses) == 1 + np.argmin(losses) + n_misses < 80


def test_a_number_of_epochs_that_is_given_holds():
    assert len(losses_of("impossible", max_epochs=6)) == 6


@pytest.mark.parametrize(("n_images", "n_networks"), [(2_000, 4), (2_600, 2)])
def test_of_many_images_fewer_networks_are_trained(n_images, n_networks):
    X = np.random.RandomState(0).randint(256, size=(n_images, 4, 4)).astype(np.uint8)
    space = ConvMacroSpace(n_layers=1, n_filters=2)
    model = NASClassifier(
        space, architecture=space.default_architecture(), max_epochs=1, random_state=0
    ).fit(X, X[:, 0, 0] > 127)
    assert len(model.networks_) == n_networks


@pytest.mark.parametrize(("n_rows", "n_networks"), [(60_000, 4), (64_000, 2)])
def test_of_large_tables_fewer_networks_are_trained(n_rows, n_networks):
    X = np.random.RandomState(0).normal(size=(n_rows, 2))
    space = TabularSpace(("none",), depths=(1,), widths=(2,), n_heads=1)
    model = NASClassifier(
        space, architecture=space.default_architecture(), max_epochs=1, random_state=0
    ).fit(X, X[:, 0] > 0)
    assert len(model.networks_) == n_networks


def test_cosines_restart_where_they_would_in_longer_trainings():
    class Rates(Callback):
        found = ()

        def on_epoch_begin(self, net, **kwargs):
            rate = net.optimizer_.param_groups[0]["lr"]
            self.found += (rate,)

    rates = Rates()
    losses_of("impossible", lr_schedule="cosine_restarts", callbacks=[rates])
    # after cycles of 10 and 20 epochs; an epoch begins with the rate of the last one
    rises = [i for i in range(3, 60) if rates.found[i] > 2 * rates.found[i - 1]]
    assert rises == [11, 31]
