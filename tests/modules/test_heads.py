"""Several predictors that share one network's matrices."""

import torch
from torch import nn

from sknas.modules import OutputHeads, ScaledLinear


class TestScaledLinear:
    def test_one_head_is_an_ordinary_linear_layer(self):
        layer = ScaledLinear(3, 2, n_heads=1)
        x = torch.randn(1, 5, 3)
        assert layer.scale is None
        torch.testing.assert_close(layer(x), x @ layer.weight.T + layer.bias)

    def test_each_head_scales_its_inputs_before_the_shared_matrix(self):
        layer = ScaledLinear(3, 2, n_heads=4)
        with torch.no_grad():
            layer.scale.normal_()
        x = torch.randn(4, 5, 3)
        for head in range(4):
            expected = (x[head] * layer.scale[head]) @ layer.weight.T + layer.bias
            torch.testing.assert_close(layer(x)[head], expected)

    def test_one_input_serves_all_heads(self):
        layer = ScaledLinear(3, 2, n_heads=4)
        x = torch.randn(1, 5, 3)
        torch.testing.assert_close(layer(x), layer(x.expand(4, 5, 3)))
        assert layer(x).shape == (4, 5, 2)

    def test_scales_start_as_random_signs(self):
        signs = ScaledLinear(50, 2, n_heads=4).scale
        assert (signs.abs() == 1).all()
        assert 50 < (signs > 0).sum() < 150
        assert not signs[0].equal(signs[1])

    def test_the_bias_can_be_left_out(self):
        layer = ScaledLinear(3, 2, n_heads=2, bias=False)
        assert (layer(torch.zeros(1, 5, 3)) == 0).all()
        assert "bias" not in layer.state_dict()

    def test_it_starts_as_torch_starts_a_linear_layer(self):
        torch.manual_seed(0)
        own = ScaledLinear(3, 2, n_heads=1)
        torch.manual_seed(0)
        torchs = nn.Linear(3, 2)
        assert own.weight.equal(torchs.weight) and own.bias.equal(torchs.bias)


class TestOutputHeads:
    def test_each_head_has_its_own_matrix_and_bias(self):
        heads = OutputHeads(3, 2, n_heads=4)
        x = torch.randn(4, 5, 3)
        out = heads(x)
        for head in range(4):
            expected = x[head] @ heads.weight[head].T + heads.bias[head]
            torch.testing.assert_close(out[head], expected)

    def test_heads_start_different_from_each_other(self):
        weight = OutputHeads(3, 2, n_heads=2).weight
        assert not torch.allclose(weight[0], weight[1])
