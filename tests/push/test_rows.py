"""What is sent: rows of Gold, linked records of a source with the golden id, and views of PostgreSQL."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from deltalake import write_deltalake

from spine.lake.gold import LINKS, SCHEMAS
from spine.lake.paths import table_uri
from tests.push.conftest import Warehouse, Way, person


def link(tenant: str, entity: str, source: str, record: str) -> dict[str, Any]:
    ref = f"{source}:contacts:{record}"
    return {"tenant_id": tenant, "entity": "person", "entity_id": entity, "record_ref": ref, "source": source, "stream": "contacts",
            "record_id": record, "confidence": 0.9}  # fmt: skip


def put_links(*links: dict[str, Any]) -> None:
    full = [{**dict.fromkeys(SCHEMAS[LINKS].names), **one} for one in links]
    write_deltalake(table_uri(LINKS), pa.Table.from_pylist(full, SCHEMAS[LINKS]), partition_by=["tenant_id", "entity"])


def test_golden_id_and_links_flow_back_to_each_record_of_a_source(way: Way, warehouse: Warehouse) -> None:
    way.put(person(1), person(2))
    put_links(
        link(way.tenant, "per_0001", "salesforce", "003A"), link(way.tenant, "per_0001", "salesforce", "003B"),
        link(way.tenant, "per_0001", "hubspot", "77"), link(way.tenant, "per_0002", "hubspot", "78"),
        link("other", "per_0001", "salesforce", "003X"),
    )  # fmt: skip
    way.declare(
        source={"records_of": {"source": "salesforce", "stream": "contacts"}},
        destination={
            "_instead": True, "connector": "warehouse", "kind": "postgresql", "object": "customer_360.customers",
            "match_key": ["record_id"],
            "mapping": {"record_id": "id", "entity_id": "golden_id", "links.hubspot.contacts": "hubspot_id", "email": "email"},
        },
    )  # fmt: skip
    assert way.run().status == "done"
    assert warehouse.ask("SELECT id, golden_id, hubspot_id, email FROM customer_360.customers ORDER BY 1") == [
        ("003A", "per_0001", "77", "p1@example.com"),
        ("003B", "per_0001", "77", "p1@example.com"),
    ]
    assert way.run().counts["changes"] == 0


def test_rows_of_one_key_are_one_and_rows_without_a_key_stay_here(way: Way, warehouse: Warehouse) -> None:
    way.declare(destination={
        "_instead": True, "connector": "warehouse", "kind": "postgresql", "object": "customer_360.customers", "match_key": ["email"],
        "mapping": {"email": "email", "given_name": "first_name"},
    })  # fmt: skip
    way.put(person(2, email="same@example.com"), person(1, email="same@example.com"), person(3, email=None))
    found = way.run()
    assert (found.counts["creates"], found.counts["doubles"], found.counts["without_key"]) == (1, 1, 1)
    assert warehouse.ask("SELECT first_name FROM customer_360.customers") == [("Given1",)], "whatever order the table has"
    assert way.run().counts["changes"] == 0
