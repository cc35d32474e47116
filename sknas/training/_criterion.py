"""Losses of networks that hold one or several predictors."""

from __future__ import annotations

import math
from abc import ABCMeta, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Criterion(nn.Module, metaclass=ABCMeta):
    """Weighted loss of one or several predictors.

    While training, each predictor is judged alone and the losses are averaged, so
    that the predictors stay different; otherwise their joint answer is judged.
    """

    def forward(self, outputs: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        """Give the loss.

        Parameters
        ----------
        outputs : Tensor of shape (n_heads, n_rows, n_outputs) or (n_rows, n_outputs)
            What a network gives.

        target : Tensor of shape (n_rows, ...) or (n_heads, n_rows, ...)
            The rows' targets.

        weight : Tensor of shape (n_rows,) or (n_heads, n_rows)
            Weights of the rows.

        Returns
        -------
        loss : Tensor of shape ()
            The weighted mean; in training, over the number of rows.
        """
        if self.training:
            # over the number of rows, not the sum of weights: a batch of light rows
            # must pull less than one of heavy rows
            return (self.row_losses(outputs, target) * weight).mean()
        loss = self.row_losses(self.join(outputs), target)
        return (loss * weight).sum() / weight.sum()

    @abstractmethod
    def row_losses(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Give each row's loss by each predictor.

        Parameters
        ----------
        outputs : Tensor of shape (..., n_rows, n_outputs)
            What predictors give, or :meth:`join` made of it.

        target : Tensor of shape (n_rows, ...) or (..., n_rows, ...)
            The targets: for all predictors the same, or for each its own.

        Returns
        -------
        losses : Tensor of shape (..., n_rows)
            The losses.
        """

    @staticmethod
    @abstractmethod
    def join(outputs: Tensor) -> Tensor:
        """Give the joint answer of a network's predictors.

        Parameters
        ----------
        outputs : Tensor of shape (n_heads, n_rows, n_outputs) or (n_rows, n_outputs)
            What a network gives.

        Returns
        -------
        joint : Tensor of shape (n_rows, n_outputs)
            One answer for each row.
        """

    @classmethod
    @abstractmethod
    def predict(cls, outputs: Tensor) -> Tensor:
        """Give what skorch's `predict_proba` answers: (n_rows, n_outputs)."""


class CrossEntropy(Criterion):
    """Cross-entropy of classifiers, whose probabilities are averaged."""

    def row_losses(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Give each row's cross-entropy; see the base class."""
        target = target.expand(outputs.shape[:-1])
        loss = F.cross_entropy(
            outputs.flatten(0, -2), target.flatten(), reduction="none"
        )
        return loss.view(target.shape)

    @staticmethod
    def join(outputs: Tensor) -> Tensor:
        """Give the logarithms of the mean probabilities; see the base class."""
        log_probability = F.log_softmax(outputs, dim=-1)
        if outputs.ndim == 2:
            return log_probability
        if len(outputs) == 1:
            return log_probability[0]
        return log_mean_exp(log_probability)

    @classmethod
    def predict(cls, outputs: Tensor) -> Tensor:
        """Give probabilities, averaged over predictors; see the base class."""
        return cls.join(outputs).exp()


class TokenLoss(Criterion):
    """Loss of language models, which give log-probabilities of tokens themselves.

    The outputs are those of a row's tokens, (n_rows, n_steps), and the target says
    which of them count, by 1 or 0.
    """

    def row_losses(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Give each row's mean negative log-probability; see the base class."""
        return -(outputs * target).sum(dim=-1) / target.sum(dim=-1)

    @staticmethod
    def join(outputs: Tensor) -> Tensor:
        """Give the logarithms of the mean probabilities; see the base class."""
        return outputs if outputs.ndim == 2 else log_mean_exp(outputs)

    @classmethod
    def predict(cls, outputs: Tensor) -> Tensor:
        """Give probabilities; see the base class."""
        return cls.join(outputs).exp()


def log_mean_exp(values: Tensor, weight: Tensor | None = None) -> Tensor:
    """Give the logarithm of the mean, over the first axis, of what logarithms are of.

    Parameters
    ----------
    values : Tensor of shape (n, ...)
        The logarithms.

    weight : Tensor of shape (n,) or None, default=None
        Weights that add up to one; None: all are alike.

    Returns
    -------
    log_mean : Tensor of shape (...)
        The logarithm.
    """
    if weight is None:
        return _log_sum_exp(values) - math.log(len(values))
    return _log_sum_exp(values + weight.log().view(-1, *[1] * (values.ndim - 1)))


def _log_sum_exp(values: Tensor) -> Tensor:
    if len(values) <= 4:
        return values.logsumexp(dim=0)
    # the order of torch's sum of more of them depends on how many rows there are
    largest = values.detach().amax(dim=0).clamp(min=torch.finfo(values.dtype).min)
    return sum((values - largest).exp()).log() + largest


def _pinball(error: Tensor, quantile: float) -> Tensor:
    return torch.maximum(quantile * error, (quantile - 1) * error)


REGRESSION_LOSSES = {
    "squared_error": lambda error, quantile: error.square(),
    "absolute_error": lambda error, quantile: error.abs(),
    "quantile": _pinball,
}


class RegressionLoss(Criterion):
    """Loss of numbers, averaged over outputs. Predictors' answers are averaged.

    Parameters
    ----------
    loss : {"squared_error", "absolute_error", "quantile"}, default="squared_error"
        The loss of an output; "quantile" is the pinball loss.

    quantile : float or None, default=None
        Which quantile "quantile" is to predict.
    """

    def __init__(
        self, loss: str = "squared_error", quantile: float | None = None
    ) -> None:
        super().__init__()
        self.loss = loss
        self.quantile = quantile

    def row_losses(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Give each row's loss; see the base class."""
        losses = REGRESSION_LOSSES[self.loss](target - outputs, self.quantile)
        return losses.mean(dim=-1)

    @staticmethod
    def join(outputs: Tensor) -> Tensor:
        """Give the mean answer; see the base class."""
        return outputs if outputs.ndim == 2 else outputs.mean(dim=0)

    @classmethod
    def predict(cls, outputs: Tensor) -> Tensor:
        """Give the mean answer; see the base class."""
        return cls.join(outputs)
