"""SQL that is written once and read by two engines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, QueryBuilder, write_deltalake

from spine.lake.delta_sql import literal

TEXTS = ["plain", "O'Hara", "''", "back\\slash \\' and \\n", "\\", "line\nbreak", ""]


@pytest.fixture
def delta_rs(tmp_path: Path) -> QueryBuilder:
    write_deltalake(str(tmp_path / "t"), pa.table({"n": [1]}))
    return QueryBuilder().register("t", DeltaTable(str(tmp_path / "t")))


@pytest.mark.parametrize("text", TEXTS)
def test_delta_rs_reads_a_text_as_it_is(delta_rs: QueryBuilder, text: str) -> None:
    answer = pa.table(delta_rs.execute(f"SELECT {literal(text)} AS x FROM t"))
    assert answer.column("x").cast(pa.string()).to_pylist() == [text]


def test_spark_reads_a_text_as_it_is(spark: Any) -> None:
    (row,) = spark.sql(f"SELECT {', '.join(f'{literal(text)} AS x{number}' for number, text in enumerate(TEXTS))}").collect()
    assert list(row) == TEXTS
