"""Streams of tokens, cut into rows for a language model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from sknas.preprocessing import TokenEncoder
from sknas.spaces import DataSpec
from sknas.training import TensorTable

END = 0  # the token between documents, which a stream begins after
MAX_TOKENS = 10_000_000  # ids, each of which gets an embedding
JUDGED_STEPS = 256  # of a row that is judged, which begins without a state


@dataclass
class StreamData:
    """A stream of tokens, and how parts of it are held back.

    The first network holds the last part back, the second the one before it, and so on.

    Parameters
    ----------
    ids : ndarray of int64
        The stream.

    n_parts : int
        Number of parts.

    n_streams : int
        Rows of a batch in training: the stream is cut into as many, which are read side
        by side.

    n_steps : int
        Tokens in a row of training.

    device : str
        Where the tensors are to be.
    """

    ids: np.ndarray
    n_parts: int
    n_streams: int
    n_steps: int
    device: str

    def split(self, i: int) -> tuple[TensorTable, TensorTable]:
        """Give the rows to train on and to judge by, for the i-th network."""
        parts = np.array_split(self.ids, self.n_parts)
        held = parts.pop(-1 - i % self.n_parts)
        return self._training(np.concatenate(parts)), self._judging(held)

    def everything(self, i: int) -> tuple[TensorTable, None]:
        """Give all rows to train on, and none to judge by."""
        return self._training(self.ids), None

    def _training(self, ids: np.ndarray) -> TensorTable:
        """Cut a stream into rows, the first ones of all streams first."""
        # no stream shorter than a row
        n_streams = max(1, min(self.n_streams, len(ids) // self.n_steps))
        length = -(-len(ids) // n_streams)
        tokens, next_tokens, counted = _pair_up(ids, n_streams * length)
        n_windows = -(-length // self.n_steps)

        def cut(values: np.ndarray) -> torch.Tensor:
            values = values.reshape(n_streams, length)
            missing = n_windows * self.n_steps - length
            values = np.pad(values, ((0, 0), (0, missing)))
            windows = values.reshape(n_streams, n_windows, self.n_steps)
            return torch.from_numpy(windows.swapaxes(0, 1).reshape(-1, self.n_steps))

        goes_on = torch.from_numpy(np.arange(n_windows * n_streams) >= n_streams)
        return self._table(
            {
                "tokens": cut(tokens),
                "next_tokens": cut(next_tokens),
                "goes_on": goes_on,
            },
            cut(counted),
            n_streams,
        )

    def _judging(self, ids: np.ndarray) -> TensorTable:
        """Cut a stream into rows that are read each on its own."""
        length = min(JUDGED_STEPS, len(ids))
        n_rows = -(-len(ids) // length)
        rows = (
            torch.from_numpy(values.reshape(n_rows, length))
            for values in _pair_up(ids, n_rows * length)
        )
        tokens, next_tokens, counted = rows
        return self._table({"tokens": tokens, "next_tokens": next_tokens}, counted)

    def _table(
        self,
        inputs: dict[str, torch.Tensor],
        counted: torch.Tensor,
        batch_rows: int | None = None,
    ) -> TensorTable:
        """Make a table; rows of nothing count for nothing."""
        share = counted.mean(dim=1)
        # of a row in which nothing counts, so that its mean loss is a number
        counted[share == 0] = 1.0
        table = TensorTable(inputs, counted, share, batch_rows=batch_rows)
        return table.to(self.device)


def _pair_up(ids: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Give each token's predecessor, itself, and whether it counts; all filled up."""
    tokens, next_tokens = np.full((2, size), END)
    next_tokens[: len(ids)] = ids
    tokens[1 : len(ids)] = ids[:-1]
    return tokens, next_tokens, (np.arange(size) < len(ids)).astype(np.float32)


def are_ids(X) -> bool:
    """Tell whether `X` is a stream of ids, not text."""
    if isinstance(X, str):
        return False
    if isinstance(X, list | tuple):
        is_id = (isinstance(x, int | np.integer) and not isinstance(x, bool) for x in X)
        return len(X) > 0 and all(is_id)
    return getattr(getattr(X, "dtype", None), "kind", None) in ("i", "u", "f")


def check_n_tokens(n_tokens: int) -> None:
    """Raise an error if there are more ids than a network can have embeddings of."""
    if n_tokens > MAX_TOKENS:
        raise ValueError(
            f"X has ids of tokens up to {n_tokens - 1}, which is too many to embed: "
            f"number the tokens from 0 to less than {MAX_TOKENS:,}."
        )


def check_ids(X, n_tokens: int | None) -> np.ndarray:
    """Check a stream of ids."""
    ids = np.asarray(X)
    if ids.ndim != 1:
        raise ValueError(
            f"X must be one stream of ids, an array of 1 dimension, got {ids.ndim}."
        )
    if not len(ids):
        raise ValueError("X has no tokens.")
    if ids.dtype.kind == "f" or (ids < 0).any():
        raise ValueError("X must hold ids of tokens: whole numbers from 0 up.")
    if n_tokens is None:
        check_n_tokens(int(ids.max()) + 1)
    elif ids.max() >= n_tokens:
        raise ValueError(
            f"X has a token of id {ids.max()}, but the model was fitted on ids below "
            f"{n_tokens}."
        )
    return ids.astype(np.int64)


@dataclass
class LanguageReader:
    """Turns documents, or a stream, into ids.

    Parameters
    ----------
    encoder : TokenEncoder or None
        Fitted on documents; None: the stream was of ids.

    n_tokens : int
        How many ids there are.
    """

    kind = "language"

    encoder: TokenEncoder | None
    n_tokens: int

    def spec(self, n_outputs: int) -> DataSpec:
        """Say what networks must know of the data."""
        return DataSpec(n_outputs, n_tokens=self.n_tokens, predicts_tokens=True)

    def to_state(self) -> dict[str, object]:
        """Give the state as a dictionary, without classes of ours."""
        encoder = self.encoder
        return {
            "n_tokens": self.n_tokens,
            "encoder": None if encoder is None else dict(vars(encoder)),
        }

    @classmethod
    def from_state(cls, state: dict[str, object]) -> LanguageReader:
        """Build a reader from what :meth:`to_state` gave."""
        encoder = None
        if state["encoder"] is not None:
            encoder = TokenEncoder()
            vars(encoder).update(state["encoder"])
        return cls(encoder, state["n_tokens"])
