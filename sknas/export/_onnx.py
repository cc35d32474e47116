"""ONNX, by way of the code that estimators write and of skl2onnx."""

from __future__ import annotations

import inspect
import io
import math
import warnings

import narwhals.stable.v2 as nw
import numpy as np
import torch
from torch import nn

from sknas.estimators import NASClassifier, NASRegressor

OPSET = 18  # of the networks' operators; greater ones of a pipeline are fine
ML_OPSET = 3
ESTIMATORS = (NASClassifier, NASRegressor)


def _import_onnx() -> tuple:
    try:
        import onnx
        import skl2onnx
    except ImportError as error:
        raise ImportError(
            'ONNX needs onnx and skl2onnx: pip install "sknas[onnx]" brings them.'
        ) from error
    return onnx, skl2onnx


def register_onnx_converters() -> None:
    """Let skl2onnx know how to convert the estimators, alone or in pipelines.

    :func:`to_onnx` does it by itself.

    Raises
    ------
    ImportError
        If skl2onnx is not installed; the extra "onnx" brings it.
    """
    _, skl2onnx = _import_onnx()
    skl2onnx.update_registered_converter(
        NASClassifier,
        "SknasNASClassifier",
        _classifier_shapes,
        _convert,
        options={
            "zipmap": [True, False, "columns"],
            "nocl": [True, False],
            "output_class_labels": [False, True],
        },
    )
    skl2onnx.update_registered_converter(
        NASRegressor, "SknasNASRegressor", _regressor_shapes, _convert
    )


def to_onnx(estimator, X=None, **parameters):
    """Convert a fitted estimator, or a pipeline that has one, to ONNX.

    Tables of numbers are one input, of float32 or float64 as `X` is. A DataFrame is an
    input for each column, whose name it has: categories that are text are tensors of
    strings, where the empty string stands for a missing value. Images, series and ids
    of tokens are one input. Series have as many steps as in `X`, at least those of the
    fit.

    Parameters
    ----------
    estimator : NASClassifier, NASRegressor or scikit-learn estimator
        Fitted.

    X : {array-like, DataFrame} or None, default=None
        Some rows, which tell of the inputs; what they hold does not matter. None: then
        `initial_types` is needed, as by skl2onnx.

    **parameters : dict
        Of `skl2onnx.to_onnx`: `initial_types`, `options`, `target_opset`, ... For a
        classifier, `zipmap` is off unless `options` says otherwise, so that the outputs
        are the labels and an array of probabilities.

    Returns
    -------
    model : onnx.ModelProto
        The model; its `SerializeToString()` is what onnxruntime and files hold.

    Raises
    ------
    ImportError
        If skl2onnx is not installed; the extra "onnx" brings it.

    NotImplementedError
        If the search space is one of your own that has no method `source`.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sknas import NASClassifier
    >>> from sknas.export import to_onnx
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = NASClassifier(max_epochs=2, search_epochs=1).fit(X, y)
    >>> [output.name for output in to_onnx(clf, X).graph.output]
    ['label', 'probabilities']
    """
    _, skl2onnx = _import_onnx()
    register_onnx_converters()
    if "initial_types" not in parameters:
        if X is None:
            raise ValueError("to_onnx needs X, or initial_types, to know the inputs.")
        parameters["initial_types"] = _initial_types(X)
    if "options" not in parameters:
        last = estimator
        while hasattr(last, "steps"):
            last = last.steps[-1][1]
        if isinstance(last, NASClassifier):
            parameters["options"] = {id(last): {"zipmap": False}}
    return skl2onnx.to_onnx(estimator, **parameters)


def _initial_types(X) -> list[tuple]:
    """Give the names and types of the inputs, as skl2onnx wants them."""
    from skl2onnx.common import data_types as types

    by_kind = {
        "b": types.BooleanTensorType,
        "i": types.Int64TensorType,
        "u": types.Int64TensorType,
        "U": types.StringTensorType,
        "O": types.StringTensorType,
        "T": types.StringTensorType,
    }

    def tensor_type(dtype: np.dtype):
        if dtype.kind == "f":
            is_double = dtype.itemsize > 4
            return types.DoubleTensorType if is_double else types.FloatTensorType
        return by_kind[dtype.kind]

    if not nw.dependencies.is_into_dataframe(X):
        X = np.asarray(X)
        is_bytes = X.dtype == np.uint8
        kind = types.UInt8TensorType if is_bytes else tensor_type(X.dtype)
        return [("X", kind([None, *X.shape[1:]]))]
    frame = nw.from_native(X, eager_only=True)
    given = []
    for series in frame.iter_columns():
        if series.dtype.is_numeric():
            dtype = series.to_numpy().dtype
        elif series.dtype == nw.Boolean:
            dtype = np.dtype(bool)
        else:  # categories may be numbers
            values = [v for v in series.to_list() if v is not None and v == v]
            dtype = np.asarray(values, dtype=None if values else str).dtype
        given.append((str(series.name), tensor_type(dtype)([None, 1])))
    return given


def _labels(estimator) -> np.ndarray:
    """Give a classifier's labels as ONNX has them: whole numbers or strings."""
    classes = np.asarray(estimator.classes_)
    if classes.dtype.kind in "biu":
        return classes.astype(np.int64)
    if classes.dtype.kind == "f":
        if (classes % 1).any():
            raise ValueError(
                "ONNX has no labels that are fractions, such as "
                f"{classes[classes % 1 != 0][0]!r}: use whole numbers or strings."
            )
        return classes.astype(np.int64)
    return np.array([str(label) for label in classes], dtype=object)


def _classifier_shapes(operator) -> None:
    from skl2onnx.common import data_types as types

    n_rows = operator.inputs[0].get_first_dimension()
    labels = _labels(operator.raw_operator)
    options = operator.scope_inst.get_options(operator.raw_operator, {"nocl": False})
    is_text = labels.dtype == object and not options["nocl"]
    kind = types.StringTensorType if is_text else types.Int64TensorType
    operator.outputs[0].set_type(kind([n_rows]))
    operator.outputs[1].set_type(types.FloatTensorType([n_rows, len(labels)]))


def _regressor_shapes(operator) -> None:
    from skl2onnx.common import data_types as types

    n_rows = operator.inputs[0].get_first_dimension()
    n_outputs = operator.raw_operator.n_outputs_
    operator.outputs[0].set_type(types.FloatTensorType([n_rows, n_outputs]))


def _convert(scope, operator, container) -> None:
    """Add an estimator's graph to that of a pipeline."""
    onnx, _ = _import_onnx()
    if container.target_opset_onnx < OPSET:
        raise ValueError(
            f"target_opset is {container.target_opset_onnx}, but the networks need "
            f"{OPSET} or a greater one."
        )
    estimator = operator.raw_operator
    graph = _Graph(onnx, estimator)
    given = [
        (
            variable.onnx_name,
            variable.type.to_onnx_type().tensor_type.elem_type,
            list(variable.type.shape),
        )
        for variable in operator.inputs
    ]
    answer = graph.add_network(graph.read(given))
    if isinstance(estimator, NASClassifier):
        options = container.get_options(estimator, {"nocl": False})
        outputs = graph.add_labels(answer, _labels(estimator), options["nocl"])
    else:
        flat = graph.constant("columns", np.array([-1, estimator.n_outputs_]))
        outputs = [graph.add("Reshape", [answer, flat])]
        outputs = [graph.cast(outputs[0], onnx.TensorProto.FLOAT)]
    names = dict(zip(outputs, (v.onnx_name for v in operator.outputs), strict=True))
    graph.move(names | {name: name for name, _, _ in given}, scope, container)


class _Graph:
    """Builds the ONNX graph of an estimator.

    Parameters
    ----------
    onnx : module
        The package.

    estimator : NASClassifier or NASRegressor
        The estimator.
    """

    def __init__(self, onnx, estimator) -> None:
        self.onnx = onnx
        self.estimator = estimator
        self.nodes, self.initializers = [], []
        self.names: dict[str, object] = {"__name__": "sknas_export"}
        exec(compile(estimator.export_code(), "<export_code>", "exec"), self.names)
        model = self.names["Model"]()
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

    def read(self, given: list[tuple]) -> list[str]:
        """Give the arguments of the network, from inputs (name, type, shape)."""
        arguments = list(inspect.signature(self.model.forward).parameters)
        types = self.onnx.TensorProto
        if arguments[0] in ("numbers", "codes"):
            return self._read_table(given)
        to = types.INT64 if arguments[0] == "tokens" else types.FLOAT
        parts = [self.cast(name, to) for name, _, _ in given]
        return [parts[0] if len(parts) == 1 else self.add("Concat", parts, axis=1)]

    def _read_table(self, given: list[tuple]) -> list[str]:
        double = self.onnx.TensorProto.DOUBLE
        categories = self.names.get("CATEGORIES", {})
        if not categories:
            parts = [self.cast(name, double) for name, _, _ in given]
            return [parts[0] if len(parts) == 1 else self.add("Concat", parts, axis=1)]
        columns = []
        for name, elem_type, shape in given:
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
        groups = [group for group in (numbers, codes) if group]
        return [self.add("Concat", group, axis=1) for group in groups]

    def _encode(
        self, column: str, elem_type: int, codes: dict[str, int], other: int
    ) -> str:
        """Turn a column of categories into codes."""
        missing = self.names["label"](None)
        ml = {"domain": "ai.onnx.ml", "default_int64": other}
        if elem_type == self.onnx.TensorProto.STRING:
            known = {k: v for k, v in codes.items() if k != missing}
            known.setdefault("", codes.get(missing, other))
            pairs = {"keys_strings": list(known), "values_int64s": list(known.values())}
            return self.add("LabelEncoder", [column], **ml, **pairs)
        x = self.cast(column, self.onnx.TensorProto.FLOAT)
        known = {}
        for label, code in codes.items():
            try:
                known[float(label)] = code
            except ValueError:  # no number can be this category
                continue
        known.setdefault(math.inf, other)  # there must be one
        pairs = {"keys_floats": list(known), "values_int64s": list(known.values())}
        code = self.add("LabelEncoder", [x], **ml, **pairs)
        if missing in codes:
            of_missing = self.constant("missing", np.array(codes[missing]))
            code = self.add("Where", [self.add("IsNaN", [x]), of_missing, code])
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
        first = next(iter(inspect.signature(self.model.forward).parameters))
        if first == "tokens":
            return (torch.ones(2, spec.n_steps, dtype=torch.int64),)
        if first == "images":
            return (torch.zeros(2, *spec.image_shape),)
        if first == "series":
            return (torch.zeros(2, *spec.image_shape[::-1]),)
        codes = torch.zeros(2, len(spec.category_sizes), dtype=torch.int64)
        if first == "codes":
            return (codes,)
        n_numbers = len(self.model.reader.medians)
        numbers = torch.zeros(2, n_numbers, dtype=torch.float64)
        return (numbers, codes)[:n_inputs]

    def add_labels(self, answer: str, labels: np.ndarray, nocl: bool) -> list[str]:
        """Add the labels of the greatest probabilities; give both outputs."""
        place = self.add("ArgMax", [answer], axis=1, keepdims=0)
        probability = self.cast(answer, self.onnx.TensorProto.FLOAT)
        if nocl:
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
