"""Images that cannot be read are refused before anything is trained."""

import re

import numpy as np
import pytest
from scipy.sparse import csr_array

from sknas import Architecture, ConvMacroSpace, NASClassifier

rng = np.random.RandomState(0)
X = rng.rand(20, 1, 8, 8)
y = np.arange(20) % 2


def refuses(X, message, y=y, **parameters):
    with pytest.raises(ValueError, match=re.escape(message)):
        NASClassifier(**parameters).fit(X, y)


class TestFit:
    def test_images_of_different_sizes(self):
        unequal = [rng.rand(8, 8)] * 19 + [rng.rand(9, 8)]
        refuses(unequal, "images of different sizes: (8, 8) and (9, 8)")
        refuses([image.tolist() for image in unequal], "images of different sizes")
        as_objects = np.empty(20, dtype=object)
        as_objects[:] = unequal
        refuses(as_objects, "images of different sizes: (8, 8) and (9, 8)")

    def test_images_whose_rows_differ(self):
        refuses([[[1, 2], [3]]] * 20, "rows of different lengths")

    @pytest.mark.parametrize("n_channels", [1, 3, 4])
    def test_channels_last(self, n_channels):
        last = rng.rand(20, 8, 9, n_channels)
        refuses(last, "np.moveaxis(X, -1, 1) puts them first")
        refuses(
            last.reshape(20, -1),
            "image_shape seems to have the channels last",
            image_shape=(8, 9, n_channels),
        )

    def test_a_shape_that_only_looks_so_can_be_told(self):
        odd = rng.rand(20, 8, 9, 3)
        model = NASClassifier(
            ConvMacroSpace(n_layers=1, n_filters=2, n_reductions=0),
            image_shape=(8, 9, 3),
            architecture=Architecture("conv-macro", {"operation_1": "conv3x3"}),
            max_epochs=1,
        )
        assert model.fit(odd, y).predict(odd).shape == (20,)

    def test_too_small_for_the_reductions(self):
        refuses(
            X[..., :2],
            "too small for n_reductions=2",
            search_space=ConvMacroSpace(n_reductions=2),
        )

    def test_five_dimensions(self):
        refuses(X[..., None], "X has 5 dimensions")

    def test_image_shape_of_another_size(self):
        refuses(X.reshape(20, 64), "63 pixels, but X has 64", image_shape=(1, 7, 9))
        refuses(X, "images of shape (1, 8, 8)", image_shape=(1, 4, 16))

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_missing_or_infinite_values(self, value):
        broken = X.copy()
        broken[3, 0, 2, 2] = value
        message = "NaN: images may not" if np.isnan(value) else "infinity"
        refuses(broken, f"Input X contains {message}")

    def test_values_beyond_float32(self):
        refuses(X * 1e300, "too large for float32")

    def test_text(self):
        refuses(np.full((20, 8, 8), "a"), "Convert your data to numeric values")

    def test_no_images(self):
        refuses(X[:0], "0 sample(s)", y=y[:0])

    def test_other_numbers_of_labels(self):
        refuses(X, "inconsistent numbers of samples", y=y[:9])

    def test_a_space_for_other_data(self):
        refuses(X, 'search_space "tabular" is for tables', search_space="tabular")
        refuses(X[:, 0, 0], "is for images", search_space="conv-macro")
        for name in ("sequence", "recurrent"):
            refuses(X, f'search_space "{name}" is for sequences', search_space=name)
        refuses(X[:, 0, 0], "is for images", search_space="conv-micro")

    def test_augmentation_for_other_data(self):
        refuses(X[:, 0, 0], "'augmentation' parameter", augmentation=("flip",))
        refuses(X[:, 0, :, :5], "'augmentation' parameter", augmentation=("affine",))

    @pytest.mark.parametrize("step", [lambda x: x[:3], lambda x: None, lambda x: 1.0])
    def test_augmentation_that_gives_something_else(self, step):
        refuses(X, "must give a tensor of the shape that it took", augmentation=(step,))

    def test_sparse_matrices(self):
        with pytest.raises(TypeError, match="[Ss]parse"):
            NASClassifier(image_shape=(1, 8, 8)).fit(csr_array(X.reshape(20, 64)), y)


@pytest.fixture(scope="module")
def fitted():
    return NASClassifier(
        ConvMacroSpace(n_layers=1, n_filters=2),
        search_epochs=1,
        n_candidates=1,
        ensemble_size=1,
        max_epochs=1,
    ).fit(X, y)


class TestPredict:
    @pytest.mark.parametrize(
        ("other", "message"),
        [
            (X[..., :7], "was fitted on images of shape (1, 8, 8)"),
            (X.repeat(3, axis=1), "was fitted on images of shape (1, 8, 8)"),
            (X[:, 0, :, :7], "was fitted on images of shape (1, 8, 8)"),
            (X.reshape(20, 64), "fitted on images of shape (1, 8, 8)"),
            (X[..., None], "5 dimensions"),
        ],
        ids=["width", "channels", "grey", "flat", "5-D"],
    )
    def test_other_images(self, fitted, other, message):
        with pytest.raises(ValueError, match=re.escape(message)):
            fitted.predict(other)

    def test_a_table_where_images_were_is_told(self):
        table = NASClassifier(
            search_epochs=1, n_candidates=1, ensemble_size=1, max_epochs=1
        ).fit(X.reshape(20, 64), y)
        with pytest.raises(ValueError, match="dim 4|expected <= 2"):
            table.predict(X)
