"""The scikit-learn face of sknas."""

from sknas.estimators._classifier import NASClassifier
from sknas.estimators._language_model import NASLanguageModel
from sknas.estimators._regressor import NASRegressor
from sknas.estimators._source import build_model, run_code

__all__ = [
    "NASClassifier",
    "NASLanguageModel",
    "NASRegressor",
    "build_model",
    "run_code",
]
