"""The scikit-learn face of sknas."""

from sknas.estimators._classifier import NASClassifier
from sknas.estimators._language_model import NASLanguageModel
from sknas.estimators._regressor import NASRegressor

__all__ = ["NASClassifier", "NASLanguageModel", "NASRegressor"]
