"""Shared and stand-alone networks of images are the same mathematics."""

import copy

import pytest
import torch
from small_images import (
    N_ROWS,
    SHAPES,
    SPACES,
    assert_same,
    draw,
    every_change,
    make_images,
    make_spec,
)
from supernets import make_supernet, stand_alone

from sknas import ConvMacroSpace, ConvMicroSpace, DataSpec
from sknas.modules import BatchNorm
from sknas.spaces._convolutional import CALIBRATION_ROWS
from sknas.training import private_random_state

each_space = pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
each_shape = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)


@each_space
@each_shape
class TestSupernetAndNetworkAgree:
    """Bugs (b), (d) and (e) of the released ENAS: they differed."""

    def test_while_training(self, space, shape):
        spec = make_spec(shape)
        supernet = make_supernet(space, spec).train()
        images = make_images(shape, N_ROWS)
        architectures = draw(space, 8)
        shared = supernet(images, architectures=architectures)
        for own, architecture in zip(shared, architectures, strict=True):
            network = stand_alone(space, spec, supernet, architecture).train()
            assert_same(network(images), own)

    def test_on_rows_of_each_architectures_own(self, space, shape):
        spec = make_spec(shape)
        supernet = make_supernet(space, spec).train()
        architectures = draw(space, 3)
        images = make_images(shape, len(architectures), N_ROWS)
        shared = supernet(images, architectures=architectures)
        for i, architecture in enumerate(architectures):
            network = stand_alone(space, spec, supernet, architecture).train()
            assert_same(network(images[i]), shared[i])

    @torch.no_grad()
    def test_in_evaluation_after_training(self, space, shape):
        spec = make_spec(shape)
        supernet = make_supernet(space, spec).train()
        architectures = draw(space, 8)
        for seed in range(3):
            supernet(
                make_images(shape, 2, 40, seed=seed), architectures=architectures[:2]
            )
        supernet.eval()
        images = make_images(shape, N_ROWS, seed=9)
        shared = supernet(images, architectures=architectures)
        for own, architecture in zip(shared, architectures, strict=True):
            network = stand_alone(space, spec, supernet, architecture)
            assert not network.training
            assert_same(network(images), own)


@each_space
class TestNormalization:
    """Bug (e): the statistics were mixed over all architectures."""

    @torch.no_grad()
    def test_statistics_are_those_of_the_architecture_alone(self, space):
        shape = SHAPES["grey"]
        spec = make_spec(shape)
        supernet = make_supernet(space, spec).train()
        one, other = draw(space, 1)
        images = make_images(shape, 128)
        supernet(images.view(2, 64, *shape), architectures=[one, other])
        rows = make_images(shape, N_ROWS, seed=1)
        supernet.eval()
        among_others = supernet(rows, architectures=[other, one, other])[1]
        network = stand_alone(space, spec, supernet, one)
        for norm in network.modules():
            if hasattr(norm, "running_mean"):
                norm.reset_running_stats()
                norm.momentum = None
        network.train()(images[:CALIBRATION_ROWS])
        assert_same(network.eval()(rows), among_others)

    @torch.no_grad()
    def test_estimates_are_normalized_by_the_rows_themselves(self, space):
        shape = SHAPES["grey"]
        spec = make_spec(shape)
        supernet = make_supernet(space, spec).train()
        architectures = draw(space, 3)
        supernet(make_images(shape, 64), architectures=architectures)
        rows = make_images(shape, N_ROWS, seed=1)
        before = supernet.eval()(rows, architectures=architectures)
        estimates = supernet.estimate(image=rows, architectures=architectures)
        for own, architecture in zip(estimates, architectures, strict=True):
            network = stand_alone(space, spec, supernet, architecture)
            for module in network.modules():  # no dropout
                module.training = isinstance(module, BatchNorm)
            assert_same(network(rows), own)
        assert not torch.allclose(estimates, before, atol=1e-4)
        assert not any(module.training for module in supernet.modules())
        assert_same(supernet(rows, architectures=architectures), before)

    @torch.no_grad()
    def test_they_follow_the_parameters(self, space):
        shape = SHAPES["grey"]
        supernet = make_supernet(space, make_spec(shape)).train()
        default = space.default_architecture()
        images = make_images(shape, 1, 64)
        supernet(images, architectures=[default])
        before = supernet.eval()(images[0], architectures=[default])
        supernet.train()
        weight = supernet.stem[0].weight
        weight += make_images(tuple(weight.shape), seed=2)
        after = supernet.eval()(images[0], architectures=[default])
        assert not torch.allclose(before, after)
        # a mean that is taken off: statistics of the new parameters centre the stem
        stem = supernet.stem(
            (images[0] - supernet.entry.mean) / supernet.entry.scale
        ) - supernet.stem[-1].bias.view(1, -1, 1, 1)
        assert stem.mean(dim=(0, 2, 3)).abs().max() < 1e-4


@each_space
class TestEveryOptionCounts:
    """Bug (a): whatever was chosen, the last operation was run."""

    @torch.no_grad()
    def test_a_change_of_one_decision_changes_the_output(self, space):
        shape = SHAPES["odd and in colours"]
        supernet = make_supernet(space, make_spec(shape)).train()
        images = make_images(shape, N_ROWS)
        for base in draw(space, 2):
            before = supernet(images, architectures=[base])
            for name, changed in every_change(space, base):
                after = supernet(images, architectures=[changed])
                assert not torch.allclose(before, after, atol=1e-4), (name, changed)

    def test_gradients_reach_the_chosen_options_only(self, space):
        shape = SHAPES["grey"]
        spec = make_spec(shape)
        for architecture in draw(space, 4):
            supernet = make_supernet(space, spec).train()
            loss = supernet(
                make_images(shape, N_ROWS), architectures=[architecture]
            ).square()
            loss.mean().backward()
            own = dict(space.network(architecture, spec).named_parameters())
            reached = {
                name
                for name, parameter in supernet.named_parameters()
                if parameter.grad is not None
            }
            assert reached == set(own)


@each_space
def test_dropout_is_that_of_the_network(space):
    space = copy.deepcopy(space).set_params(dropout=0.5)
    shape = SHAPES["grey"]
    spec = make_spec(shape)
    supernet = make_supernet(space, spec).train()
    images = make_images(shape, N_ROWS)
    architecture = space.default_architecture()
    network = stand_alone(space, spec, supernet, architecture).train()
    with private_random_state(0):
        shared = supernet(images, architectures=[architecture])
    with private_random_state(0):
        own = network(images)
    assert_same(own, shared[0])
    assert not torch.allclose(network(images), own)


class TestTrainingOnly:
    def test_drop_path_grows_with_depth_and_with_the_training(self):
        space = ConvMicroSpace(n_cells=2, n_filters=4, drop_path=0.4)
        shape = SHAPES["grey"]
        network = space.network(space.default_architecture(), make_spec(shape))
        drop_paths = [m for m in network.modules() if type(m).__name__ == "DropPath"]
        rates = [drop_path.rate for drop_path in drop_paths]
        assert rates == sorted(rates)
        assert rates[0] == pytest.approx(0.1)
        assert rates[-1] == pytest.approx(0.4)
        ones = torch.ones(4000, 1, 1, 1)
        last = drop_paths[-1].train()
        last.progress = 0.5
        with private_random_state(0):
            kept = last(ones)
        assert (kept == 0).float().mean() == pytest.approx(0.2, abs=0.03)
        assert kept.mean() == pytest.approx(1.0, abs=0.05)
        assert last.eval()(ones).equal(ones)

    def test_the_auxiliary_head_adds_its_weighted_loss(self):
        shape = SHAPES["grey"]
        spec = make_spec(shape)
        images = make_images(shape, N_ROWS)
        space = ConvMicroSpace(n_cells=2, n_filters=4, dropout=0.0)
        default = space.default_architecture()
        gradients = {}
        for weight in (0.0, 0.25, 0.5):
            space.set_params(auxiliary_weight=weight)
            with private_random_state(0):
                network = space.network(default, spec).train()
                plain = space.set_params(auxiliary_weight=0.0).network(default, spec)
            plain.load_state_dict(network.state_dict(), strict=False)
            outputs = network(images)
            outputs.square().mean(dim=(-2, -1)).mean().backward()
            parameter = network.stem[0].weight
            gradients[weight] = parameter.grad
            assert network.eval()(images).shape == (N_ROWS, 3)
            plain.train()(images).square().mean().backward()
            gradients["plain", weight] = plain.stem[0].weight.grad
        for weight in (0.25, 0.5):
            gradients[weight] = gradients[weight] - gradients["plain", weight]
        assert_same(gradients[0.0], gradients["plain", 0.0])
        assert gradients[0.25].abs().max() > 1e-4
        assert_same(2 * gradients[0.25], gradients[0.5])

    def test_counted_tokens_are_of_the_first_output_alone(self):
        spec = DataSpec(3, n_tokens=9, n_steps=8)
        space = ConvMicroSpace(n_cells=2, n_filters=4, auxiliary_weight=0.25)
        space.set_params(dropout=0.0)
        with private_random_state(0):
            network = space.network(space.default_architecture(), spec).train()
            tokens = torch.randint(1, 9, (N_ROWS, 8))
        network(tokens=tokens).square().mean(dim=(-2, -1)).mean().backward()
        gradients = {n: p.grad.clone() for n, p in network.counts.named_parameters()}
        network.zero_grad()
        network(tokens=tokens)[0].square().mean().div(2).backward()
        for name, parameter in network.counts.named_parameters():
            assert parameter.grad.abs().max() > 1e-5
            assert_same(gradients[name], parameter.grad)

    def test_one_row_and_one_place_are_no_error(self):
        space = ConvMacroSpace(n_layers=3, n_filters=4)
        spec = make_spec((1, 2, 2))
        network = space.network(space.default_architecture(), spec).train()
        assert network(make_images((1, 2, 2), 1)).isfinite().all()


@pytest.mark.parametrize("weight", [0.25, 0.5])
def test_the_gradient_of_an_auxiliary_output_is_weighted(weight):
    images, spec = make_images(SHAPES["grey"], 6), make_spec(SHAPES["grey"])
    space = ConvMicroSpace(n_cells=2, n_filters=4, dropout=0.0, auxiliary_weight=weight)
    with private_random_state(0):
        network = space.network(space.default_architecture(), spec).train()
    seen = []
    network.auxiliary.register_forward_hook(lambda *args: seen.append(args[-1]))
    parameter = network.stem[0].weight
    outputs = network(images)
    outputs[1].square().mean().div(2).backward()  # half: the loss is a mean over both
    given, parameter.grad = parameter.grad, None
    network(images)
    seen[-1].square().mean().backward()
    assert parameter.grad.abs().max() > 1e-4
    assert given.allclose(weight * parameter.grad, atol=1e-6)
