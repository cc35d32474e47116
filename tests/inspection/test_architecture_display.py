import subprocess
import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest

from sknas import (
    Architecture,
    ArchitectureDisplay,
    ConvMacroSpace,
    ConvMicroSpace,
    DataSpec,
    NASClassifier,
    RecurrentSpace,
    SearchSpace,
    TabularSpace,
)
from sknas.spaces import Graph, Node

QUANTILES = np.quantile(
    np.random.RandomState(0).normal(size=(200, 9)), np.linspace(0, 1, 17), axis=0
)
TABLE = DataSpec(3, 9, (2, 4, 7), QUANTILES)
IMAGES = DataSpec(
    10, image_shape=(3, 32, 32), image_mean=np.zeros(3), image_scale=np.ones(3)
)
TEXTS = DataSpec(2, n_tokens=500, n_steps=40)
SPACES = {
    "tabular": (TabularSpace(), TABLE),
    "macro": (ConvMacroSpace(), IMAGES),
    "large macro": (ConvMacroSpace(n_layers=24, n_filters=8), IMAGES),
    "micro": (ConvMicroSpace(), IMAGES),
    "large micro": (ConvMicroSpace(n_cells=6, n_nodes=5, n_filters=4), IMAGES),
    "recurrent": (RecurrentSpace(n_nodes=12), TEXTS),
}


def draw(space, n):
    sample = space.decisions().sample(n, np.random.RandomState(0))
    return [space.default_architecture(), *sample]


def texts_of(display):
    return [text.get_text() for text in display.ax_.texts]


def overlap(a, b):
    return a.x0 < b.x1 - 1 and b.x0 < a.x1 - 1 and a.y0 < b.y1 - 1 and b.y0 < a.y1 - 1


@pytest.mark.parametrize("name", SPACES)
def test_everything_is_drawn_and_nothing_overlaps(name):
    space, spec = SPACES[name]
    for architecture in draw(space, 2):
        display = ArchitectureDisplay.from_architecture(architecture, space, spec)
        texts = " ".join(texts_of(display)).replace("\n", " ")
        for node in display.graph.nodes.values():
            assert node.label in texts
        canvas = display.figure_.canvas
        canvas.draw()
        renderer = canvas.get_renderer()
        boxes = [t.get_window_extent(renderer) for t in display.ax_.texts]
        whole = display.figure_.bbox
        for i, box in enumerate(boxes):
            assert whole.x0 <= box.x0 and box.x1 <= whole.x1, texts_of(display)[i]
            assert whole.y0 <= box.y0 and box.y1 <= whole.y1, texts_of(display)[i]
            for j in range(i):
                assert not overlap(box, boxes[j]), (
                    texts_of(display)[i],
                    texts_of(display)[j],
                )
        plt.close(display.figure_)


@pytest.mark.parametrize("name", SPACES)
def test_parameters_and_shapes_are_told(name):
    space, spec = SPACES[name]
    architecture = space.default_architecture()
    display = ArchitectureDisplay.from_architecture(architecture, space, spec)
    n = sum(p.numel() for p in space.network(architecture, spec).parameters())
    assert f"{n:,} parameters" in display.title
    first = next(iter(display.graph.nodes.values())).part
    own = [k for k, node in display.graph.nodes.items() if node.part == first]
    assert sum(display.n_parameters[k] for k in own) == n
    assert any("parameters" in text for text in texts_of(display)[1:])
    if spec is IMAGES:
        assert "3 \N{MULTIPLICATION SIGN} 32 \N{MULTIPLICATION SIGN} 32" in texts_of(
            display
        )


def test_every_connection_is_an_arrow():
    from matplotlib.patches import FancyArrowPatch

    space, spec = SPACES["macro"]
    arc = "0 | 1 1 | 2 1 1 | 3 0 1 0 | 4 1 0 0 1 | 5 1 1 1 1 1"
    architecture = Architecture.from_fixed_arc(arc, space)
    display = ArchitectureDisplay.from_architecture(architecture, space, spec)
    arrows = [p for p in display.ax_.patches if isinstance(p, FancyArrowPatch)]
    assert len(arrows) == len(display.graph.edges) > 15


def test_micro_pictures_have_the_network_and_both_cells():
    space, spec = SPACES["micro"]
    display = ArchitectureDisplay.from_architecture(
        space.default_architecture(), space, spec
    )
    assert {"network", "normal cell", "reduction cell"} <= set(texts_of(display))


def test_of_an_estimator_the_best_is_drawn_or_any_other(fitted_digits):
    display = ArchitectureDisplay.from_estimator(fitted_digits)
    width = fitted_digits.architecture_["width_1"]
    activation = fitted_digits.architecture_["activation_1"]
    assert f"{width} {activation}" in texts_of(display)
    assert display.figure_ is display.ax_.figure
    other = ArchitectureDisplay.from_estimator(fitted_digits, member=1)
    depth = fitted_digits.architectures_[1]["n_layers"]
    assert sum(name.startswith("layer_") for name in other.graph.nodes) == depth
    ArchitectureDisplay.from_estimator(fitted_digits, member=np.int64(1))
    for wrong in (2, -1, "best", 0.0, True):
        with pytest.raises(ValueError, match="member must be None or"):
            ArchitectureDisplay.from_estimator(fitted_digits, member=wrong)


def test_given_axes_are_drawn_in(fitted_digits):
    figure, axes = plt.subplots(1, 2)
    display = ArchitectureDisplay.from_estimator(fitted_digits, ax=axes[1])
    assert display.ax_ is axes[1] and display.figure_ is figure
    assert not axes[0].texts
    again = display.plot(ax=axes[0])
    assert again is display and display.ax_ is axes[0]


def test_without_data_there_are_no_shapes():
    space, _ = SPACES["macro"]
    display = ArchitectureDisplay.from_architecture(space.default_architecture(), space)
    assert display.title == "conv-macro"
    assert not any("parameters" in text for text in texts_of(display))


def test_a_space_of_ones_own_is_drawn(quicker, digits):
    class Own(TabularSpace):
        graph = SearchSpace.graph

    X, _, y, _ = digits
    clf = NASClassifier(Own(), **quicker).fit(X, y)
    display = ArchitectureDisplay.from_estimator(clf)
    n_layers = clf.architecture_["n_layers"]
    assert f"n_layers: {n_layers}" in texts_of(display)


def test_crossings_that_can_be_avoided_are():
    nodes = {name: Node(name) for name in "abcdef"}
    graph = Graph(nodes, [("a", "e"), ("b", "d"), ("c", "f"), ("a", "f")])
    from sknas.inspection._layout import lay_out

    sizes = dict.fromkeys(nodes, 1.0)
    layout = lay_out(graph, sizes, sizes, 0.5)
    order = sorted("abc", key=layout.x.get), sorted("def", key=layout.x.get)
    places = {name: row.index(name) for row in order for name in row}
    links = [(places[s], places[t]) for s, t in graph.edges]
    assert not any(a < c and b > d for a, b in links for c, d in links)


def test_wrong_architectures_are_told_of():
    space, spec = SPACES["macro"]
    with pytest.raises(ValueError, match="belongs to the space"):
        ArchitectureDisplay.from_architecture(
            TabularSpace().default_architecture(), space, spec
        )
    with pytest.raises(ValueError, match="not fitted"):
        ArchitectureDisplay.from_estimator(NASClassifier())


def test_matplotlib_is_imported_only_to_draw():
    code = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "import sknas\n"
        "space = sknas.TabularSpace()\n"
        "found = space.default_architecture()\n"
        "try:\n"
        "    sknas.ArchitectureDisplay.from_architecture(found, space)\n"
        "except ImportError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "sknas[plot]" in done.stdout, done.stderr
