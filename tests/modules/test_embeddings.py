"""Embeddings of numbers and categories."""

import numpy as np
import pytest
import torch

from sknas.modules import OneHotColumns, PeriodicEmbedding, PiecewiseLinearEmbedding


class TestOneHotColumns:
    def test_each_column_is_encoded_side_by_side(self):
        encoded = OneHotColumns((2, 3))(torch.tensor([[0, 2], [1, 0]]))
        assert encoded.tolist() == [[1, 0, 0, 0, 1], [0, 1, 1, 0, 0]]

    def test_unknown_codes_give_zeros_in_their_own_column_only(self):
        encoded = OneHotColumns((2, 3))(torch.tensor([[2, 1], [1, 3], [2, 3]]))
        assert encoded.tolist() == [
            [0, 0, 0, 1, 0],
            [0, 1, 0, 0, 0],
            [0, 0, 0, 0, 0],
        ]

    def test_leading_axes_are_kept(self):
        codes = torch.tensor([[[0, 1], [1, 2]], [[1, 0], [0, 3]]])
        module = OneHotColumns((2, 3))
        assert module(codes).shape == (2, 2, 5)
        assert module(codes)[1].equal(module(codes[1]))

    @pytest.mark.parametrize("sizes", [(), (0,)])
    def test_columns_without_codes_give_no_outputs(self, sizes):
        module = OneHotColumns(sizes)
        assert module.n_outputs == 0
        encoded = module(torch.zeros(4, len(sizes), dtype=torch.int64))
        assert encoded.shape == (4, 0) and encoded.dtype == torch.float32

    def test_it_has_no_state_to_save(self):
        assert not OneHotColumns((2, 3)).state_dict()


def encode_by_hand(x, edges):
    """Equation 1 of the paper, bin by bin."""
    return np.array(
        [
            0.0 if high == low else np.clip((x - low) / (high - low), 0, 1)
            for low, high in zip(edges, edges[1:], strict=False)
        ]
    )


class TestPiecewiseLinearEmbedding:
    # the second feature has a bin without width
    edges = np.array([[-1.0, 0.0], [0.0, 1.0], [2.0, 1.0], [4.0, 3.0]])

    def test_numbers_are_encoded_by_the_bins_that_they_reach_through(self):
        module = PiecewiseLinearEmbedding(self.edges, 5)
        x = np.array([[-5.0, -1.0], [-0.25, 0.5], [1.0, 1.0], [3.0, 2.5], [9.0, 8.0]])
        with torch.no_grad():
            out = module(torch.tensor(x, dtype=torch.float32))
        assert out.shape == (5, module.n_outputs) == (5, 10)
        weight, bias = (t.detach().numpy() for t in (module.weight, module.bias))
        for row, got in zip(x, out.numpy(), strict=True):
            expected = [
                np.maximum(
                    encode_by_hand(row[j], self.edges[:, j]) @ weight[j] + bias[j], 0
                )
                for j in range(2)
            ]
            np.testing.assert_allclose(got, np.ravel(expected), atol=1e-6)

    def test_large_batches_are_looked_up_with_the_same_result(self, monkeypatch):
        rng = np.random.RandomState(0)
        edges = np.sort(rng.normal(size=(20, 6)), axis=0)
        edges[4:9, 0] = edges[4, 0]  # bins without width: inside, first, last, all
        edges[:3, 1] = edges[2, 1]
        edges[-3:, 2] = edges[-1, 2]
        edges[:, 3] = 0.5
        module = PiecewiseLinearEmbedding(edges, 5)
        x = torch.tensor(2 * rng.normal(size=(2, 50, 6)), dtype=torch.float32)
        x[0, :20] = torch.tensor(edges)
        results = []
        for numbers in (10**9, 0):
            monkeypatch.setattr("sknas.modules._embeddings.LARGE_ENCODING", numbers)
            module.zero_grad()
            out = module(x)
            (out * torch.arange(30)).sum().backward()
            results.append((out, module.weight.grad, module.bias.grad))
        (_, encoded_gradient, _), (_, gradient, _) = results
        assert not encoded_gradient.equal(gradient)  # they are rounded otherwise
        for encoded, looked_up in zip(*results, strict=True):
            torch.testing.assert_close(encoded, looked_up, rtol=1e-4, atol=1e-4)
        module.eval()
        answer = module(x)
        monkeypatch.undo()
        assert answer.equal(module(x))  # what a row gets is not to depend on others

    def test_numbers_beyond_the_edges_are_as_the_edges(self):
        module = PiecewiseLinearEmbedding(self.edges, 5)
        inside = module(torch.tensor([[-1.0, 0.0], [4.0, 3.0]]))
        outside = module(torch.tensor([[-1e6, -1e6], [1e6, 1e6]]))
        torch.testing.assert_close(inside, outside)

    def test_a_feature_without_any_spread_gives_a_constant(self):
        module = PiecewiseLinearEmbedding(np.full((4, 1), 2.0), 3)
        out = module(torch.tensor([[-7.0], [2.0], [7.0]]))
        assert out.isfinite().all()
        assert out[0].equal(out[1]) and out[0].equal(out[2])

    def test_leading_axes_are_kept(self):
        module = PiecewiseLinearEmbedding(self.edges, 5)
        x = torch.randn(3, 4, 2)
        torch.testing.assert_close(module(x)[1], module(x[1]))

    def test_edges_are_saved_with_the_weights(self):
        module = PiecewiseLinearEmbedding(self.edges, 5)
        other = PiecewiseLinearEmbedding(self.edges + 1.0, 5)
        other.load_state_dict(module.state_dict())
        x = torch.randn(6, 2)
        assert other(x).equal(module(x))


class TestPeriodicEmbedding:
    def test_numbers_become_sines_and_cosines_of_their_own_frequencies(self):
        module = PeriodicEmbedding(n_features=2, n_frequencies=3, n_dimensions=4)
        x = torch.randn(5, 2)
        with torch.no_grad():
            out = module(x)
            expected = []
            for j in range(2):
                angle = x[:, j : j + 1] * module.frequency[j]
                waves = torch.cat([angle.sin(), angle.cos()], dim=1)
                expected.append((waves @ module.weight[j] + module.bias[j]).relu())
        assert module.n_outputs == 8
        torch.testing.assert_close(out, torch.cat(expected, dim=1))

    def test_the_scale_is_the_spread_of_the_frequencies_in_periods(self):
        module = PeriodicEmbedding(50, 100, 1, scale=0.25)
        spread = module.frequency.std().item() / (2 * np.pi)
        assert spread == pytest.approx(0.25, rel=0.1)

    def test_leading_axes_are_kept(self):
        module = PeriodicEmbedding(2, 3, 4)
        x = torch.randn(3, 4, 2)
        torch.testing.assert_close(module(x)[1], module(x[1]))

    def test_frequencies_are_learnt(self):
        with torch.random.fork_rng():
            torch.manual_seed(0)  # few units may all be silent
            module = PeriodicEmbedding(2, 3, 4)
            module(torch.randn(50, 2)).square().sum().backward()
        assert (module.frequency.grad != 0).all()
