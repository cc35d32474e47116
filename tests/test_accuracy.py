"""A guard: accuracy and log-loss on a few tables do not fall behind stored floors."""

import json
from pathlib import Path

import pytest
import torch

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
FLOORS = json.loads((BENCHMARKS / "floors.json").read_text())


@pytest.mark.parametrize("name", FLOORS)
def test_the_default_is_as_good_as_it_was(name, monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import accuracy

    n_threads = torch.get_num_threads()
    row = accuracy.run("sknas", name, 0, None)
    torch.set_num_threads(n_threads)  # the benchmark takes one
    assert "error" not in row
    assert row["accuracy"] >= FLOORS[name]["accuracy"]
    assert row["log_loss"] <= FLOORS[name]["log_loss"]
