"""What every format of answers has: its word, and how a document or rows are read from bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, ClassVar

from spine.core.bounds import Bounds
from spine.core.declarations import Strict
from spine.sources.formats import rows_of
from spine.sources.rows import Row
from spine.sources.unpacking import members


class Decoder(Strict):
    """How an answer is read. Base of the formats, whose word is their `type`."""

    type: str
    accepts: ClassVar[str] = "application/json"
    by_rows: ClassVar[bool] = False  # read row by row from a file, however long it is

    def document(self, stored: BinaryIO, bounds: Bounds) -> Any:
        """What an answer says, of a zip with several files a list. Raises ValueError for another format, FileRefused beyond the bounds."""
        found = [self.parsed(inner.read()) for inner in members(stored, bounds)]
        return found[0] if len(found) == 1 else found

    def parsed(self, body: bytes) -> Any:
        """The value of a document. Raises ValueError."""
        raise NotImplementedError

    def rows(self, stored: BinaryIO, remark: Callable[[str], None], bounds: Bounds) -> Iterator[Row]:
        """All rows of an answer, of several files one after the other. Raises OSError, FileRefused."""
        raise NotImplementedError


class RowDecoder(Decoder):
    """A format of files that `formats` reads row by row, as drops have them. The formats that do so derive from it."""

    type: str
    named: ClassVar[str]  # what a file of this format would be called
    by_rows: ClassVar[bool] = True

    def rows(self, stored: BinaryIO, remark: Callable[[str], None], bounds: Bounds) -> Iterator[Row]:
        """The rows."""
        for inner in members(stored, bounds):
            yield from rows_of(inner, self.named, remark, bounds)
