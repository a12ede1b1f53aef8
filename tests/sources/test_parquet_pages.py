"""A Parquet of some hundred bytes may ask for gigabytes: what its pages ask for is known before Arrow takes it."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from spine.core.bounds import Bounds
from spine.core.errors import FileRefused
from spine.sources.parquet import rows
from spine.sources.parquet_pages import Pages
from spine.sources.rows import Row

MEGABYTE = 1 << 20
MEMORY = 400 * MEGABYTE
POOLS: list[Any] = []  # what was read may outlive the reading


@contextmanager
def measured() -> Iterator[Any]:
    """A pool of its own for all that Arrow takes meanwhile; `max_memory` tells the most."""
    before = pa.default_memory_pool()
    pool = pa.proxy_memory_pool(before)
    POOLS.append(pool)
    pa.set_memory_pool(pool)
    try:
        yield pool
    finally:
        pa.set_memory_pool(before)


def read(path: Path) -> tuple[list[Row], str, int]:
    """The rows, why the file was refused, and the most that Arrow took."""
    found: list[Row] = []
    why = ""
    with measured() as pool, path.open("rb") as stored:
        try:
            for row in rows(stored, Bounds()):
                found.append(Row(row.line, {}, row.size))
        except FileRefused as error:
            why = error.message
    return found, why, pool.max_memory()


def written(path: Path, table: pa.Table, **options: Any) -> Path:
    pq.write_table(table, path, **{"compression": "zstd", "write_statistics": False, **options})
    assert path.stat().st_size < 100_000
    return path


def zigzag(number: int) -> bytes:
    """A number as Thrift's compact protocol has it."""
    number, found = number << 1, b""
    while number > 127:
        found, number = found + bytes([number & 127 | 128]), number >> 7
    return found + bytes([number])


def test_texts_that_share_their_beginning_are_read_a_few_at_a_time(tmp_path: Path) -> None:
    columns = {f"c{number}": ["x" * 400_000] * 500 for number in range(3)}
    encodings = dict.fromkeys(columns, "DELTA_BYTE_ARRAY")
    path = written(tmp_path / "a.parquet", pa.table(columns), use_dictionary=False, column_encoding=encodings)
    found, why, most = read(path)
    assert (len(found), why) == (500, "")
    assert most < MEMORY  # 600 MB together


def test_long_values_of_one_length_are_read_a_few_at_a_time_or_refused(tmp_path: Path) -> None:
    for length, refused in ((200_000, False), (2 * MEGABYTE, True)):
        table = pa.table({"c": pa.array([b"x" * length] * 600, pa.binary(length))})
        found, why, most = read(written(tmp_path / "a.parquet", table))
        assert (len(found), "for a single row" in why) == ((0, True) if refused else (600, False))
        assert most < MEMORY


def test_a_list_that_has_no_end_is_refused(tmp_path: Path) -> None:
    count = 60_000_000
    table = pa.table({"l": pa.ListArray.from_arrays(pa.array([0, count], pa.int32()), pa.repeat(pa.scalar(7, pa.int8()), count))})
    path = written(tmp_path / "a.parquet", table)
    del table
    found, why, most = read(path)
    assert found == []
    assert why
    assert most < MEGABYTE


def test_a_row_of_countless_long_values_is_refused(tmp_path: Path) -> None:
    table = pa.table({f"c{number}": ["x" * MEGABYTE] for number in range(800)})
    path = tmp_path / "a.parquet"
    pq.write_table(table, path, compression="none", use_dictionary=False, write_statistics=False)
    del table
    found, why, most = read(path)
    assert found == []
    assert "for a single row" in why
    assert most < 10 * MEGABYTE


def test_a_footer_that_tells_other_sizes_than_the_pages_is_not_believed(tmp_path: Path) -> None:
    path = written(tmp_path / "a.parquet", pa.table({"b": [1], "a": ["x" * 300 * MEGABYTE]}), use_dictionary=False)
    told = pq.read_metadata(path).row_group(0).column(1).total_uncompressed_size
    content = path.read_bytes()
    (length,) = struct.unpack("<I", content[-8:-4])
    pages, footer = content[: -8 - length], content[-8 - length : -8]
    assert zigzag(told) in footer
    footer = footer.replace(zigzag(told), zigzag(2000))
    path.write_bytes(pages + footer + struct.pack("<I", len(footer)) + b"PAR1")
    assert pq.read_metadata(path).row_group(0).column(1).total_uncompressed_size == 2000
    found, why, most = read(path)
    assert found == []
    assert "grows to more than 250 times" in why
    assert most < MEGABYTE


def test_an_ordinary_file_is_read_a_thousand_rows_at_a_time_whatever_its_size(tmp_path: Path) -> None:
    table = pa.table({f"c{number}": [f"value {row} of {number}" for row in range(6000)] for number in range(40)})
    path = tmp_path / "a.parquet"
    pq.write_table(table, path)
    found, why, most = read(path)
    assert (len(found), why) == (6000, "")
    assert most < 100 * MEGABYTE
    pq.write_table(table.slice(0, 10), path)
    assert len(read(path)[0]) == 10


VALUES = st.lists(st.none() | st.text(max_size=20), max_size=60)


@settings(max_examples=60, deadline=None)
@given(
    texts=VALUES,
    lists=st.lists(st.lists(st.integers(-(2**60), 2**60), max_size=5), max_size=60),
    version=st.sampled_from(["1.0", "2.0"]),
    compression=st.sampled_from(["none", "snappy", "zstd", "gzip"]),
    dictionary=st.booleans(),
    page=st.sampled_from([16, 1000]),
    group=st.sampled_from([1, 7, 1000]),
    statistics=st.booleans(),
)
def test_what_pages_tell_is_what_the_footer_of_an_honest_file_tells(
    texts, lists, version, compression, dictionary, page, group, statistics
) -> None:
    count = min(len(texts), len(lists))
    table = pa.table({"t": pa.array(texts[:count], pa.string()), "l": pa.array(lists[:count], pa.list_(pa.int64()))})
    buffer = io.BytesIO()
    pq.write_table(
        table, buffer, compression=compression, use_dictionary=dictionary, data_page_size=page, data_page_version=version,
        row_group_size=group, write_statistics=statistics, write_batch_size=2,
    )  # fmt: skip
    metadata, pages = pq.read_metadata(buffer), Pages(buffer)
    for place in range(metadata.num_row_groups):
        for number in range(2):
            column = metadata.row_group(place).column(number)
            chunk = pages.of(column)
            assert chunk.values == column.num_values
            assert chunk.stored <= column.total_compressed_size
            assert chunk.decoded <= column.total_uncompressed_size
            assert chunk.largest + chunk.dictionary <= chunk.decoded
    buffer.seek(0)
    assert [row.values for row in rows(buffer, Bounds())] == table.to_pylist()


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_file_whose_bytes_were_changed_is_rows_or_refused(data: st.DataObject) -> None:
    buffer = io.BytesIO()
    table = pa.table({"a": [f"v{number % 7}" for number in range(50)], "l": [[number] * (number % 3) for number in range(50)]})
    pq.write_table(table, buffer, data_page_size=64, write_batch_size=8)
    content = bytearray(buffer.getvalue())
    for place in data.draw(st.lists(st.integers(4, len(content) - 5), min_size=1, max_size=4)):
        content[place] = data.draw(st.integers(0, 255))
    with measured() as pool:
        try:
            for _ in rows(io.BytesIO(content), Bounds()):
                pass
        except (FileRefused, OSError):
            pass
    assert pool.max_memory() < MEMORY
