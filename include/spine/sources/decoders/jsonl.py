"""JSON Lines: a record on each line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import BinaryIO, ClassVar, Literal

from spine.core.bounds import Bounds
from spine.sources.decoders.decoding import Decoder
from spine.sources.decoders.unpacking import members
from spine.sources.formats import rows_of
from spine.sources.rows import Row


class JsonLines(Decoder):
    """An object of JSON on each line, read line by line: an answer may be longer than memory.

    Example:
        type: jsonl
    """

    type: Literal["jsonl"] = "jsonl"
    accepts: ClassVar[str] = "application/x-ndjson, application/jsonl, */*;q=0.1"
    by_rows: ClassVar[bool] = True

    def rows(self, stored: BinaryIO, remark: Callable[[str], None], bounds: Bounds) -> Iterator[Row]:
        """The lines."""
        for inner in members(stored, bounds):
            yield from rows_of(inner, "answer.jsonl", remark, bounds)
