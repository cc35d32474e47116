"""
A search space of your own
==========================

A space lists its decisions, and builds two networks: one that shares its
parameters among all architectures, and the stand-alone one of an architecture.
This one has a single hidden layer, of a width and an activation to be found.
"""

# %%
import matplotlib.pyplot as plt
import torch
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split
from torch import nn
from torch.nn import functional as F

from sknas import (
    ArchitectureDisplay,
    Decision,
    Decisions,
    NASClassifier,
    SearchSpace,
)
from sknas.modules import ACTIVATIONS, OneHotColumns
from sknas.spaces import Graph, Node, check_search_space


class OneLayer(nn.Module):
    """The stand-alone network."""

    def __init__(self, spec, width, activation):
        super().__init__()
        self.one_hot = OneHotColumns(spec.category_sizes)
        self.hidden = nn.Linear(spec.n_numeric + self.one_hot.n_outputs, width)
        self.output = nn.Linear(width, spec.n_outputs)
        self.activation = activation

    def forward(self, numeric, categorical):
        """Give logits of shape (n_rows, n_outputs)."""
        x = torch.cat([numeric, self.one_hot(categorical)], dim=-1)
        return self.output(ACTIVATIONS[self.activation](self.hidden(x)))


class SharedOneLayer(OneLayer):
    """The widest network; a narrower one is the leading slice of its matrices."""

    def forward(self, numeric, categorical, architectures):
        """Give logits of shape (n_architectures, n_rows, n_outputs)."""
        x = torch.cat([numeric, self.one_hot(categorical)], dim=-1)
        logits = []
        for i, chosen in enumerate(architectures):
            width = chosen["width"]
            rows = x if x.ndim == 2 else x[i]  # the same for all, or each its own
            unit = F.linear(rows, self.hidden.weight[:width], self.hidden.bias[:width])
            unit = ACTIVATIONS[chosen["activation"]](unit)
            output = self.output
            logits.append(F.linear(unit, output.weight[:, :width], output.bias))
        return torch.stack(logits)


class OneLayerSpace(SearchSpace):
    """One hidden layer."""

    name = "one-layer"

    def __init__(self, widths=(32, 64, 128), activations=("relu", "tanh", "silu")):
        self.widths = widths
        self.activations = activations

    def decisions(self):
        """List what is left open."""
        width = Decision("width", self.widths)
        return Decisions(self.name, [width, Decision("activation", self.activations)])

    def supernet(self, spec):
        """Build the network that shares its parameters."""
        return SharedOneLayer(spec, max(self.widths), activation=None)

    def network(self, architecture, spec):
        """Build the stand-alone network of an architecture."""
        return OneLayer(spec, architecture["width"], architecture["activation"])

    def source(self, architecture, spec, name):
        """Write it as code, for export_code and ONNX: optional."""
        n_inputs = spec.n_numeric + sum(spec.category_sizes)
        width, activation = architecture["width"], architecture["activation"]
        return [
            f"""
class {name}(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear({n_inputs}, {width})
        self.output = nn.Linear({width}, {spec.n_outputs})

    def forward(self, numeric, categorical):
        x = [numeric]
        for i, size in enumerate({spec.category_sizes}):
            # a code equal to the size is unknown: zeros
            x.append(F.one_hot(categorical[:, i], size + 1)[:, :size].float())
        return self.output(F.{activation}(self.hidden(torch.cat(x, dim=1))))
"""
        ]

    def graph(self, architecture, spec=None):
        """Draw it: optional."""
        hidden = f"linear, {architecture['width']}"
        nodes = {
            "input": Node("input", "input"),
            "hidden": Node(hidden, parameters=("hidden.",)),
            "activation": Node(architecture["activation"]),
            "output": Node("output", "output", parameters=("output.",)),
        }
        names = list(nodes)
        return Graph(nodes, list(zip(names, names[1:], strict=False)))


# %%
# Parameters are shared by name: since both networks call them the same, nothing
# else is needed. A space whose names differ says how in ``shared_name``. Whether a
# space keeps all that a search relies on, a check tells: call it before the first fit.
check_search_space(OneLayerSpace())

# %%
# It is searched as any other.
X, y = load_breast_cancer(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)
clf = NASClassifier(OneLayerSpace(), random_state=0).fit(X_train, y_train)
print(f"test accuracy {clf.score(X_test, y_test):.3f}")
print(clf.architecture_)

# %%
# What its method ``source`` gives is code without sknas.
print(clf.export_code()[-2000:])

# %%
# What its method ``graph`` gives is what the display draws.
ArchitectureDisplay.from_estimator(clf)
plt.show()
