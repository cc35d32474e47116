"""Recurrent cells that are drawn as graphs: many steps, and many designs, in one pass.

A cell is a few small operations for each of its nodes and each step, so what it costs
is the number of calls, not of sums. Two things keep that low. Nodes of the same depth,
of all designs, are computed together; and the gradient is written out by hand, so that
that of the matrices is one product over all steps.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

INITIAL_RANGE = 0.1  # of matrices, as in the code of Pham et al. for 300 units or less


@dataclass(frozen=True)
class CellDesign:
    """What a recurrent cell looks like.

    Parameters
    ----------
    previous : tuple of int
        For each node after the first, the earlier node that it reads. The first one,
        node 1, reads the cell's input and its last state.

    activations : tuple of str
        For each node, "tanh", "relu", "identity" or "sigmoid".

    outputs : tuple of int
        The nodes whose mean is the cell's output and new state.
    """

    previous: tuple[int, ...]
    activations: tuple[str, ...]
    outputs: tuple[int, ...]

    @property
    def pairs(self) -> list[str]:
        """Names of the matrices in use, a pair of nodes each; 0 is the last state."""
        return [f"{i}_{j}" for j, i in enumerate((0, *self.previous), start=1)]


def loose_ends(previous: Sequence[int]) -> tuple[int, ...]:
    """Give the nodes that no other node reads."""
    return tuple(j for j in range(1, len(previous) + 2) if j not in previous)


@dataclass(frozen=True)
class _Level:
    """Nodes of the same depth, which are computed together."""

    places: slice  # of the nodes
    sources: Tensor  # places of the nodes that they read; at depth 0, their designs
    runs: list[tuple[str, slice]]  # neighbours with the same activation


class _Plan:
    """In which order the nodes of some designs are computed.

    Parameters
    ----------
    designs : tuple of CellDesign
        The designs.

    device : torch.device
        Where.
    """

    def __init__(self, designs: tuple[CellDesign, ...], device: torch.device) -> None:
        nodes = []  # (depth, activation, design, node)
        for i, design in enumerate(designs):
            depths = [0]
            for source in design.previous:
                depths.append(depths[source - 1] + 1)
            nodes += [
                (depth, design.activations[j], i, j + 1)
                for j, depth in enumerate(depths)
            ]
        nodes.sort()
        place = {node[2:]: p for p, node in enumerate(nodes)}
        self.designs = torch.tensor([i for _, _, i, _ in nodes], device=device)
        self.pairs = []  # of each node, its design and the name of its matrix
        self.levels: list[_Level] = []
        for depth, members in groupby(range(len(nodes)), key=lambda p: nodes[p][0]):
            places = list(members)
            sources = []
            for p in places:
                _, _, i, j = nodes[p]
                source = designs[i].previous[j - 2] if depth else 0
                self.pairs.append((i, f"{source}_{j}"))
                sources.append(place[i, source] if depth else i)
            runs = []
            for name, run in groupby(places, key=lambda p: nodes[p][1]):
                run = list(run)
                runs.append((name, slice(run[0], run[-1] + 1)))
            self.levels.append(
                _Level(
                    slice(places[0], places[-1] + 1),
                    torch.tensor(sources, device=device),
                    runs,
                )
            )
        shape = len(designs), len(nodes)
        self.mean = torch.zeros(shape, dtype=torch.float32, device=device)
        for i, design in enumerate(designs):
            for j in design.outputs:
                self.mean[i, place[i, j]] = 1 / len(design.outputs)


@lru_cache(maxsize=256)
def _plan(designs: tuple[CellDesign, ...], device: torch.device) -> _Plan:
    with torch.inference_mode(False):  # what is cached must serve training too
        return _Plan(designs, device)


def _activate(name: str, z: Tensor, out: Tensor) -> None:
    if name == "identity":
        out.copy_(z)
    elif name == "relu":
        torch.clamp(z, min=0, out=out)
    elif name == "sigmoid":
        torch.sigmoid(z, out=out)
    else:  # tanh by way of sigmoid: on the CPU, torch's own takes eight times as long
        torch.mul(z, 2, out=out)
        torch.sigmoid(out, out=out).mul_(2).sub_(1)


def _slope(name: str, value: Tensor) -> Tensor | None:
    """Give an activation's derivative, by its value; None: it is one."""
    if name == "identity":
        return None
    if name == "relu":
        return (value > 0).to(value.dtype)
    return value * (1 - value) if name == "sigmoid" else 1 - value * value


class _RunCell(torch.autograd.Function):
    """The steps of a cell, for several designs, and their gradient.

    Nodes come first, then steps, rows and units. A node has the value
    s = p + c * (a - p), of what it reads, p, a gate, c, and an activation, a. The
    factor that scales a state down to `max_norm` counts as a constant in the gradient.
    """

    @staticmethod
    def forward(ctx, x, state, weights, dropped, present, plan, max_norm):
        n_designs, n_steps, n_rows, n_units = *x.shape[:3], x.shape[3] // 2
        keeps = any(ctx.needs_input_grad)
        shape = len(weights), n_steps if keeps else 1, n_rows, n_units
        read, gate, active = (x.new_empty(shape) for _ in range(3))
        value = x.new_empty(shape[0], n_rows, n_units)
        states = x.new_empty(n_designs, n_steps, n_rows, n_units)
        scales = x.new_ones(n_designs, n_steps, n_rows, 1)
        mean = plan.mean.to(x.dtype)
        first = plan.levels[0].sources
        for t in range(n_steps):
            p, c, a = (b[:, t if keeps else 0] for b in (read, gate, active))
            for level in plan.levels:
                at = level.places
                source = value if level is not plan.levels[0] else state
                torch.index_select(source, 0, level.sources, out=p[at])
                used = p[at] if dropped is None else p[at] * dropped[at]
                if source is state:
                    own = x[:, t]
                    own = own[first] if n_designs > 1 else own
                    z = torch.baddbmm(own, used, weights[at])
                else:
                    z = torch.bmm(used, weights[at])
                torch.sigmoid(z[..., :n_units], out=c[at])
                for name, run in level.runs:
                    own = slice(run.start - at.start, run.stop - at.start)
                    _activate(name, z[own, :, n_units:], a[run])
                torch.lerp(p[at], a[at], c[at], out=value[at])
            new = torch.mm(mean, value.view(len(value), -1)).view_as(state)
            if max_norm is not None:
                norm = torch.linalg.vector_norm(new, dim=-1, keepdim=True)
                scales[:, t] = (max_norm / norm).clamp_(max=1)
                new = new * scales[:, t]
            if present is not None:  # where a row has ended, its state stays
                new = torch.lerp(state, new, present[:, t])
            states[:, t] = new
            state = new
        ctx.plan = plan
        ctx.save_for_backward(weights, dropped, present, read, gate, active, scales)
        ctx.mark_non_differentiable(scales)
        return states, scales

    @staticmethod
    @once_differentiable
    def backward(ctx, d_states, _):
        weights, dropped, present, read, gate, active, scales = ctx.saved_tensors
        plan = ctx.plan
        n_nodes, n_steps, n_rows, n_units = read.shape
        d_z = read.new_empty(n_nodes, n_steps, n_rows, 2 * n_units)
        kept = 1 - gate
        by_gate = (active - read).mul_(gate).mul_(kept)
        by_active = gate.clone()
        for level in plan.levels:
            for name, run in level.runs:
                slope = _slope(name, active[run])
                if slope is not None:
                    by_active[run] *= slope
        transposed = weights.transpose(1, 2)
        mean = plan.mean.to(read.dtype).T.contiguous()
        d_state = torch.zeros_like(d_states[:, 0])
        for t in range(n_steps - 1, -1, -1):
            d_new = d_state + d_states[:, t]
            d_state = torch.zeros_like(d_new)
            if present is not None:
                d_state = d_new * (1 - present[:, t])
                d_new = d_new * present[:, t]
            d_new = d_new * scales[:, t]
            d_value = torch.mm(mean, d_new.view(len(d_new), -1))
            d_value = d_value.view(n_nodes, n_rows, n_units)
            for level in reversed(plan.levels):
                at = level.places
                d_own, d = d_value[at], d_z[at, t]
                torch.mul(d_own, by_gate[at, t], out=d[..., :n_units])
                torch.mul(d_own, by_active[at, t], out=d[..., n_units:])
                d_read = torch.bmm(d, transposed[at])
                if dropped is not None:
                    d_read *= dropped[at]
                d_read.addcmul_(d_own, kept[at, t])
                if level is plan.levels[0]:
                    d_state.index_add_(0, level.sources, d_read)
                else:
                    d_value.index_add_(0, level.sources, d_read)
        used = read if dropped is None else read * dropped[:, None]
        d_weights = torch.bmm(used.flatten(1, 2).transpose(1, 2), d_z.flatten(1, 2))
        first = plan.levels[0]
        d_x = torch.empty_like(d_z[first.places])
        d_x[first.sources] = d_z[first.places]
        return d_x, d_state, d_weights, None, None, None, None


class RecurrentCell(nn.Module):
    """The recurrent cell of ENAS (Pham et al., 2018, sections 2.1 and 3.1).

    Node j reads the value p of an earlier node i: its own value is
    c * f(p W) + (1 - c) * p, where f is its activation and the gate c is the sigmoid of
    p V. The matrices (V W) belong to the pair (i, j). Node 1 reads the last state, and
    the cell's input by a matrix of its own. The new state is the mean of some nodes.

    Parameters
    ----------
    pairs : iterable of str
        The pairs "i_j" that there are matrices for.

    n_inputs, hidden_size : int
        Numbers of units of the input, and of the state.

    max_norm : float or None
        Norm that states are scaled down to where it is larger, since a cell without
        bounded activations may grow without end. What is not finite stays so.
    """

    def __init__(
        self,
        pairs: Iterable[str],
        n_inputs: int,
        hidden_size: int,
        max_norm: float | None = None,
    ) -> None:
        super().__init__()
        self.max_norm = max_norm
        self.input_weight = _matrix(n_inputs, hidden_size)
        self.weights = nn.ParameterDict(
            {pair: _matrix(hidden_size, hidden_size) for pair in pairs}
        )

    def forward(
        self,
        x: Tensor,
        state: Tensor,
        designs: Sequence[CellDesign],
        dropped: Tensor | None = None,
        present: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Run over the steps of some rows.

        Parameters
        ----------
        x : Tensor of shape (n_designs, n_steps, n_rows, n_inputs)
            The inputs of each design.

        state : Tensor of shape (n_designs, n_rows, hidden_size)
            The states before the first step.

        designs : sequence of CellDesign
            The designs.

        dropped : Tensor of shape (n_designs, n_rows, hidden_size) or None
            What the units that nodes read are multiplied by, in all steps alike.

        present : Tensor of shape (n_designs, n_steps, n_rows) or None
            1 where a row has a step, 0 where its state stays as it is.

        Returns
        -------
        states : Tensor of shape (n_designs, n_steps, n_rows, hidden_size)
            The states after each step.

        clipped : Tensor of shape ()
            The share of them that was scaled down.
        """
        plan = _plan(tuple(designs), x.device)
        if dropped is not None:
            dropped = dropped[plan.designs]
        weights = torch.stack([self.weights[pair] for _, pair in plan.pairs])
        states, scales = _RunCell.apply(
            x @ self.input_weight,
            state,
            weights,
            dropped,
            None if present is None else present.unsqueeze(-1),
            plan,
            self.max_norm,
        )
        return states, (scales < 1).float().mean()


def _matrix(n_inputs: int, hidden_size: int) -> nn.Parameter:
    values = torch.empty(n_inputs, 2 * hidden_size)
    return nn.Parameter(values.uniform_(-INITIAL_RANGE, INITIAL_RANGE))
