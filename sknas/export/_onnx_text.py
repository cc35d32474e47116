"""TokenEncoder in ONNX, by the operators that onnxruntime has for text."""

from __future__ import annotations

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sknas.export._onnx_graph import ML_OPSET, OPSET
from sknas.preprocessing import PADDING, UNKNOWN, TokenEncoder

LOCALE = "C.UTF-8"  # onnxruntime's own default, en_US.UTF-8, is not everywhere
# what Python means by \w, \s, in the words of onnxruntime's regular expressions
WORD = r"\p{L}\p{N}_"
SPACE = r"\p{Z}\s\x0b\x1c-\x1f\x{85}"
PATTERNS = {
    r"(?u)\w+|[^\w\s]": f"[{WORD}]+|[^{WORD}{SPACE}]",
    r"(?u)\w+": f"[{WORD}]+",
    r"(?u)\b\w\w+\b": f"[{WORD}]{{2,}}",
}


def encoder_shapes(operator) -> None:
    """Tell skl2onnx what a TokenEncoder gives."""
    from skl2onnx.common.data_types import Int64TensorType

    width = operator.raw_operator.max_length_
    operator.outputs[0].set_type(Int64TensorType([None, width]))


def convert_encoder(scope, operator, container) -> None:
    """Add a TokenEncoder's operators to the graph of a pipeline."""
    encoder: TokenEncoder = operator.raw_operator
    check_is_fitted(encoder)
    _check_convertible(encoder)
    options = container.get_options(encoder, {"locale": None})

    def add(kind: str, inputs: list[str], domain: str = "", **attributes) -> str:
        output = scope.get_unique_variable_name(kind.lower())
        name = scope.get_unique_operator_name(kind)
        version = {"": OPSET, "ai.onnx.ml": ML_OPSET, "com.microsoft": 1}[domain]
        container.add_node(
            kind, inputs, output, domain, version, name=name, **attributes
        )
        return output

    def constant(value) -> str:
        from onnx.numpy_helper import from_array

        name = scope.get_unique_variable_name("constant")
        container.initializers.append(from_array(np.asarray(value, np.int64), name))
        return name

    documents = add("Reshape", [operator.inputs[0].onnx_name, constant([-1])])
    if encoder.lowercase:
        documents = add(
            "StringNormalizer",
            [documents],
            case_change_action="LOWER",
            is_case_sensitive=1,
            locale=options["locale"] or LOCALE,
        )
    tokens = add(
        "Tokenizer",
        [documents],
        "com.microsoft",
        mark=0,
        mincharnum=1,
        pad_value="",
        tokenexp=PATTERNS[encoder.token_pattern],
    )
    known = {"": PADDING, **encoder.vocabulary_}
    ids = add(
        "LabelEncoder",
        [tokens],
        "ai.onnx.ml",
        keys_strings=list(known),
        values_int64s=list(known.values()),
        default_int64=UNKNOWN,
    )
    width = encoder.max_length_
    filled = add("Pad", [ids, constant([0, 0, 0, width]), constant(PADDING)])
    places = constant([np.arange(width)])
    n_rows = add("Slice", [add("Shape", [ids]), constant([0]), constant([1])])
    shape = add("Concat", [n_rows, constant([1])], axis=0)
    first = add("Expand", [constant([[0]]), shape])  # the first place that is kept
    if encoder.keep == "last":
        zero = constant(PADDING)
        is_token = add("Cast", [add("Not", [add("Equal", [ids, zero])])], to=7)
        length = add("ReduceSum", [is_token, constant([1])], keepdims=1)
        first = add("Max", [add("Sub", [length, constant(width)]), first])
    rows = add("GatherElements", [filled, add("Add", [first, places])], axis=1)
    container.add_node(
        "Identity",
        [rows],
        operator.outputs[0].onnx_name,
        name=scope.get_unique_operator_name("Identity"),
    )


def _check_convertible(encoder: TokenEncoder) -> None:
    """Raise for what ONNX has no operators for."""
    fixed = {"analyzer": ["word"], "strip_accents": [None], "stop_words": [None]}
    fixed["token_pattern"] = list(PATTERNS)
    for name, values in fixed.items():
        value = getattr(encoder, name)
        if not any(value is v or value == v for v in values):
            raise NotImplementedError(
                f"ONNX has no operator for TokenEncoder({name}={value!r}); it has for "
                f"{' and '.join(map(repr, values))}."
            )
