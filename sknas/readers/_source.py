"""How tables, images, series and tokens are read, as PyTorch code."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pprint import pformat

import numpy as np

from sknas.readers._images import ImageEncoder
from sknas.readers._labels import MISSING
from sknas.readers._sequences import TokenReader
from sknas.readers._table import CLIP, TableEncoder


@dataclass(frozen=True)
class ReaderSource:
    """How data become what networks read, as code.

    Parameters
    ----------
    definitions : list of str
        Functions, values and classes, each as code; the last is that of a
        `torch.nn.Module` named Reader, which gives the networks' inputs as a tuple.

    inputs : str
        The arguments of its `forward`, with their defaults.

    example : str
        How a model is called.

    weights : dict of str to ndarray
        Its buffers.
    """

    definitions: list[str]
    inputs: str
    example: str
    weights: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def arguments(self) -> str:
        """The arguments' names."""
        return ", ".join(part.split("=")[0] for part in self.inputs.split(", "))


def assign(name: str, value: object, comment: str) -> str:
    """Write a value as code.

    Parameters
    ----------
    name : str
        What it is assigned to.

    value : object
        A list, dictionary, ... of plain Python values.

    comment : str
        What it is.

    Returns
    -------
    code : str
        The code.
    """
    return f"\n# {comment}\n{name} = {pformat(value, width=86, compact=True)}\n"


LABELS = f'''
from decimal import Decimal
from numbers import Real


def is_missing(value):
    if isinstance(value, Decimal):
        return value.is_nan()
    return value is None or type(value).__name__ in ("NAType", "NaTType") or (
        isinstance(value, float) and value != value
    )


def label(value):
    """Write a category as the model knows it; 1, 1.0 and True are the same."""
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, str):
        return str.__str__(value)  # of a member of an enumeration too
    if is_missing(value):
        return {MISSING!r}
    is_decimal = isinstance(value, Decimal) and value.is_finite()
    if isinstance(value, int) or (is_decimal and not value % 1):
        return str(int(value))
    if isinstance(value, Real | Decimal):
        return str(int(value)) if float(value).is_integer() else repr(float(value))
    return str(value)


def read(rows):
    """Turn rows of a table, as given to fit, into the arguments of the model."""
    numbers = [
        [float("nan") if is_missing(row[i]) else float(row[i]) for i in NUMBERS]
        for row in rows
    ]
    codes = [
        [known.get(label(row[i]), other) for i, (known, other) in CATEGORIES.items()]
        for row in rows
    ]
    numbers = torch.tensor(numbers, dtype=torch.float64)
    return {{returned}}
'''

TABLE_READER = '''
class Reader(nn.Module):
    """Scales numbers and bends outliers in; missing ones become medians."""

    def __init__(self):
        super().__init__()
        for name, size in {sizes}.items():
            self.register_buffer(name, torch.zeros(size, dtype=torch.float64))

    def forward(self, {inputs}):
        missing = numbers.isnan()
        x = torch.where(missing, self.medians, numbers.double()){indicators}
        x = ((x - self.center) / self.scale).clamp(-1e6, 1e6).float()
        return x / (1 + (x / {clip}) ** 2).sqrt(), {codes}
'''

CODES_READER = '''
class Reader(nn.Module):
    """Passes codes of categories on."""

    def forward(self, codes):
        return None, codes
'''

IMAGE_READER = '''
class Reader(nn.Module):
    """Gives images their shape, the channels first."""

    def forward(self, images):
        x = images.reshape({shape}){shift}
        return (x,)
'''

SERIES_READER = '''
class Reader(nn.Module):
    """Puts the features of series first, and fills short ones up."""

    def forward(self, series):
        x = series.flatten(1).unflatten(1, (-1, {n_features})).transpose(1, 2){shift}
        x = x.float()
        missing = max(0, {n_steps} - x.shape[2])
        return (F.pad(x, (0, missing), value=float("nan")),)
'''

TOKEN_READER = '''
class Reader(nn.Module):
    """Passes ids of tokens on."""

    def forward(self, tokens):
        return (tokens,)
'''


def reader_source(
    encoder: TableEncoder | ImageEncoder | TokenReader, names: np.ndarray | None
) -> ReaderSource:
    """Write how an encoder reads data.

    Parameters
    ----------
    encoder : TableEncoder, ImageEncoder or TokenReader
        What the estimator has learnt of its data.

    names : ndarray of str or None
        The columns' names, of a DataFrame.

    Returns
    -------
    source : ReaderSource
        The code.
    """
    if isinstance(encoder, TableEncoder):
        return table_source(encoder, names)
    if isinstance(encoder, TokenReader):
        shape = f"(n_texts, {encoder.n_steps})"
        return ReaderSource([TOKEN_READER], "tokens", f"model(tokens)  # ids, {shape}")
    definitions, shift = [], ""
    if encoder.offset is not None:
        offset = encoder.offset.reshape(-1, *[1] * (len(encoder.shape) - 1)).tolist()
        what = "of each channel, which lies far from zero"
        definitions = [assign("OFFSET", offset, what)]
        offset = "torch.tensor(OFFSET, dtype=torch.double, device=x.device)"
        shift = f"\n        x = (x.double() - {offset}).float()"
    if encoder.kind == "series":
        n_features, n_steps = encoder.shape
        code = SERIES_READER.format(n_features=n_features, n_steps=n_steps, shift=shift)
        definitions.append(code)
        shape = f"(n_series, n_steps, {n_features})"
        return ReaderSource(definitions, "series", f"model(series)  # {shape}")
    shape = ", ".join(map(str, encoder.shape))
    definitions.append(IMAGE_READER.format(shape=f"-1, {shape}", shift=shift))
    return ReaderSource(definitions, "images", f"model(images)  # (n_images, {shape})")


def table_source(encoder: TableEncoder, names: np.ndarray | None) -> ReaderSource:
    """Write how a table is read; see :func:`reader_source`."""
    places = np.flatnonzero(~encoder.is_categorical).tolist()
    definitions = []
    if names is not None:
        columns = [str(name) for name in names]
        definitions.append(assign("COLUMNS", columns, "the columns of a row"))
    weights = {}
    has_codes, has_numbers = bool(encoder.sizes), encoder.scaler is not None
    inputs = "codes" if has_codes else "codes=None"
    if has_numbers:
        inputs = f"numbers, {inputs}"
        weights = {
            "medians": encoder.medians,
            "center": encoder.scaler.center_,
            "scale": encoder.scaler.scale_,
        }
        indicators = ""
        if len(encoder.indicated):
            indicated = encoder.indicated.tolist()
            columns = f"missing[:, {indicated}].double()"
            indicators = f"\n        x = torch.cat([x, {columns}], dim=1)"
        reader = TABLE_READER.format(
            sizes=json.dumps({name: len(value) for name, value in weights.items()}),
            inputs=inputs,
            indicators=indicators,
            clip=CLIP,
            codes="codes",
        )
    else:
        reader = CODES_READER
    if not has_codes:
        example = f"model(numbers)  # (n_rows, {len(places)})"
        return ReaderSource([*definitions, reader], inputs, example, weights)
    categories = {}
    for i, levels, size, has_rare in zip(
        np.flatnonzero(encoder.is_categorical).tolist(),
        encoder.levels,
        encoder.sizes,
        encoder.has_rare,
        strict=True,
    ):
        codes = {str(level): code for code, level in enumerate(levels)}
        categories[i] = codes, size - has_rare
    returned = "torch.tensor(codes)"
    returned = f"numbers, {returned}" if has_numbers else returned
    if not has_numbers:
        returned = f"({returned},)"
    definitions += [
        assign("NUMBERS", places, "places of the columns of numbers in a row"),
        assign(
            "CATEGORIES",
            categories,
            "place of each other column: codes of its categories, and of unknown ones",
        ),
        LABELS.replace("{returned}", returned),
    ]
    example = "model(*read(rows))"
    return ReaderSource([*definitions, reader], inputs, example, weights)
