"""Progress of a fit in a folder, from which a killed fit goes on."""

from __future__ import annotations

import hashlib
import os
import pickle
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
        Whatever decides the result of the fit: data, parameters. Progress of a fit
        with another identity is not taken up.

    seed : int
        Source of all randomness, of a fit that begins anew.

    Attributes
    ----------
    seed : int
        That of the fit whose progress the folder holds, or the given one.

    Raises
    ------
    ValueError
        If the folder holds the progress of another fit, or is none.
    """

    def __init__(
        self, folder: str | os.PathLike | None, identity: list, seed: int
    ) -> None:
        self.folder = None if folder is None else Path(folder)
        self.seed = seed
        if self.folder is None:
            return
        if self.folder.exists() and not self.folder.is_dir():
            raise ValueError(f"The 'checkpoint' parameter, {folder!r}, is no folder.")
        try:
            own = hashlib.sha256(joblib.hash(identity).encode()).hexdigest()
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise ValueError(
                "With 'checkpoint', all parameters must be such as can be pickled, by "
                f"which the fit is told from others: {error}"
            ) from error
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self._path("identity")
        # written with the first result: a fit that is refused leaves no trace
        self._identity = {"identity": own, "seed": seed}
        if path.exists():
            kept = self._load(path)
            if kept["identity"] != own:
                raise ValueError(
                    f"The 'checkpoint' folder {str(folder)!r} holds the progress of a "
                    "fit with other data or parameters: give another folder, or empty "
                    "it."
                )
            self.seed = kept["seed"]

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}{SUFFIX}"

    @staticmethod
    def _load(path: Path) -> object:
        try:
            return joblib.load(path)
        except Exception as error:  # whatever a damaged pickle leads to
            raise ValueError(
                f"The file {str(path)!r} of the 'checkpoint' folder is damaged "
                f"({type(error).__name__}): remove it."
            ) from error

    @staticmethod
    def _dump(value: object, path: Path) -> None:
        # a fit that is killed while it writes must not leave half a file
        unfinished = path.with_suffix(".unfinished")
        joblib.dump(value, unfinished)
        unfinished.replace(path)

    def step(self, name: str, compute: Callable[[], object]) -> object:
        """Give the result of a step: the kept one, or a new one, which is kept."""
        if self.folder is None:
            return compute()
        path = self._path(name)
        if path.exists():
            return self._load(path)
        result = compute()
        if getattr(result, "interrupted", False):  # it is not what it was to be
            return result
        if not self._path("identity").exists():
            self._dump(self._identity, self._path("identity"))
        self._dump(result, path)
        return result

    def clear(self) -> None:
        """Remove the progress of a fit that is complete."""
        if self.folder is not None:
            for path in self.folder.glob(f"*{SUFFIX}"):
                path.unlink()
