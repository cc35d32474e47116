"""What networks that are trained make of the columns together."""

import numpy as np
import pytest
import torch

from sknas import DataSpec, TabularSpace
from sknas.estimators._relevance import N_ROWS, ensemble_relevance
from sknas.training import CrossEntropy, TensorTable, network_weights


class Says(TabularSpace):
    """Says of each network in turn what it was given to say."""

    def relevance(self, network, inputs, weight, join):
        self.asked.append((network.training, inputs["numeric"], weight))
        return self.answers.pop(0)


def ask(*answers, n_rows=20):
    space = Says(("none",), depths=(1,), widths=(4,), n_heads=2)
    space.answers, space.asked = list(answers), []
    architecture, spec = space.default_architecture(), DataSpec(2, 2)
    weights = [network_weights(space.network(architecture, spec)) for _ in answers]
    numbers = torch.arange(float(n_rows))
    table = TensorTable(
        {
            "numeric": numbers[:, None].repeat(1, 2),
            "categorical": torch.zeros(n_rows, 0, dtype=int),
        },
        torch.zeros(n_rows, dtype=int),
        numbers,
    )
    more = [architecture] * (len(answers) + 2)  # others are still to come
    found = ensemble_relevance(space, spec, table, CrossEntropy(), more, weights)
    return found, space.asked


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([[1.0, 0.5], [0.5, 0.5]], [1.0, 0.4**0.5]),
        ([[0.2, 0.1]], [1.0, 0.5]),
        ([None, [0.5, 1.0], None], [0.5, 1.0]),
    ],
)
def test_it_is_the_root_of_the_mean_of_squares_relative_to_the_greatest(
    answers, expected
):
    np.testing.assert_allclose(ask(*answers)[0], expected)


def test_it_is_none_where_no_network_tells():
    assert ask(None, None)[0] is None


def test_networks_are_asked_as_they_predict_about_rows_from_everywhere():
    _, asked = ask([1.0, 1.0], n_rows=5 * N_ROWS)
    [(training, numeric, weight)] = asked
    assert not training
    assert len(weight) == N_ROWS and weight.equal(numeric[:, 0])
    assert 2 * N_ROWS < weight.mean() < 3 * N_ROWS and len(weight.unique()) == N_ROWS
