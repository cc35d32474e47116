"""What comes at prediction may differ from what came at fit."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from sklearn.datasets import load_iris
from small_tables import learnable

from sknas import NASClassifier


def test_unknown_categories_are_predicted(fitted_mixed, mixed):
    X, y = mixed
    other = X.assign(city="Atlantis", grade=pd.Categorical(["epic"] * len(X)))
    probability = fitted_mixed.predict_proba(other)
    assert np.isfinite(probability).all()
    assert fitted_mixed.score(other, y) > 0.6


def test_values_missing_at_prediction_only(fitted_mixed, mixed):
    X, _ = mixed
    missing = X.assign(count=np.nan, flag=None, grade=None)
    assert np.isfinite(fitted_mixed.predict_proba(missing)).all()
    nothing = X.astype(object).mask(np.ones(X.shape, dtype=bool), None)
    assert np.isfinite(fitted_mixed.predict_proba(nothing)).all()


def test_a_value_missing_at_prediction_only_is_taken_as_a_middling_one(quick):
    X, y = learnable()
    model = NASClassifier(**quick).fit(X, y)
    missing = np.where([True, False, False], np.nan, X)
    probability = model.predict_proba(missing)[:, 1]
    middle = model.predict_proba(np.where([True, False, False], np.median(X[:, 0]), X))
    np.testing.assert_allclose(probability, middle[:, 1], atol=1e-6)


def test_strings_where_numbers_were_are_refused_and_named(fitted_mixed, mixed):
    X, _ = mixed
    with pytest.raises(ValueError, match="'size'.*(number|tall)"):
        fitted_mixed.predict(X.assign(size="tall"))
    categories = pd.Categorical(["tall"] * len(X))
    with pytest.raises(ValueError, match="'size'.*(number|tall)"):
        fitted_mixed.predict(X.assign(size=categories))
    with pytest.raises((TypeError, ValueError), match="'size'"):
        fitted_mixed.predict(X.assign(size=pd.Timestamp("2026-01-01")))


def test_strings_where_numbers_were_in_an_array_are_refused(quick):
    X, y = learnable()
    model = NASClassifier(**quick).fit(X, y)
    for wrong in (np.full((3, 3), "tall"), np.full((3, 3), "tall", dtype=object)):
        with pytest.raises(ValueError, match="column 0"):
            model.predict(wrong)
    times = np.full((3, 3), np.datetime64("2026-01-01"))
    with pytest.raises((TypeError, ValueError), match="time|column 0"):
        model.predict(times)
    with pytest.raises(ValueError, match="[Cc]omplex"):
        model.predict(X + 1j)


def test_numbers_where_strings_were_are_unknown_categories(fitted_mixed, mixed):
    X, _ = mixed
    np.testing.assert_array_equal(
        fitted_mixed.predict_proba(X.assign(city=7)),
        fitted_mixed.predict_proba(X.assign(city="Atlantis")),
    )


def test_one_and_true_are_the_same_category(fitted_mixed, mixed):
    X, _ = mixed
    expected = fitted_mixed.predict_proba(X)
    for kind in (int, float, object, "boolean", "Int64"):
        np.testing.assert_array_equal(
            fitted_mixed.predict_proba(X.assign(flag=X["flag"].astype(kind))), expected
        )


def test_numbers_of_any_dtype_may_come_at_prediction(quick):
    X, y = load_iris(return_X_y=True)
    X = np.round(X)
    model = NASClassifier(**quick).fit(X, y)
    expected = model.predict_proba(X)
    for dtype in (np.float32, int, object, np.float16, str):
        np.testing.assert_array_equal(model.predict_proba(X.astype(dtype)), expected)


def test_extreme_numbers_at_prediction_only(quick):
    X, y = learnable()
    model = NASClassifier(**quick).fit(X, y)
    for value in (1e308, -1e308, 5e-324):
        assert np.isfinite(model.predict_proba(np.full((2, 3), value))).all()


def test_wrong_shapes_at_prediction_are_refused(fitted_digits, digits):
    X = digits[0]
    with pytest.raises(ValueError, match="expecting 64 features"):
        fitted_digits.predict(X[:, :-1])
    with pytest.raises(ValueError, match="2D|1D"):
        fitted_digits.predict(X[0])
    with pytest.raises(ValueError, match="0 sample"):
        fitted_digits.predict(X[:0])
    with pytest.raises(TypeError, match="[Ss]parse"):
        fitted_digits.predict(scipy.sparse.csr_array(X))


def test_a_failed_fit_leaves_the_last_one_as_it_was(quick):
    X, y = learnable()
    model = NASClassifier(**quick).fit(X, y)
    expected = model.predict_proba(X)
    for wrong in (np.zeros(200), y[:-1]):
        with pytest.raises(ValueError):
            model.fit(X, wrong)
        np.testing.assert_array_equal(model.predict_proba(X), expected)


def test_a_failed_fit_on_columns_of_another_kind_changes_nothing(quick):
    X, y = learnable()
    frame = pd.DataFrame({"flag": X[:, 0] > 0, "size": X[:, 1]})
    model = NASClassifier(**quick).fit(frame, y)
    expected = model.predict_proba(frame)
    for columns in (["flag", "size"], ["a", "b"], ["a", "b", "c"]):
        other = pd.DataFrame(X[:, : len(columns)], columns=columns)
        other[columns[1]] = X[:, 1] > 0
        with pytest.raises(ValueError):
            model.fit(other, y[:-1])
        np.testing.assert_array_equal(model.predict_proba(frame), expected)
        assert model.feature_names_in_.tolist() == ["flag", "size"]


@pytest.mark.parametrize("n_rows", [1, 3, 31, 64])
def test_what_a_row_gets_does_not_depend_on_the_rows_beside_it(
    fitted_digits, digits, n_rows
):
    X = digits[1][:100]
    together = fitted_digits.predict_proba(X)
    parts = np.split(X, range(n_rows, 100, n_rows))
    apart = np.concatenate([fitted_digits.predict_proba(part) for part in parts])
    np.testing.assert_array_equal(apart, together)
