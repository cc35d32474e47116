"""Warnings, which are to point at the user's own line."""

from __future__ import annotations

import sys
import warnings

# what may lie between the user's line and ours: decorators, meta-estimators, workers
BETWEEN = ("sknas", "sklearn", "joblib", "skops", "skl2onnx", "pickle", "copy")


def warn_caller(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn as of the line that called sknas, however deep below it this is.

    Parameters
    ----------
    message : str
        What to say.

    category : type, default=UserWarning
        Which kind of warning it is.
    """
    # Python 3.12 has skip_file_prefixes for this
    level, frame = 1, sys._getframe()
    while frame.f_back and _package(frame) in BETWEEN:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)


def _package(frame) -> str:
    return frame.f_globals.get("__name__", "").partition(".")[0]
