"""Progress of a fit in a folder, from which a killed fit goes on."""

from __future__ import annotations

import hashlib
import os
import pickle
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import joblib

SUFFIX = ".sknas-progress"


class Checkpoint:
    """Keeps what the steps of a fit come to.

    One file says whose the folder is, and all others have that fit's own names. So
    of fits that are given one folder at the same time one gets it, and none takes up,
    or removes, what another wrote, whatever happens when.

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
        # looked at first, since other fits may begin, or remove theirs, meanwhile
        names = {path.name for path in self.folder.glob(f"*{SUFFIX}")}
        kept = self._load(self._identity_path)
        if kept is not None:
            self._refuse_another(kept["identity"], own)
            self.seed = kept["seed"]
        elif names and self._identity_path.name not in names:
            raise ValueError(
                f"The 'checkpoint' folder {str(folder)!r} holds the progress of a fit "
                "of which is not known which it was: give another folder, or empty it."
            )
        self._identity = {"identity": own, "seed": self.seed}
        self._key = hashlib.sha256(f"{own} {self.seed}".encode()).hexdigest()[:16]

    def begin(self) -> None:
        """Mark the folder as that of this fit, which cannot be refused any more.

        Raises
        ------
        ValueError
            If another fit has marked it since this one looked.
        """
        if self.folder is None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        while (kept := self._load(self._identity_path)) is None:
            self._create_identity()  # another fit may be faster, or remove its own
        self._refuse_another(kept["identity"], self._identity["identity"])
        if kept["seed"] != self.seed:  # other rows are held back
            raise ValueError(
                f"The 'checkpoint' folder {str(self.folder)!r} holds the progress of a "
                "fit with the same data and parameters that began at the same time, "
                "with other random numbers: give each fit a folder of its own."
            )

    def step(self, name: str, compute: Callable[[], object]) -> object:
        """Give the result of a step: the kept one, or a new one, which is kept."""
        if self.folder is None:
            return compute()
        path = self._path(name)
        kept = self._load(path)
        if kept is not None:
            return kept
        result = compute()
        if getattr(result, "interrupted", False):  # it is not all of it
            return result
        # a fit that is killed while it writes must not leave half a file
        unfinished = self._unfinished(path)
        joblib.dump(result, unfinished)
        kept = self._load(path)
        if kept is not None:  # by the same fit, run at the same time: one for both
            _remove(unfinished)
            return kept
        # that fit may have cleared the folder, or, on Windows, read the file
        with suppress(FileNotFoundError, PermissionError):
            unfinished.replace(path)
        return result

    def clear(self) -> None:
        """Remove the progress of a fit that is complete, and no other's."""
        if self.folder is None:
            return
        # a fit that is killed here must not leave networks without their search, nor
        # anything of which is not known whose it is
        for path in sorted(self.folder.glob(f"*-{self._key}{SUFFIX}*")):
            _remove(path)
        with suppress(ValueError):  # damaged: not known whose
            if self._load(self._identity_path) == self._identity:
                _remove(self._identity_path)

    @property
    def _identity_path(self) -> Path:
        return self.folder / f"identity{SUFFIX}"

    def _path(self, name: str) -> Path:
        """Give the path of a file that only this fit reads and writes."""
        return self.folder / f"{name}-{self._key}{SUFFIX}"

    def _unfinished(self, path: Path) -> Path:
        """Give a path that nobody else writes at."""
        return path.with_name(f"{path.name}-unfinished-{uuid.uuid4().hex}")

    def _load(self, path: Path) -> object:
        """Give what a file holds, None if there is no such file."""
        try:
            return joblib.load(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except Exception as error:  # whatever a damaged pickle leads to
            raise ValueError(
                f"The file {path.name!r} of the 'checkpoint' folder "
                f"{str(self.folder)!r} is damaged ({type(error).__name__}): empty the "
                "folder."
            ) from error

    def _create_identity(self) -> None:
        """Write whose the folder is, at once and in full, unless that is written."""
        content = pickle.dumps(self._identity)
        unfinished = self._unfinished(self._path("identity"))
        unfinished.write_bytes(content)
        try:
            os.link(unfinished, self._identity_path)
        except FileExistsError:
            pass
        except OSError:  # a file system without hard links: almost at once
            with suppress(FileExistsError), self._identity_path.open("xb") as file:
                file.write(content)
        finally:
            _remove(unfinished)

    def _refuse_another(self, kept: str, own: str) -> None:
        if kept != own:
            raise ValueError(
                f"The 'checkpoint' folder {str(self.folder)!r} holds the progress of a "
                "fit with other data or parameters: give another folder, or empty it "
                "once no fit uses it."
            )


def _remove(path: Path) -> None:
    """Remove a file, unless it is gone, or, on Windows, is read by the same fit."""
    with suppress(FileNotFoundError, PermissionError):
        path.unlink()
