"""The JSON of PostgreSQL's rows, written here from their columns: what `row_to_json` writes, letter by letter, and a third of its time.

The server sends numbers, truths and texts as they are, floats, numerics and times as its own text, and makes JSON itself only of what is
rarer or nested. No I/O.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from spine.sources.database.asking import Column, Form

_FORMS: dict[str, Form] = {
    **dict.fromkeys(("int2", "int4", "int8"), "whole"), "bool": "truth", **dict.fromkeys(("text", "varchar", "bpchar", "name"), "text"),
    **dict.fromkeys(("numeric", "float4", "float8"), "number"), "timestamp": "time", "timestamptz": "moment",
    **dict.fromkeys(("date", "uuid", "bytea"), "told"),
}  # fmt: skip
_TOLD = frozenset({"number", "time", "moment", "told"})  # that the server is asked for as text
_ESCAPES = (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t"), ("\b", "\\b"), ("\f", "\\f"))
_NULL, _QUOTE = b"null", b'"'
_CONTROL = np.arange(256) < 0x20
_SPECIAL = _CONTROL | np.isin(np.arange(256), (0x22, 0x5C))  # and the quote and the backslash
_LETTERS = np.isin(np.arange(256), (0x4E, 0x49))  # N and I


def form_of(base: str, sort: str) -> Form:
    """How a column of a type is written: its name in the catalogue, and what sort of type that is."""
    return _FORMS.get(base, "json") if sort == "b" else "json"


def sent(column: Column, name: str) -> str:
    """What the server is asked for, so that `written` can make JSON of it. `name` is the column's, quoted."""
    return f"to_json({name})::text" if column.form == "json" else f"{name}::text" if column.form in _TOLD else name


def written(sent: Sequence[pa.Array], columns: Sequence[Column]) -> pa.Array:
    """The JSON object of each row, as bytes: nobody has looked whether they are UTF-8."""
    pieces: list[pa.Array | bytes] = []
    before = b"{"
    for values, column in zip(sent, columns, strict=True):
        before += json.dumps(column.name, ensure_ascii=False).encode() + b":"
        found, quoted = _written(values, column)
        if quoted and found.null_count:
            found, quoted = pc.binary_join_element_wise(_QUOTE, found, _QUOTE, b""), False
        pieces += [before + _QUOTE if quoted else before, pc.fill_null(found, _NULL) if found.null_count else found]
        before = _QUOTE + b"," if quoted else b","
    return pc.binary_join_element_wise(*pieces, before[:-1] + b"}", b"")


def _written(values: pa.Array, column: Column) -> tuple[pa.Array, bool]:
    """A column's values in JSON, and whether quotes have to stand around them."""
    if column.form in ("whole", "truth"):
        return values.cast(pa.string()).cast(pa.binary()), False
    found = values.cast(pa.binary())
    if column.form == "json":
        return found, False
    if column.form == "number":
        if not _holds(found, _LETTERS):
            return found, False
        odd = pc.match_substring_regex(found, "[NI]")  # NaN, Infinity, -Infinity
        return pc.if_else(odd, pc.binary_join_element_wise(_QUOTE, found, _QUOTE, b""), found), False
    return (_iso(found, column.form) if column.form in ("time", "moment") else _escaped(found)), True


def _iso(values: pa.Array, form: Form) -> pa.Array:
    """Times as JSON has them, from how the server writes them in UTC: 2026-01-31 01:00:00.5+00, infinity, 0044-03-15 00:00:00+00 BC."""
    found = pc.replace_substring(values, b" ", b"T", max_replacements=1)
    return pc.replace_substring(found, b"+00", b"+00:00", max_replacements=1) if form == "moment" else found


def _holds(values: pa.Array, letters: np.ndarray[Any, Any]) -> bool:
    """Whether some of these letters are in a column, or beside it in its buffer."""
    data = values.buffers()[2]
    return data is not None and bool(letters[np.frombuffer(data, np.uint8)].any())


def _escaped(values: pa.Array) -> pa.Array:
    """Texts as they stand between quotes of JSON."""
    if not _holds(values, _SPECIAL):
        return values
    for letter, escape in _ESCAPES:
        values = pc.replace_substring(values, letter.encode(), escape.encode())
    if not _holds(values, _CONTROL):
        return values
    rare = [None if one is None else _rarely(one) for one in values.to_pylist()]
    return pa.array(rare, pa.binary())


def _rarely(text: bytes) -> bytes:
    """With the letters that have no short escape; nearly nobody sends them."""
    return b"".join(b"\\u%04x" % one if one < 0x20 else bytes((one,)) for one in text)
