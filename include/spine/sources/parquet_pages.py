"""What a Parquet file's pages say of themselves: sizes, numbers of values, encodings, as their own headers have them.

The footer says the same of whole columns, but Arrow believes the pages: it takes as much memory as their headers ask for, whatever the
footer says. Facts: Apache Parquet, `parquet.thrift` (PageHeader); Apache Thrift, compact protocol. Nothing is decoded here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from spine.core.errors import FileRefused

_HINT = "Write it anew"
_WINDOW, _LONGEST = 1 << 10, 1 << 20  # bytes of a header that are read at first, and at most: statistics hold values
_MORE = 100  # bytes behind a column's end that Arrow reads as well, in files of old writers
_MOST = 1_000_000  # pages of a file: each costs time, and may be empty
_DICTIONARY_PAGE = 2
_DEPTH = 10
_UNSAID = -1
# PLAIN and DELTA_LENGTH_BYTE_ARRAY: each value has bytes of its own. Of all others few bytes may be any number of long values.
APART = frozenset({0, 6})
_STOP, _TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = 0, 1, 2, 3, 7, 8, 9, 10, 11, 12
_INTEGERS = frozenset({4, 5, 6})


@dataclass
class Chunk:
    """The pages of one column in one group of rows, together. Sizes are bytes when decoded, `stored` as they are in the file."""

    stored: int = 0
    decoded: int = 0
    largest: int = 0  # of its data pages
    dictionary: int = 0
    values: int = 0
    encodings: set[int] = field(default_factory=set)  # of its data pages


class Pages:
    """Reads the headers of a file's pages, one column of one group after the other."""

    def __init__(self, stored: BinaryIO) -> None:
        self._stored, self._count = stored, 0

    def of(self, column: Any) -> Chunk:
        """The pages of a column chunk, as pyarrow's metadata describe it. Raises FileRefused, OSError."""
        chunk = Chunk()
        for page in self._headers(column, chunk):
            size = page[2]
            chunk.stored, chunk.decoded = chunk.stored + page[3], chunk.decoded + size
            if page[1] == _DICTIONARY_PAGE:
                chunk.dictionary = max(chunk.dictionary, size)
                continue
            values, encoding = _said(page)
            chunk.values += values
            chunk.encodings.add(encoding)
            chunk.largest = max(chunk.largest, size)
        return chunk

    def _headers(self, column: Any, chunk: Chunk) -> Iterator[dict[int, Any]]:
        if not column.num_values:  # then Arrow reads no page, and there may be no place of one
            return
        place = column.data_page_offset
        if column.has_dictionary_page and 0 < (column.dictionary_page_offset or 0) < place:
            place = column.dictionary_page_offset
        end = place + column.total_compressed_size
        while 0 <= place < end + (_MORE if chunk.values < column.num_values else 0):
            self._count += 1
            if self._count > _MOST:
                raise FileRefused(f"has more than {_MOST:,} pages", hint=_HINT)
            try:
                page, length = self._header(place)
            except (IndexError, ValueError):
                if place >= end:  # what is there belongs to nobody
                    return
                raise FileRefused("is no whole Parquet: a page has no header", hint=_HINT) from None
            yield page
            place += length + page[3]

    def _header(self, place: int) -> tuple[dict[int, Any], int]:
        """A page's header and its length. Raises ValueError or IndexError for what is none."""
        self._stored.seek(place)
        read = self._stored.read(_WINDOW)
        try:
            return _page(read)
        except IndexError:
            self._stored.seek(place)
            return _page(self._stored.read(_LONGEST))


def _page(data: bytes) -> tuple[dict[int, Any], int]:
    thrift = _Thrift(data)
    page = thrift.struct()
    if not all(isinstance(page.get(number), int) and page[number] >= 0 for number in (1, 2, 3)):
        raise ValueError
    return page, thrift.place


def _said(page: dict[int, Any]) -> tuple[int, int]:
    """How many values a data page has, and in which encoding; none and no encoding of ours where it does not say so."""
    for data, place in ((page.get(5), 2), (page.get(8), 4)):
        if isinstance(data, dict):
            values, encoding = data.get(1), data.get(place)
            return max(0, values) if isinstance(values, int) else 0, encoding if isinstance(encoding, int) else _UNSAID
    return 0, _UNSAID


class _Thrift:
    """Structs of the compact protocol: integers and structs by the number of their field, all else is passed over."""

    def __init__(self, data: bytes) -> None:
        self._data, self.place = data, 0

    def struct(self, depth: int = 0) -> dict[int, Any]:
        if depth > _DEPTH:
            raise ValueError
        found: dict[int, Any] = {}
        number = 0
        while (head := self._byte()) & 15 != _STOP:
            number = number + (head >> 4) if head >> 4 else self._integer()
            value = self._value(head & 15, depth)
            if value is not None:
                found[number] = value
        return found

    def _value(self, kind: int, depth: int) -> Any:
        if kind in _INTEGERS:
            return self._integer()
        if kind == _STRUCT:
            return self.struct(depth + 1)
        if kind in (_LIST, _SET):
            head = self._byte()
            count = self._varint() if head >> 4 == 15 else head >> 4
            for _ in range(count):
                self._item(head & 15, depth)
        elif kind == _MAP:
            if count := self._varint():
                kinds = self._byte()
                for _ in range(count):
                    self._item(kinds >> 4, depth)
                    self._item(kinds & 15, depth)
        elif kind not in (_TRUE, _FALSE):
            self._skip({_BYTE: 1, _DOUBLE: 8}.get(kind) or self._length(kind))
        return None

    def _item(self, kind: int, depth: int) -> None:
        """One of a list, in which a truth takes a byte."""
        if depth > _DEPTH:
            raise ValueError
        self._value(_BYTE if kind in (_TRUE, _FALSE) else kind, depth + 1)

    def _length(self, kind: int) -> int:
        if kind != _BINARY:
            raise ValueError
        return self._varint()

    def _skip(self, count: int) -> None:
        self.place += count
        if self.place > len(self._data):
            raise IndexError

    def _byte(self) -> int:
        value = self._data[self.place]
        self.place += 1
        return value

    def _varint(self) -> int:
        value = shift = 0
        while (byte := self._byte()) & 128:
            value |= (byte & 127) << shift
            shift += 7
            if shift > 63:
                raise ValueError
        return value | byte << shift

    def _integer(self) -> int:
        number = self._varint()
        return number >> 1 ^ -(number & 1)
