"""Sources that speak OData against SAP's own server of it (CAP), which has other tables than the vendors: paths, keys and cursors are its.

How requests are made, pages turned and times read is as the files say.
"""

from __future__ import annotations

from typing import Any

import requests

PROVES = "SAP CAP, a server of OData by others"

ORDERS = 1200


def changed(url: str, order: str, at: str) -> None:
    """Change an order at the server."""
    answer = requests.patch(f"{url}/odata/v4/catalog/SalesOrders({order})", json={"modifiedAt": at}, timeout=20)
    assert answer.ok, answer.text[:300]


def dynamics(streams: dict[str, dict[str, Any]], said: dict[str, Any]) -> None:
    """Orders of the server; it knows no OAuth."""
    said["auth"] = {"type": "none"}
    streams["orders"] |= {
        "path": "/odata/v4/catalog/SalesOrders",
        "params": {"$filter": "modifiedAt ge {start}", "$orderby": "modifiedAt,ID", "$expand": "items"},
        "key": ["ID"],
        "cursor": {**streams["orders"]["cursor"], "field": "modifiedAt"},
    }


def test_dynamics365_reads_pages_to_the_end_and_then_only_changes(reading, cap) -> None:
    crm = reading("dynamics365", cap, dynamics)
    first = crm.sync("orders")["orders"]
    assert (first["rows"], first["pages"]) == (ORDERS, 5)
    assert len(set(crm.keys("orders"))) == ORDERS
    assert all(isinstance(record["items"], list) for record in crm.records("orders"))
    assert crm.sync("orders")["orders"]["rows"] == 0
    changed(cap, crm.keys("orders")[7], "2024-06-01T08:00:00Z")
    assert crm.sync("orders")["orders"]["rows"] == 1
    assert [record["modifiedAt"] for record in crm.records("orders", run=3)] == ["2024-06-01T08:00:00.000Z"]
