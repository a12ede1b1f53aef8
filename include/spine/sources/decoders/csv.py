"""CSV, as reports and exports are."""

from __future__ import annotations

from typing import ClassVar, Literal

from spine.sources.decoders.decoding import RowDecoder


class CsvDecoder(RowDecoder):
    """A table whose first line names its columns; delimiter and encoding are recognised. Read row by row.

    Example:
        type: csv
    """

    type: Literal["csv"] = "csv"
    accepts: ClassVar[str] = "text/csv, */*;q=0.1"
    named: ClassVar[str] = "answer.csv"
