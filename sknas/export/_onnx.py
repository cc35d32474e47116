"""ONNX, by way of the code that estimators write and of skl2onnx."""

from __future__ import annotations

from numbers import Number

import narwhals.stable.v2 as nw
import numpy as np
from sklearn.utils.validation import check_is_fitted

from sknas.estimators import NASClassifier, NASRegressor, run_code
from sknas.export._onnx_graph import OPSET, EstimatorGraph
from sknas.export._onnx_text import convert_encoder, encoder_shapes
from sknas.preprocessing import TokenEncoder

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
    skl2onnx.update_registered_converter(
        TokenEncoder,
        "SknasTokenEncoder",
        encoder_shapes,
        convert_encoder,
        options={"locale": None},
    )


def to_onnx(estimator, X=None, **parameters):
    """Convert a fitted estimator, or a pipeline that has one, to ONNX.

    Tables of numbers are one input, of float32 or float64 as `X` is. A DataFrame is an
    input for each column, whose name it has, with underscores for what is no letter or
    digit: categories that are text are tensors of strings, where the empty string
    stands for a missing value; where whole numbers or booleans can be missing, the
    input is of float64. Images, series, ids of tokens and, before a `TokenEncoder`,
    texts are one input. Series have as many steps as in `X`. Of scikit-learn's own
    transformers, some, such as `SimpleImputer`, exist in ONNX for float32 only.

    Parameters
    ----------
    estimator : NASClassifier, NASRegressor or scikit-learn estimator
        Fitted.

    X : {array-like, DataFrame} or None, default=None
        Some rows, as `predict` takes them, which tell of the inputs. None: then
        `initial_types` is needed, as by skl2onnx.

    **parameters : dict
        Of `skl2onnx.to_onnx`: `initial_types`, `options`, `target_opset`, ... For a
        NASClassifier, alone or at the end of a pipeline, `zipmap` is off unless
        `options` says otherwise, so that the outputs are labels and an array of
        probabilities.

    Returns
    -------
    model : onnx.ModelProto
        The model; its `SerializeToString()` is what onnxruntime and files hold.

    Raises
    ------
    ImportError
        If skl2onnx is not installed; the extra "onnx" brings it.

    ValueError
        If `X` is not what `predict` takes, a column has no name, or ONNX cannot hold
        the labels: fractions, or whole numbers beyond int64.

    NotImplementedError
        If the search space is one of your own that has no method `source`, or a
        `TokenEncoder` cuts text in a way that ONNX has no operators for.

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
        _check_rows(estimator, X)
        parameters["initial_types"] = _initial_types(X, estimator)
    parameters["options"] = _without_zipmap(estimator, parameters.get("options"))
    return skl2onnx.to_onnx(estimator, **parameters)


def _without_zipmap(estimator, options: dict | None) -> dict:
    """Add to options that probabilities are an array, unless they say otherwise."""
    options = dict(options or {})
    last, names, own = estimator, [], {}
    while hasattr(last, "steps"):
        own |= options.get(id(last), {})
        name, last = last.steps[-1]
        names.append(name)
    if not isinstance(last, NASClassifier):
        return options
    by_name = [key for key in options if isinstance(key, str)]
    if not by_name:
        own |= options.get(type(last), {}) | options.get(id(last), {})
        options[id(last)] = {"zipmap": False} | own
    elif not any(key.split("__")[-1] == "zipmap" for key in by_name):
        options["__".join([*names, "zipmap"])] = False
    return options


def _check_rows(estimator, X) -> None:
    """Raise what `predict` would, of rows with other columns than those of fit."""
    check_is_fitted(estimator)
    is_frame = nw.dependencies.is_into_dataframe(X)
    first = (
        nw.from_native(X, eager_only=True).head(1).to_native() if is_frame else X[:1]
    )
    if len(first) and hasattr(estimator, "predict"):
        estimator.predict(first)


def _initial_types(X, estimator) -> list[tuple]:
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
    code = (
        run_code(estimator.export_code()) if isinstance(estimator, ESTIMATORS) else {}
    )
    categories = code.get("CATEGORIES", {})
    given = []
    for i, series in enumerate(nw.from_native(X, eager_only=True).iter_columns()):
        if not str(series.name):
            raise ValueError(f"ONNX needs a name of each column: column {i} has none.")
        levels, _ = categories.get(i, (None, None))  # None: not known
        is_number = bool(code) and i not in categories
        dtype = _input_dtype(series, is_number, levels, code)
        given.append((str(series.name), tensor_type(dtype)([None, 1])))
    return given


def _input_dtype(series: nw.Series, is_number: bool, levels, code: dict) -> np.dtype:
    """Say of what type a column is, from its rows and how it was fitted, if known."""
    if series.dtype.is_float():
        return series.to_numpy().dtype
    values = series.drop_nulls().to_list()
    misses = len(values) < len(series)
    if series.dtype.is_integer():
        found = np.dtype(np.int64)
    elif series.dtype == nw.Boolean:
        found = np.dtype(bool)
    elif is_number or series.dtype.is_numeric():  # objects, decimals
        found = np.dtype(np.float64)
    elif _holds_text(series, values):
        return np.dtype(str)
    elif values and levels is not None and not levels:
        found = np.dtype(np.float64)  # all are rare, and missing ones may be
    else:
        found = np.asarray(values, dtype=None if values else str).dtype
    if levels:
        missing = code["label"](None)
        misses |= missing in levels
        levels = [level for level in levels if level != missing]
        if not all(map(_is_number, levels)):
            return np.dtype(str)
        if levels and not values:
            found = np.dtype(np.int64)
        if not all(float(level).is_integer() for level in levels):
            found = np.dtype(np.float64)
    if found.kind not in "biuf":
        return np.dtype(str)
    return np.dtype(np.float64) if misses else found  # which can be NaN


def _holds_text(series: nw.Series, values: list) -> bool:
    """Whether a column's values are no numbers; if all are missing, by its type."""
    own = getattr(series.to_native(), "dtype", None)
    # what narwhals calls strings may be objects, of which it has seen none
    if series.dtype == nw.String and own != np.dtype(object):
        return True
    return not all(isinstance(value, Number | np.bool_) for value in values)


def _is_number(text: str) -> bool:
    try:
        return np.isfinite(float(text))
    except ValueError:
        return False


def _labels(estimator) -> np.ndarray:
    """Give a classifier's labels as ONNX has them: whole numbers or strings."""
    classes = np.asarray(estimator.classes_)
    if classes.dtype.kind not in "biuf":
        return np.array([str(label) for label in classes], dtype=object)
    if classes.dtype.kind == "f" and (classes % 1).any():
        raise ValueError(
            "ONNX has no labels that are fractions, such as "
            f"{classes[classes % 1 != 0][0]!r}: use whole numbers or strings."
        )
    # numbers of Python, since numpy would compare uint64 with int64 as floats
    outside = [label for label in classes.tolist() if not -(2**63) <= label < 2**63]
    if outside:
        some = ", ".join(map(str, outside[:5]))
        raise ValueError(
            "ONNX has labels of int64, which cannot hold "
            f"{some}{', ...' if len(outside) > 5 else ''}: fit with labels that are "
            "strings, as by y.astype(str), or smaller numbers."
        )
    return classes.astype(np.int64)


def _classifier_shapes(operator) -> None:
    from skl2onnx.common import data_types as types

    n_rows = operator.inputs[0].get_first_dimension()
    classifier = operator.raw_operator
    options = operator.scope_inst.get_options(classifier, {"nocl": False})
    is_text = not options["nocl"] and _labels(classifier).dtype == object
    kind = types.StringTensorType if is_text else types.Int64TensorType
    operator.outputs[0].set_type(kind([n_rows]))
    n_classes = len(classifier.classes_)
    operator.outputs[1].set_type(types.FloatTensorType([n_rows, n_classes]))


def _regressor_shapes(operator) -> None:
    from skl2onnx.common import data_types as types

    n_rows = operator.inputs[0].get_first_dimension()
    n_outputs = operator.raw_operator.n_outputs_
    is_double = any(isinstance(v.type, types.DoubleTensorType) for v in operator.inputs)
    kind = types.DoubleTensorType if is_double else types.FloatTensorType
    operator.outputs[0].set_type(kind([n_rows, n_outputs]))


def _convert(scope, operator, container) -> None:
    """Add an estimator's graph to that of a pipeline."""
    onnx, _ = _import_onnx()
    if container.target_opset_onnx < OPSET:
        raise ValueError(
            f"target_opset is {container.target_opset_onnx}, but the networks need "
            f"{OPSET} or a greater one."
        )
    estimator = operator.raw_operator
    # names of columns must not meet those within
    inputs = {f"input:{i}": v.onnx_name for i, v in enumerate(operator.inputs)}
    given = [
        (name, v.type.to_onnx_type().tensor_type.elem_type, list(v.type.shape))
        for name, v in zip(inputs, operator.inputs, strict=True)
    ]
    graph = EstimatorGraph(onnx, estimator, given)
    answer = graph.add_network(graph.read())
    if isinstance(estimator, NASClassifier):
        options = container.get_options(estimator, {"nocl": False})
        labels = None if options["nocl"] else _labels(estimator)
        outputs = graph.add_labels(answer, labels)
    else:
        flat = graph.constant("columns", np.array([-1, estimator.n_outputs_]))
        outputs = [graph.add("Reshape", [answer, flat])]
        of_answer = operator.outputs[0].type.to_onnx_type().tensor_type.elem_type
        outputs = [graph.cast(outputs[0], of_answer)]
    names = dict(zip(outputs, (v.onnx_name for v in operator.outputs), strict=True))
    graph.move(inputs | names, scope, container)
