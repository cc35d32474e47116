"""The policy of ENAS: an LSTM that makes one decision after the other."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sknas.decisions import Decisions

INITIAL_RANGE = 0.1  # paper, appendix: weights start uniformly within +-0.1


class PolicyView(NamedTuple):
    """What a policy holds of architectures: tensors of shape (n_architectures,)."""

    log_probability: Tensor
    """Log-probability of each architecture."""

    entropy: Tensor
    """Entropy of the policy's distributions on the way to each architecture, summed
    over its active decisions."""

    skip_divergence: Tensor
    """Kullback-Leibler divergence of the policy's distributions from the priors, summed
    over the decisions of kind "skip"."""


class Controller(nn.Module):
    """An LSTM over the decisions of a space (Pham et al., 2018, section 2).

    At each decision the LSTM reads the embedding of what was chosen before, and its
    state gives the logits of the options. Logits l become
    ``tanh_constant * tanh(l / temperature)``, which keeps the policy from growing
    certain too early, plus the logarithm of the decision's prior, where the policy
    begins. Decisions of kind "index" and "skip" compare the state with the states at
    the earlier nodes (section 2.3). Where earlier choices make a decision inactive, it
    counts for nothing and an embedding of its own is read after it.

    Parameters
    ----------
    decisions : Decisions
        What is to be decided.

    hidden_size : int
        Units of the LSTM.

    temperature : float
        Temperature of the logits.

    tanh_constant : float
        Bound of the logits.
    """

    def __init__(
        self,
        decisions: Decisions,
        hidden_size: int,
        temperature: float,
        tanh_constant: float,
    ) -> None:
        super().__init__()
        self.decisions = decisions
        self.temperature = temperature
        self.tanh_constant = tanh_constant
        n_options = [len(decision.options) for decision in decisions]
        self.lstm = nn.LSTM(hidden_size, hidden_size)
        # row 0 starts the LSTM; then, for each decision, "inactive" and its options
        self.embedding = nn.Embedding(1 + sum(n + 1 for n in n_options), hidden_size)
        self.first_row = [
            2 + sum(n + 1 for n in n_options[:i]) for i in range(len(n_options))
        ]
        # used by decisions on operations; anchors decide where others come from
        self.heads = nn.Parameter(
            torch.empty(len(n_options), max(n_options), hidden_size)
        )
        nodes = {node for d in decisions for node in d.compared}
        if nodes:
            self._add_anchors(nodes, hidden_size)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -INITIAL_RANGE, INITIAL_RANGE)
        # minus infinity for options that do not exist
        log_prior = torch.full((len(n_options), max(n_options)), -torch.inf)
        for row, decision in zip(log_prior, decisions, strict=True):
            prior = decision.prior or [1.0] * len(decision.options)
            row[: len(prior)] = torch.tensor(prior).log()
        self.register_buffer("log_prior", log_prior, persistent=False)
        is_skip = torch.tensor([decision.kind == "skip" for decision in decisions])
        self.register_buffer("is_skip", is_skip, persistent=False)
        place = {decision.name: i for i, decision in enumerate(decisions)}
        self.conditions = [
            None
            if decision.active_if is None
            else (
                place[decision.active_if[0]],
                [
                    option in decision.active_if[1]
                    for option in decisions[place[decision.active_if[0]]].options
                ],
            )
            for decision in decisions
        ]

    def _add_anchors(self, nodes: set, hidden_size: int) -> None:
        """Add what compares the state with the states at earlier nodes."""
        self.anchor_key = nn.Linear(hidden_size, hidden_size, bias=False)
        self.anchor_query = nn.Linear(hidden_size, hidden_size, bias=False)
        self.anchor_score = nn.Linear(hidden_size, 1, bias=False)
        # nodes that no decision belongs to, such as inputs, have states to be learnt
        given = nodes - {(decision.graph, decision.node) for decision in self.decisions}
        self.given_states = nn.ParameterDict(
            {_name(node): nn.Parameter(torch.empty(hidden_size)) for node in given}
        )

    @torch.no_grad()
    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw architectures from the policy.

        Parameters
        ----------
        n : int
            How many.

        generator : torch.Generator
            Source of randomness.

        Returns
        -------
        indices : Tensor of shape (n, n_decisions)
            Option numbers, -1 where a decision is inactive.
        """
        row = torch.zeros(n, dtype=torch.int64)
        weights = list(self.lstm.parameters())
        hidden, cell = torch.zeros(2, n, self.lstm.hidden_size)
        outputs: list[Tensor] = []
        chosen: list[Tensor] = []
        for i, condition in enumerate(self.conditions):
            # what the LSTM does in a step, which is quicker so if there is but one
            state = hidden, cell
            hidden, cell = torch.lstm_cell(self.embedding(row), state, *weights)
            outputs.append(hidden)
            probability = self._log_policy(i, outputs).exp()
            index = torch.multinomial(probability, 1, generator=generator)[:, 0]
            if condition is not None:
                earlier, allowed = condition
                # an inactive decision, -1, looks up the last entry: not allowed
                active = torch.tensor([*allowed, False])[chosen[earlier]]
                index = torch.where(active, index, -1)
            chosen.append(index)
            row = index + self.first_row[i]
        return torch.stack(chosen, dim=1)

    def evaluate(self, indices: Tensor) -> PolicyView:
        """Give the policy's view of architectures.

        Parameters
        ----------
        indices : Tensor of shape (n, n_decisions)
            Option numbers, -1 where a decision is inactive.

        Returns
        -------
        view : PolicyView
            How likely they are, and of what distributions they were drawn.
        """
        log_policy = self.log_policies(indices)
        active = indices >= 0
        log_probability = log_policy.gather(2, indices.clamp_min(0).unsqueeze(2))[
            ..., 0
        ]
        # finite where options do not exist, whose probability is zero
        probability, log_policy = log_policy.exp(), log_policy.clamp_min(-1e9)
        entropy = -(probability * log_policy).sum(dim=2)
        log_prior = self.log_prior.clamp_min(-1e9).log_softmax(dim=1)
        divergence = (probability * (log_policy - log_prior)).sum(dim=2)
        return PolicyView(
            (log_probability * active).sum(dim=1),
            (entropy * active).sum(dim=1),
            (divergence * (active & self.is_skip)).sum(dim=1),
        )

    def log_policies(self, indices: Tensor) -> Tensor:
        """Give the log-probabilities of all options on the way to architectures.

        Parameters
        ----------
        indices : Tensor of shape (n, n_decisions)
            Option numbers, -1 where a decision is inactive.

        Returns
        -------
        log_policy : Tensor of shape (n, n_decisions, max_options)
            Log-probabilities, minus infinity for options that do not exist.
        """
        rows = (indices + torch.tensor(self.first_row)).T[:-1]
        rows = torch.cat([rows.new_zeros(1, len(indices)), rows])
        outputs = self.lstm(self.embedding(rows))[0]
        if all(decision.kind == "operation" for decision in self.decisions):
            logits = torch.bmm(outputs, self.heads.transpose(1, 2))
            return self._squash(logits, self.log_prior[:, None]).transpose(0, 1)
        states = list(outputs.unbind())
        return torch.stack(
            [self._log_policy(i, states[: i + 1]) for i in range(len(self.decisions))],
            dim=1,
        )

    def _log_policy(self, i: int, outputs: list[Tensor]) -> Tensor:
        """Log-probabilities (n, max_options) of decision i, from the states so far."""
        decision = self.decisions[i]
        if decision.kind == "operation":
            return self._squash(outputs[i] @ self.heads[i].T, self.log_prior[i])
        anchors = {
            (d.graph, d.node): outputs[j] for j, d in enumerate(self.decisions[:i])
        }
        states = [
            anchors[node]
            if node in anchors
            else self.given_states[_name(node)].expand_as(outputs[i])
            for node in decision.compared
        ]
        keys = [self.anchor_key(state) for state in states]
        query = self.anchor_query(outputs[i])
        scores = [self.anchor_score((key + query).tanh()) for key in keys]
        if decision.kind == "skip":
            scores = [-scores[0], scores[0]]  # of no, and of yes
        padding = self.log_prior.shape[1] - len(scores)
        logits = F.pad(torch.cat(scores, dim=1), (0, padding))
        return self._squash(logits, self.log_prior[i])

    def _squash(self, logits: Tensor, log_prior: Tensor) -> Tensor:
        logits = self.tanh_constant * torch.tanh(logits / self.temperature)
        return (logits + log_prior).log_softmax(dim=-1)


def _name(node: tuple[str, int]) -> str:
    # no name of a parameter may have a dot
    return f"{node[0].encode().hex()}_{node[1]}"
