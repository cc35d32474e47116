"""The estimators on images and signals."""

import pickle
from collections import Counter

import joblib
import numpy as np
import pandas as pd
import pytest
import skops.io
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sknas import (
    Architecture,
    ConvMacroSpace,
    ConvMicroSpace,
    NASClassifier,
    NASRegressor,
)
from sknas.search import NegativeLoss
from sknas.spaces._convolutional import TRAINING_PRECISIONS, training_dtype

MACRO = ConvMacroSpace(n_layers=3, n_filters=4)
MICRO = ConvMicroSpace(n_cells=1, n_filters=4, n_nodes=2)


@pytest.fixture(scope="module")
def images():
    """Some digits of 8 x 8: X_train, X_test, y_train, y_test."""
    data = load_digits()
    return train_test_split(
        data.images, data.target, train_size=300, random_state=0, stratify=data.target
    )


@pytest.fixture(scope="module")
def few(images):
    """For tests that compare models and do not mind how good they are."""
    X, X_test, y, y_test = images
    return X[:64], X_test[:64], y[:64], y_test[:64]


@pytest.fixture
def quick(quick):
    return quick | {"search_space": MACRO, "max_epochs": 3, "search_epochs": 2}


@pytest.fixture(scope="module")
def fitted(images):
    X, _, y, _ = images
    return NASClassifier(
        MACRO,
        search_epochs=3,
        n_candidates=3,
        ensemble_size=2,
        max_epochs=20,
        random_state=0,
    ).fit(X, y)


def same(one, other, X):
    np.testing.assert_array_equal(one.predict_proba(X), other.predict_proba(X))


class TestFit:
    def test_it_learns(self, fitted, images):
        _, X_test, _, y_test = images
        assert fitted.score(X_test, y_test) > 0.8
        assert fitted.architecture_.space == "conv-macro"
        assert fitted.n_features_in_ == 64
        assert not hasattr(fitted, "feature_names_in_")
        probability = fitted.predict_proba(X_test)
        np.testing.assert_allclose(probability.sum(axis=1), 1.0, rtol=1e-6)

    def test_it_learns_in_half_precision_as_on_a_gpu(self, fitted, images, monkeypatch):
        monkeypatch.setitem(TRAINING_PRECISIONS, "cpu", torch.bfloat16)
        monkeypatch.setattr("sknas.spaces._convolutional.LARGE_MAPS", 0)
        X, X_test, y, y_test = images
        model = clone(fitted).set_params(device="cpu").fit(X, y)
        assert model.score(X_test, y_test) > 0.8
        probability = model.predict_proba(X_test)
        monkeypatch.undo()
        # predictions are of single precision
        np.testing.assert_array_equal(model.predict_proba(X_test), probability)
        assert not np.array_equal(
            model.predict_proba(X_test), fitted.predict_proba(X_test)
        )
        same(model, pickle.loads(pickle.dumps(model)), X_test)

    def test_half_precision_that_is_emulated_is_left_alone(self, monkeypatch):
        for is_real in (False, True):
            monkeypatch.setattr(
                torch.cuda,
                "is_bf16_supported",
                lambda including_emulation=True, real=is_real: (
                    real or including_emulation
                ),
            )
            assert training_dtype("cuda") == (torch.bfloat16 if is_real else None)

    def test_small_networks_keep_single_precision(self, fitted, images, monkeypatch):
        monkeypatch.setitem(TRAINING_PRECISIONS, "cpu", torch.bfloat16)
        X, X_test, y, _ = images
        same(clone(fitted).set_params(device="cpu").fit(X, y), fitted, X_test)

    def test_auto_takes_the_macro_space(self, quick, few):
        X, _, y, _ = few
        model = NASClassifier(**(quick | {"search_space": "auto"})).fit(X[:60], y[:60])
        assert model.architecture_.space == "conv-macro"
        assert set(model.search_results_["decision_operation_1"]) - {None}

    def test_the_micro_space_is_searched(self, quick, few):
        X, X_test, y, _ = few
        model = NASClassifier(**(quick | {"search_space": MICRO})).fit(X, y)
        assert model.architecture_.space == "conv-micro"
        assert model.predict_proba(X_test[:5]).shape == (5, 10)

    @pytest.mark.parametrize("space", ["conv-macro", "conv-micro"])
    def test_spaces_have_names(self, quick, few, space):
        X, _, y, _ = few
        model = NASClassifier(**(quick | {"search_space": space, "max_epochs": 1}))
        assert model.fit(X[:50], y[:50]).architecture_.space == space

    @pytest.mark.parametrize(("scored", "largest"), [(False, 180), (True, 360)])
    def test_the_search_asks_of_few_held_back_images_unless_a_scorer_does(
        self, quick, monkeypatch, scored, largest
    ):
        sizes = Counter()

        class Counting(NegativeLoss):
            def __call__(self, outputs, target, weight):
                sizes[len(target)] += 1
                return super().__call__(outputs, target, weight)

        def scorer(estimator, X, y):
            sizes[len(y)] += 1
            return estimator.predict_proba(X)[:, 0].mean()

        monkeypatch.setattr("sknas.estimators._base.NegativeLoss", Counting)
        images, y = load_digits(return_X_y=True)  # 360 are held back
        given = {"image_shape": (1, 8, 8), "max_epochs": 1, "search_epochs": 3}
        given["scoring"] = scorer if scored else None
        model = NASClassifier(**quick | given).fit(images, y)
        assert 64 in sizes
        assert max(sizes) == largest
        # one architecture is asked for after the other; a scorer is tried out first
        assert sizes[largest] == len(model.search_results_["rank"]) + scored

    def test_a_regressor_reads_them_too(self, quick, images):
        X, X_test, _, _ = images
        model = NASRegressor(**(quick | {"max_epochs": 8}))
        model.fit(X, X.mean(axis=(1, 2)))
        assert model.score(X_test, X_test.mean(axis=(1, 2))) > 0.0

    def test_signals_of_several_features(self, quick):
        rng = np.random.RandomState(0)
        y = rng.randint(2, size=120)
        steps = np.arange(30)
        X = rng.normal(size=(120, 30, 2))
        X[..., 1] += 2 * np.sin(steps * np.where(y, 0.5, 1.5)[:, None])
        model = NASClassifier(**(quick | {"max_epochs": 15})).fit(X[:80], y[:80])
        assert model.score(X[80:], y[80:]) > 0.8
        assert model.encode(X[:3])["image"].shape == (3, 2, 30)

    def test_the_final_networks_may_be_larger(self, quick, few):
        X, _, y, _ = few
        space = ConvMacroSpace(n_layers=3, n_filters=4, final_n_filters=8)
        model = NASClassifier(**(quick | {"search_space": space})).fit(X, y)
        assert model.networks_[0].stem[0].weight.shape[0] == 8
        same(model, pickle.loads(pickle.dumps(model)), X)
        larger = ConvMacroSpace(n_layers=3, n_filters=8)
        reused = NASClassifier(
            **(quick | {"search_space": larger, "architecture": model.architecture_})
        ).fit(X, y)
        assert reused.networks_[0].stem[0].weight.shape[0] == 8

    def test_a_time_limit_too_short_to_train_leaves_smaller_networks(self, images):
        X, X_test, y, _ = images
        space = ConvMacroSpace(n_layers=3, n_filters=4, final_n_filters=8)
        model = NASClassifier(space, time_limit=0.01, random_state=0)
        with pytest.warns(ConvergenceWarning, match="than chance"):
            model.fit(X, y)
        assert model.predict(X_test[:5]).shape == (5,)
        assert model.networks_[0].stem[0].weight.shape[0] == 4


class TestForms:
    def test_shapes_and_types_of_the_same_images(self, quick, few):
        X, X_test, y, _ = few
        quick |= {"max_epochs": 2}
        model = NASClassifier(**quick).fit(X, y)
        flat = NASClassifier(**quick, image_shape=(1, 8, 8))
        same(model, NASClassifier(**quick).fit(X[:, None], y), X_test)
        same(model, NASClassifier(**quick).fit(X.astype(np.uint8), y), X_test)
        same(model, NASClassifier(**quick).fit(X.astype(np.int64), y), X_test)
        same(model, NASClassifier(**quick).fit(X.tolist(), y), X_test)
        same(model, NASClassifier(**quick).fit(list(X), y), X_test)
        flat.fit(X.reshape(len(X), 64), y)
        same(model, flat, X_test)
        np.testing.assert_array_equal(
            flat.predict_proba(X_test.reshape(-1, 64)), model.predict_proba(X_test)
        )

    def test_images_of_pillow(self, quick, few):
        image = pytest.importorskip("PIL.Image")
        X, _, y, _ = few
        arrays = np.round(X.reshape(-1, 8, 8)).astype(np.uint8)
        opened = [image.fromarray(array) for array in arrays]
        one = NASClassifier(**quick).fit(opened, y)
        same(one, NASClassifier(**quick).fit(arrays, y), arrays)
        np.testing.assert_array_equal(one.predict(opened), one.predict(arrays))

    def test_a_table_of_pixels_keeps_its_names(self, quick, few):
        X, _, y, _ = few
        frame = pd.DataFrame(X.reshape(len(X), 64)).add_prefix("pixel_")
        model = NASClassifier(**quick, image_shape=(1, 8, 8)).fit(frame, y)
        assert list(model.feature_names_in_) == list(frame.columns)
        assert model.n_features_in_ == 64
        with pytest.raises(ValueError, match="feature names"):
            model.predict(frame.add_prefix("x"))

    def test_bytes_stay_bytes_until_they_are_in_a_batch(self, quick, few):
        X, _, y, _ = few
        held = []

        def look(batch):
            held.append(batch)
            return batch

        model = NASClassifier(**quick, augmentation=(look,))
        model.fit(X.astype(np.uint8), y)
        assert model.encode(X.astype(np.uint8))["image"].dtype == np.uint8
        assert max(len(batch) for batch in held) < len(X)
        assert all(batch.dtype == torch.float32 for batch in held)

    def test_the_caller_s_images_are_left_alone(self, quick, few):
        X, _, y, _ = few
        X = X.astype(np.float32)
        before = X.copy()
        X.flags.writeable = False
        NASClassifier(**quick).fit(X, y).predict(X)
        np.testing.assert_array_equal(X, before)

    @pytest.mark.parametrize("change", [lambda X: X / 256 - 2, lambda X: 1e6 * X])
    def test_the_scale_of_the_values_does_not_matter(self, fitted, images, change):
        X, X_test, y, y_test = images
        model = clone(fitted).fit(change(X), y)
        assert model.score(change(X_test), y_test) > 0.8

    def test_squares_are_images_and_others_signals(self, quick):
        rng = np.random.RandomState(0)
        y = np.arange(40) % 2
        for shape, dtype, expected in [
            ((6, 6), float, (1, 6, 6)),
            ((6, 5), float, (5, 6)),
            ((6, 5), np.uint8, (1, 6, 5)),
        ]:
            X = (rng.rand(40, *shape) * 9).astype(dtype)
            model = NASClassifier(**(quick | {"max_epochs": 1})).fit(X, y)
            assert model.encode(X)["image"].shape[1:] == expected
        X = rng.rand(40, 6, 5)
        model = NASClassifier(**(quick | {"max_epochs": 1}), image_shape=(1, 6, 5))
        assert model.fit(X, y).encode(X)["image"].shape[1:] == (1, 6, 5)


class TestContract:
    def test_it_is_deterministic(self, quick, few):
        X, X_test, y, _ = few
        one, other = (NASClassifier(**quick).fit(X, y) for _ in range(2))
        same(one, other, X_test)
        assert one.architecture_ == other.architecture_

    def test_the_order_of_the_images_does_not_matter(self, quick, few):
        X, X_test, y, _ = few
        order = np.random.RandomState(1).permutation(len(X))
        one = NASClassifier(**quick).fit(X, y)
        same(one, NASClassifier(**quick).fit(X[order], y[order]), X_test)

    def test_weights_are_copies(self, quick, few):
        X, X_test, y, _ = few
        weight = np.random.RandomState(0).randint(0, 3, len(X))
        weighted = NASClassifier(**quick).fit(X, y, sample_weight=weight)
        repeated = NASClassifier(**quick).fit(X.repeat(weight, 0), y.repeat(weight))
        same(weighted, repeated, X_test)

    def test_what_an_image_gets_does_not_depend_on_others(self, fitted, images):
        _, X_test, _, _ = images
        alone = np.concatenate([fitted.predict_proba(X_test[[i]]) for i in range(9)])
        np.testing.assert_allclose(
            alone, fitted.predict_proba(X_test)[:9], rtol=1e-5, atol=1e-7
        )

    def test_it_is_saved_by_joblib_and_skops(self, fitted, images, tmp_path):
        _, X_test, _, _ = images
        joblib.dump(fitted, tmp_path / "model.joblib")
        same(fitted, joblib.load(tmp_path / "model.joblib"), X_test)
        data = skops.io.dumps(fitted)
        trusted = skops.io.get_untrusted_types(data=data)
        assert all(name.startswith("sknas.") for name in trusted)
        same(fitted, skops.io.loads(data, trusted=trusted), X_test)

    def test_clone_and_architecture(self, fitted, quick, few):
        X, X_test, y, _ = few
        model = clone(fitted).set_params(
            architecture=fitted.architecture_.to_json(), max_epochs=2
        )
        model.fit(X, y)
        assert model.search_results_ == {}
        assert model.architectures_ == [fitted.architecture_] * 2

    def test_pipelines_and_searches(self, quick, few):
        X, _, y, _ = few
        flat = X.reshape(len(X), 64)
        pipeline = make_pipeline(
            FunctionTransformer(lambda X: X / 16),
            NASClassifier(**quick, image_shape=(1, 8, 8)),
        )
        search = GridSearchCV(
            pipeline, {"nasclassifier__augmentation": [None, ("crop",)]}, cv=2
        )
        search.fit(flat, y)
        assert np.isfinite(search.cv_results_["mean_test_score"]).all()
        scores = cross_val_score(NASClassifier(**quick), X, y, cv=2)
        assert scores.shape == (2,)

    def test_warm_start_trains_on(self, quick, few):
        X, X_test, y, _ = few
        model = NASClassifier(**quick, warm_start=True).fit(X, y)
        before = model.predict_proba(X_test)
        found = model.architectures_
        model.fit(X, y)
        assert model.architectures_ == found
        assert not np.array_equal(model.predict_proba(X_test), before)

    def test_networks_trained_at_the_same_time_are_the_same(self, quick, few):
        X, X_test, y, _ = few
        one = NASClassifier(**quick).fit(X, y)
        same(one, NASClassifier(**quick, n_jobs=2).fit(X, y), X_test)

    @pytest.mark.flaky(reruns=2)  # seconds that another process may take
    def test_the_time_limit_is_kept(self, images):
        X, X_test, y, y_test = images
        model = NASClassifier(time_limit=6, random_state=0).fit(X, y)
        assert model.search_time_ + model.refit_time_ < 6
        assert model.score(X_test, y_test) > 0.8


class TestRecipe:
    @pytest.mark.parametrize(
        "parameters",
        [
            {"lr_schedule": "cosine"},
            {"lr_schedule": "cosine_restarts", "optimizer": "sgd", "lr": 0.05},
            {"lr_schedule": "constant"},
            {"max_gradient_norm": 0.1},
            {"augmentation": None},
            {"augmentation": ("crop", "flip", "cutout")},
            {"augmentation": (torch.relu,)},
        ],
        ids=[
            "cosine",
            "restarts",
            "constant",
            "clipping",
            "none",
            "names",
            "callable",
        ],
    )
    def test_each_part_of_it_changes_the_model(self, quick, few, parameters):
        X, X_test, y, _ = few
        plain = NASClassifier(**quick).fit(X, y)
        changed = NASClassifier(**(quick | parameters)).fit(X, y)
        assert np.isfinite(changed.predict_proba(X_test)).all()
        assert not np.array_equal(
            plain.predict_proba(X_test), changed.predict_proba(X_test)
        )

    def test_tables_know_the_schedules_too(self, quick, digits):
        X, X_test, y, _ = digits
        quick.pop("search_space")
        plain = NASClassifier(**quick).fit(X, y)
        changed = NASClassifier(**quick, lr_schedule="cosine").fit(X, y)
        assert not np.array_equal(
            plain.predict_proba(X_test), changed.predict_proba(X_test)
        )


def test_an_architecture_of_another_space_is_refused(images):
    X, _, y, _ = images
    with pytest.raises(ValueError, match="belongs to the space"):
        NASClassifier(architecture=Architecture("tabular", {})).fit(X, y)
