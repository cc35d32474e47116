"""Attention to rows that are kept."""

import math

import pytest
import torch

from sknas.modules import NeighborAttention


@pytest.fixture
def neighbors():
    """Three rows of a number and a category of two levels."""
    neighbors = NeighborAttention((2,), 1, 3, 2)
    neighbors.scale.fill_(1.0)
    numeric, codes = torch.tensor([[0.0], [1.0], [5.0]]), torch.tensor([[0], [0], [1]])
    neighbors.rows.copy_(neighbors.encode(numeric, codes))
    neighbors.labels.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]))
    for name in ("width", "reach", "trust"):
        getattr(neighbors, name).fill_(0.5)
    return neighbors


def test_levels_are_as_far_apart_as_0_and_1(neighbors):
    numeric, codes = torch.zeros(3, 1), torch.tensor([[0], [1], [2]])
    distances = neighbors.distances(numeric, codes)
    torch.testing.assert_close(distances[0], torch.tensor([0, 1, math.sqrt(26)]))
    assert distances[1, 0] == pytest.approx(1.0)
    assert distances[2, 0] == pytest.approx(math.sqrt(0.5))  # an unknown one


def test_weights_fall_with_the_distance(neighbors):
    row = torch.tensor([[0.25]]), torch.tensor([[0]])
    answer, other, rest = neighbors(*row)[0].tolist()
    trust = 0.5 * math.exp(-0.25 / 0.5)
    ratio = math.exp(-(0.75 - 0.25) / 0.5)  # of the second row's weight to the first's
    assert rest == pytest.approx(1 - trust)
    assert other / answer == pytest.approx(ratio, rel=1e-3)
    assert answer + other == pytest.approx(trust)


def test_weights_of_rows_count(neighbors):
    neighbors.log_weights[1] = math.log(4.0)
    answer, other, _ = neighbors(torch.tensor([[0.5]]), torch.tensor([[0]]))[0].tolist()
    assert other / answer == pytest.approx(4.0, rel=1e-3)


def test_rows_that_are_far_from_all_are_left_to_the_networks(neighbors):
    *_, rest = neighbors(torch.tensor([[1e3]]), torch.tensor([[1]]))[0].tolist()
    assert rest == 1.0


def test_columns_without_scale_do_not_count(neighbors):
    neighbors.scale[0] = 0.0
    neighbors.rows[:, 0] = 0.0
    distances = neighbors.distances(torch.tensor([[7.0]]), torch.tensor([[0]]))
    torch.testing.assert_close(distances, torch.tensor([[0.0, 0.0, 1.0]]))
