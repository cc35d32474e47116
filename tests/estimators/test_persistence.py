import copy
import io
import pickle
import subprocess
import sys
import threading
import warnings

import joblib
import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import check_random_state
from skorch.callbacks import Callback

from sknas import ENAS, NASClassifier, TabularSpace

SCRIPT = """
import pickle, sys
import joblib
import numpy as np

X = joblib.load("X.joblib")
for name in sys.argv[1:]:
    if name.endswith("pickle"):
        with open(name, "rb") as file:
            model = pickle.load(file)
    else:
        model = joblib.load(name)
    np.save(name + ".npy", model.predict_proba(X))
"""


def loaded(model):
    return pickle.loads(pickle.dumps(model))


def plain_values(value, path="state", seen=None):
    """Walk a state to its end; check that all of it is plain; give its arrays."""
    seen = {} if seen is None else seen  # the values too: an id may be used again
    if value is None or isinstance(value, str | bytes | bool | int | float):
        return
    if id(value) in seen:
        return
    seen[id(value)] = value
    if isinstance(value, np.ndarray):
        yield value
        if value.dtype == object:
            yield from plain_values(value.tolist(), path, seen)
    elif isinstance(value, np.generic | np.dtype | np.random.RandomState):
        pass
    elif type(value) is dict:
        for key, inner in value.items():
            assert isinstance(key, str | int | float | bool | None), path
            yield from plain_values(inner, f"{path}[{key!r}]", seen)
    elif type(value) in (list, tuple):
        for i, inner in enumerate(value):
            yield from plain_values(inner, f"{path}[{i}]", seen)
    elif isinstance(value, type):
        assert value.__module__ in ("numpy", "builtins"), f"{path} is {value}"
    else:
        module = type(value).__module__
        assert module.startswith("sklearn."), f"{path} is a {type(value)}"
        yield from plain_values(value.__getstate__(), path, seen)


def test_a_fresh_process_predicts_the_same_bits(fitted_mixed, mixed, quick, tmp_path):
    X, y = mixed
    numbers = X[["size", "count"]].fillna(0)
    pipeline = make_pipeline(StandardScaler(), NASClassifier(**quick))
    pipeline.set_output(transform="pandas").fit(X[["size", "count"]], y)
    joblib.dump(numbers, tmp_path / "X.joblib")
    two_columns = NASClassifier(**quick).fit(numbers, y)
    expected = {}
    for name, model in {"model": two_columns, "pipeline": pipeline}.items():
        joblib.dump(model, tmp_path / f"{name}.joblib")
        with (tmp_path / f"{name}.pickle").open("wb") as file:
            pickle.dump(model, file)
        for ending in ("joblib", "pickle"):
            expected[f"{name}.{ending}"] = model.predict_proba(numbers)
    subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT, *expected],
        cwd=tmp_path,
        check=True,
    )
    for name, probability in expected.items():
        np.testing.assert_array_equal(np.load(tmp_path / f"{name}.npy"), probability)


@pytest.mark.parametrize("protocol", [2, pickle.HIGHEST_PROTOCOL])
def test_all_that_was_found_survives_pickling(fitted_mixed, mixed, protocol):
    X, y = mixed
    again = pickle.loads(pickle.dumps(fitted_mixed, protocol))
    np.testing.assert_array_equal(again.predict_proba(X), fitted_mixed.predict_proba(X))
    assert again.architecture_ == fitted_mixed.architecture_
    assert again.architectures_ == fitted_mixed.architectures_
    assert again.history_ == fitted_mixed.history_
    assert list(again.net_.history) == list(fitted_mixed.net_.history)
    assert again.score(X, y) == fitted_mixed.score(X, y)
    for name, column in fitted_mixed.search_results_.items():
        np.testing.assert_array_equal(again.search_results_[name], column)
    assert sorted(vars(again)) == sorted(vars(fitted_mixed))
    assert pickle.dumps(again) == pickle.dumps(loaded(again))


def test_an_unfitted_classifier_is_pickled_too():
    model = NASClassifier(strategy=ENAS(entropy_weight=0.5), random_state=3)
    assert repr(loaded(model)) == repr(model)
    assert not hasattr(loaded(model), "networks_")


def test_deep_copies_share_nothing(fitted_mixed, mixed):
    X, _ = mixed
    expected = fitted_mixed.predict_proba(X)
    other = copy.deepcopy(fitted_mixed)
    np.testing.assert_array_equal(other.predict_proba(X), expected)
    for parameter in other.networks_[0].parameters():
        parameter.zero_()
    assert (other.predict_proba(X) != expected).any()
    np.testing.assert_array_equal(fitted_mixed.predict_proba(X), expected)


def test_shallow_copies_work(fitted_mixed, mixed):
    X, _ = mixed
    np.testing.assert_array_equal(
        copy.copy(fitted_mixed).predict_proba(X), fitted_mixed.predict_proba(X)
    )


@pytest.mark.parametrize("table", ["mixed", "digits"])
def test_the_state_is_plain(request, table):
    model = request.getfixturevalue(f"fitted_{table}")
    arrays = list(plain_values(model.__getstate__()))
    weights = sum(p.numel() for n in model.networks_ for p in n.parameters())
    assert sum(array.size for array in arrays) > weights > 1000


def test_the_state_is_plain_with_objects_as_parameters(quick):
    X, y = load_iris(return_X_y=True)
    model = NASClassifier(TabularSpace(widths=(16,)), strategy=ENAS(), **quick)
    state = model.fit(X, y).__getstate__()
    assert len(list(plain_values(state))) > 1
    again = loaded(model)
    assert repr(again) == repr(model)
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))


def test_the_data_are_not_kept(quick):
    X = np.random.RandomState(0).normal(size=(2000, 40))
    model = NASClassifier(**quick | {"max_epochs": 1, "ensemble_size": 1})
    model.fit(X, X[:, 0] > 0)
    assert all(len(array) < 2000 for array in plain_values(model.__getstate__()))


def test_skops_asks_to_trust_one_type_only(fitted_mixed, mixed, tmp_path):
    sio = pytest.importorskip("skops.io")
    X, _ = mixed
    file = tmp_path / "model.skops"
    sio.dump(fitted_mixed, file)
    untrusted = sio.get_untrusted_types(file=file)
    assert untrusted == ["sknas.estimators._classifier.NASClassifier"]
    again = sio.load(file, trusted=untrusted)
    np.testing.assert_array_equal(again.predict_proba(X), fitted_mixed.predict_proba(X))
    assert again.architectures_ == fitted_mixed.architectures_
    assert again.history_ == fitted_mixed.history_


def test_skops_takes_pipelines_and_arrays(quick):
    sio = pytest.importorskip("skops.io")
    X, y = load_iris(return_X_y=True)
    model = make_pipeline(StandardScaler(), NASClassifier(**quick)).fit(X, y)
    data = sio.dumps(model)
    untrusted = sio.get_untrusted_types(data=data)
    assert untrusted == ["sknas.estimators._classifier.NASClassifier"]
    again = sio.loads(data, trusted=untrusted)
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))


def test_skops_writes_mapped_classifiers(fitted_mixed, mixed, tmp_path):
    sio = pytest.importorskip("skops.io")
    X, _ = mixed
    joblib.dump(fitted_mixed, tmp_path / "model.joblib")
    mapped = joblib.load(tmp_path / "model.joblib", mmap_mode="r")
    data = sio.dumps(mapped)
    again = sio.loads(data, trusted=sio.get_untrusted_types(data=data))
    np.testing.assert_array_equal(again.predict_proba(X), fitted_mixed.predict_proba(X))


def test_weights_are_mapped_into_memory(fitted_digits, digits, tmp_path):
    X = digits[1]
    file = tmp_path / "model.joblib"
    joblib.dump(fitted_digits, file)
    mapped = joblib.load(file, mmap_mode="r")
    arrays = list(plain_values(mapped.__getstate__()))
    assert not any(isinstance(array, np.memmap) for array in arrays)
    maps = [array for array in arrays if isinstance(array.base, np.memmap)]
    for network in mapped.networks_:
        for parameter in network.parameters():
            assert any(np.shares_memory(parameter.numpy(), m) for m in maps)
    np.testing.assert_array_equal(
        mapped.predict_proba(X), fitted_digits.predict_proba(X)
    )
    np.testing.assert_array_equal(
        loaded(mapped).predict_proba(X), fitted_digits.predict_proba(X)
    )


def test_a_mapped_classifier_can_be_fitted_further(quick, tmp_path):
    X, y = load_iris(return_X_y=True)
    model = NASClassifier(**quick, warm_start=True).fit(X, y)
    joblib.dump(model, tmp_path / "model.joblib")
    mapped = joblib.load(tmp_path / "model.joblib", mmap_mode="r")
    np.testing.assert_array_equal(
        mapped.fit(X, y).predict_proba(X), model.fit(X, y).predict_proba(X)
    )


def test_compressed_files_are_the_same(fitted_mixed, mixed):
    X, _ = mixed
    file = io.BytesIO()
    joblib.dump(fitted_mixed, file, compress=3)
    file.seek(0)
    np.testing.assert_array_equal(
        joblib.load(file).predict_proba(X), fitted_mixed.predict_proba(X)
    )


def test_another_version_is_warned_of(fitted_mixed, mixed):
    X, _ = mixed
    state = fitted_mixed.__getstate__() | {"_sknas_version": "0.0.0.dev0"}
    other = NASClassifier.__new__(NASClassifier)
    with pytest.warns(UserWarning, match=r"0\.0\.0\.dev0"):
        other.__setstate__(state)
    np.testing.assert_array_equal(other.predict_proba(X), fitted_mixed.predict_proba(X))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded(other)


@pytest.mark.parametrize("device", ["cuda", "cuda:0", "cuda:1", "mps", "xpu:0"])
def test_what_was_fitted_on_a_gpu_is_loaded_without_one(fitted_mixed, mixed, device):
    if getattr(torch, device.split(":")[0]).is_available():
        pytest.skip("there is such a device")
    X, _ = mixed
    state = fitted_mixed.__getstate__() | {"_device": device}
    other = NASClassifier.__new__(NASClassifier)
    other.__setstate__(state)
    np.testing.assert_array_equal(other.predict_proba(X), fitted_mixed.predict_proba(X))


def test_making_a_state_changes_nothing(fitted_mixed):
    before = dict(vars(fitted_mixed))
    state = fitted_mixed.__getstate__()
    assert vars(fitted_mixed).keys() == before.keys()
    assert all(vars(fitted_mixed)[name] is before[name] for name in before)
    keys, arrays = list(state), list(plain_values(copy.deepcopy(state)))
    NASClassifier.__new__(NASClassifier).__setstate__(state)
    assert list(state) == keys
    for now, then in zip(plain_values(state), arrays, strict=True):
        np.testing.assert_array_equal(now, then)


def test_global_random_numbers_are_left_alone_on_loading(fitted_mixed):
    data = pickle.dumps(fitted_mixed)
    before = torch.get_rng_state(), check_random_state(None).get_state()[1].copy()
    pickle.loads(data)
    assert (torch.get_rng_state() == before[0]).all()
    assert (check_random_state(None).get_state()[1] == before[1]).all()


def test_a_clone_of_a_loaded_classifier_is_unfitted(fitted_mixed):
    again = clone(loaded(fitted_mixed))
    assert not hasattr(again, "networks_")
    assert repr(again) == repr(clone(fitted_mixed))


def test_it_is_loaded_while_another_one_is_fitted(fitted_mixed, mixed):
    file, loaded = pickle.dumps(fitted_mixed), []

    class Load(Callback):
        def on_epoch_begin(self, net, **kwargs):
            if not loaded:
                thread = threading.Thread(
                    target=lambda: loaded.append(pickle.loads(file))
                )
                thread.start()
                thread.join(20)
                assert loaded

    NASClassifier(
        search_epochs=1, n_candidates=1, max_epochs=1, callbacks=[Load()]
    ).fit(*mixed)
    X, _ = mixed
    np.testing.assert_array_equal(
        loaded[0].predict_proba(X), fitted_mixed.predict_proba(X)
    )


def test_torchs_default_device_does_not_matter(fitted_mixed, mixed):
    X, _ = mixed
    with torch.device("meta"):
        loaded = pickle.loads(pickle.dumps(fitted_mixed))
        one, other = loaded.predict_log_proba(X), fitted_mixed.predict_log_proba(X)
    np.testing.assert_array_equal(one, other)
