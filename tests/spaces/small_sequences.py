"""Small spaces of sequences, and series and texts, for the tests of them."""

import numpy as np
import torch

from sknas import (
    ConvMacroSpace,
    ConvMicroSpace,
    DataSpec,
    RecurrentSpace,
    SequenceSpace,
)

N_ROWS, N_STEPS, N_TOKENS = 9, 11, 20
RECURRENT = RecurrentSpace(n_nodes=4, hidden_size=6, dropout=0.0, stem_stride=2)
CONV = ConvMacroSpace(n_layers=4, n_filters=4, dropout=0.0)
SPACES = {
    "recurrent": RECURRENT,
    "corrected": RecurrentSpace(
        n_nodes=4, hidden_size=6, dropout=0.0, variant="corrected", readout="mean"
    ),
    "sequence": SequenceSpace(CONV, RECURRENT),
    "conv-macro": CONV,
    "conv-micro": ConvMicroSpace(n_cells=2, n_filters=4, n_nodes=2, dropout=0.0),
}
LANGUAGE_SPACES = {name: SPACES[name] for name in ("recurrent", "corrected")}
SPECS = {
    "series": DataSpec(
        3,
        image_shape=(2, N_STEPS),
        image_mean=np.array([0.5, 1.0]),
        image_scale=np.array([1.0, 2.0]),
    ),
    "text": DataSpec(3, n_tokens=N_TOKENS, n_steps=N_STEPS),
    "language": DataSpec(N_TOKENS, n_tokens=N_TOKENS, predicts_tokens=True),
}


def make_inputs(kind, n_rows=N_ROWS, seed=0):
    """Rows that end at different steps, with a missing value; the second is empty."""
    rng = np.random.RandomState(seed)
    if kind == "series":
        values = rng.normal(size=(n_rows, 2, N_STEPS)).astype(np.float32)
        values[0, :, 5:] = np.nan
        values[1] = np.nan
        values[2, 0, 3] = np.nan
        return {"image": torch.from_numpy(values)}
    ids = rng.randint(1, N_TOKENS, size=(n_rows, N_STEPS))
    ids[0, 4:] = 0
    ids[1] = 0
    if kind == "text":
        return {"tokens": torch.from_numpy(ids)}
    following = rng.randint(0, N_TOKENS, size=(n_rows, N_STEPS))
    return {"tokens": torch.from_numpy(ids), "next_tokens": torch.from_numpy(following)}


CASES = [
    (kind, name)
    for kind in SPECS
    for name in (LANGUAGE_SPACES if kind == "language" else SPACES)
]
