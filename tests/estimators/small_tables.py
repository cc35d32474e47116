"""Tables and checks that the tests of odd ones share."""

import numpy as np
import pytest

from sknas import NASClassifier


def learnable(n_rows=200, n_columns=3):
    """Make numbers of which the first column decides."""
    X = np.random.RandomState(0).normal(size=(n_rows, n_columns))
    return X, (X[:, 0] > 0).astype(int)


def refuses(quick, X, y, error=ValueError, match=None):
    model = NASClassifier(**quick)
    with pytest.raises(error, match=match):
        model.fit(X, y)
    assert not hasattr(model, "classes_") and not hasattr(model, "networks_")
