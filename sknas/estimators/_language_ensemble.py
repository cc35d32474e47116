"""Language models that are averaged: how they read and write."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from sknas.readers import END
from sknas.training import log_mean_exp

READ_STEPS = 512  # of a stream, in one piece
READ_ROWS = 32  # streams side by side


class LanguageEnsemble:
    """Language models whose probabilities are averaged.

    Parameters
    ----------
    networks : list of torch.nn.Module
        The networks.

    weights : ndarray of shape (n_networks,)
        How much each counts.

    device : str
        Where they are.
    """

    def __init__(
        self, networks: list[nn.Module], weights: np.ndarray, device: str
    ) -> None:
        self.networks = networks
        self.weights = torch.from_numpy(weights.copy())
        self.device = device

    @torch.no_grad()
    def log_likelihoods(self, streams: list[np.ndarray]) -> list[np.ndarray]:
        """Give the log-probability of each token of some streams.

        Parameters
        ----------
        streams : list of ndarray of int64
            The streams.

        Returns
        -------
        log_likelihoods : list of ndarray of float64
            Natural logarithms, in the streams' shapes.
        """
        # those of about the same length together
        order = sorted(range(len(streams)), key=lambda i: len(streams[i]))
        results: list[np.ndarray | None] = [None] * len(streams)
        for first in range(0, len(order), READ_ROWS):
            places = order[first : first + READ_ROWS]
            answers = self._read([streams[i] for i in places])
            for i, answer in zip(places, answers, strict=True):
                results[i] = answer[: len(streams[i])]
        return results

    def _read(self, streams: list[np.ndarray]) -> np.ndarray:
        """Read streams side by side, filled up to the longest."""
        length = max(map(len, streams))
        tokens = np.full((len(streams), length + 1), END)
        for row, ids in zip(tokens, streams, strict=True):
            row[1 : len(ids) + 1] = ids
        tokens = torch.from_numpy(tokens).to(self.device)
        states: list[Tensor | None] = [None] * len(self.networks)
        parts = [torch.empty(len(streams), 0, device="cpu")]
        for first in range(0, length, READ_STEPS):
            aim = tokens[:, first + 1 : first + READ_STEPS + 1]
            given = tokens[:, first : first + aim.shape[1]]
            answers = []
            for i, network in enumerate(self.networks):
                outputs, states[i] = network.read(given, states[i])
                answers.append(network.log_likelihood(outputs, aim).double().cpu())
            parts.append(log_mean_exp(torch.stack(answers), self.weights))
        return torch.cat(parts, dim=1).numpy()

    @torch.no_grad()
    def write(
        self,
        ids: list[int],
        n_tokens: int,
        temperature: float,
        rng: np.random.RandomState,
        end: int | None,
        never: int | None,
    ) -> list[int]:
        """Go on where a stream ends, token by token.

        Parameters
        ----------
        ids : list of int
            The stream.

        n_tokens : int
            How many tokens to write.

        temperature : float
            Below 1, likely tokens are preferred more than they are likely.

        rng : numpy.random.RandomState
            Source of randomness.

        end : int or None
            The token after which nothing follows, and which is left out.

        never : int or None
            The token that is not written.

        Returns
        -------
        written : list of int
            What follows.
        """
        states: list[Tensor | None] = [None] * len(self.networks)
        written: list[int] = []
        while len(written) < n_tokens:
            given = torch.tensor([ids], device=self.device)
            logits = []
            for i, network in enumerate(self.networks):
                outputs, states[i] = network.read(given, states[i])
                logits.append(network.decode(outputs[0, -1]).double().cpu())
            log_probability = log_mean_exp(
                torch.stack(logits).log_softmax(dim=-1), self.weights
            )
            if never is not None:
                log_probability[never] = -torch.inf
            probability = (log_probability / temperature).softmax(dim=0).numpy()
            token = int(rng.choice(len(probability), p=probability))
            if token == end:
                break
            written.append(token)
            ids = [token]
        return written
