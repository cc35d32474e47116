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
        self._identity = {"identity": own, "seed": seed}
        path = self._path("identity")
        others = self.folder.is_dir() and any(self.folder.glob(f"*{SUFFIX}"))
        if path.exists():
            kept = self._load(path)
            if kept["identity"] != own:
                raise ValueError(
                    f"The 'checkpoint' folder {str(folder)!r} holds the progress of a "
                    "fit with other data or parameters: give another folder, or empty "
                    "it."
                )
            self.seed = kept["seed"]
        elif others:
            raise ValueError(
                f"The 'checkpoint' folder {str(folder)!r} holds the progress of a fit "
                "of which is not known which it was: give another folder, or empty it."
            )

    def begin(self) -> None:
        """Mark the folder as that of this fit, which cannot be refused any more."""
        if self.folder is not None and not self._path("identity").exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            self._dump(self._identity, self._path("identity"))

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}{SUFFIX}"

    def _load(self, path: Path) -> object:
        try:
            return joblib.load(path)
        except Exception as error:  # whatever a damaged pickle leads to
            raise ValueError(
                f"The file {path.name!r} of the 'checkpoint' folder "
                f"{str(self.folder)!r} is damaged ({type(error).__name__}): empty the "
                "folder."
            ) from error

    def _dump(self, value: object, path: Path) -> None:
        # a fit that is killed while it writes must not leave half a file
        unfinished = path.with_name(f"{path.name}-unfinished-{os.getpid()}")
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
        if not getattr(result, "interrupted", False):  # else it is not all of it
            self._dump(result, path)
        return result

    def clear(self) -> None:
        """Remove the progress of a fit that is complete."""
        if self.folder is not None:
            for path in self.folder.glob(f"*{SUFFIX}*"):
                path.unlink()
