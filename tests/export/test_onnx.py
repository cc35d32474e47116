"""ONNX models, run by onnxruntime, against the estimators and pipelines."""

from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from estimators_of_all_kinds import cases, make_series, make_table
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_diabetes, load_iris
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import make_pipeline
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
onnxruntime = pytest.importorskip("onnxruntime")
skl2onnx = pytest.importorskip("skl2onnx")

SMALL_SPACES = {
    "convolutional": ConvMacroSpace(4, n_filters=4),
    "recurrent": RecurrentSpace(n_nodes=4, hidden_size=8),
}
TYPES = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(int64)": np.int64,
    "tensor(bool)": np.bool_,
}


def run(model, X):
    """Give the outputs of a model; columns of a DataFrame are inputs of their own."""
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    inputs = session.get_inputs()
    if not isinstance(X, pd.DataFrame):
        return session.run(None, {inputs[0].name: np.asarray(X)})
    feeds = {}
    for i, own in enumerate(inputs):
        missing = X.iloc[:, i].isna().to_numpy()
        values = X.iloc[:, i].to_numpy(dtype=object, copy=True)
        if own.type == "tensor(string)":
            values = np.array([str(value) for value in values], dtype=object)
            values[missing] = ""
        else:
            values[missing] = np.nan
            values = values.astype(TYPES[own.type])
        feeds[own.name] = values.reshape(-1, 1)
    return session.run(None, feeds)


def assert_same_answers(model, estimator, X):
    labels, probability = run(model, X)
    expected = estimator.predict_proba(X)
    assert probability.shape == expected.shape
    np.testing.assert_allclose(probability, expected, atol=1e-5)
    np.testing.assert_array_equal(labels, estimator.predict(X))


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


class TestColumns:
    """What goes in, column by column."""

    x = np.random.RandomState(0).normal(size=120)

    def check(self, X, y, given=None, **types):
        """Compare the answers for columns of the declared types."""
        clf = NASClassifier(
            search_epochs=2, n_candidates=3, max_epochs=30, random_state=0
        ).fit(X, y)
        model = to_onnx(clf, X if given is None else given)
        kinds = {i.name: i.type.tensor_type.elem_type for i in model.graph.input}
        dtypes = {
            name: onnx.helper.tensor_dtype_to_np_dtype(k) for name, k in kinds.items()
        }
        for name, dtype in types.items():
            assert dtypes[name] == np.dtype(dtype), name
        assert_same_answers(model, clf, X)
        return clf

    @pytest.mark.parametrize("first", [20240101, 2**53, 1765432109876543210])
    def test_great_whole_numbers_are_told_apart(self, first):
        days = np.random.RandomState(1).choice(first + np.arange(4), 120)
        X = pd.DataFrame({"day": pd.Categorical(days), "x": self.x})
        clf = self.check(X, days % 2, day=np.int64)
        assert clf.score(X, days % 2) > 0.95

    def test_what_may_be_missing_can_be_given(self):
        X = pd.DataFrame(
            {
                "category": pd.Categorical([1, 2, None] * 40),
                "objects": pd.Series([1, None, 3] * 40, dtype=object),
                "flag": pd.Series([True, None, False] * 40, dtype=object),
                "nullable": pd.Series([1, None, 5] * 40, dtype="Int64"),
                "text": pd.Series(["u", "v", None] * 40, dtype="string"),
                "x": self.x,
            }
        )
        numbers = dict.fromkeys(["category", "objects", "flag", "nullable"], np.float64)
        self.check(X, self.x > 0, **numbers, text=object)
        # the rows that are given to the conversion do not matter
        del numbers["nullable"]  # a whole number here may be missing there
        X = X.drop(columns="nullable")
        self.check(X, self.x > 0, X.iloc[:1], **numbers, text=object)
        self.check(X, self.x > 0, X.iloc[2:3], **numbers, text=object)

    def test_levels_that_are_no_numbers_make_a_column_text(self):
        X = pd.DataFrame({"c": pd.Categorical([1, 2, "z"] * 40), "x": self.x})
        self.check(X, self.x > 0, X.head(2), c=object)

    @pytest.mark.parametrize("dtype", ["string", "category"])
    @pytest.mark.parametrize(
        "values",
        [
            [f"id {i}" for i in range(120)],
            [str(i) for i in range(120)],
            [str(i + 0.5) for i in range(120)],
            [str(i % 3 + 0.5) for i in range(120)],
        ],
        ids=["names", "whole", "fractions", "repeated"],
    )
    def test_text_is_text_however_rare_it_is(self, values, dtype, quicker):
        X = pd.DataFrame({"id": pd.Series(values, dtype=dtype), "x": self.x})
        clf = NASClassifier(**quicker).fit(X, self.x > 0)
        model = to_onnx(clf, X)
        kind = model.graph.input[0].type.tensor_type.elem_type
        assert kind == onnx.TensorProto.STRING
        assert_same_answers(model, clf, X)
        # nothing is too odd to be a rare category
        assert_same_answers(model, clf, X.assign(id=["id 1", "7", "new", "1e3"] * 30))

    @pytest.mark.parametrize(
        "values",
        [
            ["1", None, "2", None] * 30,
            [f"id {i}" if i % 2 == 0 else None for i in range(120)],
        ],
    )
    def test_text_is_text_where_the_given_rows_miss_it(self, values, quicker):
        X = pd.DataFrame({"id": pd.Series(values, dtype="string"), "x": self.x})
        clf = NASClassifier(**quicker).fit(X, self.x > 0)
        model = to_onnx(clf, X.iloc[1:2])
        kind = model.graph.input[0].type.tensor_type.elem_type
        assert kind == onnx.TensorProto.STRING
        assert_same_answers(model, clf, X)

    def test_numbers_that_are_all_rare_categories(self, quicker):
        X = pd.DataFrame({"c": pd.Categorical(range(120)), "x": self.x})
        clf = NASClassifier(**quicker).fit(X, self.x > 0)
        model = to_onnx(clf, X)
        kind = model.graph.input[0].type.tensor_type.elem_type
        assert kind == onnx.TensorProto.DOUBLE  # NaN may come
        assert_same_answers(model, clf, X)
        assert_same_answers(model, clf, X.assign(c=[0.5, np.nan, 1e9] * 40))

    def test_decimals_keep_their_fractions(self, quicker):
        prices = [Decimal(i % 7) / 4 for i in range(120)]
        X = pl.DataFrame({"price": prices, "x": self.x})
        clf = NASClassifier(**quicker).fit(X, self.x > 0)
        model = to_onnx(clf, X)
        _, probability = run(model, pd.DataFrame(X.to_dict(as_series=False)))
        np.testing.assert_allclose(probability, clf.predict_proba(X), atol=1e-5)

    def test_rare_text_in_a_pipeline(self, quicker):
        X = pd.DataFrame({"id": [f"id {i}" for i in range(120)]})
        pipe = make_pipeline(FunctionTransformer(), NASClassifier(**quicker))
        pipe.fit(X, self.x > 0)
        model = to_onnx(pipe, X)
        assert_same_answers(model, pipe, X)
        assert_same_answers(model, pipe, X + " of another")

    def test_names_of_columns_may_be_those_of_inner_values(self):
        X = pd.DataFrame({"network_0": ["a", "b"] * 60, "Cast_0": self.x})
        self.check(X, self.x > 0)

    def test_a_column_without_a_name_is_told_of(self, quicker):
        X = pd.DataFrame({"": self.x, "b": self.x})
        clf = NASClassifier(**quicker).fit(X, self.x > 0)
        with pytest.raises(ValueError, match="column 0 has none"):
            to_onnx(clf, X)

    def test_other_columns_are_told_of(self, quicker):
        X = pd.DataFrame({"a": self.x, "b": 10 * self.x})
        clf = NASClassifier(**quicker).fit(X, self.x > 0)
        with pytest.raises(ValueError, match="order"):
            to_onnx(clf, X[["b", "a"]])
        clf.fit(X.to_numpy(), self.x > 0)
        with pytest.raises(ValueError, match="features"):
            to_onnx(clf, X.to_numpy()[:, :1])

    def test_empty_strings_beside_missing_ones_are_warned_of(self, quicker):
        X = pd.DataFrame({"s": ["", "a", None] * 40, "x": self.x})
        clf = NASClassifier(**quicker).fit(X, self.x > 0)
        with pytest.warns(UserWarning, match="empty string"):
            to_onnx(clf, X)


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
