"""From the data of users to what networks read, and back to the units of targets."""

from sknas.readers._kinds import ENCODERS, Rows, data_kind, read_rows
from sknas.readers._labels import is_missing
from sknas.readers._rows import common_rows, held_back_shares, merge_rows, row_keys
from sknas.readers._sequences import rows_by_length
from sknas.readers._source import ReaderSource, assign, reader_source
from sknas.readers._spread import mean_and_spread
from sknas.readers._streams import (
    END,
    LanguageReader,
    StreamData,
    are_ids,
    check_ids,
)
from sknas.readers._target_scale import quantile_and_range, unscale

__all__ = [
    "ENCODERS",
    "END",
    "LanguageReader",
    "ReaderSource",
    "Rows",
    "StreamData",
    "are_ids",
    "assign",
    "check_ids",
    "common_rows",
    "data_kind",
    "held_back_shares",
    "is_missing",
    "mean_and_spread",
    "merge_rows",
    "quantile_and_range",
    "read_rows",
    "reader_source",
    "row_keys",
    "rows_by_length",
    "unscale",
]
