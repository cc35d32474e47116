"""The picture of what a strategy has come to prefer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from sknas.inspection._checks import check_searched
from sknas.inspection._matplotlib import import_pyplot

LETTER = 0.068  # inches that a letter takes up
TITLE = "probability of each option; framed: the best network's"
ROW = 0.34
DARK = 0.55  # probabilities from which on text is white


@dataclass
class PolicyRow:
    """A decision, or the skips into a layer, and the probability of each option.

    Parameters
    ----------
    label : str
        Its name.

    options : list of str
        The options.

    probability : list of float
        Their probabilities.

    chosen : list of bool
        Which of them the best network has.
    """

    label: str
    options: list[str] = field(default_factory=list)
    probability: list[float] = field(default_factory=list)
    chosen: list[bool] = field(default_factory=list)


class PolicyDisplay:
    """The probabilities that the strategy gives, in the end, to each option.

    It is best made by :meth:`from_estimator`. A row is a decision, a cell one of its
    options, the darker the likelier; the options of the best network have a frame.
    Decisions on skips into the same layer share a row, of the probabilities of a yes.

    Parameters
    ----------
    rows : list of PolicyRow
        The decisions.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        The axes that were drawn in.

    figure_ : matplotlib.figure.Figure
        The figure of the axes.
    """

    def __init__(self, rows: list[PolicyRow]) -> None:
        self.rows = rows

    @classmethod
    def from_estimator(
        cls, estimator, *, decisions: Sequence[str] | None = None, ax=None
    ) -> PolicyDisplay:
        """Draw the policy that a fitted estimator's search ended with.

        Parameters
        ----------
        estimator : NASClassifier, NASRegressor or NASLanguageModel
            A fitted estimator that has searched.

        decisions : sequence of str or None, default=None
            Names of the decisions to draw. None: all.

        ax : matplotlib.axes.Axes or None, default=None
            Where to draw. None: on a figure of its own, of the size that it needs.

        Returns
        -------
        display : PolicyDisplay
            The picture.

        Raises
        ------
        ValueError
            If there was no search, its strategy has no policy to tell of, or a decision
            is not one of the space.
        """
        check_searched(estimator)
        policy = estimator.search_policy_
        if not policy:
            raise ValueError(
                "The strategy does not tell how likely it is to choose each option, "
                "which is what a method 'policy' of its class is for."
            )
        if isinstance(decisions, str) or (decisions is not None and not len(decisions)):
            raise ValueError(
                f"decisions must be None or a list of names of decisions, got "
                f"{decisions!r}."
            )
        unknown = sorted(set(decisions or ()) - set(policy))
        if unknown:
            raise ValueError(
                f"decisions has {unknown}, which the space does not decide on; it does "
                f"on {list(policy)}."
            )
        best = estimator.architecture_
        rows: dict[object, PolicyRow] = {}
        for decision in estimator.space_.decisions():
            if decisions is not None and decision.name not in decisions:
                continue
            probability = policy[decision.name]["probability"]
            chosen = best.get(decision.name)
            if decision.kind == "skip":
                key = decision.graph, decision.node
                label = f"skips into layer {decision.node} from"
                row = rows.setdefault(key, PolicyRow(label))
                source = decision.source
                row.options.append(f"layer {source}" if source else "stem")
                row.probability.append(float(probability[1]))
                row.chosen.append(bool(chosen))
            else:
                rows[decision.name] = PolicyRow(
                    decision.name,
                    [str(option) for option in decision.options],
                    [float(p) for p in probability],
                    [
                        decision.name in best and option == chosen
                        for option in decision.options
                    ],
                )
        return cls(list(rows.values())).plot(ax)

    def plot(self, ax=None) -> PolicyDisplay:
        """Draw the picture.

        Parameters
        ----------
        ax : matplotlib.axes.Axes or None, default=None
            Where to draw. None: on a figure of its own, of the size that it needs.

        Returns
        -------
        display : PolicyDisplay
            Itself.
        """
        plt = import_pyplot()
        from matplotlib.patches import Rectangle

        left = LETTER * max(len(row.label) for row in self.rows) + 0.3
        cell = 0.16 + LETTER * max(
            len(option) + 6 for row in self.rows for option in row.options
        )
        width = left + cell * max(len(row.options) for row in self.rows) + 0.1
        width = max(width, 1.2 * LETTER * len(TITLE))
        height = ROW * len(self.rows) + 0.5
        if ax is None:
            figure = plt.figure(figsize=(width, height))
            ax = figure.add_axes((0, 0, 1, 1))
        self.ax_, self.figure_ = ax, ax.figure
        box = ax.get_window_extent().transformed(ax.figure.dpi_scale_trans.inverted())
        scale = min(box.width / width, box.height / height)
        ax.set(xlim=(0, width), ylim=(height, 0))
        ax.set_axis_off()
        ax.text(
            width / 2,
            0.2,
            TITLE,
            ha="center",
            va="center",
            fontsize=9.5 * scale,
            weight="bold",
        )
        colors = plt.get_cmap("Blues")
        for i, row in enumerate(self.rows):
            y = 0.4 + ROW * i
            text = {"va": "center", "fontsize": 8.5 * scale, "parse_math": False}
            ax.text(left - 0.1, y + ROW / 2, row.label, ha="right", **text)
            for j, (option, p, chosen) in enumerate(
                zip(row.options, row.probability, row.chosen, strict=True)
            ):
                x = left + cell * j
                known = np.isfinite(p)
                face = colors(0.9 * p) if known else "#eeeeee"
                place = (x + 0.02, y + 0.02), cell - 0.04, ROW - 0.04
                ax.add_patch(Rectangle(*place, facecolor=face, edgecolor="none"))
                if chosen:
                    frame = {"edgecolor": "#d95f0e", "linewidth": 1.8 * scale}
                    ax.add_patch(Rectangle(*place, fill=False, zorder=3, **frame))
                color = "white" if known and p > DARK else "black"
                label = f"{option}: {p:.2f}" if known else option
                ax.text(
                    x + cell / 2, y + ROW / 2, label, ha="center", color=color, **text
                )
        return self
