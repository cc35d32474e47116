"""Draw the pictures of the pages anew: `python docs/draw_pictures.py [SPACE ...]`.

For each space: a network that was found, the course of its search, its candidates,
and its policy. It takes a few minutes; the pictures are kept beside the pages, so that
these are made without it.
"""

import io
import sys
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib import pyplot as plt
from PIL import Image
from sklearn.datasets import load_digits

from sknas import (
    ArchitectureDisplay,
    CandidatesDisplay,
    ConvMacroSpace,
    ConvMicroSpace,
    NASClassifier,
    PolicyDisplay,
    RecurrentSpace,
    SearchHistoryDisplay,
    SequenceSpace,
)

FOLDER = Path(__file__).parent / "pictures"
DISPLAYS = {
    "network": ArchitectureDisplay,
    "course": SearchHistoryDisplay,
    "candidates": CandidatesDisplay,
    "policy": PolicyDisplay,
}
DPI = 80
N_COLORS = 128


def make_waves(n=200):
    """Make series of two forms, of unequal length."""
    rng = np.random.RandomState(0)
    is_square = rng.randint(2, size=n)
    phase = rng.uniform(0, 6, (n, 1)) + rng.uniform(0.3, 0.9, (n, 1)) * np.arange(60)
    X = np.where(is_square[:, None], np.sign(np.sin(phase)), np.sin(phase))
    X += 0.4 * rng.normal(size=X.shape)
    X[::3, 45:] = np.nan
    return X[:, :, None], np.array(["sine", "square"])[is_square]


def fits():
    """Give, for each space, a classifier that is not fitted, and its data."""
    digits = load_digits()
    images = digits.images[:600], digits.target[:600]
    quick = {"max_epochs": 15, "random_state": 0}
    yield "tabular", NASClassifier(random_state=0), (digits.data, digits.target)
    yield "macro", NASClassifier(ConvMacroSpace(), search_epochs=10, **quick), images
    yield "micro", NASClassifier(ConvMicroSpace(), search_epochs=6, **quick), images
    yield "recurrent", NASClassifier(RecurrentSpace(), **quick), make_waves()
    yield "sequence", NASClassifier(SequenceSpace(), **quick), make_waves()


def save(figure, path):
    """Write a figure as a small PNG."""
    file = io.BytesIO()
    figure.savefig(file, dpi=DPI, format="png")
    plt.close(figure)
    picture = Image.open(file).convert("RGB").quantize(N_COLORS)
    picture.save(path, optimize=True)


def main():
    """Draw those of the spaces that are named, or all."""
    matplotlib.use("agg")
    FOLDER.mkdir(exist_ok=True)
    for name, estimator, (X, y) in fits():
        if sys.argv[1:] and name not in sys.argv[1:]:
            continue
        estimator.fit(X, y)
        print(
            f"{name}: {estimator.search_time_ + estimator.refit_time_:.0f} s",
            flush=True,
        )
        for what, display in DISPLAYS.items():
            member = {"member": 0} if what == "network" else {}
            figure = display.from_estimator(estimator, **member).figure_
            save(figure, FOLDER / f"{name}_{what}.png")


if __name__ == "__main__":
    main()
