import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris, make_classification
from sklearn.exceptions import DataConversionWarning
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sknas import NASClassifier, TabularSpace


def test_a_table_of_all_kinds_of_columns_is_learnt(fitted_mixed, mixed):
    X, y = mixed
    assert fitted_mixed.score(X, y) > 0.8
    assert list(fitted_mixed.feature_names_in_) == list(X.columns)
    assert fitted_mixed.n_features_in_ == 5
    assert list(fitted_mixed.classes_) == ["bad", "good"]


def test_columns_in_another_order_are_refused(fitted_mixed, mixed):
    X, _ = mixed
    with pytest.raises(ValueError, match="feature names"):
        fitted_mixed.predict(X[X.columns[::-1]])


def test_renamed_missing_and_added_columns_are_refused(fitted_mixed, mixed):
    X, _ = mixed
    for wrong in (
        X.rename(columns={"size": "width"}),
        X.drop(columns="city"),
        X.assign(more=1),
    ):
        with pytest.raises(ValueError, match="feature"):
            fitted_mixed.predict(wrong)


def test_the_index_of_a_frame_does_not_matter(fitted_mixed, mixed):
    X, _ = mixed
    other = X.set_axis(np.arange(len(X))[::-1] + 7)
    np.testing.assert_array_equal(
        fitted_mixed.predict_proba(other), fitted_mixed.predict_proba(X)
    )


def test_polars_gives_what_pandas_gives(fitted_mixed, mixed, quick):
    X, y = mixed
    frame = pl.DataFrame(
        {
            "size": X["size"].to_numpy(),
            "count": X["count"].to_numpy(),
            "flag": X["flag"].to_numpy(),
            "city": [None if city != city else city for city in X["city"]],
            "grade": X["grade"].tolist(),
        },
        nan_to_null=True,
    )
    frame = frame.with_columns(pl.col("grade").cast(pl.Categorical))
    expected = fitted_mixed.predict_proba(X)
    np.testing.assert_array_equal(fitted_mixed.predict_proba(frame), expected)
    model = NASClassifier(**quick).fit(frame, pl.Series(y.to_list()))
    np.testing.assert_array_equal(model.predict_proba(frame), expected)
    assert list(model.feature_names_in_) == list(X.columns)


def test_an_array_of_objects_gives_what_the_frame_gives(mixed, quicker):
    X, y = mixed
    X = X.drop(columns="flag")
    frame = NASClassifier(**quicker).fit(X, y)
    array = NASClassifier(**quicker).fit(X.to_numpy(dtype=object), y)
    np.testing.assert_array_equal(
        array.predict_proba(X.to_numpy(dtype=object)), frame.predict_proba(X)
    )
    assert not hasattr(array, "feature_names_in_")


@pytest.mark.parametrize(
    "dtype", ["category", "object", "str", "string", "string[pyarrow]"]
)
def test_all_string_dtypes_of_pandas_are_the_same(fitted_mixed, mixed, dtype):
    X, _ = mixed
    other = X.assign(city=X["city"].astype(dtype), grade=X["grade"].astype(dtype))
    np.testing.assert_array_equal(
        fitted_mixed.predict_proba(other), fitted_mixed.predict_proba(X)
    )


@pytest.mark.parametrize("dtype", ["Float64", "Float32", "float32", "double[pyarrow]"])
def test_all_number_dtypes_of_pandas_are_read(fitted_mixed, mixed, dtype):
    X, _ = mixed
    np.testing.assert_allclose(
        fitted_mixed.predict_proba(X.astype({"size": dtype})),
        fitted_mixed.predict_proba(X),
        atol=1e-4,
    )


@pytest.mark.parametrize("dtype", ["Int64", "uint8", "int8[pyarrow]", "float64"])
def test_all_integer_dtypes_of_pandas_are_the_same(fitted_mixed, mixed, dtype):
    X, _ = mixed
    np.testing.assert_array_equal(
        fitted_mixed.predict_proba(X.astype({"count": dtype})),
        fitted_mixed.predict_proba(X),
    )


@pytest.mark.parametrize("kind", [bool, np.bool_])
def test_booleans_are_categories_in_a_column_of_objects_too(
    fitted_mixed, mixed, quick, kind
):
    X, y = mixed
    flag = pd.Series([kind(value) for value in X["flag"]], dtype=object)
    assert type(flag[0]) is kind
    X = X.assign(flag=flag)
    np.testing.assert_array_equal(
        NASClassifier(**quick).fit(X, y).predict_proba(X),
        fitted_mixed.predict_proba(X),
    )


def test_booleans_that_may_be_missing_are_categories(mixed, quicker):
    X, y = mixed
    X = X.assign(flag=X["flag"].astype("boolean").mask(np.arange(len(X)) % 9 == 0))
    model = NASClassifier(**quicker).fit(X, y)
    objects = X.assign(flag=X["flag"].astype(object))
    np.testing.assert_array_equal(model.predict_proba(X), model.predict_proba(objects))


def test_nullable_integers_keep_missing_values(mixed, quicker):
    X, y = mixed
    X = X.assign(count=X["count"].astype("Int64").mask(np.arange(len(X)) % 9 == 0))
    model = NASClassifier(**quicker).fit(X, y)
    floats = X.assign(count=X["count"].astype(float))
    np.testing.assert_array_equal(model.predict_proba(X), model.predict_proba(floats))


def test_pipelines_may_hand_over_frames(mixed, quick):
    X, y = mixed
    scale = ColumnTransformer(
        [("scale", StandardScaler(), ["size", "count"])], remainder="passthrough"
    )
    for kind in ("pandas", "polars"):
        model = make_pipeline(scale, NASClassifier(**quick))
        model.set_output(transform=kind)
        if kind == "polars":
            X = pl.from_pandas(X)
        assert model.fit(X, y).score(X, y) > 0.8
        assert model[-1].n_features_in_ == 5
        assert "remainder__city" in model[-1].feature_names_in_


@pytest.mark.parametrize(
    "labels",
    [
        ["setosa", "versicolor", "virginica"],
        [10, -3, 7],
        np.array([2.0, 0.0, 1.0]),
        np.array(["b", "a", "c"], dtype=object),
    ],
)
def test_labels_come_back_as_they_were(quick, labels):
    X, y = load_iris(return_X_y=True)
    labels = np.asarray(labels)
    model = NASClassifier(**quick).fit(X, labels[y])
    assert list(model.classes_) == sorted(labels)
    assert model.predict(X).dtype == labels.dtype
    assert model.score(X, labels[y]) > 0.8


def test_labels_may_be_booleans(quick):
    X, y = load_iris(return_X_y=True)
    for labels in (y > 0, pd.Series(y > 0), (y > 0).tolist()):
        model = NASClassifier(**quick).fit(X, labels)
        assert model.predict(X).dtype == bool
        assert model.score(X, y > 0) > 0.9


def test_labels_with_pandas_extension_dtypes(quicker):
    X, y = load_iris(return_X_y=True)
    names = np.array(["a", "b", "c"])[y]
    for labels in (
        pd.Series(names, dtype="string"),
        pd.Series(names, dtype="category"),
        pd.Series(y, dtype="Int64"),
    ):
        model = NASClassifier(**quicker).fit(X, labels)
        assert model.predict(X)[0] in model.classes_
        assert list(model.classes_) == sorted(set(labels))


def test_a_column_of_labels_warns_as_elsewhere(quick):
    X, y = load_iris(return_X_y=True)
    with pytest.warns(DataConversionWarning, match="column-vector"):
        NASClassifier(**quick).fit(X, y[:, None])


@pytest.mark.parametrize("n_classes", [2, 10, 100])
def test_few_and_many_classes(quick, n_classes):
    X, y = make_classification(
        10 * n_classes,
        20,
        n_informative=20,
        n_redundant=0,
        n_classes=n_classes,
        n_clusters_per_class=1,
        class_sep=4.0,
        random_state=0,
    )
    model = NASClassifier(**quick).fit(X, y)
    assert model.predict_proba(X).shape == (len(y), n_classes)
    assert model.score(X, y) > (0.8 if n_classes == 2 else 2 / n_classes)


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int64, np.uint8])
def test_arrays_of_all_number_dtypes(quick, dtype):
    X, y = load_iris(return_X_y=True)
    X = (10 * X).astype(dtype)
    assert NASClassifier(**quick).fit(X, y).score(X, y) > 0.6


def test_an_array_of_booleans(quick):
    X = np.random.RandomState(0).rand(200, 10) < 0.5
    y = X[:, 0] | X[:, 1]  # so are three quarters
    assert NASClassifier(**quick | {"max_epochs": 40}).fit(X, y).score(X, y) > 0.9


def test_lists_tensors_and_memory_layouts_are_the_same(quick):
    X, y = load_iris(return_X_y=True)
    quick |= {"max_epochs": 1, "search_epochs": 1, "ensemble_size": 1}
    expected = NASClassifier(**quick).fit(X, y).predict_proba(X)
    for other in (
        X.tolist(),
        np.asfortranarray(X),
        torch.from_numpy(X),
        np.repeat(X, 2, axis=1)[:, ::2],
        X.astype(">f8"),
    ):
        model = NASClassifier(**quick).fit(other, y)
        np.testing.assert_array_equal(model.predict_proba(other), expected)


def test_data_that_cannot_be_written_to_are_read(quick):
    X, y = load_iris(return_X_y=True)
    weight = np.ones(len(y))
    for array in (X, y, weight):
        array.flags.writeable = False
    assert NASClassifier(**quick).fit(X, y, weight).score(X, y) > 0.8


def test_fit_and_predict_do_not_change_the_data(mixed, quicker):
    X, y = mixed
    X_before, y_before = X.copy(deep=True), y.copy(deep=True)
    weight = np.arange(len(y)) % 3
    weight_before = weight.copy()
    NASClassifier(**quicker).fit(X, y, weight).predict(X)
    pd.testing.assert_frame_equal(X, X_before)
    pd.testing.assert_series_equal(y, y_before)
    np.testing.assert_array_equal(weight, weight_before)


@pytest.mark.parametrize(
    ("columns", "least"), [(["city"], 0.56), (["flag", "grade"], 0.56), (["size"], 0.7)]
)
def test_tables_of_one_kind_only(mixed, quick, columns, least):
    X, y = mixed  # half of the labels are of each kind
    model = NASClassifier(**quick | {"max_epochs": 60}).fit(X[columns], y)
    assert model.score(X[columns], y) >= least


def test_bins_are_for_the_values_that_differ(quicker):
    rng = np.random.RandomState(0)
    amounts = np.where(rng.rand(300) < 0.9, 0.0, rng.lognormal(size=300))
    X = np.column_stack([rng.normal(size=300), amounts, rng.poisson(0.5, 300)])
    clf = NASClassifier(**quicker).fit(X, amounts > 1)
    numeric, edges = clf.encode(X)["numeric"], clf.data_spec_.bin_edges
    assert (np.diff(edges, axis=0) >= 0).all()
    smooth, mostly_zero, few = edges.T
    inner = np.quantile(numeric[:, 0], np.linspace(0, 1, len(edges)))
    np.testing.assert_allclose(smooth, inner, atol=0.1)
    assert len(np.unique(mostly_zero)) > 0.8 * len(edges)
    assert set(few) == set(numeric[:, 2])


@pytest.mark.parametrize(
    ("n_rows", "n_columns", "n_bins"), [(300, 1, 16), (6_000, 1, 30), (5_000, 200, 20)]
)
def test_many_rows_have_more_bins(quicker, n_rows, n_columns, n_bins):
    X = np.random.RandomState(0).normal(size=(n_rows, n_columns))
    clf = NASClassifier(**quicker, architecture=TabularSpace().default_architecture())
    clf.fit(X, X[:, 0] > 0)
    assert len(clf.data_spec_.bin_edges) == n_bins + 1


def test_few_amounts_among_zeros_are_told_apart(quick):
    rng = np.random.RandomState(0)
    is_some = rng.rand(1500) < 0.1
    amounts = np.where(is_some, rng.randint(1, 13, 1500), 0)
    X, y = np.column_stack([amounts, rng.normal(size=1500)]), amounts % 2 == 1
    space = TabularSpace(numeric_embeddings=("piecewise_linear",))
    clf = NASClassifier(architecture=space.default_architecture(), **quick)
    clf.set_params(search_space=space, max_epochs=60, ensemble_size=1)
    assert clf.fit(X, y).score(X[is_some], y[is_some]) > 0.95


class NotingRelevance(TabularSpace):
    """Notes when networks are asked which columns matter, and what others are told."""

    asked, told = [], []

    def relevance(self, network, inputs, weight, join):
        self.asked.append(len(weight))
        return super().relevance(network, inputs, weight, join)

    def network(self, architecture, spec):
        self.told.append(spec.relevance)
        return super().network(architecture, spec)


@pytest.fixture
def noting(monkeypatch, quicker):
    monkeypatch.setattr(NotingRelevance, "asked", [])
    monkeypatch.setattr(NotingRelevance, "told", [])
    space = NotingRelevance()
    architecture = space.default_architecture()
    return NASClassifier(space, **quicker, architecture=architecture)


@pytest.mark.parametrize(("ensemble_size", "n_told"), [(1, 0), (2, 0), (3, 1), (4, 2)])
def test_half_of_the_networks_tell_the_others_which_columns_matter(
    noting, ensemble_size, n_told
):
    X = np.random.RandomState(0).normal(size=(1500, 3))
    noting.set_params(ensemble_size=ensemble_size, warm_start=True)
    noting.set_params(max_epochs=20, neighbors=False).fit(X, X[:, 1] > 0)
    n_asked = ensemble_size - n_told if n_told else 0
    assert NotingRelevance.asked == [1024] * n_asked
    told = [relevance for relevance in NotingRelevance.told if relevance is not None]
    assert len(told) == 2 * n_told  # trained, and then kept
    for relevance in told:
        assert relevance.argmax() == 1 and relevance[[0, 2]].max() < 0.5
    # networks that go on have scales already
    noting.fit(X, X[:, 1] > 0)
    assert len(NotingRelevance.asked) == n_asked


def test_networks_of_one_predictor_are_not_asked(noting):
    X = np.random.RandomState(0).normal(size=(100, 3))
    noting.set_params(search_space__n_heads=1, ensemble_size=3).fit(X, X[:, 1] > 0)
    assert not NotingRelevance.asked


@pytest.mark.parametrize(
    "given", [[1.0, 1.0], [1.0, 1.0, np.nan], [0.0, 1.0, 1.0], [1.0, np.inf, 1.0]]
)
def test_what_a_space_says_of_the_columns_is_checked(quicker, given):
    class Wrong(TabularSpace):
        def relevance(self, network, inputs, weight, join):
            return given

    quicker |= {"ensemble_size": 3, "architecture": Wrong().default_architecture()}
    X = np.random.RandomState(0).normal(size=(100, 3))
    with pytest.raises(ValueError, match=r"Wrong.relevance must give .* \(3,\)"):
        NASClassifier(Wrong(), **quicker).fit(X, X[:, 1] > 0)


def test_columns_of_noise_do_not_hide_those_that_matter():
    X, y = make_classification(2250, 60, n_informative=4, n_redundant=0, random_state=0)
    architecture = TabularSpace().default_architecture()
    clf = NASClassifier(architecture=architecture, random_state=0)
    # 0.67 if the networks do not tell each other
    assert clf.fit(X[:250], y[:250]).score(X[250:], y[250:]) > 0.72
