"""The picture of a network that was found."""

from __future__ import annotations

from sknas.architecture import Architecture
from sknas.inspection._checks import check_has_network
from sknas.inspection._layout import is_chain
from sknas.inspection._matplotlib import import_pyplot
from sknas.inspection._part import FONT_SIZE, LETTER, LINE, Part, split_parts
from sknas.rules import is_integer
from sknas.spaces import DataSpec, Graph, SearchSpace
from sknas.training import private_random_state

PART_GAP = 0.4
MAX_WIDTH = 12.0  # of all parts side by side
MARGIN = 0.15


class ArchitectureDisplay:
    """A picture of a network: what it does, how wide it is, and how it is connected.

    It is best made by :meth:`from_estimator` or :meth:`from_architecture`. Boxes are
    operations, with the number of their parameters; beside arrows stands the shape of
    what goes along them, the rows left out. The picture of a micro space shows the
    network, and the first of its normal and of its reduction cells.

    Parameters
    ----------
    graph : Graph
        What is drawn.

    n_parameters : dict of str to int
        For each node, the number of its parameters.

    title : str, default=""
        What stands above.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        The axes that were drawn in.

    figure_ : matplotlib.figure.Figure
        The figure of the axes.

    Examples
    --------
    >>> from sknas import ArchitectureDisplay, ConvMacroSpace
    >>> space = ConvMacroSpace(n_layers=3)
    >>> display = ArchitectureDisplay.from_architecture(
    ...     space.default_architecture(), space
    ... )
    >>> len(display.graph.nodes)
    6
    """

    def __init__(
        self, graph: Graph, n_parameters: dict[str, int], title: str = ""
    ) -> None:
        self.graph = graph
        self.n_parameters = n_parameters
        self.title = title

    @classmethod
    def from_estimator(
        cls, estimator, *, member: int | None = None, ax=None
    ) -> ArchitectureDisplay:
        """Draw a network of a fitted estimator.

        Parameters
        ----------
        estimator : NASClassifier, NASRegressor or NASLanguageModel
            A fitted estimator.

        member : int or None, default=None
            Which of its networks, from 0 up. None: the best, `architecture_`.

        ax : matplotlib.axes.Axes or None, default=None
            Where to draw. None: on a figure of its own, of the size that it needs.

        Returns
        -------
        display : ArchitectureDisplay
            The picture.

        Raises
        ------
        ValueError
            If there is no such member.
        """
        check_has_network(estimator)
        architectures = estimator.architectures_
        if member is None:
            architecture = estimator.architecture_
        elif _is_index(member, len(architectures)):
            architecture = architectures[member]
        else:
            raise ValueError(
                f"member must be None or a number from 0 to {len(architectures) - 1}, "
                f"got {member!r}."
            )
        return cls.from_architecture(
            architecture, estimator.space_, estimator.data_spec_, ax=ax
        )

    @classmethod
    def from_architecture(
        cls,
        architecture: Architecture,
        space: SearchSpace,
        spec: DataSpec | None = None,
        *,
        ax=None,
    ) -> ArchitectureDisplay:
        """Draw an architecture, fitted or not.

        Parameters
        ----------
        architecture : Architecture
            The architecture.

        space : SearchSpace
            The space that it belongs to.

        spec : DataSpec or None, default=None
            What the data look like. None: shapes and parameters are left out.

        ax : matplotlib.axes.Axes or None, default=None
            Where to draw. None: on a figure of its own, of the size that it needs.

        Returns
        -------
        display : ArchitectureDisplay
            The picture.

        Raises
        ------
        TypeError, ValueError
            If the architecture is not one of the space, or that is no space.
        """
        if not isinstance(space, SearchSpace):
            raise TypeError(
                f"space must be a SearchSpace, such as TabularSpace(), got {space!r}."
            )
        space.decisions().check(architecture)
        graph = space.graph(architecture, spec)
        title, n_parameters = architecture.space, dict.fromkeys(graph.nodes, 0)
        if spec is not None:
            sizes = parameter_sizes(space, architecture, spec)
            title = f"{title}: {sum(sizes.values()):,} parameters"
            n_parameters = parameters_of_nodes(graph, sizes)
        return cls(graph, n_parameters, title).plot(ax)

    def plot(self, ax=None) -> ArchitectureDisplay:
        """Draw the picture.

        Parameters
        ----------
        ax : matplotlib.axes.Axes or None, default=None
            Where to draw. None: on a figure of its own, of the size that it needs.

        Returns
        -------
        display : ArchitectureDisplay
            Itself.
        """
        plt = import_pyplot()
        columns = _arrange(
            [Part(*part, self.n_parameters) for part in split_parts(self.graph)]
        )
        widths = [max(part.width for part in column) for column in columns]
        used = sum(widths) + PART_GAP * (len(columns) - 1)
        width = max(used, LETTER * 1.2 * len(self.title)) + 2 * MARGIN
        top = 2 * LINE if self.title else 0.0
        height = max(_height(column) for column in columns) + top + 2 * MARGIN
        if ax is None:
            figure = plt.figure(figsize=(width, height))
            ax = figure.add_axes((0, 0, 1, 1))
        self.ax_, self.figure_ = ax, ax.figure
        box = ax.get_window_extent().transformed(ax.figure.dpi_scale_trans.inverted())
        scale = min(box.width / width, box.height / height)
        ax.set(xlim=(0, width), ylim=(0, height), aspect="equal")
        ax.set_axis_off()
        if self.title:
            ax.text(
                width / 2,
                height - MARGIN,
                self.title,
                ha="center",
                va="top",
                fontsize=1.1 * FONT_SIZE * scale,
                weight="bold",
                parse_math=False,
            )
        x = (width - used) / 2
        for column, own in zip(columns, widths, strict=True):
            y = height - MARGIN - top
            for part in column:
                part.draw(ax, x + (own - part.width) / 2, y, scale)
                y -= part.height + PART_GAP
            x += own + PART_GAP
        return self


def _is_index(value: object, n: int) -> bool:
    return is_integer(value) and 0 <= value < n


def _arrange(parts: list[Part]) -> list[list[Part]]:
    """Put parts side by side, or those that are not chains below one another."""
    if sum(part.width for part in parts) <= MAX_WIDTH:
        return [[part] for part in parts]
    chains = [[part] for part in parts if is_chain(part.graph)]
    return [*chains, [part for part in parts if not is_chain(part.graph)]]


def _height(column: list[Part]) -> float:
    return sum(part.height for part in column) + PART_GAP * (len(column) - 1)


def parameter_sizes(
    space: SearchSpace, architecture: Architecture, spec: DataSpec
) -> dict[str, int]:
    """Give the sizes of a stand-alone network's parameters, by their names."""
    with private_random_state(0):
        network = space.network(architecture, spec)
    return {name: p.numel() for name, p in network.named_parameters()}


def parameters_of_nodes(graph: Graph, sizes: dict[str, int]) -> dict[str, int]:
    """Give how many of the parameters, whose sizes are given, each node has."""
    return {
        name: sum(n for own, n in sizes.items() if node.has_parameter(own))
        for name, node in graph.nodes.items()
    }
