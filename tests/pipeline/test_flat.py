"""Streams without an entity: a typed Silver table of their own that no value is lost in, by the ordinary step."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from deltalake import DeltaTable
from hypothesis import given
from hypothesis import strategies as st

from spine.lake import amounts
from spine.lake.paths import table_uri
from spine.lake.reading import query_engine
from spine.normalize.flat import MOST_COLUMNS, column_name, columns_for, type_of
from spine.pipeline import quarantine
from spine.pipeline.normalize import normalize

pytestmark = [pytest.mark.spark, pytest.mark.slow]
START = dt.datetime(2026, 1, 31, 8, tzinfo=dt.UTC)
Bronze = Callable[..., None]


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: Path) -> Callable[..., None]:
    """Declares a source `shop` with one stream `orders` that has no entity."""
    folder = tmp_path / "sources"
    folder.mkdir()
    monkeypatch.setenv("SPINE_SOURCES", str(folder))

    def declare(**words: Any) -> None:
        stream = {"name": "orders", "key": ["id"], **words}
        content = {"source": "shop", "label": "Shop", "domain": "finops", "streams": [stream]}
        (folder / "shop.yaml").write_text(json.dumps(content))

    declare()
    return declare


def order(record: str, hour: int = 0, *, tenant: str = "acme", op: str = "upsert", **fields: Any) -> dict[str, Any]:
    payload = fields.pop("payload", fields)
    return {
        "tenant_id": tenant, "record_id": record, "emitted_at": START + dt.timedelta(hours=hour), "op": op,
        "cursor": f"2026-01-31T{hour:02d}:00:00.000000Z", "payload": payload,
    }  # fmt: skip


def table() -> DeltaTable:
    return DeltaTable(table_uri("shop_orders"))


def rows(*columns: str) -> list[dict[str, Any]]:
    return table().to_pyarrow_table(columns=list(columns)).sort_by([(columns[0], "ascending")]).to_pylist()


def types() -> dict[str, str]:
    return {field.name: str(field.type.type) for field in table().schema().fields}


def run(spark: Any, number: int, **options: Any) -> dict[str, Any]:
    return normalize(spark, "shop", f"run{number}", **options).entities["orders"].to_json()


def test_every_field_has_a_typed_column_and_every_engine_reads_them(spark: Any, bronze: Bronze, shop: Any) -> None:
    bronze("shop", "orders", [
        order("1", id=1, total=19.99, paid=True, day="2026-01-30", at="2026-01-30T10:00:00Z", items=[{"sku": "a"}], note=None,
              zone="2026-01-30T10:00:00+02:00"),
        order("2", id=2, total=5, paid=False, day="2026-01-31", at="2026-01-31T10:00:00.5Z", items=[], who={"name": "Ada"},
              zone="2026-01-30T10:00:00Z"),
    ])  # fmt: skip
    found = run(spark, 1)
    assert (found["rows_in"], found["published"], found["silver_table"]) == (2, 2, "shop_orders")
    kinds = types()
    assert {name: kinds[name] for name in ("id", "total", "paid", "day", "at", "items", "note", "who", "zone")} == {
        "id": "long", "total": "double", "paid": "boolean", "day": "date", "at": "timestamp", "items": "string", "note": "string",
        "who": "string", "zone": "string",
    }  # fmt: skip
    first, second = rows("id", "total", "paid", "day", "at", "items", "who", "zone", "custom_fields")
    assert first == {
        "id": 1, "total": 19.99, "paid": True, "day": dt.date(2026, 1, 30), "at": dt.datetime(2026, 1, 30, 10, tzinfo=dt.UTC),
        "items": '[{"sku":"a"}]', "who": None, "zone": "2026-01-30T10:00:00+02:00", "custom_fields": "{}",
    }  # fmt: skip
    assert (second["total"], second["who"], second["at"].microsecond) == (5.0, '{"name":"Ada"}', 500_000)
    assert query_engine("acme").execute("SELECT sum(total) FROM shop_orders WHERE paid").fetchone() == (19.99,)
    assert pl.read_delta(table_uri("shop_orders")).filter(pl.col("id") == 2)["total"].to_list() == [5.0]
    configuration = table().metadata().configuration
    assert (configuration["delta.enableChangeDataFeed"], table().metadata().partition_columns) == ("true", ["tenant_id"])
    assert run(spark, 2)["rows_in"] == 0


def test_each_stream_that_was_found_has_a_table_of_its_own(spark: Any, bronze: Bronze, shop: Any) -> None:
    shop(name="order", found={"stream": "books", "name": "title"})
    bronze("shop", "order_spring", [order("1", id=1, total=2.5)])
    bronze("shop", "order_fall", [order("1", id=1, note="x")])
    found = normalize(spark, "shop", "r1").entities
    assert {name: result.published for name, result in found.items()} == {"order_spring": 1, "order_fall": 1}
    assert [field.name for field in DeltaTable(table_uri("shop_order_fall")).schema().fields if field.name in ("total", "note")] == ["note"]


WIDENED = {  # field: what it was, what comes, the type that holds both, and both in it
    "whole_then_part": (1, 2.5, "double", [1.0, 2.5]),
    "long_then_part": (2**53 + 1, 2.5, "string", ["9007199254740993", "2.5"]),
    "too_long": (1, 2**63, "string", ["1", "9223372036854775808"]),
    "whole_then_text": (7, "x", "string", ["7", "x"]),
    "part_then_text": (2.5, "x", "string", ["2.5", "x"]),
    "truth_then_number": (True, 1, "string", ["true", "1"]),
    "day_then_time": ("2026-01-30", "2026-01-30T10:00:00Z", "string", ["2026-01-30", "2026-01-30T10:00:00Z"]),
    "time_then_text": ("2026-01-30T10:00:00Z", "soon", "string", ["2026-01-30T10:00:00Z", "soon"]),
    "day_then_object": ("2026-01-30", {"y": 1}, "string", ["2026-01-30", '{"y":1}']),
    "nothing_then_number": (None, 5, "long", [None, 5]),
    "nothing_then_text": (None, "x", "string", [None, "x"]),
    "seventeen_digits": (0.1, 0.30000000000000004, "double", [0.1, 0.30000000000000004]),
    "blanks": ("", "  ", "string", ["", "  "]),
    "a_day_that_is_none": ("2026-02-30", "0000-01-01", "string", ["2026-02-30", "0000-01-01"]),
}


def test_a_wider_type_keeps_every_value(spark: Any, bronze: Bronze, shop: Any) -> None:
    bronze("shop", "orders", [order("1", **{name: before for name, (before, *_) in WIDENED.items()})])
    run(spark, 1)
    bronze("shop", "orders", [order("2", 1, **{name: after for name, (_, after, *_) in WIDENED.items()})])
    assert run(spark, 2)["published"] == 1
    wanted = {name: (kind, values) for name, (*_, kind, values) in WIDENED.items()}
    assert {name: (types()[name], [row[name] for row in rows("record_id", name)]) for name in WIDENED} == wanted
    bronze("shop", "orders", [order("3", 2, **dict.fromkeys(WIDENED))])
    assert run(spark, 3)["published"] == 1
    assert {name: types()[name] for name in WIDENED} == {name: kind for name, (kind, _) in wanted.items()}


def test_digits_that_no_machine_number_holds_stay(spark: Any, bronze: Bronze, shop: Any) -> None:
    exact = "12345678901234567890.12345"
    bronze("shop", "orders", [order("1", payload=f'{{"id": 1, "value": {exact}, "cents": 0.1}}')])
    run(spark, 1)
    (row,) = rows("record_id", "value", "cents")
    assert (Decimal(row["value"]), row["cents"]) == (Decimal(exact), 0.1)


def test_new_fields_become_columns_and_odd_names_are_kept_apart(spark: Any, bronze: Bronze, shop: Any) -> None:
    bronze("shop", "orders", [order("1", id=1, Name="a", updated_at="2026-01-30T00:00:00Z")])
    run(spark, 1)
    odd = {"": 1, "a]b": 2, "it's": 3, "both ' and \"": 4, "a.b": 5, "a b": 6, "a*b": 7, "ä\n\\": 8, "$": 9}
    bronze("shop", "orders", [order("2", 1, payload={"id": 2, "name": "b", "Name": "c", **odd})])
    run(spark, 2)
    kinds = types()
    assert kinds["updated_at_"] == kinds["updated_at"] == "timestamp"
    first, second = rows("record_id", "Name", "name_2", "updated_at_")
    assert (first["Name"], first["name_2"], first["updated_at_"]) == ("a", None, dt.datetime(2026, 1, 30, tzinfo=dt.UTC))
    assert (second["Name"], second["name_2"], second["updated_at_"]) == ("c", "b", None)
    (row,) = [row for row in table().to_pyarrow_table().to_pylist() if row["record_id"] == "2"]
    assert json.loads(row["custom_fields"]).get("both ' and \"") == 4
    kept = {str(value) for value in row.values()} | {str(value) for value in json.loads(row["custom_fields"]).values()}
    assert {str(number) for number in odd.values()} <= kept


def test_deletes_mark_and_keep_values_and_a_bad_row_is_quarantined(spark: Any, bronze: Bronze, shop: Any) -> None:
    bronze("shop", "orders", [order("1", id=1, total=3), order("2", id=2, total=4), order("3", payload="{broken")])
    assert run(spark, 1)["quarantined"] == 1
    bronze("shop", "orders", [order("1", 1, op="delete", payload={}), order("2", 1, id=2, total=5)])
    assert run(spark, 2)["deleted"] == 1
    assert [(row["total"], row["is_deleted"]) for row in rows("record_id", "total", "is_deleted")] == [(3, True), (5, False)]
    (waiting,) = quarantine.list_rows("shop", "orders")
    assert waiting["reasons"][0]["rule"] == "readable"
    assert quarantine.replay(spark, "shop", "orders", None, "again").to_json()["still_open"] == 1


def test_tenants_stand_apart_and_the_change_feed_tells_what_changed(spark: Any, bronze: Bronze, shop: Any) -> None:
    bronze("shop", "orders", [order("1", id=1, total=3), order("1", tenant="north", id=1, total=4)])
    run(spark, 1)
    before = table().version()
    bronze("shop", "orders", [order("1", 1, tenant="north", id=1, total=9)])
    run(spark, 2)
    changes = pl.DataFrame(pa.table(table().load_cdf(starting_version=before + 1))).filter(pl.col("_change_type") != "update_preimage")
    assert changes.select("tenant_id", "total").rows() == [("north", 9)]
    assert query_engine("acme").execute("SELECT total FROM shop_orders").fetchall() == [(3,)]


def test_names_that_are_values_do_not_make_columns_without_end(spark: Any, bronze: Bronze, shop: Any) -> None:
    bronze("shop", "orders", [order("1", id=1, **{f"user_{number}": number for number in range(MOST_COLUMNS + 50)})])
    run(spark, 1)
    (row,) = table().to_pyarrow_table().to_pylist()
    others = json.loads(row["custom_fields"])
    assert len(others) == 51
    assert {**{name: row[name] for name in row if name.startswith("user_")}, **others} == {
        f"user_{number}": number for number in range(MOST_COLUMNS + 50)
    }


def test_much_goes_the_same_way_as_little(spark: Any, bronze: Bronze, shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(amounts, "FEW_ROWS", -1)
    bronze("shop", "orders", [order("1", id=1, value=1)])
    run(spark, 1)
    bronze("shop", "orders", [order("2", 1, id=2, value="x", more=True)])
    run(spark, 2)
    assert [(row["value"], row["more"]) for row in rows("record_id", "value", "more")] == [("1", None), ("x", True)]


ATOMS = st.sets(st.sampled_from(["boolean", "integer", "long", "number", "date", "timestamp", "text"]))


@given(ATOMS, ATOMS)
def test_a_type_only_widens(first: set[str], second: set[str]) -> None:
    (known,) = columns_for([], {"f": frozenset(first)})
    beyond = ["f"] if known.type == "integer" and "long" in first else []
    (after,) = columns_for([known], {"f": frozenset(second)}, beyond)
    if second <= first:
        assert after.type == known.type
    held = {"string": 3, "double": 2, "integer": 1}
    if first:
        assert after.type == known.type or held.get(after.type, 0) > held.get(known.type, 0)
    assert after.type == type_of(first | second) or after.type == "string"


@given(st.lists(st.text(max_size=8), unique=True, max_size=30))
def test_columns_have_names_of_their_own_and_keep_them(names: list[str]) -> None:
    seen = {name: frozenset({"text"}) for name in names}
    columns = columns_for([], seen)
    lowered = [column.name.lower() for column in columns]
    assert len(set(lowered)) == len(lowered)
    assert all(column.name.isascii() and column.name.replace("_", "a").isalnum() for column in columns)
    assert columns_for(columns, seen) == columns
    assert column_name("Is_Deleted") == "Is_Deleted_"
