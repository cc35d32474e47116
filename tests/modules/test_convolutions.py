import pytest
import torch
from torch import nn

from sknas.modules import (
    Projection,
    average_pool,
    convolution,
    max_pool,
    separable_convolution,
)


@pytest.mark.parametrize(
    ("n", "shape"), [(2, (8, 8)), (2, (9, 7)), (2, (5, 1)), (1, (1, 11)), (1, (1, 2))]
)
class TestSizes:
    def test_all_that_halve_agree_on_odd_and_even_sizes(self, n, shape):
        x = torch.randn(2, 4, *shape)
        half = tuple(-(-size // 2) for size in shape)
        for halving in (
            max_pool(n, 2),
            average_pool(n, 2),
            separable_convolution(n, 4, 4, 3, 2),
            separable_convolution(n, 4, 4, 5, 2),
        ):
            assert halving(x).shape[2:] == half
        projection = Projection(n, {"a": 4}, 6, reduces=True)
        assert projection({"a": x}).shape == (2, 6, *half)

    def test_without_stride_they_keep_the_size(self, n, shape):
        x = torch.randn(2, 4, *shape)
        for module in (max_pool(n), average_pool(n), separable_convolution(n, 4, 3, 5)):
            assert module(x).shape[2:] == shape


class TestProjection:
    def test_it_is_a_convolution_of_what_is_side_by_side(self):
        sources = {"a": 2, "b": 3, "c": 1}
        tensors = {name: torch.randn(5, n, 4, 6) for name, n in sources.items()}
        projection = Projection(2, sources, 7)
        for chosen in (["a", "b", "c"], ["c", "a"], ["b"]):
            convolution = nn.Conv2d(sum(sources[c] for c in chosen), 7, 1, bias=False)
            weight = torch.cat([projection.weights[c] for c in chosen], dim=1)
            convolution.weight = nn.Parameter(weight)
            x = torch.cat([tensors[c] for c in chosen], dim=1).relu()
            torch.testing.assert_close(
                projection({c: tensors[c] for c in chosen}),
                projection.norm(convolution(x)),
            )

    def test_a_reduction_sees_even_places_with_one_half_and_odd_with_the_other(self):
        projection = Projection(1, {"a": 1}, 2, reduces=True, rectifies=False)
        projection.weights["a"].data.fill_(1.0)
        projection.norm = nn.Identity()
        x = torch.tensor([[[[1.0, 2.0, 3.0, 4.0, 5.0]]]])
        expected = torch.tensor([[[[1.0, 3.0, 5.0]], [[2.0, 4.0, 0.0]]]])
        assert projection({"a": x}).equal(expected)


@pytest.mark.parametrize("kernel_size", [1, 3, 5])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("groups", [1, 4])
def test_a_convolution_of_series_is_that_of_torch(kernel_size, stride, groups):
    ours = convolution(1, 4, 8, kernel_size, stride, groups)
    theirs = nn.Conv1d(
        4, 8, kernel_size, stride, kernel_size // 2, groups=groups, bias=False
    )
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(3, 4, 11)
    torch.testing.assert_close(ours(x.unsqueeze(2)).squeeze(2), theirs(x))


@pytest.mark.parametrize("stride", [1, 2])
def test_pools_of_series_are_those_of_torch(stride):
    x = torch.randn(3, 4, 11)
    largest = nn.MaxPool1d(3, stride, 1)(x)
    assert max_pool(1, stride)(x.unsqueeze(2)).squeeze(2).equal(largest)
    mean = nn.AvgPool1d(3, stride, 1, count_include_pad=False)(x)
    ours = average_pool(1, stride)(x.unsqueeze(2)).squeeze(2)
    torch.testing.assert_close(ours, mean)


def test_places_outside_do_not_count_in_an_average():
    ones = torch.ones(1, 1, 4, 4)
    assert average_pool(2)(ones).equal(ones)
