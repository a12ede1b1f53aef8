"""Columns of raw attributes -> columns of comparable texts: what `standardize` says of one value, for many at once.

Names and addresses are put together from parts that are standardised once each; of telephone numbers and mail addresses the plain ones,
which are nearly all, are found and written without a call per value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from spine.identity import standardize
from spine.identity.standardize import MAX_LENGTH, SEP
from spine.identity.standardize import vocabulary as words

Array: TypeAlias = Any  # numpy arrays of many element types
Column: TypeAlias = pa.ChunkedArray | pa.Array
Function: TypeAlias = Callable[..., str | None]

# A mail address in lower case without `+tag`, and what can look like one and needs a closer look.
_PLAIN_MAIL = r"^[a-z0-9._-]+@[a-z0-9-]+\.[a-z0-9.-]+$"
_ODD_MAIL = "|".join([
    f"^(?:{'|'.join(map(re.escape, sorted(words.PLACEHOLDERS)))})@",
    f"@(?:{'|'.join(map(re.escape, sorted(words.PLACEHOLDER_HOSTS | {'googlemail.com'})))})$",
    f"^(?:{'|'.join(map(re.escape, sorted(words.PLACEHOLDER_MAILS)))})$",
    r"\..*@gmail\.com$",
])  # fmt: skip


def feature(kind: str, columns: Sequence[tuple[str, Column]], function: Function) -> pa.DictionaryArray:
    """The values of a feature of some `kind`, dictionary-encoded: `function` over the columns of its attributes, each with its own kind."""
    values = [_text(column) for _, column in columns]
    by_kind = dict(zip((own for own, _ in columns), values, strict=True))
    if "person name" in kind and {"forename", "surname"} <= by_kind.keys():
        return names(by_kind, function)
    if "postal address" in kind:
        return addresses(by_kind)
    if function in (standardize.phone, standardize.email):
        return (phones if function is standardize.phone else mails)(*values)
    return each(values, function)


def each(inputs: Sequence[Column], function: Function) -> pa.DictionaryArray:
    """`function` over aligned columns, called once per distinct combination of values; the result is dictionary-encoded."""
    codes: Array = np.zeros(len(inputs[0]), dtype=np.int64)
    for values in inputs:
        own = np.asarray(pc.fill_null(_text(values).dictionary_encode().indices, -1), dtype=np.int64)
        codes = np.asarray(pa.array(codes * (own.max(initial=-1) + 2) + own + 1).dictionary_encode().indices, dtype=np.int64)
    first = np.flatnonzero(np.diff(np.maximum.accumulate(codes), prepend=-1))  # codes are numbered as they appear
    picked = [pc.take(_text(values), pa.array(first)).to_pylist() for values in inputs]
    results = [function(*values) for values in zip(*picked, strict=True)]
    encoded = pa.array(results, pa.string()).dictionary_encode()
    return pa.DictionaryArray.from_arrays(pc.take(encoded.indices, pa.array(codes)), encoded.dictionary)


def names(values: Mapping[str, pa.Array], function: Function) -> pa.DictionaryArray:
    """`person_name`, which is called (as `function`) only where a part is missing or the forename may end with the surname."""
    first, first_end = _parts(values["forename"], _name_and_end)
    last, last_end = _parts(values["surname"], _name_and_end)
    plain = pc.and_(pc.not_equal(first_end, last_end), pc.and_(pc.not_equal(first, ""), pc.not_equal(last, "")))
    return _encoded(pc.binary_join_element_wise(first, last, SEP), plain, list(values.values()), function)


def _name_and_end(text: str | None) -> tuple[str, str]:
    found = standardize.name_words(text)
    return " ".join(found), found[-1] if found else ""


def addresses(values: Mapping[str, pa.Array]) -> pa.DictionaryArray:
    """`address`, part by part."""
    nothing = pa.nulls(len(next(iter(values.values()))), pa.string())
    line, number, code, town, region = (values.get(kind, nothing) for kind in ("street", "house_number", "postcode", "city", "region"))
    found_number, road, found_code = _parts(line, _street)
    parts = [
        _first_filled(_parts(number, _words)[0], found_number),
        road,
        _first_filled(_parts(code, lambda text: (standardize.postcode(text),))[0], found_code),
        _first_filled(_parts(town, _place)[0], _parts(region, _place)[0]),
    ]
    whole = pc.binary_join_element_wise(*parts, SEP)
    return pc.if_else(pc.equal(whole, 3 * SEP), None, whole).dictionary_encode()


def _street(text: str | None) -> tuple[str, str, str]:
    number, road, code = standardize.street(text)
    return number, " ".join(road), code


def _words(text: str | None) -> tuple[str]:
    return (" ".join(standardize.tokens(text)),)


def _place(text: str | None) -> tuple[str]:
    return (standardize.place(text),)


def _first_filled(one: pa.Array, other: pa.Array) -> pa.Array:
    return pc.if_else(pc.equal(one, ""), other, one)


def _parts(values: pa.Array, function: Callable[[str | None], tuple[str, ...]]) -> list[pa.Array]:
    """What `function` cuts out of each value, called once per distinct one; `` where there is none."""
    encoded = values.dictionary_encode()
    texts = [*encoded.dictionary.to_pylist(), None]
    pieces = [piece for text in texts for piece in function(text)]
    places, count = pc.fill_null(encoded.indices, len(texts) - 1), len(pieces) // len(texts)
    return [pa.array(pieces[at::count], pa.string()).take(places) for at in range(count)]


def mails(values: pa.Array) -> pa.DictionaryArray:
    """`email`, which is called only for addresses that are not plain."""
    lower = pc.ascii_lower(values)
    plain = pc.and_(pc.match_substring_regex(lower, _PLAIN_MAIL), pc.less_equal(pc.binary_length(lower), MAX_LENGTH))
    return _encoded(lower, pc.and_not(plain, pc.match_substring_regex(lower, _ODD_MAIL)), [values], standardize.email)


def phones(values: pa.Array) -> pa.DictionaryArray:
    """`phone`, which is called only for numbers that are not plain: ASCII without extension, ten digits or more, unlike a placeholder."""
    bytes_, bounds = _bytes(values)
    is_digit = (bytes_ >= ord("0")) & (bytes_ <= ord("9"))
    digits, ends = bytes_[is_digit], np.concatenate([[0], np.cumsum(is_digit)])[bounds]
    count = np.diff(ends)
    plain = count >= 10
    plain[np.searchsorted(bounds, np.flatnonzero(np.isin(bytes_, list(b"xX#")) | (bytes_ >= 128)), "right") - 1] = False
    rows = np.flatnonzero(plain)
    padded = np.concatenate([digits, np.zeros(10, dtype=np.uint8)])  # so that there is a window even without digits
    last = np.lib.stride_tricks.sliding_window_view(padded, 10)[ends[1:][rows] - 10]
    kinds = np.bitwise_count(np.bitwise_or.reduce(1 << (last[:, 3:] - ord("0")).astype(np.uint16), axis=1))
    rising = (last[:, -2] == last[:, -1] - 1) & (last[:, -3] == last[:, -1] - 2)
    # A leading 00 is dropped, which the last ten of twelve digits do not notice.
    sure = (kinds > 2) & ~rising & ((count[rows] >= 12) | (digits[ends[rows]] != ord("0")))
    plain[rows[~sure]] = False
    found: Array = np.zeros((len(values), 10), dtype=np.uint8)
    found[rows] = last
    offsets = pa.py_buffer(np.arange(0, found.size + 1, 10, dtype=np.int32))
    texts = pa.Array.from_buffers(pa.string(), len(values), [None, offsets, pa.py_buffer(found)])
    return _encoded(texts, pc.and_(pa.array(plain), values.is_valid()), [values], standardize.phone)


def _bytes(values: pa.Array) -> tuple[Array, Array]:
    """The bytes of all texts and the place where each begins, and the last ends."""
    _, places, texts = values.buffers()
    bounds = np.frombuffer(places, dtype=np.int32)[values.offset : values.offset + len(values) + 1]
    return np.frombuffer(texts or b"", dtype=np.uint8)[bounds[0] : bounds[-1]], bounds - bounds[0]


def _encoded(found: pa.Array, plain: pa.Array, inputs: Sequence[pa.Array], function: Function) -> pa.DictionaryArray:
    """What was `found` in rows that are `plain` (or null), and what `function` gives in the others."""
    odd = pc.fill_null(pc.invert(plain), False)
    rest = each([values.filter(odd) for values in inputs], function)
    return pc.replace_with_mask(found, odd, rest.cast(pa.string())).dictionary_encode()


def _text(values: Column) -> pa.Array:
    whole = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    return whole if pa.types.is_string(whole.type) else pc.cast(whole, pa.string())
