"""Losses of networks that hold one or several predictors."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class CrossEntropy(nn.Module):
    """Weighted cross-entropy of one or several predictors.

    While training, each predictor is judged alone and the losses are averaged, so
    that the predictors stay different; otherwise their mean probability is judged.

    Parameters
    ----------
    label_smoothing : float, default=0.0
        Share of each label that is spread over all classes while training.
    """

    def __init__(self, label_smoothing: float = 0.0) -> None:
        super().__init__()
        self.label_smoothing = label_smoothing

    def forward(self, logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        """Give the loss.

        Parameters
        ----------
        logits : Tensor of shape (n_heads, n_rows, n_classes) or (n_rows, n_classes)
            What a network gives.

        target : Tensor of shape (n_rows,) or (n_heads, n_rows)
            Class numbers.

        weight : Tensor of the target's shape
            Weights of the rows.

        Returns
        -------
        loss : Tensor of shape ()
            The weighted mean; in training, over the number of rows.
        """
        if not self.training:
            log_probability = self.log_predict(logits)
            loss = F.nll_loss(log_probability, target, reduction="none")
            return (loss * weight).sum() / weight.sum()
        if logits.ndim == 2:
            logits = logits.unsqueeze(0)
        target, weight = (
            t.expand(logits.shape[:2]).flatten() for t in (target, weight)
        )
        loss = F.cross_entropy(
            logits.flatten(0, 1),
            target,
            reduction="none",
            label_smoothing=self.label_smoothing,
        )
        # over the number of rows, not the sum of weights: a batch of light rows
        # must pull less than one of heavy rows
        return (loss * weight).mean()

    @staticmethod
    def log_predict(logits: Tensor) -> Tensor:
        """Give log-probabilities (n_rows, n_classes), averaged over predictors."""
        log_probability = F.log_softmax(logits, dim=-1)
        if logits.ndim == 2:
            return log_probability
        if len(logits) == 1:
            return log_probability[0]
        log_n = torch.tensor(float(len(logits))).log().item()
        return log_probability.logsumexp(dim=0) - log_n

    @classmethod
    def predict(cls, logits: Tensor) -> Tensor:
        """Give probabilities (n_rows, n_classes), averaged over predictors."""
        return cls.log_predict(logits).exp()
