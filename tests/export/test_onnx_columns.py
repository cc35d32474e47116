"""What goes into ONNX models, column by column."""

from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pytest
from onnx_answers import assert_same_answers, run
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sknas import NASClassifier
from sknas.export import to_onnx

onnx = pytest.importorskip("onnx")
pytest.importorskip("skl2onnx")

FEATURE = np.random.RandomState(0).normal(size=120)


def check(X, y, given=None, **types):
    """Compare the answers for columns of the declared types."""
    clf = NASClassifier(
        search_epochs=2,
        n_candidates=3,
        ensemble_size=1,
        max_epochs=20,
        random_state=0,
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
def test_great_whole_numbers_are_told_apart(first):
    days = np.random.RandomState(1).choice(first + np.arange(4), 120)
    X = pd.DataFrame({"day": pd.Categorical(days), "x": FEATURE})
    clf = check(X, days % 2, day=np.int64)
    assert clf.score(X, days % 2) > 0.95


def test_what_may_be_missing_can_be_given():
    X = pd.DataFrame(
        {
            "category": pd.Categorical([1, 2, None] * 40),
            "objects": pd.Series([1, None, 3] * 40, dtype=object),
            "flag": pd.Series([True, None, False] * 40, dtype=object),
            "nullable": pd.Series([1, None, 5] * 40, dtype="Int64"),
            "text": pd.Series(["u", "v", None] * 40, dtype="string"),
            "x": FEATURE,
        }
    )
    numbers = dict.fromkeys(["category", "objects", "flag", "nullable"], np.float64)
    check(X, FEATURE > 0, **numbers, text=object)
    # the rows that are given to the conversion do not matter
    del numbers["nullable"]  # a whole number here may be missing there
    X = X.drop(columns="nullable")
    check(X, FEATURE > 0, X.iloc[:1], **numbers, text=object)
    check(X, FEATURE > 0, X.iloc[2:3], **numbers, text=object)


def test_levels_that_are_no_numbers_make_a_column_text():
    X = pd.DataFrame({"c": pd.Categorical([1, 2, "z"] * 40), "x": FEATURE})
    check(X, FEATURE > 0, X.head(2), c=object)


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
def test_text_is_text_however_rare_it_is(values, dtype, quicker):
    X = pd.DataFrame({"id": pd.Series(values, dtype=dtype), "x": FEATURE})
    clf = NASClassifier(**quicker).fit(X, FEATURE > 0)
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
def test_text_is_text_where_the_given_rows_miss_it(values, quicker):
    X = pd.DataFrame({"id": pd.Series(values, dtype="string"), "x": FEATURE})
    clf = NASClassifier(**quicker).fit(X, FEATURE > 0)
    model = to_onnx(clf, X.iloc[1:2])
    kind = model.graph.input[0].type.tensor_type.elem_type
    assert kind == onnx.TensorProto.STRING
    assert_same_answers(model, clf, X)


def test_numbers_that_are_all_rare_categories(quicker):
    X = pd.DataFrame({"c": pd.Categorical(range(120)), "x": FEATURE})
    clf = NASClassifier(**quicker).fit(X, FEATURE > 0)
    model = to_onnx(clf, X)
    kind = model.graph.input[0].type.tensor_type.elem_type
    assert kind == onnx.TensorProto.DOUBLE  # NaN may come
    assert_same_answers(model, clf, X)
    assert_same_answers(model, clf, X.assign(c=[0.5, np.nan, 1e9] * 40))


def test_decimals_keep_their_fractions(quicker):
    prices = [Decimal(i % 7) / 4 for i in range(120)]
    X = pl.DataFrame({"price": prices, "x": FEATURE})
    clf = NASClassifier(**quicker).fit(X, FEATURE > 0)
    model = to_onnx(clf, X)
    _, probability = run(model, pd.DataFrame(X.to_dict(as_series=False)))
    np.testing.assert_allclose(probability, clf.predict_proba(X), atol=1e-5)


def test_rare_text_in_a_pipeline(quicker):
    X = pd.DataFrame({"id": [f"id {i}" for i in range(120)]})
    pipe = make_pipeline(FunctionTransformer(), NASClassifier(**quicker))
    pipe.fit(X, FEATURE > 0)
    model = to_onnx(pipe, X)
    assert_same_answers(model, pipe, X)
    assert_same_answers(model, pipe, X + " of another")


def test_names_of_columns_may_be_those_of_inner_values():
    X = pd.DataFrame({"network_0": ["a", "b"] * 60, "Cast_0": FEATURE})
    check(X, FEATURE > 0)


def test_a_column_without_a_name_is_told_of(quicker):
    X = pd.DataFrame({"": FEATURE, "b": FEATURE})
    clf = NASClassifier(**quicker).fit(X, FEATURE > 0)
    with pytest.raises(ValueError, match="column 0 has none"):
        to_onnx(clf, X)


def test_other_columns_are_told_of(quicker):
    X = pd.DataFrame({"a": FEATURE, "b": 10 * FEATURE})
    clf = NASClassifier(**quicker).fit(X, FEATURE > 0)
    with pytest.raises(ValueError, match="order"):
        to_onnx(clf, X[["b", "a"]])
    clf.fit(X.to_numpy(), FEATURE > 0)
    with pytest.raises(ValueError, match="features"):
        to_onnx(clf, X.to_numpy()[:, :1])


def test_empty_strings_beside_missing_ones_are_warned_of(quicker):
    X = pd.DataFrame({"s": ["", "a", None] * 40, "x": FEATURE})
    clf = NASClassifier(**quicker).fit(X, FEATURE > 0)
    with pytest.warns(UserWarning, match="empty string"):
        to_onnx(clf, X)
