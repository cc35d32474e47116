"""The networks of the recurrent space: they classify sequences, or continue them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sknas.architecture import Architecture
from sknas.modules import CellDesign, RecurrentCell
from sknas.spaces._base import DataSpec
from sknas.spaces._entry import Entry, TokenCounts

READOUTS = ("concat", "max", "mean", "last")
LOGIT_VALUES = 2**22  # logits of tokens in one piece, where no gradient is needed


class RecurrentNetwork(nn.Module):
    """A recurrent cell and what is around it: of one architecture, or shared by many.

    One class serves as both. It holds the matrices of all the pairs of nodes that it
    is built with.

    Parameters
    ----------
    pairs : iterable of str
        The pairs of nodes, see :class:`RecurrentCell`.

    design : callable
        Gives the cell's design, of an architecture.

    architecture : Architecture or None
        The architecture of a stand-alone network; None: shared by many.

    n_inputs, hidden_size : int
        Units of the cell's input, and of its state.

    dropout, recurrent_dropout : float
        Rates of the cell's inputs and outputs, and of what its nodes read. What is
        dropped is the same in all steps of a row (Gal and Ghahramani, 2016).

    max_norm : float or None
        Norm to which states are scaled down.
    """

    may_explode = True
    """Whether gradients may grow without end, and are to be watched."""

    def __init__(
        self,
        pairs: Iterable[str],
        design: Callable[[Architecture], CellDesign],
        architecture: Architecture | None,
        *,
        n_inputs: int,
        hidden_size: int,
        dropout: float,
        recurrent_dropout: float,
        max_norm: float | None,
    ) -> None:
        super().__init__()
        self.design = design
        self.architecture = architecture
        self.hidden_size = hidden_size
        self.dropout = dropout
        self.recurrent_dropout = recurrent_dropout
        self.cell = RecurrentCell(pairs, n_inputs, hidden_size, max_norm)
        self._clipped: list[Tensor] = []

    def run(
        self,
        x: Tensor,
        architectures: Sequence[Architecture],
        state: Tensor | None = None,
        present: Tensor | None = None,
    ) -> Tensor:
        """Run the cell over the steps.

        Parameters
        ----------
        x : Tensor of shape (n_architectures, n_rows, n_steps, n_inputs)
            The cell's inputs.

        architectures : sequence of Architecture
            The architectures.

        state : Tensor of shape (n_architectures, n_rows, hidden_size) or None
            The states before the first step; None: zeros.

        present : Tensor of shape (n_architectures, n_rows, n_steps) or None
            Which steps come before the end of a row.

        Returns
        -------
        states : Tensor of shape (n_architectures, n_rows, n_steps, hidden_size)
            The states after each step.
        """
        if state is None:
            state = x.new_zeros(*x.shape[:2], self.hidden_size)
        dropped = None
        if self.training and self.recurrent_dropout:
            dropped = F.dropout(torch.ones_like(state), self.recurrent_dropout)
        states, clipped = self.cell(
            self.drop(x).transpose(1, 2),
            state,
            [self.design(architecture) for architecture in architectures],
            dropped,
            None if present is None else present.transpose(1, 2).to(x.dtype),
        )
        if self.training and self.cell.max_norm is not None:
            self._clipped.append(clipped)
        return states.transpose(1, 2)

    def drop(self, x: Tensor) -> Tensor:
        """Drop the same units of (..., n_rows, n_steps, n_units) in all steps."""
        if not self.training or not self.dropout:
            return x
        return x * F.dropout(torch.ones_like(x[..., :1, :]), self.dropout)

    def pop_figures(self) -> dict[str, float]:
        """Give what happened in training since the last call, for the history.

        Returns
        -------
        figures : dict of str to float
            "clipped_states", the share of states that were scaled down to `max_norm`.
        """
        clipped, self._clipped = self._clipped, []
        if not clipped:
            return {}
        return {"clipped_states": torch.stack(clipped).mean().item()}


class SequenceNetwork(RecurrentNetwork):
    """Classifies series or texts, or predicts numbers from them.

    Parameters
    ----------
    spec : DataSpec
        What the data look like.

    embedding_size, stem_stride : int
        Units that the steps become before the cell, by a convolution that leaves one
        step of `stem_stride`.

    readout : str
        What the output layer reads, see :class:`sknas.RecurrentSpace`.

    pairs, design, architecture, hidden_size, dropout, recurrent_dropout, max_norm
        See the base class.
    """

    def __init__(
        self,
        spec: DataSpec,
        pairs: Iterable[str],
        design: Callable[[Architecture], CellDesign],
        architecture: Architecture | None,
        *,
        embedding_size: int,
        stem_stride: int,
        readout: str,
        hidden_size: int,
        **options,
    ) -> None:
        super().__init__(
            pairs,
            design,
            architecture,
            n_inputs=embedding_size,
            hidden_size=hidden_size,
            **options,
        )
        self.stride = stem_stride
        self.readout = readout
        self.entry = Entry(spec, embedding_size)
        self.stem = nn.Conv1d(
            self.entry.n_channels,
            embedding_size,
            2 * stem_stride - 1,
            stride=stem_stride,
            padding=stem_stride - 1,
        )
        self.counts = None
        if self.entry.reads_tokens:
            self.counts = TokenCounts(spec.n_tokens, spec.n_outputs, self.dropout)
        n_readouts = 3 if readout == "concat" else 1
        self.head = nn.Linear(n_readouts * hidden_size, spec.n_outputs)

    def forward(
        self,
        image: Tensor | None = None,
        tokens: Tensor | None = None,
        architectures: list[Architecture] | None = None,
    ) -> Tensor:
        """Give logits: (n_rows, n_outputs), or (n_architectures, n_rows, n_outputs)."""
        inputs = tokens if image is None else image
        x, present = self.entry(inputs)
        rows_axis = self.entry.rows_axis(inputs)
        x = F.relu(self.stem(x.flatten(0, rows_axis))).transpose(1, 2)
        present = present.flatten(0, rows_axis)[..., :: self.stride]
        n_designs = 1 if architectures is None else len(architectures)
        if rows_axis == 0:
            x, present = (t.expand(n_designs, *t.shape) for t in (x, present))
        else:
            x, present = (t.unflatten(0, (n_designs, -1)) for t in (x, present))
        states = self.run(x, architectures or [self.architecture], present=present)
        outputs = self.head(
            F.dropout(self.read(states, present), self.dropout, self.training)
        )
        if self.counts is not None:
            outputs = outputs + self.counts(inputs)
        return outputs[0] if architectures is None else outputs

    def read(self, states: Tensor, present: Tensor) -> Tensor:
        """Sum the states of (..., n_rows, n_steps, hidden_size) up."""
        readouts = {
            # a row's state stays as it is once it has ended
            "last": lambda: states[..., -1, :],
            "mean": lambda: (
                (states * present.unsqueeze(-1)).sum(dim=-2)
                / present.sum(dim=-1, keepdim=True)
            ),
            "max": lambda: states.amax(dim=-2),
        }
        if self.readout != "concat":
            return readouts[self.readout]()
        return torch.cat([readout() for readout in readouts.values()], dim=-1)


class LanguageNetwork(RecurrentNetwork):
    """A language model: gives the probability of each next token.

    The output layer has the matrix of the embedding (Press and Wolf, 2017). In
    training, states are carried on from batch to batch, without their gradients.

    Parameters
    ----------
    spec : DataSpec
        What the data look like.

    pairs, design, architecture, hidden_size, dropout, recurrent_dropout, max_norm
        See the base class.
    """

    def __init__(
        self,
        spec: DataSpec,
        pairs: Iterable[str],
        design: Callable[[Architecture], CellDesign],
        architecture: Architecture | None,
        *,
        hidden_size: int,
        **options,
    ) -> None:
        super().__init__(
            pairs,
            design,
            architecture,
            n_inputs=hidden_size,
            hidden_size=hidden_size,
            **options,
        )
        self.embedding = nn.Embedding(spec.n_tokens, hidden_size)
        nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
        self.bias = nn.Parameter(torch.zeros(spec.n_tokens))
        self._state: Tensor | None = None

    def forward(
        self,
        tokens: Tensor,
        next_tokens: Tensor,
        goes_on: Tensor | None = None,
        architectures: list[Architecture] | None = None,
    ) -> Tensor:
        """Give the log-probabilities of the next tokens, in the shape of these."""
        is_common = tokens.ndim == 2
        n_designs = 1 if architectures is None else len(architectures)
        if is_common:
            tokens, next_tokens = (
                t.expand(n_designs, *t.shape) for t in (tokens, next_tokens)
            )
        x = self.embedding(tokens)
        states = self.run(
            x,
            architectures or [self.architecture],
            self._carried(x, goes_on) if self.training else None,
        )
        if self.training:
            self._state = states[..., -1, :].detach().flatten(0, 1)
        outputs = self.log_likelihood(self.drop(states), next_tokens)
        return outputs[0] if architectures is None else outputs

    def _carried(self, x: Tensor, goes_on: Tensor | None) -> Tensor | None:
        """Give the states that the last batch ended with, of rows that go on."""
        n_rows = x.shape[0] * x.shape[1]
        state = self._state
        if goes_on is None or state is None or len(state) != n_rows:
            return None
        goes_on = goes_on.expand(x.shape[:2]).flatten() & state.isfinite().all(dim=1)
        return torch.where(goes_on.unsqueeze(1), state, 0.0).view(*x.shape[:2], -1)

    def log_likelihood(self, states: Tensor, next_tokens: Tensor) -> Tensor:
        """Give the log-probabilities of tokens, (...), by states, (..., n_units)."""
        states = states.flatten(0, -2)
        target = next_tokens.flatten()
        size = len(states)
        if not torch.is_grad_enabled():
            size = max(1, LOGIT_VALUES // len(self.bias))
        parts = [
            -F.cross_entropy(self.decode(own), aim, reduction="none")
            for own, aim in zip(states.split(size), target.split(size), strict=True)
        ]
        return torch.cat(parts).view(next_tokens.shape)

    def decode(self, states: Tensor) -> Tensor:
        """Give the logits of all tokens, by states."""
        return F.linear(states, self.embedding.weight, self.bias)

    def read(
        self, tokens: Tensor, state: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Read on, as a stand-alone network.

        Parameters
        ----------
        tokens : Tensor of shape (n_rows, n_steps)
            The tokens.

        state : Tensor of shape (n_rows, hidden_size) or None, default=None
            The states before them; None: zeros.

        Returns
        -------
        states : Tensor of shape (n_rows, n_steps, hidden_size)
            The states after each token, for :meth:`decode` or :meth:`log_likelihood`.

        state : Tensor of shape (n_rows, hidden_size)
            The last ones.
        """
        x = self.embedding(tokens).unsqueeze(0)
        if state is not None:
            state = state.unsqueeze(0)
        states = self.run(x, [self.architecture], state)[0]
        return states, states[:, -1]

    def __getstate__(self):
        """Leave out the states that are carried on."""
        return {**super().__getstate__(), "_state": None}
