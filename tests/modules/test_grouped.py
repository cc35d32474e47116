"""One pass for groups of rows that follow different architectures."""

import torch
from torch.nn import functional as F

from sknas.modules import apply_by_option, masked_layer_norm, unit_mask

CPU = torch.device("cpu")
FUNCTIONS = {
    "double": lambda x: x * 2,
    "negate": lambda x: -x,
    "keep": lambda x: x,
}


class TestUnitMask:
    def test_the_first_units_of_each_group_are_kept(self):
        mask = unit_mask((1, 3, 2), 3, CPU)
        assert mask.shape == (3, 1, 3)
        assert mask[:, 0].tolist() == [[1, 0, 0], [1, 1, 1], [1, 1, 0]]

    def test_a_mask_made_in_inference_mode_serves_training_too(self):
        # masks are kept for later calls, which may need a gradient
        widths = (5, 2, 4, 3)  # no other test asks for these
        with torch.inference_mode():
            unit_mask(widths, 11, CPU)
        x = torch.ones(4, 1, 11, requires_grad=True)
        (x * unit_mask(widths, 11, CPU)).sum().backward()
        assert x.grad.sum().item() == sum(widths)


class TestMaskedLayerNorm:
    def test_each_group_is_normalized_over_its_own_units(self):
        widths = (2, 5, 3)
        x, weight, bias = torch.randn(3, 4, 5), torch.randn(5), torch.randn(5)
        out = masked_layer_norm(x, unit_mask(widths, 5, CPU), weight, bias, eps=1e-3)
        for group, width in enumerate(widths):
            own = F.layer_norm(
                x[group, :, :width], (width,), weight[:width], bias[:width], eps=1e-3
            )
            torch.testing.assert_close(out[group, :, :width], own)

    def test_units_beyond_the_width_have_no_influence(self):
        mask = unit_mask((2,), 4, CPU)
        x = torch.randn(1, 3, 4)
        changed = x.clone()
        changed[:, :, 2:] += 100
        weight, bias = torch.ones(4), torch.zeros(4)
        one, other = (masked_layer_norm(t, mask, weight, bias) for t in (x, changed))
        assert one[:, :, :2].equal(other[:, :, :2])


class TestApplyByOption:
    def test_each_group_gets_the_function_of_its_own_option(self):
        # functions made in a loop must not all end as the last one
        options = ["negate", "double", "double", "keep", "negate"]
        x = torch.arange(1.0, 6.0).view(5, 1, 1)
        out = apply_by_option(FUNCTIONS, options, x)
        assert out.flatten().tolist() == [-1, 4, 6, 4, -5]

    def test_one_option_for_all_groups(self):
        x = torch.randn(3, 2, 2)
        assert apply_by_option(FUNCTIONS, ["double"] * 3, x).equal(x * 2)

    def test_further_arguments_are_cut_as_the_first(self):
        functions = {"add": lambda x, y: x + y, "times": lambda x, y: x * y}
        x, y = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([10.0, 20.0, 30.0])
        out = apply_by_option(functions, ["add", "times", "add"], x, y)
        assert out.tolist() == [11, 40, 33]

    def test_the_gradient_of_each_group_comes_from_its_own_function(self):
        x = torch.ones(3, 1, 1, requires_grad=True)
        apply_by_option(FUNCTIONS, ["keep", "double", "negate"], x).sum().backward()
        assert x.grad.flatten().tolist() == [1, 2, -1]

    def test_functions_of_options_that_nobody_chose_are_not_called(self):
        def fail(x):
            raise AssertionError("called")

        x = torch.ones(2, 1, 1)
        assert apply_by_option(FUNCTIONS | {"f": fail}, ["keep"] * 2, x).equal(x)
