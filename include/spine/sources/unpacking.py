"""Unpacks gzip and zip within bounds: how many files, how large, how much they grow. Nothing is written and no name is believed."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast

from spine.core.bounds import Bounds
from spine.core.errors import FileRefused
from spine.sources.bounded import Bounded

_GZIP, _ZIP = b"\x1f\x8b", (b"PK\x03\x04", b"PK\x05\x06")
_ENCRYPTED = 1


def members(stored: BinaryIO, bounds: Bounds) -> Iterator[BinaryIO]:
    """The files in an answer: those of a zip in its order, else the one that it is, unpacked. Raises FileRefused, OSError."""
    start = stored.read(4)
    stored.seek(0)
    if not start.startswith(_ZIP):
        yield cast(BinaryIO, Bounded(stored, packed=start.startswith(_GZIP), bounds=bounds))
        return
    for _, inner in named_members(stored, bounds):
        yield inner


def named_members(stored: BinaryIO, bounds: Bounds) -> Iterator[tuple[str, BinaryIO]]:
    """Name and bytes of each file of a zip, in its order. Raises FileRefused, OSError."""
    with _torn(), zipfile.ZipFile(stored) as archive:
        files = [entry for entry in archive.infolist() if not entry.is_dir()]
        require_sound(files, bounds)
        for entry in files:
            with archive.open(entry) as inner:
                mended = cast(BinaryIO, _Mended(cast(zipfile.ZipExtFile, inner)))
                yield entry.filename, cast(BinaryIO, Bounded(mended, packed=False, bounds=bounds))


def require_sound(files: list[zipfile.ZipInfo], bounds: Bounds) -> None:
    """Raise FileRefused for an archive beyond the bounds by what its entries promise, which reading then holds them to."""
    size, packed = sum(entry.file_size for entry in files), sum(entry.compress_size for entry in files)
    if len(files) > bounds.files:
        raise FileRefused(f"the archive has {len(files):,} files, more than {bounds.files:,}", hint="Divide it, or raise SPINE_BOUNDS")
    if size > bounds.file:
        raise FileRefused(f"the archive is larger than {bounds.file:,} bytes when decoded", hint="Divide it, or raise SPINE_BOUNDS")
    if size > bounds.small and size > bounds.ratio * max(1, packed):
        raise FileRefused(f"the archive grows to more than {bounds.ratio} times its size", hint="Write it anew, or raise SPINE_BOUNDS")
    if any(entry.flag_bits & _ENCRYPTED for entry in files):
        raise FileRefused("the archive is encrypted", hint="Ask the source for one that is not")


class _Mended:
    """A file of a zip, whose own errors become those of files. Reading never brings more than its entry promises."""

    def __init__(self, inner: zipfile.ZipExtFile) -> None:
        self._inner, self._gone = inner, 0

    def read(self, size: int = -1) -> bytes:
        """Some bytes."""
        with _torn():
            piece = self._inner.read(size)
        self._gone += len(piece)
        return piece

    def tell(self) -> int:
        """How many bytes were read."""
        return self._gone


@contextmanager
def _torn() -> Iterator[None]:
    try:
        yield
    except (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, EOFError, zlib.error, RuntimeError) as error:
        raise OSError(f"the archive is torn: {type(error).__name__}") from error
