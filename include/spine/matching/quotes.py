"""Whether a CSV's quotes are sound, told from their places alone: at the speed of reading, where a parser would need seconds."""

from __future__ import annotations

import codecs
from itertools import chain
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from spine.matching.compressed import opened

Array: TypeAlias = Any  # numpy arrays of many element types
_PIECE = 8 << 20
_QUOTE = ord('"')


def plainly_sound(path: Path, delimiter: str) -> bool:
    """Whether every first quote of two stands where a value begins and every second one where it ends; `""` within a value is both.

    False says nothing: a quote in the middle of a value without quotes is sound too (`12" disc`), which a parser has to tell. For UTF-8
    and other encodings in which delimiter, quotes and line breaks are the bytes of ASCII and no part of another letter.
    """
    if not delimiter.isascii():
        return False
    edge: Array = np.zeros(256, dtype=bool)  # what may stand beside a quoted value; a quote there is the other half of a doubled one
    edge[[ord(delimiter), *b'\r\n"']] = True
    opens, kept = True, b"\n"
    with opened(path) as file:
        start = file.read(_PIECE).removeprefix(codecs.BOM_UTF8)
        for piece in chain((start,), iter(lambda: file.read(_PIECE), b""), (b"\n",)):
            block = np.frombuffer(kept + piece, dtype=np.uint8)
            at: Array = np.flatnonzero(block[1:-1] == _QUOTE) + 1  # the last letter's turn comes with what follows it
            first, second = (at[0::2], at[1::2]) if opens else (at[1::2], at[0::2])
            if not (edge[block[first - 1]].all() and edge[block[second + 1]].all()):
                return False
            opens = opens == (len(at) % 2 == 0)
            kept = block[-2:].tobytes()
    return opens
