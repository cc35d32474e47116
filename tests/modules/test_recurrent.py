"""The recurrent cell: many steps and designs in one pass, gradient by hand."""

import numpy as np
import pytest
import torch

from sknas.modules import CellDesign, RecurrentCell, loose_ends

N_DESIGNS, N_STEPS, N_ROWS, N_INPUTS, N_UNITS, N_NODES = 3, 6, 4, 3, 5, 5
ACTIVATIONS = {
    "tanh": torch.tanh,
    "relu": torch.relu,
    "identity": lambda x: x,
    "sigmoid": torch.sigmoid,
}


def draw_design(rng):
    previous = tuple(int(rng.randint(1, j)) for j in range(2, N_NODES + 1))
    names = tuple(map(str, rng.choice(list(ACTIVATIONS), N_NODES)))
    return CellDesign(previous, names, loose_ends(previous))


def make_cell(max_norm=None):
    pairs = ["0_1"]
    pairs += [f"{i}_{j}" for j in range(2, N_NODES + 1) for i in range(1, j)]
    torch.manual_seed(0)
    cell = RecurrentCell(pairs, N_INPUTS, N_UNITS, max_norm).double()
    for parameter in cell.parameters():
        parameter.data *= 8
    return cell


def step_by_step(cell, x, state, design, dropped, present):
    """What the cell is to do, of one design, written as the paper has it."""
    states = []
    for t in range(len(x)):
        values = {0: state}
        for j, pair in enumerate(design.pairs, start=1):
            read = values[int(pair.split("_")[0])]
            z = (read * dropped) @ cell.weights[pair]
            if j == 1:
                z = z + x[t] @ cell.input_weight
            gate, own = z.chunk(2, dim=-1)
            gate = torch.sigmoid(gate)
            own = ACTIVATIONS[design.activations[j - 1]](own)
            values[j] = gate * own + (1 - gate) * read
        new = sum(values[j] for j in design.outputs) / len(design.outputs)
        if cell.max_norm is not None:
            norm = new.norm(dim=-1, keepdim=True).detach()
            new = new * (cell.max_norm / norm).clamp(max=1)
        state = torch.where(present[t].unsqueeze(-1) > 0, new, state)
        states.append(state)
    return torch.stack(states)


@pytest.mark.parametrize("max_norm", [None, 0.7])
@pytest.mark.parametrize("same", [True, False], ids=["one design", "several"])
def test_it_is_the_cell_of_the_paper_and_so_is_its_gradient(max_norm, same):
    rng = np.random.RandomState(1)
    designs = [draw_design(rng) for _ in range(N_DESIGNS)]
    if same:
        designs = designs[:1] * N_DESIGNS
    cell = make_cell(max_norm)
    shape = N_DESIGNS, N_STEPS, N_ROWS, N_INPUTS
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    shape = N_DESIGNS, N_ROWS, N_UNITS
    state = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    dropped = (torch.rand(shape) > 0.3).double() / 0.7
    length = torch.randint(1, N_STEPS + 1, (N_DESIGNS, 1, N_ROWS))
    present = (torch.arange(N_STEPS).view(1, -1, 1) < length).double()
    actual, clipped = cell(x, state, designs, dropped, present)
    expected = torch.stack(
        [
            step_by_step(cell, x[i], state[i], design, dropped[i], present[i])
            for i, design in enumerate(designs)
        ]
    )
    torch.testing.assert_close(actual, expected, atol=1e-6, rtol=1e-6)
    assert (clipped > 0) == (max_norm is not None)
    weight = torch.randn_like(actual)
    leaves = [x, state, *cell.parameters()]
    own, reference = (
        torch.autograd.grad((output * weight).sum(), leaves, allow_unused=True)
        for output in (actual, expected)
    )
    for one, other in zip(own, reference, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-6)
    with torch.no_grad():
        assert cell(x, state, designs, dropped, present)[0].equal(actual)


def test_what_is_not_finite_is_not_hidden_by_the_largest_norm():
    cell = make_cell(max_norm=1.0)
    design = draw_design(np.random.RandomState(0))
    x = torch.zeros(1, 2, 1, N_INPUTS, dtype=torch.float64)
    x[0, 0, 0, 0] = torch.nan
    states, _ = cell(x, torch.zeros(1, 1, N_UNITS, dtype=torch.float64), [design])
    assert states.isnan().all()


def test_states_are_no_longer_than_the_largest_norm():
    cell = make_cell(max_norm=2.0)
    design = CellDesign((1,), ("identity", "relu"), (2,))
    x = 100 * torch.ones(1, 4, 2, N_INPUTS, dtype=torch.float64)
    states, clipped = cell(x, torch.zeros(1, 2, N_UNITS, dtype=torch.float64), [design])
    assert clipped > 0.5
    assert states.norm(dim=-1).max() <= 2 + 1e-6


def test_loose_ends():
    assert loose_ends((1, 1, 2)) == (3, 4)
    assert loose_ends(()) == (1,)
