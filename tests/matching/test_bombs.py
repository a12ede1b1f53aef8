"""Files for `spine match` that grow when they are read: each ends at its bound, by name and with what to do, and memory stays flat."""

from __future__ import annotations

import gzip
import os
import resource
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spine.core.errors import ConfigError, FileRefused
from spine.matching.files import has_more_rows, read_columns, typed_schema
from spine.matching.spark import match_csv

COLUMNS = ["id", "name"]
MEGABYTE = 1 << 20
GROWS = r"FILE_REFUSED.* people\..* grows to more than 250 times its size when decoded"


def packed(path: Path, piece: bytes, megabytes: int) -> Path:
    """A gzip of a CSV whose first row is whole and whose rest is one piece over and over, made without holding it."""
    with gzip.open(path, "wb", compresslevel=9) as file:
        file.write(b"id,name\n1,Ada\n")
        for _ in range(megabytes * MEGABYTE // len(piece)):
            file.write(piece)
    return path


PIECES = {
    "one row": b"x" * MEGABYTE,
    "rows": b"2,x\n" * (MEGABYTE // 4),
    "empty rows": b"\n" * MEGABYTE,
    "an open quote": b'"' + b"x" * (MEGABYTE - 1),
}


@pytest.mark.parametrize("piece", PIECES.values(), ids=PIECES.keys())
def test_a_gzip_ends_where_it_has_grown_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, piece: bytes) -> None:
    monkeypatch.setenv("SPINE_BOUNDS", "small=4M")
    path = packed(tmp_path / "people.csv.gz", piece, 12)
    with pytest.raises(FileRefused, match=GROWS):
        read_columns(path, COLUMNS)
    with pytest.raises(FileRefused, match=GROWS):
        match_csv.shape(path, COLUMNS)  # what is asked before Spark reads
    assert not has_more_rows(path, 10**9), "counting rows ends there too, and leaves the word to who reads"


def test_no_more_than_the_bound_is_unpacked_whatever_the_ratio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "people.csv.gz"
    path.write_bytes(gzip.compress(b"id,name\n" + b"".join(f"{n},{os.urandom(20).hex()}\n".encode() for n in range(40_000))))
    assert read_columns(path, COLUMNS).num_rows == 40_000
    monkeypatch.setenv("SPINE_BOUNDS", "file=1M")
    with pytest.raises(FileRefused, match=r"people\.csv\.gz is larger than 1,048,576 bytes when decoded.*SPINE_BOUNDS"):
        read_columns(path, COLUMNS)


def test_the_bounds_are_the_operators(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = packed(tmp_path / "people.csv.gz", b"2,x\n" * (MEGABYTE // 4), 8)
    monkeypatch.setenv("SPINE_BOUNDS", "small=4M ratio=2000")
    assert read_columns(path, COLUMNS).num_rows == 8 * MEGABYTE // 4 + 1


@pytest.mark.parametrize("cut", [0.5, 0.99])
def test_a_torn_gzip_is_named(tmp_path: Path, cut: float) -> None:
    path = packed(tmp_path / "people.csv.gz", os.urandom(1000).hex().encode(), 1)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * cut)])
    with pytest.raises(ConfigError, match=r"people\.csv\.gz cannot be decompressed"):
        read_columns(path, COLUMNS)


def shared(path: Path, rows: int, text: str, column: str = "name") -> Path:
    """A Parquet whose rows all have one text, which its file holds once."""
    name = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array([text]))
    pq.write_table(pa.table({"id": pa.array(range(rows)).cast(pa.string()), column: name}), path)
    return path


def test_a_text_that_all_rows_of_a_parquet_share_counts_for_each_of_them(tmp_path: Path) -> None:
    with pytest.raises(FileRefused, match=GROWS):
        read_columns(shared(tmp_path / "people.parquet", 4_000, "x" * MEGABYTE), COLUMNS)
    with pytest.raises(FileRefused, match=GROWS):
        read_columns(shared(tmp_path / "people.b.parquet", 4_000, "x" * MEGABYTE, "the.name"), ["id", "the.name"])
    few = read_columns(shared(tmp_path / "few.parquet", 10, "x" * 1000), COLUMNS)
    assert few.column("name").to_pylist() == ["x" * 1000] * 10


@pytest.mark.parametrize("encoding", ["PLAIN", "DELTA_BYTE_ARRAY"])
def test_a_parquet_column_that_grows_is_refused_also_before_spark(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "people.parquet"
    name = pa.array(["x" * MEGABYTE] * 100)
    options = {"use_dictionary": False, "column_encoding": {"id": "PLAIN", "name": encoding}, "compression": "zstd"}
    pq.write_table(pa.table({"id": [str(n) for n in range(100)], "name": name}), path, **options)
    with pytest.raises(FileRefused, match=GROWS):
        read_columns(path, COLUMNS)
    if encoding == "PLAIN":  # the footer knows; Spark decodes the other kind a batch at a time
        with pytest.raises(FileRefused, match=GROWS):
            typed_schema(path, COLUMNS)
    assert read_columns(path, ["id"]).num_rows == 100, "what is not asked for is not decoded"


def test_memory_stays_flat_and_the_command_says_it_in_a_line(tmp_path: Path) -> None:
    """In a process that has less memory than the file has letters."""
    member = gzip.compress(b"x" * (64 * MEGABYTE))
    (tmp_path / "people.csv.gz").write_bytes(gzip.compress(b"id,name\n1,") + member * 64)
    (tmp_path / "people.yaml").write_text("entity: person\nrecord_id: id\nattributes: {name: surname}\n")
    command = [sys.executable, "-m", "spine.cli", "match", "people.csv.gz", "--entity", "people.yaml", "--output", "clusters.csv"]
    most = 3 << 30
    done = subprocess.run(
        command, cwd=tmp_path, text=True, capture_output=True, check=False, timeout=120,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (most, most)),
    )  # fmt: skip
    assert done.returncode != 0
    assert "[FILE_REFUSED] people.csv.gz grows to more than 250 times" in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "clusters.csv").exists()
