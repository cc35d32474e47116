"""What is made of fitted estimators for use elsewhere: ONNX, model cards, reports."""

from sknas.export._model_card import model_card
from sknas.export._onnx import register_onnx_converters, to_onnx
from sknas.export._report import report

__all__ = ["model_card", "register_onnx_converters", "report", "to_onnx"]
