from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from scipy.special import expit
from sklearn.datasets import load_iris
from sklearn.metrics import log_loss

from sknas import NASClassifier


@pytest.fixture
def quick(quick):
    """Without a race of candidates, which no odd table makes another one."""
    return quick | {"n_candidates": 1}


def learnable(n_rows=200, n_columns=3):
    """Make numbers of which the first column decides."""
    X = np.random.RandomState(0).normal(size=(n_rows, n_columns))
    return X, (X[:, 0] > 0).astype(int)


def refuses(quick, X, y, error=ValueError, match=None):
    model = NASClassifier(**quick)
    with pytest.raises(error, match=match):
        model.fit(X, y)
    assert not hasattr(model, "classes_") and not hasattr(model, "networks_")


# What cannot be learnt from is refused, and says why.


def test_unequal_lengths_are_refused(quick):
    X, y = learnable()
    refuses(quick, X, y[:-1], match="inconsistent numbers of samples")
    refuses(quick, pd.DataFrame(X), y[:-1], match="inconsistent numbers of samples")


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (None, "requires y"),
        (np.zeros(200), "class"),
        (np.where(np.arange(200) < 9, np.nan, 1.0), "NaN"),
        (np.linspace(0, 1, 200), "[Uu]nknown label type|continuous"),
        (np.arange(400).reshape(200, 2) % 2, "shape|1d"),
        (np.array(["a", None] * 100, dtype=object), "None|NaN|unknown|missing"),
        (np.array(["a", 1] * 100, dtype=object), "str|type|unknown"),
        (np.array(["a", np.nan] * 100, dtype=object), "None|NaN|unknown|missing"),
        (pd.Series(["a", pd.NA] * 100, dtype="string"), "NA|NaN|missing|unknown"),
        (np.full(200, np.inf), "inf"),
        (np.array([1j, 2j] * 100), "[Cc]omplex"),
        ([[0], [1, 2]] * 100, "sequence|shape|inhomogeneous"),
    ],
)
def test_wrong_labels_are_refused(quick, y, message):
    X, _ = learnable()
    refuses(quick, X, y, (ValueError, TypeError), message)


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        (scipy.sparse.eye_array(200, format="csr"), TypeError, "[Ss]parse"),
        (np.zeros(200), ValueError, "1D array|2D"),
        (np.zeros((200, 2, 2)), ValueError, "dim 3|dim"),
        (np.zeros((200, 2)) + 1j, ValueError, "[Cc]omplex"),
        (np.zeros((200, 0)), ValueError, "0 feature"),
        (np.zeros((0, 2)), ValueError, "0 sample"),
        (5.0, ValueError, "scalar|array"),
        ("table", ValueError, "array|string|scalar"),
        (None, ValueError, "None|scalar|array"),
        ([[1, 2], [3]] * 100, ValueError, "inhomogeneous|sequence|array"),
        (pd.DataFrame(index=range(200)), ValueError, "0 feature"),
        (pd.Series(range(200)), ValueError, "2-dimensional"),
        (np.zeros(200, dtype=[("a", float)]), (ValueError, TypeError), None),
        ({"a": [1, 2]}, (ValueError, TypeError), None),
    ],
)
def test_what_is_no_table_is_refused(quick, X, error, message):
    refuses(quick, X, np.arange(200) % 2, error, message)


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_infinity_is_refused_and_its_column_named(quick, value):
    X, y = learnable()
    X[3, 1] = value
    refuses(quick, X, y, match="infinity.*column 1")
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    refuses(quick, frame, y, match="infinity.*column 'b'")
    refuses(quick, X.astype(object), y, match="infinity.*column 1")
    refuses(quick, X.astype(np.float32), y, match="infinity.*column 1")
    X[4, 1] = -value
    refuses(quick, X, y, match="infinity.*column 1")
    X, y = learnable()
    model = NASClassifier(**quick).fit(X, y)
    X[3, 2] = value
    with pytest.raises(ValueError, match="infinity.*column 2"):
        model.predict(X)


@pytest.mark.parametrize(
    "values",
    [
        pd.date_range("2026-01-01", periods=200),
        pd.date_range("2026-01-01", periods=200, tz="UTC"),
        pd.timedelta_range("1D", periods=200),
    ],
)
def test_a_column_of_times_is_refused_and_named(quick, values):
    X, y = learnable()
    frame = pd.DataFrame(X, columns=["a", "b", "c"]).assign(when=values)
    refuses(quick, frame, y, TypeError, "when")


def test_an_array_of_times_is_refused(quick):
    times = np.datetime64("2026-01-01") + np.arange(200)
    refuses(quick, times[:, None], np.arange(200) % 2, TypeError, "time")


@pytest.mark.parametrize("dtype", ["period[D]", "interval"])
def test_periods_and_intervals_are_refused_or_categories(quick, dtype):
    X, y = learnable()
    column = pd.Series(pd.date_range("2026-01-01", periods=200))
    if dtype == "interval":
        column = pd.cut(X[:, 0], 5).astype("interval")
    else:
        column = column.dt.to_period("D")
    frame = pd.DataFrame({"a": X[:, 0], "odd": column})
    try:
        NASClassifier(**quick).fit(frame, y).predict(frame)
    except (TypeError, ValueError) as error:
        assert "odd" in str(error)


@pytest.mark.parametrize("cell", [[1, 2], {"a": 1}, {1, 2}, np.zeros(2)])
def test_cells_that_are_no_values_are_categories_or_refused_and_named(quick, cell):
    X, y = learnable()
    frame = pd.DataFrame({"a": X[:, 0], "odd": [cell] * len(y)})
    try:
        assert NASClassifier(**quick).fit(frame, y).score(frame, y) > 0.8
    except (TypeError, ValueError) as error:
        assert "odd" in str(error)


def test_complex_columns_of_a_frame_are_refused_and_named(quick):
    X, y = learnable()
    frame = pd.DataFrame({"a": X[:, 0], "odd": X[:, 1] + 1j})
    refuses(quick, frame, y, (TypeError, ValueError), "odd|[Cc]omplex")


def test_duplicate_column_names_are_refused_or_taken_by_place(quick):
    X, y = learnable()
    frame = pd.DataFrame(X, columns=["a", "a", "b"])
    try:
        model = NASClassifier(**quick).fit(frame, y)
    except ValueError as error:
        assert "a" in str(error) and "column" in str(error)
    else:
        assert model.score(frame, y) > 0.8


def test_names_of_two_types_are_refused_as_elsewhere(quick):
    X, y = learnable()
    refuses(quick, pd.DataFrame(X, columns=["a", 1, "b"]), y, TypeError, "names")


def test_names_that_are_numbers_are_no_names(quick):
    X, y = learnable()
    model = NASClassifier(**quick).fit(pd.DataFrame(X), y)
    assert not hasattr(model, "feature_names_in_")
    assert model.score(X, y) > 0.8


def test_a_lazy_frame_is_refused(quick):
    pl = pytest.importorskip("polars")
    X, y = learnable()
    frame = pl.DataFrame(X).lazy()
    refuses(quick, frame, y, (TypeError, ValueError), None)


# What is odd, yet can be learnt from, is.


@pytest.mark.parametrize("n_rows", [2, 3, 5])
@pytest.mark.parametrize("early_stopping", [True, False])
def test_a_handful_of_rows(quick, n_rows, early_stopping):
    X, _ = learnable(n_rows)
    y = np.arange(n_rows) % 2
    model = NASClassifier(**quick, early_stopping=early_stopping).fit(X, y)
    assert np.isfinite(model.predict_proba(X)).all()


def test_as_many_classes_as_rows(quick):
    X, _ = learnable(6)
    model = NASClassifier(**quick).fit(X, np.arange(6))
    assert model.predict_proba(X).shape == (6, 6)


def test_the_same_row_again_and_again_with_other_labels(quick):
    X, y = np.ones((50, 2)), np.arange(50) % 5 == 0
    model = NASClassifier(**quick, early_stopping=False).fit(X, y)
    assert not model.predict(X).any()


def test_a_class_with_a_single_row(quick):
    X, y = learnable()
    y[0] = 7
    model = NASClassifier(**quick).fit(X, y)
    assert list(model.classes_) == [0, 1, 7]
    assert model.score(X, y) > 0.8


def test_a_batch_of_one_row_and_more_groups_than_rows(quick):
    X, _ = learnable(9)
    y = np.arange(9) % 2
    for batch_size in (1, 3, 8):
        NASClassifier(**quick, batch_size=batch_size).fit(X, y).predict(X)


@pytest.mark.parametrize("value", [np.nan, 0.0, -3e5])
def test_a_column_that_says_nothing(quick, value):
    X, y = learnable()
    X[:, 1] = value
    assert NASClassifier(**quick).fit(X, y).score(X, y) > 0.8


@pytest.mark.parametrize("value", [np.nan, 1.0])
def test_a_table_that_says_nothing(quick, value):
    X, y = np.full((60, 2), value), np.arange(60) % 3 > 0
    model = NASClassifier(**quick).fit(X, y)
    probability = model.predict_proba(X)
    assert np.isfinite(probability).all()
    assert (probability == probability[0]).all()


def test_a_column_of_strings_that_are_all_missing(quick):
    X, y = learnable(100)
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    for empty in (
        pd.Series([None] * 100, dtype=object),
        pd.Series([None] * 100, dtype="string"),
        pd.Series([None] * 100, dtype="category"),
        pd.Series([pd.NA] * 100, dtype="Int64"),
        pd.Series([pd.NA] * 100, dtype="boolean"),
    ):
        model = NASClassifier(**quick).fit(frame.assign(empty=empty), y)
        assert model.score(frame.assign(empty=empty), y) > 0.8


@pytest.mark.parametrize("n_missing", [20, 100, 190])
def test_missing_values_carry_information(quick, n_missing):
    X, _ = learnable()
    X[:n_missing, 1] = np.nan
    y = np.isnan(X[:, 1])
    assert NASClassifier(**quick).fit(X, y).score(X, y) > 0.95


def test_more_columns_than_rows(quick):
    X = np.random.RandomState(0).normal(size=(40, 3000))
    y = (X[:, :300].mean(axis=1) > 0).astype(int)
    model = NASClassifier(**quick).fit(X, y)
    assert model.score(X, y) > 0.5


@pytest.mark.parametrize("scale", [1e300, 1e150, 1e39, 1e-39, 1e-150, 1e-300])
@pytest.mark.parametrize("frame", [False, True])
def test_extreme_scales_are_learnt(quick, scale, frame):
    X, y = learnable()
    X *= scale
    if frame:
        X = pd.DataFrame(X, columns=list("abc"))
    assert NASClassifier(**quick).fit(X, y).score(X, y) > 0.8


@pytest.mark.parametrize("scale", [1e38, 1e30, 1e-30, 1e-37])
def test_extreme_scales_of_single_precision_are_learnt(quick, scale):
    X, y = learnable()
    X = (X * scale).astype(np.float32)
    assert NASClassifier(**quick).fit(X, y).score(X, y) > 0.8


@pytest.mark.parametrize("offset", [1e9, -1e12, 1e15])
def test_a_huge_offset_is_learnt(quick, offset):
    X, y = learnable()
    X = X * 10 + offset
    assert NASClassifier(**quick).fit(X, y).score(X, y) > 0.8


def test_a_huge_offset_of_whole_numbers_is_learnt(quick):
    X, y = learnable()
    X = (X * 100).astype(np.int64) + 2**50
    assert NASClassifier(**quick).fit(X, y).score(X, y) > 0.8
    frame = pd.DataFrame(X, columns=list("abc"))
    assert NASClassifier(**quick).fit(frame, y).score(frame, y) > 0.8


def test_a_few_huge_outliers_do_no_harm(quick):
    X, y = learnable()
    X[:3] = 1e300, -1e200, 1e25
    assert NASClassifier(**quick).fit(X, y).score(X, y) > 0.8


def test_a_column_that_is_almost_always_zero(quick):
    X, y = learnable()
    X[:, 0] = np.where(np.arange(200) % 10 == 0, 1e-5, 0.0)
    y = (X[:, 0] > 0).astype(int)
    assert NASClassifier(**quick).fit(X, y).score(X, y) > 0.95


def test_very_many_categories():
    X, y = learnable(200_000, 1)
    frame = pd.DataFrame({"x": X[:, 0], "id": [f"row {i}" for i in range(len(y))]})
    model = NASClassifier(
        batch_size=4096,
        max_epochs=1,
        search_epochs=1,
        n_candidates=1,
        ensemble_size=1,
        random_state=0,
    )
    model.fit(frame, y)
    assert model.score(frame, y) > 0.8


def titanic():
    """Make a table with 16 distinct rows, each with both labels, and their chances."""
    rng = np.random.RandomState(0)
    n_rows = 2000
    place, sex = rng.choice(4, n_rows), rng.choice(2, n_rows, p=[0.8, 0.2])
    chance = np.array([[0.3, 0.15, 0.2, 0.2], [0.97, 0.88, 0.46, 0.87]])[sex, place]
    X = pd.DataFrame(
        {
            "place": np.array(["1st", "2nd", "3rd", "crew"])[place],
            "sex": np.array(["male", "female"])[sex],
            "age": rng.choice(["child", "adult"], n_rows, p=[0.05, 0.95]),
        }
    )
    return X, rng.rand(n_rows) < chance, chance


@pytest.mark.parametrize("weights", ["none", "whole", "halves", "all kinds"])
def test_few_distinct_rows_with_noisy_labels_are_learnt(weights):
    X, y, chance = titanic()
    rng = np.random.RandomState(1)
    weight = {
        "none": None,
        "whole": rng.randint(1, 4, len(y)),
        "halves": np.full(len(y), 0.5),
        "all kinds": 0.5 + rng.rand(len(y)),
    }[weights]
    model = NASClassifier(ensemble_size=2, search_epochs=5, random_state=0)
    model.fit(X, y, sample_weight=weight)
    reached = log_loss(y, model.predict_proba(X), sample_weight=weight)
    assert reached < log_loss(y, chance, sample_weight=weight) + 0.03


def test_rows_that_come_again_with_noisy_labels_are_learnt():
    # 324 cells with about 25 rows of both labels in each
    rng = np.random.RandomState(0)
    row, column = rng.choice(18, (2, 8000))
    chance = expit(2 * rng.normal(size=(18, 18)))[row, column]
    y = rng.rand(8000) < chance
    X = pd.DataFrame(
        {
            "row": [f"row {i}" for i in row],
            "column": [f"column {i}" for i in column],
        }
    )
    model = NASClassifier(
        ensemble_size=1, search_epochs=3, n_candidates=1, random_state=0
    ).fit(X, y)
    assert log_loss(y, model.predict_proba(X)) < log_loss(y, chance) + 0.05


@pytest.mark.parametrize("n_single", [1, 2, 3, 4])
def test_a_few_single_rows_among_many_copies(quick, n_single):
    X = np.repeat([[0.0], [1.0], [2.0]], 50, axis=0)
    y = np.repeat([0, 1, 2], 50)
    single = 7.0 + np.arange(n_single)[:, None]
    X, y = np.concatenate([X, single]), np.concatenate([y, np.arange(n_single) % 3])
    model = NASClassifier(**quick | {"max_epochs": 100}).fit(X, y)
    assert model.score(X[3:150], y[3:150]) > 0.9


@pytest.mark.parametrize("n_levels", [2, 4, 20])
def test_a_single_column_of_categories_is_learnt(n_levels):
    rng = np.random.RandomState(0)
    level = rng.choice(n_levels, 1000)
    y = level % 2
    X = pd.DataFrame({"level": np.array([f"level {i}" for i in range(20)])[level]})
    model = NASClassifier(ensemble_size=1, search_epochs=3, random_state=0)
    assert model.fit(X, y).score(X, y) > 0.95


def test_columns_of_objects_of_all_kinds(quick):
    X, y = learnable()
    values = [1, "one", 2.5, None, True, b"bytes", (1, 2), np.nan, "", pd.NaT, pd.NA]
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    frame["odd"] = pd.Series((values * 20)[:200], dtype=object)
    assert NASClassifier(**quick).fit(frame, y).score(frame, y) > 0.8
    array = frame.to_numpy(dtype=object)
    assert NASClassifier(**quick).fit(array, y).score(array, y) > 0.8


def test_empty_strings_are_a_category_and_not_missing(quick):
    text = np.array(["", "a"] * 100, dtype=object)
    text[::10] = None
    y = [0 if t == "" else 1 if t == "a" else 2 for t in text]
    frame = pd.DataFrame({"text": text})
    quick |= {"max_epochs": 100, "early_stopping": False}
    assert NASClassifier(**quick).fit(frame, y).score(frame, y) == 1


def test_strings_that_look_like_what_stands_for_missing(quick):
    X, y = learnable()
    frame = pd.DataFrame({"a": X[:, 0], "text": ["\0missing", "nan", None, "-1"] * 50})
    model = NASClassifier(**quick).fit(frame, y)
    assert model.score(frame, y) > 0.8


def test_numbers_written_as_strings_in_an_array_are_numbers(quick):
    X, y = learnable()
    model = NASClassifier(**quick).fit(X.astype(str), y)
    assert model.score(X.astype(str), y) > 0.8
    assert model.encode(X.astype(str))["numeric"].shape == (200, 3)


def test_decimals_are_numbers(quick):
    X, y = learnable(200, 1)
    decimals = [Decimal(str(value)) for value in X[:, 0]]
    frame = pd.DataFrame({"price": decimals})
    assert NASClassifier(**quick).fit(frame, y).score(frame, y) > 0.8


def test_integers_beyond_all_floats_are_refused_and_their_column_named(quick):
    X, y = learnable()
    X = X.astype(object)
    X[0, 1] = 10**400
    refuses(quick, X, y, ValueError, "column 1")


@pytest.mark.parametrize(
    "scoring", ["neg_log_loss", "roc_auc_ovr", "balanced_accuracy", "f1_macro"]
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
def test_classes_that_the_held_back_rows_lack_are_no_trouble_for_a_scorer(
    quick, scoring
):
    X, _ = learnable(30)
    y = np.array([0] * 24 + [1] * 4 + [2] * 2)
    assert NASClassifier(**quick, scoring=scoring).fit(X, y).score(X, y) > 0.5


# What comes at prediction may differ from what came at fit.


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
