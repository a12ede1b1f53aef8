"""What is known of a file that is kept in the lake."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO, TypeAlias


@dataclass(frozen=True)
class Kept:
    """Where a file is in the lake, its size in bytes, and its SHA-256."""

    path: str
    size: int
    sha256: str


Keep: TypeAlias = Callable[[BinaryIO], Kept]
