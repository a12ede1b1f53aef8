"""Files as they are stored: plain, or compressed as the end of their name tells. Touches nothing but the file that it is given."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO

import pyarrow as pa

from spine.core.errors import ConfigError, FileRefused
from spine.core.settings import settings
from spine.sources.bounded import Bounded

_PIECE = 1 << 20
_UNPACKING: dict[str, Callable[[BinaryIO], Any]] = {
    ".gz": lambda stored: gzip.GzipFile(fileobj=stored, mode="rb"),
    ".bz2": bz2.open,
    ".xz": lzma.open,
    ".zst": lambda stored: pa.CompressedInputStream(pa.PythonFile(stored, mode="r"), "zstd"),
}
SUFFIXES = tuple(_UNPACKING)


def inner_name(path: Path) -> str:
    """The name in lower case without the ending that tells how it is compressed."""
    name = path.name.lower()
    return next((name.removesuffix(suffix) for suffix in SUFFIXES if name.endswith(suffix)), name)


def packed(path: Path) -> bool:
    """Whether a file is compressed."""
    return path.suffix.lower() in _UNPACKING


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """The bytes of a file, unpacked within the bounds of files. Raises FileRefused beyond them, ConfigError for a torn archive."""
    with path.open("rb") as stored:
        if not packed(path):
            yield stored
            return
        unpacked = _UNPACKING[path.suffix.lower()](stored)
        try:
            yield io.BufferedReader(Bounded(stored, packed=True, bounds=settings().bounds, unpacked=unpacked), _PIECE)
        except FileRefused as error:
            raise FileRefused(f"{path.name} {error.message}", hint=error.hint) from None
        except OSError as error:
            if error.errno is not None:
                raise
            raise ConfigError(
                f"{path.name} cannot be decompressed: {type(error.__cause__ or error).__name__}",
                hint="It is not what its name says, or was cut short; write it anew",
            ) from None
