"""Members of a zip in a drop, each read as the file that its name says, within the bounds of the archive as a whole."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast

from spine.core.bounds import Bounds
from spine.sources.unpacking import named_members

_SEEKING = (".parquet", ".xlsx", ".xlsm")
_MEMORY = 8 << 20


def members(stored: BinaryIO, bounds: Bounds) -> Iterator[tuple[str, BinaryIO]]:
    """Name and bytes of each file of the archive; of formats that are read from their end, a copy. Raises FileRefused, OSError."""
    for name, inner in named_members(stored, bounds):
        if name.lower().endswith(_SEEKING):
            with _copied(inner) as copy:
                yield name, copy
        else:
            yield name, inner


@contextmanager
def _copied(inner: BinaryIO) -> Iterator[BinaryIO]:
    with tempfile.SpooledTemporaryFile(_MEMORY) as copy:
        while piece := inner.read(1 << 20):
            copy.write(piece)
        copy.seek(0)
        yield cast(BinaryIO, copy)
