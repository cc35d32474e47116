"""The picture of a search's course."""

from __future__ import annotations

import numpy as np

from sknas.inspection._checks import check_searched
from sknas.inspection._matplotlib import import_pyplot, panels

PHASES = {
    "shared parameters": "#4a7fb0",
    "strategy": "#8c6bb1",
    "candidates": "#c98a1b",
    "final training": "#4c9a52",
}


class SearchHistoryDisplay:
    """The course of a search: reward, entropy of the policy, loss, and time.

    It is best made by :meth:`from_estimator`. What a strategy that learns nothing does
    not have, the rewards and the entropy, is left out.

    Parameters
    ----------
    history : list of dict
        The search, epoch by epoch, as `history_` of an estimator.

    seconds : dict of str to float
        Seconds of each phase.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        The first of the axes.

    axes_ : dict of str to matplotlib.axes.Axes
        All axes that were drawn in: "reward", "entropy", "loss" and "time".

    figure_ : matplotlib.figure.Figure
        The figure of the axes.
    """

    def __init__(self, history: list[dict], seconds: dict[str, float]) -> None:
        self.history = history
        self.seconds = seconds

    @classmethod
    def from_estimator(cls, estimator, *, ax=None) -> SearchHistoryDisplay:
        """Draw the course of a fitted estimator's search.

        Parameters
        ----------
        estimator : NASClassifier, NASRegressor or NASLanguageModel
            A fitted estimator that has searched.

        ax : matplotlib.axes.Axes or None, default=None
            Axes whose place is divided among the panels. None: a new figure.

        Returns
        -------
        display : SearchHistoryDisplay
            The picture.

        Raises
        ------
        ValueError
            If there was no search.
        """
        check_searched(estimator)
        history = estimator.history_
        strategy = sum(row.get("controller_dur", 0.0) for row in history)
        shared = sum(row.get("dur", 0.0) for row in history) - strategy
        values = (
            shared,
            strategy,
            max(estimator.search_time_ - shared - strategy, 0.0),
            estimator.refit_time_,
        )
        seconds = dict(zip(PHASES, values, strict=True))
        return cls(history, seconds).plot(ax)

    def plot(self, ax=None) -> SearchHistoryDisplay:
        """Draw the picture.

        Parameters
        ----------
        ax : matplotlib.axes.Axes or None, default=None
            Axes whose place is divided among the panels. None: a new figure.

        Returns
        -------
        display : SearchHistoryDisplay
            Itself.
        """
        plt = import_pyplot()
        drawings = {"time": self._draw_time}
        if self._values("train_loss")[0].size:
            drawings = {"loss": self._draw_loss, **drawings}
        if self._values("controller_entropy")[0].size:
            drawings = {"entropy": self._draw_entropy, **drawings}
        if self._values("controller_reward")[0].size:
            drawings = {"reward": self._draw_reward, **drawings}
        axes = panels(plt, ax, len(drawings))
        self.axes_ = dict(zip(drawings, axes, strict=True))
        self.ax_ = axes[0]
        self.figure_ = self.ax_.figure
        for name, draw in drawings.items():
            draw(self.axes_[name])
        return self

    def _values(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Give the epochs in which something was recorded, and what."""
        pairs = [
            (row.get("epoch", i), row[name])
            for i, row in enumerate(self.history, start=1)
            if name in row
        ]
        epochs, values = zip(*pairs, strict=True) if pairs else ((), ())
        return np.array(epochs), np.array(values, dtype=float)

    def _draw_reward(self, ax) -> None:
        epochs, values = self._values("controller_reward")
        ax.plot(epochs, values, "o-", markersize=3, label="mean of proposals")
        epochs, values = self._values("controller_best_reward")
        if values.size:
            ax.step(epochs, values, where="post", label="best so far")
        ax.set(title="reward on held-back rows", xlabel="epoch", ylabel="reward")
        ax.legend(fontsize="small", loc="best")

    def _draw_entropy(self, ax) -> None:
        epochs, values = self._values("controller_entropy")
        ax.plot(epochs, values, "o-", markersize=3, color=PHASES["strategy"])
        ax.set(title="entropy of the policy", xlabel="epoch", ylabel="nats")

    def _draw_loss(self, ax) -> None:
        epochs, values = self._values("train_loss")
        color = PHASES["shared parameters"]
        ax.plot(epochs, values, "o-", markersize=3, color=color)
        title = "loss of the shared parameters"
        ax.set(title=title, xlabel="epoch", ylabel="training loss")

    def _draw_time(self, ax) -> None:
        seconds = list(self.seconds.values())
        ax.barh(range(len(seconds)), seconds, color=list(PHASES.values()), alpha=0.5)
        for i, (name, value) in enumerate(self.seconds.items()):
            ax.text(0, i, f" {name}: {value:.3g} s", va="center", fontsize="small")
        ax.set_yticks([])
        ax.invert_yaxis()
        ax.set(title="time of each phase", xlabel="seconds")
