"""Golden values: each strategy, its tie-breaks, and where a value came from."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pyarrow as pa
import pytest

from spine.core.entities import Entity
from spine.identity.golden.survive import golden


def _entity(strategy: str) -> Entity:
    return Entity.model_validate({
        "entity": "person", "label": "P", "domain": "party", "description": "p", "version": 1, "trust": ["hr", "crm"],
        "fields": {"city": {"description": "c"}, "street": {"description": "s"}}, "survivorship": {"city": {"strategy": strategy}},
    })  # fmt: skip


ROWS = [  # (entity, ref, source, day, cursor, city, street)
    ("e1", "r1", "crm", 1, "2026-03-01T00:00:00.000000Z", "Leeds", None),
    ("e1", "r2", "web", 2, None, "York", "1 High Street"),
    ("e1", "r3", "hr", 1, None, "Bradford", None),
    ("e1", "r4", "web", 1, None, "york ", None),
    ("e2", "r5", "web", 1, None, None, None),
]


def _table() -> pa.Table:
    names = ("entity_id", "record_ref", "source", "emitted_at", "source_cursor", "city", "street")
    columns = [list(values) for values in zip(*ROWS, strict=True)]
    columns[3] = pa.array([datetime(2026, 1, day, tzinfo=UTC) for day in columns[3]], pa.timestamp("us", "UTC"))
    return pa.table(
        {name: values if name == "emitted_at" else pa.array(values, pa.string()) for name, values in zip(names, columns, strict=True)}
    )


@pytest.mark.parametrize(
    ("strategy", "city", "ref"),
    [
        ("most_recent", "Leeds", "r1"), ("most_trusted", "Bradford", "r3"), ("most_complete", "York", "r2"), ("longest", "Bradford", "r3"),
        ("most_frequent", "York", "r2"),
    ],
)  # fmt: skip
def test_a_strategy_picks_the_value_and_says_where_it_is_from(strategy, city, ref):
    one, none = golden(_table(), _entity(strategy)).to_pylist()
    assert one["city"] == city
    origin = json.loads(one["provenance"])["city"]
    assert (origin["record_ref"], origin["strategy"]) == (ref, strategy)
    assert origin["emitted_at"].startswith("2026-01-0")
    assert none == {"entity_id": "e2", "city": None, "street": None, "provenance": "{}"}


def test_values_are_counted_by_entity():
    """Leeds is frequent elsewhere: an entity's most frequent value is that of its own records."""
    rows = [
        (f"e{at // 4}", f"r{at:02}", "web", city)
        for at, city in enumerate(["Hull", "Leeds", "Hull", "Hull", *["Leeds"] * 8, "Leeds", "York", "York", "Hull"])
    ]
    table = pa.table(
        {
            name: pa.array(values)
            for name, values in zip(("entity_id", "record_ref", "source", "city"), zip(*rows, strict=True), strict=True)
        }
    )
    moments = pa.array([datetime(2026, 1, 1, tzinfo=UTC)] * len(rows), pa.timestamp("us", "UTC"))
    found = golden(table.append_column("emitted_at", moments), _entity("most_frequent"))
    assert found.column("city").to_pylist() == ["Hull", "Leeds", "Leeds", "York"]


def test_the_order_of_rows_does_not_matter():
    assert (
        golden(_table().take([4, 2, 3, 0, 1]), _entity("most_frequent")).to_pylist()
        == golden(_table(), _entity("most_frequent")).to_pylist()
    )


def test_a_field_that_the_records_lack_stays_null_and_the_fields_after_it_do_not():
    one, _ = golden(_table().drop_columns(["city"]), _entity("most_recent")).to_pylist()
    assert (one["city"], one["street"]) == (None, "1 High Street")
    assert json.loads(one["provenance"]).keys() == {"street"}
