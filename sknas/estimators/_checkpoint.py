"""Progress of a fit in a folder, from which a killed fit goes on."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import joblib

SUFFIX = ".sknas-progress"


class Checkpoint:
    """Keeps what the steps of a fit come to.

    Parameters
    ----------
    folder : str, path or None
        Where to keep it; None: nowhere.

    identity : list
        Whatever decides the result of the fit: data, parameters, seed. Progress of
        a fit with another identity is not taken up.

    Raises
    ------
    ValueError
        If the folder holds the progress of another fit, or is none.
    """

    def __init__(self, folder: str | os.PathLike | None, identity: list) -> None:
        self.folder = None if folder is None else Path(folder)
        if self.folder is None:
            return
        if self.folder.exists() and not self.folder.is_dir():
            raise ValueError(f"The 'checkpoint' parameter, {folder!r}, is no folder.")
        self.folder.mkdir(parents=True, exist_ok=True)
        own = hashlib.sha256(joblib.hash(identity).encode()).hexdigest()
        if self.step("identity", lambda: own) != own:
            raise ValueError(
                f"The 'checkpoint' folder {str(folder)!r} holds the progress of a fit "
                "with other data or parameters: give another folder, or empty it."
            )

    def step(self, name: str, compute: Callable[[], object]) -> object:
        """Give the result of a step: the kept one, or a new one, which is kept."""
        if self.folder is None:
            return compute()
        path = self.folder / f"{name}{SUFFIX}"
        if path.exists():
            return joblib.load(path)
        result = compute()
        if getattr(result, "interrupted", False):  # it is not what it was to be
            return result
        # a fit that is killed while it writes must not leave half a file
        unfinished = path.with_suffix(".unfinished")
        joblib.dump(result, unfinished)
        unfinished.replace(path)
        return result

    def clear(self) -> None:
        """Remove the progress of a fit that is complete."""
        if self.folder is not None:
            for path in self.folder.glob(f"*{SUFFIX}"):
                path.unlink()
