"""What COPY ... TO STDOUT (FORMAT csv) has written, as an Arrow table."""

import io
from collections.abc import Mapping
from typing import IO

import pyarrow as pa
import pyarrow.csv


def read_copied(file: IO[bytes], kinds: Mapping[str, pa.DataType]) -> pa.Table:
    """The whole file; `kinds` names the columns in their order. An unquoted nothing is null, a quoted one a text."""
    if file.seek(0, io.SEEK_END) == 0:
        return pa.table({name: pa.array([], kind) for name, kind in kinds.items()})
    file.seek(0)
    return pyarrow.csv.read_csv(
        file,
        pyarrow.csv.ReadOptions(column_names=list(kinds)),
        pyarrow.csv.ParseOptions(newlines_in_values=True),
        copied_as(kinds),
    )


def copied_as(kinds: Mapping[str, pa.DataType]) -> pyarrow.csv.ConvertOptions:
    """What COPY writes means; the text NA, of which Arrow would make nothing, is Namibia."""
    return pyarrow.csv.ConvertOptions(
        column_types=kinds, null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=False
    )
