"""The picture of the candidates that a search ranked."""

from __future__ import annotations

import numpy as np
from scipy.stats import spearmanr

from sknas.inspection._checks import check_searched
from sknas.inspection._matplotlib import import_pyplot

SMALLEST, LARGEST = 30.0, 260.0  # areas of marks, in square points
MIN_PAIRS = 3  # of scores, for a rank correlation


class CandidatesDisplay:
    """The candidates of a search: their rewards, sizes and times.

    It shows whether shared parameters tell which networks are good, and is best made by
    :meth:`from_estimator`. Each mark is an architecture that was
    trained with weights of its own: from left to right its reward with the shared
    parameters, upwards that with its own after the first round of candidates, in which
    all have the same number of epochs. Marks grow with the number of parameters; the
    colour is the time of training in all rounds. Rings mark what was chosen for the
    final networks. Architectures that were ranked but not trained are ticks below.

    Parameters
    ----------
    shared_score : ndarray of shape (n_candidates,)
        Rewards with the shared parameters.

    first_score : ndarray of shape (n_candidates,)
        Rewards with weights of their own; NaN where none were trained.

    n_parameters : ndarray of shape (n_candidates,)
        Sizes of the stand-alone networks.

    fit_time : ndarray of shape (n_candidates,)
        Seconds of training.

    chosen : ndarray of bool, of shape (n_candidates,)
        Which became final networks.

    Attributes
    ----------
    rank_correlation_ : float
        Spearman's, of the two scores; NaN where fewer than three were trained.

    ax_ : matplotlib.axes.Axes
        The axes that were drawn in.

    figure_ : matplotlib.figure.Figure
        The figure of the axes.
    """

    def __init__(
        self,
        shared_score: np.ndarray,
        first_score: np.ndarray,
        n_parameters: np.ndarray,
        fit_time: np.ndarray,
        chosen: np.ndarray,
    ) -> None:
        self.shared_score = shared_score
        self.first_score = first_score
        self.n_parameters = n_parameters
        self.fit_time = fit_time
        self.chosen = chosen

    @classmethod
    def from_estimator(cls, estimator, *, ax=None) -> CandidatesDisplay:
        """Draw the candidates of a fitted estimator.

        Parameters
        ----------
        estimator : NASClassifier, NASRegressor or NASLanguageModel
            A fitted estimator that has searched.

        ax : matplotlib.axes.Axes or None, default=None
            Where to draw. None: on a new figure.

        Returns
        -------
        display : CandidatesDisplay
            The picture.

        Raises
        ------
        ValueError
            If there was no search.
        """
        check_searched(estimator, "search_results_")
        table = estimator.search_results_
        final = {architecture.to_json() for architecture in estimator.architectures_}
        return cls(
            *(
                np.asarray(table[name], dtype=float)
                for name in ("shared_score", "first_score", "n_parameters", "fit_time")
            ),
            chosen=np.array([text in final for text in table["architecture"]]),
        ).plot(ax)

    def plot(self, ax=None) -> CandidatesDisplay:
        """Draw the picture.

        Parameters
        ----------
        ax : matplotlib.axes.Axes or None, default=None
            Where to draw. None: on a new figure.

        Returns
        -------
        display : CandidatesDisplay
            Itself.
        """
        plt = import_pyplot()
        if ax is None:
            _, ax = plt.subplots(figsize=(6.4, 4.4), layout="constrained")
        self.ax_, self.figure_ = ax, ax.figure
        trained = np.isfinite(self.first_score) & np.isfinite(self.shared_score)
        self.rank_correlation_ = float("nan")
        if trained.sum() >= MIN_PAIRS:
            pair = self.shared_score[trained], self.first_score[trained]
            if all(len(set(values)) > 1 for values in pair):
                self.rank_correlation_ = float(spearmanr(*pair).statistic)
        area = _areas(self.n_parameters)
        marks = ax.scatter(
            self.shared_score[trained],
            self.first_score[trained],
            s=area[trained],
            c=self.fit_time[trained],
            cmap="viridis",
            edgecolor="white",
            zorder=3,
        )
        ring = trained & self.chosen
        ax.scatter(
            self.shared_score[ring],
            self.first_score[ring],
            s=area[ring] + 130,
            facecolor="none",
            edgecolor="#d95f0e",
            linewidth=1.8,
            label="chosen",
            zorder=4,
        )
        rest = ~trained & np.isfinite(self.shared_score)
        ax.plot(
            self.shared_score[rest],
            np.full(rest.sum(), 0.015),
            "|",
            color="#888888",
            transform=ax.get_xaxis_transform(),
            label="ranked, not trained",
        )
        if trained.any():
            self.figure_.colorbar(marks, ax=ax, label="seconds of training")
        known = np.isfinite(self.rank_correlation_)
        correlation = f"{self.rank_correlation_:.2f}" if known else "not known"
        sizes = " to ".join(
            f"{size:,.0f}" for size in sorted({*_range(self.n_parameters[trained])})
        )
        ax.set(
            title=f"{trained.sum()} candidates of {sizes} parameters\n"
            f"rank correlation {correlation}"
            if trained.any()
            else "no candidate was trained by itself",
            xlabel="reward with shared parameters",
            ylabel="reward with weights of its own",
        )
        ax.margins(0.12)
        ax.locator_params(axis="x", nbins=6)
        handles, labels = ax.get_legend_handles_labels()
        shown = [ring.any(), rest.any()]
        ax.legend(
            [h for h, kept in zip(handles, shown, strict=True) if kept],
            [text for text, kept in zip(labels, shown, strict=True) if kept],
            fontsize="small",
            markerscale=0.6,
        )
        return self


def _range(values: np.ndarray) -> list[float]:
    return [values.min(), values.max()] if len(values) else [0.0]


def _areas(sizes: np.ndarray) -> np.ndarray:
    """Give areas that grow with sizes, on a scale of logarithms."""
    logs = np.log(np.maximum(sizes, 1))
    spread = np.ptp(logs)
    share = (logs - logs.min()) / spread if spread else np.full(len(logs), 0.5)
    return SMALLEST + (LARGEST - SMALLEST) * share
