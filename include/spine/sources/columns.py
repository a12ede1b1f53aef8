"""The records of a page as columns: each is made of the whole page at once, and says what `reading` says of a single record. No I/O.

A column whose values are all of one usual kind goes the quick way; otherwise its values are asked for one by one.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Any, overload

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from spine.core import jsontext
from spine.sources.reading import MALFORMED, Record, field_names, fingerprint, key_text, lookup, record_id
from spine.sources.spec import Stream

_NAMES = ("record_id", "op", "cursor", "payload", "schema_fingerprint")
_TEXT = {str}
_NUMBER = {int}
_MOST = 100_000  # fields of the outlines that are remembered: a vendor may name them after its records
_KINDS = {bool: "boolean", int: "number", float: "number", str: "text", list: "list", dict: "object", type(None): ""}
_TIMES = {  # how times in UTC are written, and what they lack of millionths
    re.compile(rf"(?:\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d{fraction}Z\n)*", re.ASCII): filled
    for fraction, filled in (("", ".000000"), (r"\.\d{3}", "000"), (r"\.\d{6}", ""))
}
_EPOCHS = {"s": (10**9, 10**11), "ms": (10**11, 10**14)}  # whole numbers that are times: as many digits as `reading` takes for them


@dataclass(frozen=True, eq=False, slots=True)
class Outline:
    """The fields of a record, one level into objects, each with its type: nothing of its values."""

    kinds: Mapping[str, str]
    fingerprint: str

    @classmethod
    def of(cls, record: dict[str, Any]) -> Outline:
        """The outline of a record as JSON gives it."""
        return cls({name: _KINDS.get(type(lookup(record, name)), "") for name in field_names(record)}, fingerprint(record))


class Records(Sequence[Record]):
    """Records as a batch of Arrow. `outlines` counts those of each outline, None where nobody has looked at them."""

    def __init__(self, batch: pa.RecordBatch, outlines: Mapping[Outline, int] | None = None) -> None:
        self.batch, self.outlines = batch, outlines

    @classmethod
    def of(cls, records: Sequence[Record]) -> Records:
        """The same records as columns."""
        if isinstance(records, cls):
            return records
        return cls.made(
            [one.record_id for one in records], [one.op for one in records], [one.cursor for one in records],
            [one.payload for one in records], [one.fingerprint for one in records],
        )  # fmt: skip

    @classmethod
    def made(
        cls, ids: Sequence[str], ops: Sequence[str], cursors: Sequence[str | None], payloads: Sequence[str | bytes],
        fingerprints: Sequence[str], outlines: Mapping[Outline, int] | None = None,
    ) -> Records:  # fmt: skip
        """Records of these columns, payloads as texts or as their UTF-8."""
        columns = (ids, ops, cursors, payloads, fingerprints)
        return cls(pa.RecordBatch.from_arrays([pa.array(column, pa.string()) for column in columns], _NAMES), outlines)

    @classmethod
    def over(cls, columns: Sequence[pa.Array], outlines: Mapping[Outline, int]) -> Records:
        """Records of columns that are Arrow's already, in the order of their names, with their outlines."""
        return cls(pa.RecordBatch.from_arrays(list(columns), _NAMES), outlines)

    @classmethod
    def joined(cls, *several: Records) -> Records:
        """Several one after the other."""
        (batch,) = pa.Table.from_batches([one.batch for one in several]).combine_chunks().to_batches()
        return cls(batch)

    def __len__(self) -> int:
        return int(self.batch.num_rows)

    def __iter__(self) -> Iterator[Record]:
        for row in zip(*(column.to_pylist() for column in self.batch.columns), strict=True):
            yield Record(*row)

    @overload
    def __getitem__(self, place: int) -> Record: ...
    @overload
    def __getitem__(self, place: slice) -> Records: ...
    def __getitem__(self, place: int | slice) -> Record | Records:
        if isinstance(place, slice):
            return self.taken(range(len(self))[place])
        (found,) = self.taken([range(len(self))[place]])
        return found

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # as a list's

    def taken(self, places: Sequence[int]) -> Records:
        """Those at these places."""
        return Records(self.batch.take(pa.array(places, pa.int64())))

    @property
    def ids(self) -> list[str]:
        """The id of each."""
        found: list[str] = self.batch.column("record_id").to_pylist()
        return found

    @property
    def cursors(self) -> list[str | None]:
        """The cursor of each."""
        found: list[str | None] = self.batch.column("cursor").to_pylist()
        return found

    @property
    def latest(self) -> str | None:
        """The latest cursor."""
        found: str | None = pc.max(self.batch.column("cursor")).as_py()
        return found

    @property
    def deletes(self) -> int:
        """How many of them say that a record is gone."""
        return int(pc.sum(pc.equal(self.batch.column("op"), "delete")).as_py() or 0)

    @property
    def letters(self) -> int:
        """How long their payloads are together."""
        return int(pc.sum(pc.utf8_length(self.batch.column("payload"))).as_py() or 0)


def latest_of(records: Sequence[Record]) -> str | None:
    """The latest cursor of records, None where none has one."""
    return Records.of(records).latest


def values_at(records: Sequence[dict[str, Any]], path: str) -> list[Any]:
    """What `lookup` finds at a path in each record."""
    if "." not in path:
        return [record.get(path) for record in records]
    return [lookup(record, path) for record in records]


def record_ids(stream: Stream, records: Sequence[dict[str, Any]]) -> list[str | None]:
    """The `record_id` of each record."""
    if isinstance(stream.key, str) or len(stream.key) > 1:
        return [record_id(stream, record) for record in records]
    values = values_at(records, stream.key[0])
    kinds = set(map(type, values))
    if kinds == _NUMBER:
        return list(map(str, values))
    if kinds == _TEXT and all(values) and _plain("".join(values)):
        return values
    texts = [key_text(value) for value in values]
    return [text if text and jsontext.mistake_in(text) is None else None for text in texts]


def _plain(text: str) -> bool:
    """Whether a key may hold all letters of a text."""
    return "\0" not in text and (text.isascii() or jsontext.mistake_in(text) is None)


def times_of(values: Sequence[Any]) -> list[str] | None:
    """The `cursor_text` of each value of a column, where all are times of the usual kinds; None where they have to be read one by one."""
    kinds = set(map(type, values))
    if kinds == _TEXT:
        return _of_texts(values)
    return _of_numbers(values) if kinds == _NUMBER else None


def _of_texts(values: Sequence[str]) -> list[str] | None:
    """Times in UTC as ISO 8601 writes them, with seconds or their thousandths or millionths; None of another form."""
    joined = "\n".join(values) + "\n"
    filled = next((filled for form, filled in _TIMES.items() if form.fullmatch(joined)), None)
    if filled is None:
        return None
    try:
        for _ in map(datetime.fromisoformat, values):  # there is no 31st of February
            pass
    except ValueError:
        return None
    return joined.replace("Z\n", f"{filled}Z\n").split("\n")[:-1]


def _of_numbers(values: Sequence[int]) -> list[str] | None:
    """Seconds or milliseconds since 1970; None of other numbers."""
    least, most = min(values), max(values)
    for unit, (first, end) in _EPOCHS.items():
        if first <= least and most < end:
            moments = np.array(values, dtype="int64").astype(f"datetime64[{unit}]").astype("datetime64[us]")
            return [f"{text}Z" for text in np.datetime_as_string(moments, unit="us").tolist()]
    return None


class _Objects:
    """Records of some fields that have objects in them: what these `names` hold tells their outlines apart."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names


_known: dict[Any, Outline | _Objects] = {}
_remembered = 0  # fields, of all of them


def outlines_of(records: Sequence[dict[str, Any]], payloads: Sequence[str | bytes]) -> list[Outline]:
    """The outline of each record, as `Outline.of` gives it of its payload; one object for all that are alike."""
    marks = _marks(records)
    if marks is None:
        return [_outline(record, payload) for record, payload in zip(records, payloads, strict=True)]
    found = {mark: _outline(records[place], payloads[place]) for mark, place in dict(zip(marks, range(len(marks)), strict=True)).items()}
    return [found[mark] for mark in marks]


def _marks(records: Sequence[dict[str, Any]]) -> list[Any] | None:
    """Of records with the same fields, in objects too: what tells those of other kinds apart. None of others."""
    kinds = _kinds_of(records)
    if not kinds:
        return None
    objects = [name for name, *column in zip(records[0], *set(kinds), strict=True) if dict in column]
    if not objects:
        return kinds
    inner = []
    for name in objects:
        holders = [record[name] for record in records]
        if set(map(type, holders)) != {dict} or not (found := _kinds_of(holders)):
            return None
        inner.append(found)
    return list(zip(kinds, *inner, strict=True))


def _kinds_of(records: Sequence[dict[str, Any]]) -> list[tuple[type, ...]] | None:
    """The kinds of each record's values, where all have the same fields and JSON has these kinds; None of others."""
    names = list(map(tuple, records))
    if not names or not names[0] or names.count(names[0]) != len(names):
        return None
    kinds = map(type, chain.from_iterable(map(dict.values, records)))
    found = list(zip(*[kinds] * len(names[0]), strict=True))
    return found if all(kind in _KINDS for one in set(found) for kind in one) else None


def _outline(record: dict[str, Any], payload: str | bytes) -> Outline:
    key: Any = (tuple(record), tuple(map(type, record.values())))
    known: Any = _known.get(key)
    if type(known) is _Objects:
        inner = tuple([(tuple(record[name]), tuple(map(type, record[name].values()))) for name in known.names])
        known = _known.get((known, inner))
    return known if known is not None else _learned(key, record, payload)


def _learned(key: Any, record: dict[str, Any], payload: str | bytes) -> Outline:
    """The outline of a record, remembered for others of its names and kinds. Of a kind that JSON has not, the payload alone tells."""
    found = Outline.of(orjson.loads(payload))
    names = tuple(name for name, kind in zip(*key, strict=True) if kind is dict)
    inner = tuple((tuple(record[name]), tuple(map(type, record[name].values()))) for name in names)
    if not all(kind in _KINDS for _, kinds in (key, *inner) for kind in kinds):
        return found
    _remember(len(key[0]) + len(found.kinds))
    if names:
        key = (_known.setdefault(key, _Objects(names)), inner)
    _known[key] = found
    return found


def _remember(fields: int) -> None:
    """Make room for an outline of so many fields, whose key holds their names as well."""
    global _remembered
    _remembered += fields
    if _remembered > _MOST:
        _known.clear()
        _remembered = fields


def counted(outlines: Sequence[Outline], ops: Sequence[str]) -> Mapping[Outline, int]:
    """How many records have each outline, but for deletes and what could not be read, which say nothing of fields."""
    said = outlines if "delete" not in ops else [one for one, op in zip(outlines, ops, strict=True) if op != "delete"]
    return {one: count for one, count in Counter(said).items() if one.fingerprint not in ("", MALFORMED)}
