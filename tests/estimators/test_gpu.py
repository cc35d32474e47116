"""Fits on a GPU: only where there is one."""

import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_digits
from sklearn.pipeline import make_pipeline
from skorch.callbacks import Callback

from sknas import (
    ConvMacroSpace,
    ConvMicroSpace,
    NASClassifier,
    NASLanguageModel,
    NASRegressor,
    TabularSpace,
)
from sknas.preprocessing import TokenEncoder
from sknas.training._recording import RecordedStep

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")

QUICK = {
    "search_epochs": 4,
    "n_candidates": 3,
    "ensemble_size": 2,
    "max_epochs": 10,
    "random_state": 0,
    "device": "cuda",
}
PREDICT_WITHOUT_A_GPU = """
import pickle, sys, torch
assert not torch.cuda.is_available()
model, X = pickle.load(sys.stdin.buffer)
pickle.dump(model.predict(X), sys.stdout.buffer)
"""


def make_series(rng):
    y = rng.randint(3, size=200)
    phase = np.arange(40) * (0.2 + 0.2 * y[:, None]) + 6 * rng.rand(200, 1)
    return np.sin(phase)[..., None] + 0.2 * rng.randn(200, 40, 1), y


def make_texts(rng):
    words = [f"{w} movie the a".split() for w in ("good fine great", "bad poor dull")]
    y = rng.randint(2, size=200)
    return [" ".join(rng.choice(words[label], 20)) for label in y], y


@pytest.fixture(
    scope="module", params=["table", "numbers", "macro", "micro", "series", "text"]
)
def case(request):
    """An estimator fitted on a GPU, its data, and the least score."""
    rng = np.random.RandomState(0)
    digits = load_digits()
    images = digits.images[:600], digits.target[:600]
    text = make_pipeline(TokenEncoder(), NASClassifier(**QUICK))
    model, (X, y), least = {
        "table": (NASClassifier(**QUICK), (digits.data, digits.target), 0.95),
        "numbers": (NASRegressor(**QUICK), load_diabetes(return_X_y=True), 0.4),
        "macro": (NASClassifier(**QUICK), images, 0.9),
        "micro": (NASClassifier(ConvMicroSpace(), **QUICK), images, 0.7),
        "series": (NASClassifier(**QUICK), make_series(rng), 0.9),
        "text": (text, make_texts(rng), 0.9),
    }[request.param]
    torch.cuda.manual_seed(5)
    before = torch.cuda.get_rng_state()
    model.fit(X, y)
    assert torch.equal(torch.cuda.get_rng_state(), before)
    return model, X, y, least


def test_it_learns(case):
    model, X, y, least = case
    assert model.score(X, y) > least


def test_the_same_seed_gives_the_same_model(case, monkeypatch):
    model, X, y, _ = case
    cudnn = torch.backends.cudnn
    monkeypatch.setattr(cudnn, "benchmark", True)  # would choose by what is quicker
    again = clone(model).fit(X, y)
    assert cudnn.benchmark and not cudnn.deterministic
    predict = "predict_proba" if hasattr(model, "predict_proba") else "predict"
    found, expected = (getattr(fitted, predict)(X) for fitted in (again, model))
    np.testing.assert_array_equal(found, expected)


def test_it_predicts_the_same_where_there_is_no_gpu(case):
    model, X, _, _ = case
    done = subprocess.run(
        [sys.executable, "-c", PREDICT_WITHOUT_A_GPU],
        input=pickle.dumps((model, X)),
        env=os.environ | {"CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        check=True,
    )
    found, expected = pickle.loads(done.stdout), model.predict(X)
    if found.dtype.kind == "f":
        np.testing.assert_allclose(found, expected, rtol=1e-3)
    else:
        assert (found == expected).mean() > 0.99


class ForbidWaiting(Callback):
    """Lets a step fail that waits for the GPU."""

    n_steps = 0

    def on_batch_begin(self, net, training=None, **kwargs):
        if training:
            ForbidWaiting.n_steps += 1
            torch.cuda.set_sync_debug_mode("error")

    def on_batch_end(self, net, **kwargs):
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("space", [None, ConvMacroSpace(), ConvMicroSpace()])
def test_no_step_waits_for_the_gpu(space):
    X, y = load_digits(return_X_y=True)
    X = X if space is None else X.reshape(-1, 8, 8)
    ForbidWaiting.n_steps = 0
    try:
        NASClassifier(space or "auto", **QUICK, callbacks=[ForbidWaiting()]).fit(X, y)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert ForbidWaiting.n_steps > 100


@pytest.fixture
def recordings(monkeypatch):
    """The networks whose steps were recorded."""
    found = []

    class Noting(RecordedStep):
        def __init__(self, module, *arguments):
            super().__init__(module, *arguments)
            found.append(module)  # it did not fail

    monkeypatch.setattr("sknas.training._net.RecordedStep", Noting)
    return found


@pytest.mark.parametrize("large_maps", [0, 100_000])
@pytest.mark.parametrize(
    "space",
    [
        TabularSpace(dropouts=(0.0,)),
        ConvMacroSpace(dropout=0),
        ConvMicroSpace(dropout=0),
    ],
)
def test_recorded_steps_are_what_they_would_be(
    space, large_maps, recordings, monkeypatch
):
    monkeypatch.setattr("sknas.spaces._convolutional.LARGE_MAPS", large_maps)
    X, y = load_digits(return_X_y=True)
    X = X if space.name == "tabular" else X.reshape(-1, 8, 8)
    architecture = space.decisions().sample(1, np.random.RandomState(0))[0]
    model = NASClassifier(
        space,
        architecture=architecture,
        optimizer="adamw",
        early_stopping=False,
        **QUICK | {"max_epochs": 5},
    )
    found = clone(model).fit(X, y).predict_proba(X)
    assert recordings
    monkeypatch.setattr("sknas.training._net.can_be_recorded", lambda *_: False)
    expected = clone(model).fit(X, y).predict_proba(X)
    assert np.abs(found - expected).mean() < 0.01


def test_a_recorded_step_serves_drop_paths_for_an_epoch(recordings):
    X, y = load_digits(return_X_y=True)
    NASClassifier(
        ConvMicroSpace(drop_path=0.3),
        architecture=ConvMicroSpace().default_architecture(),
        early_stopping=False,
        batch_size=16,
        **QUICK | {"max_epochs": 2, "ensemble_size": 1},
    ).fit(X.reshape(-1, 8, 8), y)
    assert len(recordings) == 2


def test_a_small_table_is_left_to_the_cpu():
    X, y = load_digits(return_X_y=True)
    model = NASClassifier(**QUICK | {"device": "auto", "max_epochs": 1}).fit(X, y)
    assert next(model.networks_[0].parameters()).device.type == "cpu"


def test_images_go_to_the_gpu():
    X, y = load_digits(return_X_y=True)
    model = NASClassifier(**QUICK | {"device": "auto", "max_epochs": 1})
    model.fit(X.reshape(-1, 8, 8)[:100], y[:100])
    assert next(model.networks_[0].parameters()).device.type == "cuda"


def test_a_language_model():
    text = "the cat sat on the mat and the dog ran away " * 60
    model = NASLanguageModel(
        search_epochs=2, n_candidates=2, max_epochs=3, random_state=0, device="cuda"
    ).fit(text)
    assert model.score(text) > -3
    assert len(model.sample(5, random_state=0)) > 0


def test_processes_share_a_gpu():
    X, y = load_digits(return_X_y=True)
    alone = NASClassifier(**QUICK).fit(X, y)
    together = NASClassifier(**QUICK, n_jobs=2).fit(X, y)
    np.testing.assert_allclose(
        together.predict_proba(X), alone.predict_proba(X), atol=1e-3
    )
