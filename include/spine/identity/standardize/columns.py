"""Columns of raw attributes -> columns of comparable texts, a function called once per distinct value or part."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

Array: TypeAlias = Any  # numpy arrays of many element types
Column: TypeAlias = pa.ChunkedArray | pa.Array
Function: TypeAlias = Callable[..., str | None]


def each(inputs: Sequence[Column], function: Function) -> pa.DictionaryArray:
    """`function` over aligned columns, called once per distinct combination of values; the result is dictionary-encoded."""
    codes: Array = np.zeros(len(inputs[0]), dtype=np.int64)
    for values in inputs:
        own = np.asarray(pc.fill_null(text_of(values).dictionary_encode().indices, -1), dtype=np.int64)
        codes = np.asarray(pa.array(codes * (own.max(initial=-1) + 2) + own + 1).dictionary_encode().indices, dtype=np.int64)
    first = np.flatnonzero(np.diff(np.maximum.accumulate(codes), prepend=-1))  # codes are numbered as they appear
    picked = [pc.take(text_of(values), pa.array(first)).to_pylist() for values in inputs]
    results = [function(*values) for values in zip(*picked, strict=True)]
    found = pa.array(results, pa.string()).dictionary_encode()
    return pa.DictionaryArray.from_arrays(pc.take(found.indices, pa.array(codes)), found.dictionary)


def parts(values: pa.Array, function: Callable[[str | None], tuple[str, ...]]) -> list[pa.Array]:
    """What `function` cuts out of each value, called once per distinct one; `` where there is none."""
    coded = values.dictionary_encode()
    texts = [*coded.dictionary.to_pylist(), None]
    pieces = [piece for text in texts for piece in function(text)]
    places, count = pc.fill_null(coded.indices, len(texts) - 1), len(pieces) // len(texts)
    return [pa.array(pieces[at::count], pa.string()).take(places) for at in range(count)]


def first_filled(one: pa.Array, other: pa.Array) -> pa.Array:
    """The one text, or where it is empty the other."""
    return pc.if_else(pc.equal(one, ""), other, one)


def bytes_of(values: pa.Array) -> tuple[Array, Array]:
    """The bytes of all texts and the place where each begins, and the last ends."""
    _, places, texts = values.buffers()
    bounds = np.frombuffer(places, dtype=np.int32)[values.offset : values.offset + len(values) + 1]
    return np.frombuffer(texts or b"", dtype=np.uint8)[bounds[0] : bounds[-1]], bounds - bounds[0]


def encoded(found: pa.Array, plain: pa.Array, inputs: Sequence[pa.Array], function: Function) -> pa.DictionaryArray:
    """What was `found` in rows that are `plain` (or null), and what `function` gives in the others."""
    odd = pc.fill_null(pc.invert(plain), False)
    rest = each([values.filter(odd) for values in inputs], function)
    return pc.replace_with_mask(found, odd, rest.cast(pa.string())).dictionary_encode()


def text_of(values: Column) -> pa.Array:
    """A column of texts in one piece."""
    whole = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    return whole if pa.types.is_string(whole.type) else pc.cast(whole, pa.string())
