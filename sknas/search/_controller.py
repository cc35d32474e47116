"""The policy of ENAS: an LSTM that makes one decision after the other."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.distributions import Categorical

from sknas.architecture import Decisions

INITIAL_RANGE = 0.1  # paper, appendix: weights start uniformly within +-0.1


class Controller(nn.Module):
    """An LSTM over the decisions of a space (Pham et al., 2018, section 2).

    At each decision the LSTM reads the embedding of the option that was chosen
    before, and its state gives the logits of the next one. Logits l become
    ``tanh_constant * tanh(l / temperature)``, which keeps the policy from growing
    certain too early. Decisions of kind "index" compare the state with the states
    at the earlier nodes (section 2.3). A decision that the choices before it make
    inactive is passed over.

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
        self.lstm = nn.LSTMCell(hidden_size, hidden_size)
        self.start = nn.Parameter(torch.empty(1, hidden_size))
        self.embeddings = nn.ModuleList(
            nn.Embedding(len(d.options), hidden_size) for d in decisions
        )
        self.heads = nn.ModuleList(
            nn.Linear(hidden_size, len(d.options), bias=False)
            if d.kind == "operation"
            else nn.Identity()
            for d in decisions
        )
        self.anchor_key = nn.Linear(hidden_size, hidden_size, bias=False)
        self.anchor_query = nn.Linear(hidden_size, hidden_size, bias=False)
        self.anchor_score = nn.Linear(hidden_size, 1, bias=False)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -INITIAL_RANGE, INITIAL_RANGE)

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
        with torch.no_grad():
            return self._decide(n, None, generator)[0]

    def evaluate(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Give the policy's view of architectures.

        Parameters
        ----------
        indices : Tensor of shape (n, n_decisions)
            Option numbers, -1 where a decision is inactive.

        Returns
        -------
        log_probability : Tensor of shape (n,)
            Log-probability of each architecture.

        entropy : Tensor of shape (n,)
            Entropy of the policy's distributions on the way to each architecture,
            summed over its decisions.
        """
        return self._decide(len(indices), indices, None)[1:]

    def _decide(
        self, n: int, given: Tensor | None, generator: torch.Generator | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        read = self.start.expand(n, -1)
        hidden = read.new_zeros(n, self.lstm.hidden_size)
        state = (hidden, hidden)
        log_probability, entropy = read.new_zeros(n), read.new_zeros(n)
        chosen: list[Tensor] = []
        anchors: dict[int, Tensor] = {}
        place = {decision.name: i for i, decision in enumerate(self.decisions)}
        for i, decision in enumerate(self.decisions):
            new_hidden, new_cell = self.lstm(read, state)
            logits = self._logits(i, new_hidden, anchors)
            policy = Categorical(logits=logits)
            if given is None:
                index = torch.multinomial(policy.probs, 1, generator=generator)[:, 0]
                active = self._active(decision, chosen, place)
            else:
                active = given[:, i] >= 0
                index = given[:, i].clamp_min(0)
            log_probability = log_probability + policy.log_prob(index) * active
            entropy = entropy + policy.entropy() * active
            chosen.append(torch.where(active, index, -1))
            # where the decision is inactive, the LSTM stays as it was
            keep = active.unsqueeze(1)
            state = (
                torch.where(keep, new_hidden, state[0]),
                torch.where(keep, new_cell, state[1]),
            )
            read = torch.where(keep, self.embeddings[i](index), read)
            if decision.node is not None:
                anchors[decision.node] = state[0]
        return torch.stack(chosen, dim=1), log_probability, entropy

    def _logits(self, i: int, hidden: Tensor, anchors: dict[int, Tensor]) -> Tensor:
        decision = self.decisions[i]
        if decision.kind == "operation":
            logits = self.heads[i](hidden)
        else:
            # nodes without decisions of their own, such as inputs, have no state
            states = [anchors.get(node, torch.zeros_like(hidden)) for node in decision.options]
            keys = self.anchor_key(torch.stack(states, dim=1))
            logits = self.anchor_score((keys + self.anchor_query(hidden)[:, None]).tanh())
            logits = logits.squeeze(2)
        return self.tanh_constant * torch.tanh(logits / self.temperature)

    def _active(self, decision, chosen: list[Tensor], place: dict[str, int]) -> Tensor:
        n = len(chosen[0]) if chosen else 1
        if decision.active_if is None:
            return torch.ones(n, dtype=torch.bool)
        name, options = decision.active_if
        earlier = place[name]
        allowed = [self.decisions[earlier].options.index(option) for option in options]
        return torch.isin(chosen[earlier], torch.tensor(allowed))
