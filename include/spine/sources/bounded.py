"""The bytes of a file as they are decoded, within bounds that are asked while reading: a bomb ends where it grows too large."""

from __future__ import annotations

import gzip
import io
import lzma
import zlib
from typing import BinaryIO

from spine.core.bounds import Bounds
from spine.core.errors import FileRefused

_PIECE = 1 << 18


class Bounded(io.RawIOBase):
    """A file's bytes, unpacked if it is `packed` (gzip, of one or several members, unless `unpacked` does it another way).

    Raises FileRefused beyond the bounds, OSError if the file is torn.
    """

    def __init__(self, stored: BinaryIO, *, packed: bool, bounds: Bounds, unpacked: BinaryIO | None = None) -> None:
        self._stored, self._packed, self._bounds = stored, packed, bounds
        self._source: BinaryIO = unpacked or (gzip.GzipFile(fileobj=stored, mode="rb") if packed else stored)  # type: ignore[assignment]
        self._head = b""
        self._count = 0

    def start(self, size: int) -> bytes:
        """The first `size` bytes, all if there are fewer; they are read again."""
        while len(self._head) < size and (piece := self._next(size - len(self._head))):
            self._head += piece
        return self._head

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # what BufferedReader gives
        """Some bytes into a buffer; 0 at the end."""
        piece = self._head[: len(buffer)] or self._next(min(len(buffer), _PIECE))
        self._head = self._head[len(piece) :]
        buffer[: len(piece)] = piece
        return len(piece)

    def _next(self, size: int) -> bytes:
        try:
            piece = self._source.read(size) or b""
        except (EOFError, zlib.error, lzma.LZMAError) as error:
            raise OSError(f"the archive is torn: {error}") from error
        self._count += len(piece)
        if self._count > self._bounds.file:
            raise FileRefused(f"is larger than {self._bounds.file:,} bytes when decoded", hint="Divide it, or raise SPINE_BOUNDS")
        if self._packed and self._count > self._bounds.small and self._count > self._bounds.ratio * max(1, self._stored.tell()):
            raise FileRefused(
                f"grows to more than {self._bounds.ratio} times its size when decoded",
                hint="Write it anew, or raise SPINE_BOUNDS",
            )
        return piece
