"""What cannot be learnt from is refused, and says why."""

import datetime

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from small_tables import learnable, refuses

from sknas import NASClassifier


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
        (np.zeros((200, 2, 2, 2, 2)), ValueError, "5 dimensions"),
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
        pd.Series(200 * [datetime.date(2026, 1, 1)], dtype=object),
        pd.Series([*199 * [None], pd.Timestamp("2026-01-01")], dtype=object),
    ],
)
def test_a_column_of_times_is_refused_and_named(quick, values):
    X, y = learnable()
    frame = pd.DataFrame(X, columns=["a", "b", "c"]).assign(when=values)
    refuses(quick, frame, y, TypeError, "when")


@pytest.mark.parametrize("dtype", [None, object])
def test_an_array_of_times_is_refused(quick, dtype):
    times = np.datetime64("2026-01-01") + np.arange(200)
    times = times[:, None].astype(dtype or times.dtype)
    refuses(quick, times, np.arange(200) % 2, TypeError, "time")


def test_an_array_of_numpys_strings_holds_categories(quick):
    X, y = learnable()
    labels = np.where(X > 0, "above", "below")
    models = [
        NASClassifier(**quick).fit(labels.astype(dtype), y)
        for dtype in (object, np.dtypes.StringDType())
    ]
    np.testing.assert_array_equal(*(m.predict_proba(labels) for m in models))
    assert models[1].score(labels.astype(np.dtypes.StringDType()), y) > 0.9


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


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_lists_are_refused_and_their_column_named(quick, library):
    X, y = learnable()
    frame = pd.DataFrame({"a": X[:, 0], "pair": X[:, 1:].tolist()})
    if library == "polars":
        frame = pytest.importorskip("polars").DataFrame(frame.to_dict("list"))
    elif library == "pyarrow":
        pa = pytest.importorskip("pyarrow")
        pairs = pd.ArrowDtype(pa.list_(pa.float64()))
        frame["pair"] = frame["pair"].astype(pairs)
    refuses(quick, frame, y, TypeError, "column 'pair' of X holds .*of its own")


def test_times_where_categories_were_are_refused(quick):
    X, y = learnable()
    frame = pd.DataFrame({"a": X[:, 0], "kind": np.where(y, "x", "z")})
    model = NASClassifier(**quick).fit(frame, y)
    times = pd.Series(pd.date_range("2026-01-01", periods=len(y)))
    for column in (times, times.astype(object)):
        with pytest.raises(TypeError, match="column 'kind'.*times into numbers"):
            model.predict(frame.assign(kind=column))


@pytest.mark.parametrize("row", [list, np.array])
def test_rows_of_different_lengths_are_told_of(quick, row):
    X, y = learnable()
    rows = [row(values[: 1 + i % 2]) for i, values in enumerate(X)]
    refuses(quick, rows, y, ValueError, "different lengths, from 1 to 2.*NaN")


def test_a_number_beyond_floats_is_told_of(quick):
    X, y = learnable()
    huge = X.astype(object)
    huge[3, 1] = 10**400
    refuses(quick, huge, y, ValueError, "column 1 of X holds a number.*too large")


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
    message = r"LazyFrame.*X\.collect\(\)"
    refuses(quick, frame, y, TypeError, message)
    with pytest.raises(TypeError, match=message):
        NASClassifier(**quick).fit(X, y).predict(frame)
