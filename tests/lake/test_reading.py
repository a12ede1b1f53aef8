"""Rows of tables as Arrow, also of tables that an earlier version wrote."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake
from deltalake.transaction import AddAction
from typer.testing import CliRunner

from spine.cli.commands import app
from spine.lake.paths import table_uri
from spine.lake.reading import dataset, query_engine


def test_far_times_of_tables_that_were_written_with_int96(tmp_path: Path) -> None:
    moments = [dt.datetime(1, 1, 1, tzinfo=dt.UTC), dt.datetime(9999, 12, 31, tzinfo=dt.UTC)]
    rows = pa.table({"tenant_id": ["acme", "acme"], "at": pa.array(moments, pa.timestamp("us", "UTC"))})
    write_deltalake(tmp_path, rows, partition_by=["tenant_id"])
    (file,) = tmp_path.rglob("*.parquet")
    pq.write_table(rows.select(["at"]), file, use_deprecated_int96_timestamps=True)
    (log,) = tmp_path.glob("_delta_log/*.json")
    actions = [json.loads(line) for line in log.read_text().splitlines()]
    for action in actions:
        if "add" in action:
            action["add"] |= {"size": file.stat().st_size, "stats": "{}"}
    log.write_text("\n".join(json.dumps(action) for action in actions))
    assert dataset(DeltaTable(tmp_path)).to_table()["at"].to_pylist() == moments


@pytest.fixture
def views(lake: str) -> DeltaTable:
    """A Gold table with a file whose texts are Arrow views, as a MERGE of delta-rs from 1.6 on writes them."""
    uri = table_uri("gold_party_person")
    rows = pa.table({"tenant_id": ["acme"], "entity_id": ["per_1"], "family_name": ["Jones"]})
    write_deltalake(uri, rows, partition_by=["tenant_id"])
    # One name beside a null: with other values Arrow may get away without comparing a bound.
    written = {"entity_id": ["per_2", "per_3"], "family_name": ["Smith", None]}
    path = Path(uri) / "tenant_id=acme" / "views.parquet"
    pq.write_table(pa.table({name: pa.array(values, pa.string_view()) for name, values in written.items()}), path)
    assert pq.read_schema(path).field("family_name").type == pa.string_view()
    stats = {"numRecords": 2, "minValues": {"family_name": "Smith"}, "maxValues": {"family_name": "Smith"}, "nullCount": {"family_name": 1}}
    action = AddAction(f"tenant_id=acme/{path.name}", path.stat().st_size, {"tenant_id": "acme"}, 1, True, json.dumps(stats))
    table = DeltaTable(uri)
    table.create_write_transaction([action], mode="append", schema=table.schema(), partition_by=["tenant_id"])
    return DeltaTable(uri)


def test_texts_that_an_earlier_delta_rs_wrote_as_views_can_be_compared_in_arrow(views: DeltaTable) -> None:
    name, rows = pads.field("family_name"), dataset(views)
    for condition, wanted in ((name == "Smith", 1), (name.isin(["Smith", "Jones"]), 2), (name > "K", 1), (name.is_null(), 1)):
        assert rows.to_table(filter=condition).num_rows == rows.count_rows(filter=condition) == wanted
    assert rows.to_table().schema.field("family_name").type == pa.string()


@pytest.mark.parametrize(
    ("condition", "wanted"), [("= 'Smith'", 1), ("IN ('Smith', 'Jones')", 2), ("LIKE 'S%'", 1), ("> 'K'", 1), ("IS NULL", 1)]
)
def test_and_in_duckdb(views: DeltaTable, condition: str, wanted: int) -> None:
    query = f"SELECT count(*) FROM gold_party_person WHERE family_name {condition}"
    assert query_engine("acme").execute(query).fetchall() == [(wanted,)]


def test_and_in_joins_aggregates_and_on_the_command_line(views: DeltaTable) -> None:
    engine = query_engine("acme")
    joined = "SELECT count(*) FROM gold_party_person AS t JOIN (SELECT 'Smith' AS v) ON t.family_name = v"
    grouped = "SELECT family_name, count(*) FROM gold_party_person WHERE family_name = 'Smith' GROUP BY family_name"
    assert [engine.execute(sql).fetchall() for sql in (joined, grouped)] == [[(1,)], [("Smith", 1)]]
    told = CliRunner().invoke(
        app, ["query", "SELECT entity_id FROM gold_party_person WHERE family_name = 'Smith'", "--tenant", "acme"], prog_name="spine"
    )
    assert told.exit_code == 0, told.output
    assert "per_2" in told.output


def test_and_in_polars(views: DeltaTable) -> None:
    assert pl.scan_delta(views.table_uri).filter(pl.col("family_name") == "Smith").select(pl.len()).collect().item() == 1
