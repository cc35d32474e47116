"""The ONNX graph of an estimator: how inputs are read, the network, its answers."""

from __future__ import annotations

import inspect
import io
import warnings

import numpy as np
import torch
from torch import nn

from sknas.estimators import build_model, run_code
from sknas.notices import warn_caller

OPSET = 18  # of the networks' operators; greater ones of a pipeline are fine
ML_OPSET = 3


class EstimatorGraph:
    """Builds the ONNX graph of an estimator.

    Parameters
    ----------
    onnx : module
        The package.

    estimator : NASClassifier or NASRegressor
        The estimator.

    given : list of (str, int, list)
        Of each input, its name, ONNX's number of its type, and its shape.
    """

    def __init__(self, onnx, estimator, given: list[tuple[str, int, list]]) -> None:
        self.onnx = onnx
        self.estimator = estimator
        self.given = given
        self.nodes, self.initializers = [], []
        self.names = run_code(estimator.export_code())
        model = build_model(self.names)
        weights = estimator.export_weights()
        model.load_state_dict({n: torch.from_numpy(w) for n, w in weights.items()})
        self.model: nn.Module = model.eval()

    def add(self, kind: str, inputs: list[str], domain: str = "", **attributes) -> str:
        """Add a node; give the name of its output."""
        name = f"{kind}_{len(self.nodes)}"
        make_node = self.onnx.helper.make_node
        self.nodes.append(make_node(kind, inputs, [name], domain=domain, **attributes))
        return name

    def constant(self, name: str, value: np.ndarray) -> str:
        """Add a constant; give its name."""
        name = f"{name}_{len(self.initializers)}"
        from_array = self.onnx.numpy_helper.from_array
        self.initializers.append(from_array(np.asarray(value), name))
        return name

    def cast(self, name: str, to: int) -> str:
        """Add a change of type."""
        return self.add("Cast", [name], to=to)

    # How the inputs are read.

    def _join(self, columns: list[str]) -> str:
        """Put columns side by side."""
        return self.add("Concat", columns, axis=1) if len(columns) > 1 else columns[0]

    def _first_argument(self) -> str:
        """Say what the network reads: its first argument's name."""
        return next(iter(inspect.signature(self.model.forward).parameters))

    def read(self) -> list[str]:
        """Give the arguments of the network, from the inputs."""
        first = self._first_argument()
        types = self.onnx.TensorProto
        if first in ("numbers", "codes"):
            return self._read_table()
        to = types.DOUBLE if "OFFSET" in self.names else types.FLOAT
        to = types.INT64 if first == "tokens" else to
        return [self._join([self.cast(name, to) for name, _, _ in self.given])]

    def _read_table(self) -> list[str]:
        double = self.onnx.TensorProto.DOUBLE
        categories = self.names.get("CATEGORIES", {})
        if not categories:
            return [self._join([self.cast(name, double) for name, _, _ in self.given])]
        columns = []
        for name, elem_type, shape in self.given:
            for j in range(shape[1]):
                column = name
                if shape[1] > 1:
                    place = self.constant("place", np.array([j]))
                    column = self.add("Gather", [name, place], axis=1)
                columns.append((column, elem_type))
        numbers = [self.cast(columns[i][0], double) for i in self.names["NUMBERS"]]
        codes = [
            self._encode(*columns[i], codes, other)
            for i, (codes, other) in categories.items()
        ]
        return [self._join(group) for group in (numbers, codes) if group]

    def _encode(
        self, column: str, elem_type: int, codes: dict[str, int], other: int
    ) -> str:
        """Turn a column of categories into codes."""
        missing = self.names["label"](None)
        types = self.onnx.TensorProto
        ml = {"domain": "ai.onnx.ml", "default_int64": other}
        if elem_type == types.STRING:
            if "" in codes and missing in codes:
                warn_caller(
                    "A category is the empty string, and others are missing: ONNX "
                    "knows no missing strings, so that empty ones are the category."
                )
            known = {k: v for k, v in codes.items() if k != missing}
            known.setdefault("", codes.get(missing, other))
            pairs = {"keys_strings": list(known), "values_int64s": list(known.values())}
            return self.add("LabelEncoder", [column], **ml, **pairs)
        if elem_type not in (types.FLOAT, types.DOUBLE):
            column, elem_type = self.cast(column, types.INT64), types.INT64
        dtype = self.onnx.helper.tensor_dtype_to_np_dtype(elem_type)
        known = {}
        for label, code in codes.items():
            try:
                value = dtype.type(label)
            except (ValueError, OverflowError):  # no number can be this category
                continue
            if np.isfinite(value):
                known[value] = code - other
        # of each row one level at most is the value's; ONNX's encoder of labels would
        # read whole numbers as float32
        keys = self.constant("levels", np.array([[*known]], dtype).reshape(1, -1))
        steps = self.constant("codes", np.array([*known.values()], np.int64))
        equal = self.cast(self.add("Equal", [column, keys]), types.INT64)
        axis = self.constant("axis", np.array([1]))
        step = self.add("ReduceSum", [self.add("Mul", [equal, steps]), axis])
        code = self.add("Add", [step, self.constant("other", np.array([other]))])
        if missing in codes and elem_type != types.INT64:
            of_missing = self.constant("missing", np.array(codes[missing]))
            code = self.add("Where", [self.add("IsNaN", [column]), of_missing, code])
        return code

    # The network, and what it answers.

    def add_network(self, inputs: list[str]) -> str:
        """Add the network's nodes; give the name of its output."""
        names = [f"network_{i}" for i in range(len(inputs))]
        file = io.BytesIO()
        with warnings.catch_warnings(), torch.no_grad():
            # the exporter by tracing takes a tenth of the time of its successor, and
            # has nothing to decide here; it warns of sizes that it takes for constants
            warnings.simplefilter("ignore")
            torch.onnx.export(
                self.model,
                self._example(len(inputs)),
                file,
                dynamo=False,
                opset_version=OPSET,
                input_names=names,
                output_names=["network_answer"],
                dynamic_axes={name: {0: "n_rows"} for name in names},
            )
        network = self.onnx.load_from_string(file.getvalue()).graph
        for name, own in zip(inputs, names, strict=True):
            node = self.onnx.helper.make_node("Identity", [name], [own])
            self.nodes.append(node)
        self.nodes += network.node
        self.initializers += network.initializer
        return network.output[0].name

    def _example(self, n_inputs: int) -> tuple:
        """Make two rows of inputs."""
        spec = self.estimator.data_spec_
        first = self._first_argument()
        if first not in ("numbers", "codes"):
            shapes = [shape[1:] for _, _, shape in self.given]
            shape = shapes[0]
            if len(shapes) > 1:
                shape = [sum(width for (width,) in shapes)]
            if not all(isinstance(size, int) for size in shape):
                of_series = first == "series"
                shape = spec.image_shape[:: -1 if of_series else 1] or (spec.n_steps,)
            kind = torch.int64 if first == "tokens" else torch.float32
            return (torch.ones(2, *shape, dtype=kind),)
        codes = torch.zeros(2, len(spec.category_sizes), dtype=torch.int64)
        if first == "codes":
            return (codes,)
        n_numbers = len(self.model.reader.medians)
        numbers = torch.zeros(2, n_numbers, dtype=torch.float64)
        return (numbers, codes)[:n_inputs]

    def add_labels(self, answer: str, labels: np.ndarray | None) -> list[str]:
        """Add the labels of the greatest probabilities, or, with None, their places."""
        place = self.add("ArgMax", [answer], axis=1, keepdims=0)
        probability = self.cast(answer, self.onnx.TensorProto.FLOAT)
        if labels is None:
            return [place, probability]
        names = self.constant("labels", labels)
        return [self.add("Gather", [names, place]), probability]

    def move(self, names: dict[str, str], scope, container) -> None:
        """Move all into a pipeline's graph, under names that are not taken there."""

        def new_name(name: str) -> str:
            if name not in names:
                names[name] = scope.get_unique_variable_name(name)
            return names[name]

        for tensor in self.initializers:
            tensor.name = new_name(tensor.name)
            container.initializers.append(tensor)
        for node in self.nodes:
            while node.input and not node.input[-1]:  # left out, and skl2onnx minds
                node.input.pop()
            for values in (node.input, node.output):
                values[:] = [new_name(name) for name in values]
            node.name = scope.get_unique_operator_name(node.op_type)
            container.nodes.append(node)
        versions = {("", OPSET), ("ai.onnx.ml", ML_OPSET)}
        container.node_domain_version_pair_sets |= versions
