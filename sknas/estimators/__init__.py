"""The scikit-learn face of sknas."""

from sknas.estimators._classifier import NASClassifier

__all__ = ["NASClassifier"]
