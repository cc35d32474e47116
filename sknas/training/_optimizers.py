"""The optimizers, and what a skorch net has to be told to use one."""

from __future__ import annotations

import inspect
from functools import reduce

import torch
from torch import Tensor, nn

from sknas.modules import PooledHead, Projection, ScaledLinear

MOMENTUM = 0.95
# Jordan et al. (2024): five steps of this polynomial bring singular values from 0.003
# up into the range of 0.7 to 1.2
POLYNOMIAL = 3.4445, -4.7750, 2.0315
N_ITERATIONS = 5
MIN_NORM = 1e-12  # of what is made a direction: less is no gradient but rounding
WIDE = 2  # from so many columns a row on, the Gram matrix alone is quicker to iterate
# Liu et al. (2025) have 0.2, with which a step is as long as one of AdamW; here longer
# ones were as good and sooner through
STEP_SIZE = 0.5
# a momentum changes little in three steps. A new direction in each takes linear layers
# a third longer, for nothing; convolutions a tenth, for a tenth less log-loss
MATRICES = {
    "linear": {"is_matrix": True, "steps_per_direction": 3},
    "convolution": {"is_matrix": True, "steps_per_direction": 1},
}


def _without_compiler(optimizer: type[torch.optim.Optimizer]) -> type:
    """Make an optimizer's class that does not load PyTorch's compiler.

    A process's first step with one of PyTorch's own does, for the sake of users who
    compile it: that takes one or two seconds, and some 60 MB.
    """
    wrapped = "add_param_group", "zero_grad", "state_dict", "load_state_dict"
    methods = {key: inspect.unwrap(getattr(optimizer, key)) for key in wrapped}
    methods["step"] = torch.no_grad()(inspect.unwrap(optimizer.step))
    name = optimizer.__name__
    doc = f"``torch.optim.{name}``, but that it does not load PyTorch's compiler."
    return type(name, (optimizer,), {"__module__": __name__, "__doc__": doc} | methods)


Adam = _without_compiler(torch.optim.Adam)
AdamW = _without_compiler(torch.optim.AdamW)
SGD = _without_compiler(torch.optim.SGD)


class Muon(AdamW):
    """Muon for the groups that say that they are matrices, AdamW for all others.

    A step of Muon (Jordan et al., 2024) is the momentum with all its singular values
    brought to about one; those of convolutions are matrices with a row for each channel
    that comes out. A group may have a direction serve several steps, which costs less.
    Scaled by the size of the matrix (Liu et al., 2025), it takes a learning rate and a
    weight decay as AdamW does. Gorishniy et al. (2026) found it better than AdamW
    for multilayer perceptrons on tables.

    ``torch.optim.Muon`` computes in bfloat16: a step took 20 times as long on a CPU.

    Parameters
    ----------
    params : list of dict
        The groups; those with a true "is_matrix" have parameters of two axes or more,
        and "steps_per_direction", the steps that a direction serves.

    **arguments
        As for :class:`torch.optim.AdamW`.

    References
    ----------
    K. Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024,
    https://kellerjordan.github.io/posts/muon/.

    Y. Gorishniy, I. Rubachev, D. Feoktistov, A. Babenko, "Benchmarking Optimizers for
    MLPs in Tabular Deep Learning", 2026, arXiv:2604.15297.

    J. Liu et al., "Muon is Scalable for LLM Training", 2025, arXiv:2502.16982.
    """

    def __init__(self, params: list[dict], **arguments) -> None:
        super().__init__(params, **arguments)
        for group in self.param_groups:
            group.setdefault("is_matrix", False)

    # not by `super` in a step, where PyTorch would call this optimizer's hooks again
    _step_others = inspect.unwrap(AdamW.step)

    @torch.no_grad()
    def step(self, closure=None):
        """Take a step; see :meth:`torch.optim.Optimizer.step`."""
        groups = self.param_groups
        self.param_groups = [group for group in groups if not group["is_matrix"]]
        try:
            loss = self._step_others(closure)
        finally:
            self.param_groups = groups
        for group in groups:
            if group["is_matrix"]:
                self._step_matrices(group)
        return loss

    def _step_matrices(self, group: dict) -> None:
        matrices = [p for p in group["params"] if p.grad is not None]
        turning = {}  # the matrices that get a new direction, and what it is made of
        for matrix in matrices:
            state = self.state[matrix]
            if "momentum" not in state:
                state["momentum"] = torch.zeros_like(matrix.grad)
                state["step"] = torch.tensor(0.0)  # as AdamW keeps it, and expects it
            momentum = state["momentum"].lerp_(matrix.grad, 1 - MOMENTUM)
            # as a number, which is quicker to count with
            if int(state["step"]) % group["steps_per_direction"] == 0:
                turning[matrix] = matrix.grad.lerp(momentum, MOMENTUM).flatten(1)
            state["step"] += 1
        directions = orthogonalized(list(turning.values()))
        for matrix, direction in zip(turning, directions, strict=True):
            self.state[matrix]["direction"] = direction.view_as(matrix)
        for matrix in matrices:
            matrix.mul_(1 - group["lr"] * group["weight_decay"])
            longest = max(len(matrix), matrix.numel() // len(matrix))
            step_size = group["lr"] * STEP_SIZE * longest**0.5
            matrix.add_(self.state[matrix]["direction"], alpha=-step_size)


def orthogonalized(matrices: list[Tensor]) -> list[Tensor]:
    """Bring all singular values near one, by a Newton-Schulz iteration.

    Parameters
    ----------
    matrices : list of Tensor of shape (n_rows, n_columns)
        Any matrices.

    Returns
    -------
    results : list of Tensor of the same shapes
        Their singular vectors, with singular values of about one; those that were less
        than a three-hundredth of the norm come to less.
    """
    stacks = {}  # matrices of one shape are quicker side by side
    for i, matrix in enumerate(matrices):
        stacks.setdefault(matrix.shape, []).append(i)
    results = list(matrices)
    for (n_rows, n_columns), places in stacks.items():
        x = torch.stack([matrices[i] for i in places])
        x = _iterated(x.mT).mT if n_rows > n_columns else _iterated(x)
        for i, result in zip(places, x, strict=True):
            results[i] = result
    return results


def _iterated(x: Tensor) -> Tensor:
    """Iterate on a stack of matrices, none of which has more rows than columns."""
    norms = torch.linalg.matrix_norm(x, keepdim=True)
    x = x / norms.clamp(min=MIN_NORM)
    n_rows, n_columns = x.shape[1:]
    a, b, c = POLYNOMIAL
    if n_columns < WIDE * n_rows:
        for _ in range(N_ITERATIONS):
            gram = x @ x.mT
            factor = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
            x = torch.baddbmm(x, factor, x, beta=a)
        return x
    # every factor is a polynomial of the first Gram matrix, which is smaller than x
    gram, factors = x @ x.mT, []
    for i in range(N_ITERATIONS):
        factor = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        factor.diagonal(dim1=1, dim2=2).add_(a)
        factors.append(factor)
        if i < N_ITERATIONS - 1:
            gram = factor @ gram @ factor
    return reduce(torch.matmul, factors) @ x


OPTIMIZERS = {"adam": Adam, "adamw": AdamW, "muon": Muon, "sgd": SGD}


def optimizer_arguments(optimizer: str, weight_decay: float) -> dict[str, object]:
    """Give the arguments of a net that choose and set its module's optimizer."""
    arguments = {
        "optimizer": OPTIMIZERS[optimizer],
        "optimizer__weight_decay": weight_decay,
    }
    if optimizer == "sgd":
        # fused SGD cannot pass over parameters without gradients, as others can
        return arguments | {"optimizer__momentum": 0.9, "optimizer__nesterov": True}
    return arguments | {"optimizer__fused": True}


def matrix_groups(module: nn.Module, group: dict) -> list[dict]:
    """Cut a group of parameters into those that :class:`Muon` tells apart.

    Parameters
    ----------
    module : torch.nn.Module
        Whose parameters they are.

    group : dict
        The group.

    Returns
    -------
    groups : list of dict
        The matrices of linear layers and of convolutions, but for depthwise ones, and
        all others.
    """
    kinds = {}  # of each matrix
    for part in module.modules():
        if isinstance(part, nn.Linear | ScaledLinear):
            kinds[part.weight] = "linear"
        elif isinstance(part, nn.Conv1d | nn.Conv2d) and part.groups == 1:
            kinds[part.weight] = "convolution"
        elif isinstance(part, Projection | PooledHead):
            kinds |= dict.fromkeys(part.weights.values(), "convolution")
    groups = []
    for kind in (*MATRICES, None):
        own = [p for p in group["params"] if kinds.get(p) == kind]
        if own:
            groups.append(group | {"params": own} | MATRICES.get(kind, {}))
    return groups
