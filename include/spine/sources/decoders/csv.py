"""CSV, as reports and exports are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import BinaryIO, ClassVar, Literal

from spine.core.bounds import Bounds
from spine.sources.decoders.decoding import Decoder
from spine.sources.decoders.unpacking import members
from spine.sources.formats import rows_of
from spine.sources.rows import Row


class CsvDecoder(Decoder):
    """A table whose first line names its columns; delimiter and encoding are recognised. Read row by row.

    Example:
        type: csv
    """

    type: Literal["csv"] = "csv"
    accepts: ClassVar[str] = "text/csv, */*;q=0.1"
    by_rows: ClassVar[bool] = True

    def rows(self, stored: BinaryIO, remark: Callable[[str], None], bounds: Bounds) -> Iterator[Row]:
        """The rows."""
        for inner in members(stored, bounds):
            yield from rows_of(inner, "answer.csv", remark, bounds)
