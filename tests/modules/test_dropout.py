"""Dropout with cheap random numbers."""

import pytest
import torch

from sknas.modules import SharedDropout
from sknas.training import private_random_state


@pytest.mark.parametrize("rate", [0.1, 0.3, 0.5, 0.9])
def test_units_are_dropped_with_the_rate_and_the_others_scaled_up(rate):
    with private_random_state(0):
        out = SharedDropout(rate)(torch.ones(1, 500, 200))
    n = out.numel()
    # a rate is rounded to a multiple of 1/256
    spread = (rate * (1 - rate) / n) ** 0.5
    assert abs((out == 0).float().mean().item() - rate) < 4 * spread + 1 / 512
    kept = out[out != 0]
    assert kept.unique().numel() == 1
    assert kept[0].item() == pytest.approx(1 / (1 - rate), rel=0.025)
    assert out.mean().item() == pytest.approx(1.0, abs=0.025)


def test_every_unit_is_dropped_equally_often():
    # each random number serves eight units, so each of the eight is looked at
    with private_random_state(0):
        out = SharedDropout(0.5)(torch.ones(1, 4000, 16))
    share = (out == 0).float().mean(dim=1)[0]
    assert (share - 0.5).abs().max() < 5 * (0.25 / 4000) ** 0.5


def test_neighbouring_units_are_dropped_independently():
    with private_random_state(0):
        out = SharedDropout(0.5)(torch.ones(1, 8000, 8))[0] == 0
    correlation = torch.corrcoef(out.T.float()) - torch.eye(8)
    assert correlation.abs().max() < 5 / 8000**0.5


def test_predictors_side_by_side_lose_the_same_units():
    with private_random_state(0):
        out = SharedDropout(0.5)(torch.ones(3, 20, 10))
    assert (out[0] == out[1]).all() and (out[0] == out[2]).all()
    assert not (out[0, 0] == out[0, 1]).all()


def test_nothing_is_dropped_and_nothing_drawn_in_evaluation_or_at_rate_zero():
    x = torch.randn(2, 3, 4)
    before = torch.get_rng_state()
    assert SharedDropout(0.5).eval()(x) is x
    assert SharedDropout(0.0)(x) is x
    assert (torch.get_rng_state() == before).all()


def test_the_same_seed_drops_the_same_units():
    x = torch.ones(1, 20, 20)
    outputs = []
    for seed in (0, 0, 1):
        with private_random_state(seed):
            outputs.append(SharedDropout(0.5)(x))
    assert outputs[0].equal(outputs[1])
    assert not outputs[0].equal(outputs[2])


def test_the_gradient_passes_through_kept_units_only():
    x = torch.ones(1, 50, 4, requires_grad=True)
    with private_random_state(0):
        out = SharedDropout(0.5)(x)
    out.sum().backward()
    assert ((x.grad == 0) == (out == 0)).all()


@pytest.mark.parametrize("rate", [0.99, 0.998, 0.999])
def test_rates_just_below_one_still_work(rate):
    with private_random_state(0):
        out = SharedDropout(rate)(torch.ones(1, 1000, 100))
    assert out.isfinite().all()
    assert (out == 0).float().mean() > 0.97
