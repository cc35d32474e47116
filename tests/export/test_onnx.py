"""ONNX models, run by onnxruntime, against the estimators and pipelines."""

import numpy as np
import pandas as pd
import pytest
import torch
from estimators_of_all_kinds import cases, make_series, make_table
from onnx_answers import assert_same_answers, run
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_diabetes, load_iris
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from sknas import (
    ConvMacroSpace,
    NASClassifier,
    NASRegressor,
    RecurrentSpace,
    SearchSpace,
    TabularSpace,
)
from sknas.export import register_onnx_converters, to_onnx
from sknas.preprocessing import TokenEncoder

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
skl2onnx = pytest.importorskip("skl2onnx")

SMALL_SPACES = {
    "convolutional": ConvMacroSpace(4, n_filters=4),
    "recurrent": RecurrentSpace(n_nodes=4, hidden_size=8),
}


@pytest.fixture(scope="module")
def fitted():
    """Estimators of all spaces: estimator, rows to answer for."""
    tables = make_table()[0]
    rows = {"mixed": tables, "categories": tables[["rare", "flag"]]}
    estimators = {}
    for name, estimator, X, _ in cases():
        series = name.startswith(("series_c", "series_r"))
        estimators[name] = estimator, make_series()[0] if series else rows.get(name, X)
    return estimators


CLASSIFIERS = [
    "mixed",
    "categories",
    "numbers",
    "neighbors_of_numbers",
    "neighbors_of_levels",
    "neighbors_of_both",
    "macro",
    "micro",
    "far",
    "series_far",
    "series_conv-macro",
    "series_recurrent",
    "text",
    "text_conv",
]


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_classifiers_of_every_space(fitted, name):
    clf, X = fitted[name]
    model = to_onnx(clf, X)
    assert_same_answers(model, clf, X)
    assert_same_answers(model, clf, X[:1])


@pytest.mark.parametrize("name", ["regressor", "targets"])
def test_regressors(fitted, name):
    reg, X = fitted[name]
    (answer,) = run(to_onnx(reg, X), X)
    expected = reg.predict(X)
    np.testing.assert_allclose(answer.reshape(expected.shape), expected, rtol=1e-5)


def test_a_pipeline_with_string_labels(quicker):
    X, y = load_iris(return_X_y=True)
    y = np.array(["setosa", "versicolor", "virginica"])[y]
    pipe = make_pipeline(StandardScaler(), NASClassifier(**quicker)).fit(X, y)
    model = to_onnx(pipe, X.astype(np.float32))
    assert [output.name for output in model.graph.output] == ["label", "probabilities"]
    assert_same_answers(model, pipe, X.astype(np.float32))


def test_a_pipeline_of_columns(quicker):
    X, y = make_table()
    X = X[["size", "count", "rare"]].fillna(0.0).astype({"count": float})
    columns = make_column_transformer(
        (StandardScaler(), ["size", "count"]),
        (OneHotEncoder(sparse_output=False), ["rare"]),
    )
    pipe = make_pipeline(columns, NASClassifier(**quicker)).fit(X, y)
    model = to_onnx(pipe, X, target_opset=18)
    assert_same_answers(model, pipe, X)


def test_numbers_with_missing_values(quicker):
    X, y = load_iris(return_X_y=True)
    X[::4, 1] = np.nan
    clf = NASClassifier(**quicker).fit(X, y)
    assert_same_answers(to_onnx(clf, X), clf, X)


def test_categories_that_are_numbers(quicker):
    rng = np.random.RandomState(0)
    X = pd.DataFrame({"number": rng.normal(size=80), "code": rng.randint(3, size=80)})
    X["code"] = pd.Categorical(X["code"])
    y = (X["number"] + X["code"].astype(int) > 1).to_numpy()
    clf = NASClassifier(**quicker).fit(X, y)
    labels, probability = run(to_onnx(clf, X), X)
    np.testing.assert_allclose(probability, clf.predict_proba(X), atol=1e-5)
    np.testing.assert_array_equal(labels.astype(bool), clf.predict(X))


def test_registered_converters_serve_skl2onnx_itself(fitted):
    register_onnx_converters()
    clf, X = fitted["numbers"]
    model = skl2onnx.to_onnx(clf, X.astype(np.float32))
    labels, maps = run(model, X.astype(np.float32))
    assert set(maps[0]) == set(clf.classes_.tolist())
    expected = clf.predict_proba(X.astype(np.float32))
    given = np.array([[row[c] for c in clf.classes_] for row in maps])
    np.testing.assert_allclose(given, expected, atol=1e-5)


def test_other_estimators_are_converted_as_ever():
    X, y = load_iris(return_X_y=True)
    clf = LogisticRegression(max_iter=500).fit(X, y)
    labels, _ = run(to_onnx(clf, X.astype(np.float32)), X.astype(np.float32))
    np.testing.assert_array_equal(labels, clf.predict(X.astype(np.float32)))


def test_an_old_opset_is_told_of(fitted):
    clf, X = fitted["numbers"]
    with pytest.raises(ValueError, match="target_opset"):
        to_onnx(clf, X, target_opset=15)


def test_labels_that_are_fractions_are_told_of(quicker):
    X, y = load_iris(return_X_y=True)
    clf = NASClassifier(**quicker).fit(X, np.array(["0.5", "1", "2"])[y])
    clf.classes_ = clf.classes_.astype(float)
    with pytest.raises(ValueError, match="fractions"):
        to_onnx(clf, X)


class TestGreatLabels:
    """Labels that are whole numbers of 64 bits."""

    X = np.random.RandomState(0).normal(size=(80, 2))

    def fit(self, quicker, labels):
        y = np.array(labels, dtype=np.uint64)[(self.X[:, 0] > 0).astype(int)]
        return NASClassifier(**quicker).fit(self.X, y)

    @pytest.mark.parametrize("labels", [[2**63, 2**63 + 1], [0, 2**64 - 1]])
    def test_what_int64_cannot_hold_is_told_of(self, quicker, labels):
        clf = self.fit(quicker, labels)
        too_great = ", ".join(str(label) for label in labels if label >= 2**63)
        pipe = make_pipeline(FunctionTransformer().fit(self.X), clf)
        for estimator in (clf, pipe):
            with pytest.raises(ValueError, match=f"hold {too_great}: .* strings"):
                to_onnx(estimator, self.X)
        register_onnx_converters()
        with pytest.raises(ValueError, match=f"hold {too_great}: "):
            skl2onnx.to_onnx(clf, self.X)

    def test_places_of_labels_are_small_numbers(self, quicker):
        clf = self.fit(quicker, [2**63, 2**63 + 1])
        options = {id(clf): {"zipmap": False, "nocl": True}}
        places, _ = run(to_onnx(clf, self.X, options=options), self.X)
        np.testing.assert_array_equal(clf.classes_[places], clf.predict(self.X))

    def test_probabilities_are_dictionaries_if_wished(self, quicker):
        clf = self.fit(quicker, [0, 1])
        inner = Pipeline([("clf", clf)])
        outer = Pipeline([("inner", inner)])
        for options in (
            {id(inner): {"zipmap": True}},
            {id(clf): {"zipmap": True}},
            {"inner__clf__zipmap": True},
        ):
            onnx_model = to_onnx(outer, self.X, options=options)
            kinds = [o.type.WhichOneof("value") for o in onnx_model.graph.output]
            assert kinds == ["tensor_type", "sequence_type"]
        onnx_model = to_onnx(outer, self.X, options={"inner__clf__nocl": True})
        kinds = [o.type.WhichOneof("value") for o in onnx_model.graph.output]
        assert kinds == ["tensor_type", "tensor_type"]

    @pytest.mark.parametrize("by", ["id", "type", "step", None])
    def test_probabilities_stay_an_array_whatever_else_is_wished(self, quicker, by):
        clf = self.fit(quicker, [0, 1])
        pipe = Pipeline([("same", FunctionTransformer().fit(self.X)), ("clf", clf)])
        options = {
            "id": {id(clf): {"nocl": True}},
            "type": {NASClassifier: {"nocl": True}},
            "step": {"clf__nocl": True},
            None: None,
        }[by]
        _, probability = run(to_onnx(pipe, self.X, options=options), self.X)
        np.testing.assert_allclose(
            probability, pipe.predict_proba(self.X), rtol=1e-4, atol=1e-6
        )

    def test_whole_numbers_as_floats_are_told_of(self, quicker):
        clf = self.fit(quicker, [0, 1])
        clf.classes_ = np.array([0, 2.0**63])
        with pytest.raises(ValueError, match=r"hold 9\.22.*: fit"):
            to_onnx(clf, self.X)

    def test_the_greatest_of_int64_are_kept(self, quicker):
        clf = self.fit(quicker, [0, 2**63 - 1])
        assert_same_answers(to_onnx(clf, self.X), clf, self.X)


def test_a_space_without_code_is_told_of(quicker):
    class Bare(TabularSpace):
        source = SearchSpace.source

    X, y = load_diabetes(return_X_y=True)
    reg = NASRegressor(Bare(), **quicker).fit(X[:80], y[:80])
    with pytest.raises(NotImplementedError, match="method 'source' of Bare"):
        to_onnx(reg, X)


def test_without_rows_the_inputs_are_not_known(fitted):
    with pytest.raises(ValueError, match="initial_types"):
        to_onnx(fitted["numbers"][0])


def test_seconds_of_an_epoch_keep_their_digits(quicker):
    X = np.random.RandomState(0).normal(size=(80, 1))
    times = 1.7e9 + 86400 * X[:, 0]
    reg = NASRegressor(**quicker).fit(X, times)
    [found] = run(to_onnx(reg, X), X)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found.ravel(), reg.predict(X), atol=0.1)
    several = MultiOutputRegressor(NASRegressor(**quicker))
    several.fit(X, np.c_[times, -times])
    [found] = run(to_onnx(several, X), X)
    np.testing.assert_allclose(found, several.predict(X), atol=0.1)


@pytest.mark.parametrize("n_steps", [5, 12, 18])
@pytest.mark.parametrize("space", SMALL_SPACES.values(), ids=SMALL_SPACES)
def test_series_may_be_shorter_and_longer_than_those_of_the_fit(
    space, n_steps, quicker
):
    rng = np.random.RandomState(0)
    X = rng.normal(size=(40, 12, 2))
    clf = NASClassifier(space, **quicker).fit(X, np.arange(40) % 2)
    other = rng.normal(size=(20, n_steps, 2))
    assert_same_answers(to_onnx(clf, other), clf, other)


def test_it_leaves_random_numbers_alone(fitted):
    before = torch.get_rng_state()
    to_onnx(*fitted["numbers"])
    assert before.equal(torch.get_rng_state())


def test_an_unfitted_estimator_is_told_of():
    with pytest.raises(NotFittedError):
        to_onnx(NASClassifier(), np.zeros((2, 2)))


class TestText:
    """Pipelines of a TokenEncoder and a classifier."""

    documents = [
        "A good film, really!",
        "a BAD film",
        "good , and long",
        "naïve Straße",
    ]
    new = [
        *documents,
        "",
        "  \xa0 ",
        "words not seen",
        "été 日本語 a good a good a bad",
    ]

    @pytest.mark.parametrize(
        ("space", "parameters"),
        [
            ("convolutional", {}),
            ("recurrent", {"keep": "last", "max_length": 3}),
            ("recurrent", {"max_length": 9}),
            ("recurrent", {"lowercase": False, "token_pattern": r"(?u)\b\w\w+\b"}),
        ],
    )
    def test_the_whole_pipeline_reads_text(self, space, parameters, quicker):
        model = make_pipeline(
            TokenEncoder(**parameters), NASClassifier(SMALL_SPACES[space], **quicker)
        )
        model.fit(self.documents * 10, ["praise", "blame"] * 20)
        converted = to_onnx(model, self.documents)
        for documents in (self.new, ["", ""], ["good"]):
            assert_same_answers(converted, model, np.array(documents, dtype=object))

    @pytest.mark.parametrize(
        ("parameter", "value"),
        [
            ("analyzer", "char"),
            ("analyzer", str.split),
            ("strip_accents", "ascii"),
            ("stop_words", ["a"]),
            ("token_pattern", r"\S+"),
        ],
    )
    def test_what_onnx_cannot_do_is_told_of(self, parameter, value):
        encoder = TokenEncoder(**{parameter: value}).fit(self.documents)
        with pytest.raises(NotImplementedError, match=parameter):
            to_onnx(encoder, self.documents)
