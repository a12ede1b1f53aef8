"""The most that is read of a file or record which comes from outside. Whoever reads asks while it decodes, so that memory stays flat."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields

from spine.core.errors import ConfigError

_SIZE = re.compile(r"([0-9]{1,15})([KMGT]?)")
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


@dataclass(frozen=True)
class Bounds:
    """`SPINE_BOUNDS` names those that differ, as in `file=20G row=16M`; K, M, G and T stand for powers of 1024.

    `file` is bytes of one file when decoded, `row` bytes of one row or line: Spark holds no document of more than 16 MiB. `ratio` is
    decoded bytes per stored byte, asked beyond `small` bytes: what people export shrinks to a tenth or a hundredth, zeros to a thousandth.
    `columns` is fields of a row, `files` those of a folder, since a cursor names them all. `elements` is those of an array that a mapping
    splits: each becomes a row that holds its whole record. `record` is
    bytes of a record in Silver, whose row a JVM that all tenants share holds a dozen times over while it is mapped.
    """

    file: int = 8 << 30
    row: int = 8 << 20
    ratio: int = 250
    small: int = 64 << 20
    columns: int = 4096
    files: int = 100_000
    elements: int = 1000
    record: int = 2 << 20

    @classmethod
    def parse(cls, text: str) -> Bounds:
        """What the variable says. Raises ConfigError for another word, and for what is no number above zero."""
        known = {word.name for word in fields(cls)}
        found: dict[str, int] = {}
        for part in text.replace(",", " ").split():
            word, _, number = part.partition("=")
            size = _SIZE.fullmatch(number.upper())
            if word not in known or size is None or int(size[1]) == 0:
                raise ConfigError(
                    f"SPINE_BOUNDS has {part!r}, which is no bound", hint=f"Write words of {', '.join(sorted(known))}, as in row=16M"
                )
            found[word] = int(size[1]) * _UNITS[size[2]]
        return cls(**found)
