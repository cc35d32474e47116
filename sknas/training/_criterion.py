"""Losses of networks that hold one or several predictors."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

FLOOR = 0.1  # of the share of a class, where a corrected probability is zero


class CrossEntropy(nn.Module):
    """Weighted cross-entropy of one or several predictors.

    While training, each predictor is judged alone and the losses are averaged, so
    that the predictors stay different; otherwise their mean probability is judged.

    Parameters
    ----------
    label_smoothing : float, default=0.0
        Share of each label that is spread over all classes while training. What is
        predicted is corrected for it.
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

    def log_predict(self, logits: Tensor) -> Tensor:
        """Give log-probabilities (n_rows, n_classes), averaged over predictors."""
        log_probability = F.log_softmax(logits, dim=-1)
        if logits.ndim == 3:
            log_n = torch.tensor(float(len(logits))).log().item()
            log_probability = log_probability.logsumexp(dim=0) - log_n
        return self.correct(log_probability)

    def predict(self, logits: Tensor) -> Tensor:
        """Give probabilities (n_rows, n_classes), averaged over predictors."""
        return self.log_predict(logits).exp()

    def correct(self, log_probability: Tensor) -> Tensor:
        """Undo the smoothing of labels in what was learnt from them.

        Who learns labels of which a share e is spread over all k classes gives
        ``(1 - e) p + e / k`` for a probability p. What comes to less than e / k is
        taken for small, not for negative.

        Parameters
        ----------
        log_probability : Tensor of shape (..., n_classes)
            Log-probabilities of smoothed labels.

        Returns
        -------
        log_probability : Tensor of shape (..., n_classes)
            Log-probabilities of labels.
        """
        if self.label_smoothing == 0:
            return log_probability
        spread = self.label_smoothing / log_probability.shape[-1]
        p = (log_probability.exp() - spread) / (1 - self.label_smoothing)
        p = (p + (p.square() + (2 * FLOOR * spread) ** 2).sqrt()) / 2
        return (p / p.sum(dim=-1, keepdim=True)).log()
