"""Every table of the lake answers equality, IN, joins and aggregates in every engine, after a first load and after changes."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from typing import Any

import polars as pl
import pyarrow.dataset as pads
import pytest
from deltalake import DeltaTable

from spine.lake.paths import table_uri
from spine.lake.reading import query_engine, table_names
from spine.pipeline.normalize import normalize

# A Python with a DuckDB that has its Delta extension, in an environment of its own (docs/testing.md): our DuckDB is newer than that one.
DUCKDB_DELTA = os.environ.get("SPINE_DUCKDB_DELTA", "")
ASK_BY_EXTENSION = """
import json, sys
from pathlib import Path
import duckdb
engine = duckdb.connect()
packed = sorted((Path(duckdb.__file__).parents[1] / "duckdb_ext").glob(f"extensions/v{duckdb.__version__}/*/delta.duckdb_extension"))
engine.execute(f"LOAD '{packed[0]}'" if packed else "LOAD delta")
print(json.dumps([engine.execute(sql, [value]).fetchall()[0][0] for sql, value in json.load(sys.stdin)]))
"""
TEXT = "record_ref", "entity_id", "from_id", "record_id", "kind", "parameters", "change_id", "run_id"
pytestmark = [pytest.mark.spark, pytest.mark.slow]


def contact(number: int, **fields: Any) -> dict[str, Any]:
    body = {"Id": str(number), "LastName": f"Lee {number}", "FirstName": "Ann", "Email": f"ann.lee{number}@b.org"} | fields
    return {"record_id": str(number), "cursor": f"2026-01-31T0{number % 9}:00:00.000000Z", "payload": body}


@pytest.fixture
def filled(spark: Any, gold_world: Any, bronze: Callable[..., None], home: Any) -> list[str]:
    """Bronze, Silver, quarantine and Gold, each written and changed; the names of the tables that have rows."""
    bronze("salesforce", "contacts", [contact(number) for number in range(1, 9)] + [contact(9, Email="nobody")])
    normalize(spark, "salesforce", "r1")
    gold_world.put("crm", gold_world.crowd(), "acme")
    gold_world.resolve("acme")
    bronze("salesforce", "contacts", [contact(1, LastName="O'Neil", SystemModstamp="x"), contact(9)])
    normalize(spark, "salesforce", "r2")
    gold_world.put("crm", [{**gold_world.crowd()[0], "city": "Rome"}], "acme")
    gold_world.resolve("acme")
    return [name for name in table_names() if DeltaTable(table_uri(name)).to_pyarrow_dataset().count_rows()]


def asked(table: DeltaTable) -> tuple[str, str, int]:
    """A text column of a table, a value that it has, and how many rows have it."""
    column = next(text for text in TEXT if text in table.schema().to_arrow().names)
    values = table.to_pyarrow_table(columns=[column])[column].to_pylist()
    value = next(found for found in values if found)
    return column, value, values.count(value)


def questions(table: str, column: str) -> dict[str, str]:
    """What DuckDB is asked of a table, by a short name; each answer is the number of rows that have the value."""
    return {
        "=": f"SELECT count(*) FROM {table} WHERE {column} = $1",
        "IN": f"SELECT count(*) FROM {table} WHERE {column} IN ($1, 'nothing')",
        "join": f"SELECT count(*) FROM {table} AS t JOIN (SELECT $1 AS v) ON t.{column} = v",
        "aggregate": f"SELECT max(n) FROM (SELECT count(*) AS n FROM {table} WHERE {column} = $1 GROUP BY {column})",
    }


def test_every_table_answers_in_every_engine(filled: list[str], spark: Any) -> None:
    assert {"raw_salesforce_contacts", "salesforce_person", "quarantine_salesforce_person", "gold_party_person"} <= set(filled)
    engine = query_engine("acme")
    for name in filled:
        table = DeltaTable(table_uri(name))
        column, value, wanted = asked(table)
        answers = {
            "pyarrow": table.to_pyarrow_dataset().count_rows(filter=pads.field(column) == value),
            "pyarrow, IN": table.to_pyarrow_dataset().to_table(filter=pads.field(column).isin([value])).num_rows,
            "deltalake": table.to_pyarrow_table(filters=[(column, "=", value)]).num_rows,
            "polars": pl.scan_delta(table_uri(name)).filter(pl.col(column) == value).select(pl.len()).collect().item(),
            "polars, IN": pl.scan_delta(table_uri(name)).filter(pl.col(column).is_in([value])).select(pl.len()).collect().item(),
            "spark": spark.read.format("delta").load(table_uri(name)).where(f"`{column}` = \"{value}\"").count()
            if '"' not in value else wanted,
        }  # fmt: skip
        for label, sql in questions(name, column).items():
            answers[f"duckdb, {label}"] = engine.execute(sql, [value]).fetchall()[0][0]
        assert answers == dict.fromkeys(answers, wanted), f"{name}.{column} = {value!r}"


@pytest.mark.skipif(not DUCKDB_DELTA, reason="SPINE_DUCKDB_DELTA names no Python whose DuckDB has the Delta extension")
def test_every_table_answers_duckdbs_own_delta_extension(filled: list[str]) -> None:
    order, wanted = [], []
    for name in filled:
        column, value, rows = asked(DeltaTable(table_uri(name)))
        order += [(sql, value) for sql in questions(f"delta_scan('{table_uri(name)}')", column).values()]
        wanted += [rows] * 4
    answer = subprocess.run([DUCKDB_DELTA, "-c", ASK_BY_EXTENSION], input=json.dumps(order), capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout) == wanted
