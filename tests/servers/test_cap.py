"""Sources that speak OData against SAP's own server of it (CAP), which has other tables than the vendors: paths, keys and cursors are its.

How requests are made, pages turned and times read is as the files say.
"""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest
import requests

from spine.core.errors import AuthFailed

PROVES = "SAP CAP, a server of OData by others"

ORDERS = 1200


days = count(1)


def changed(url: str, order: str) -> None:
    """Change an order at the server, later than all before it: it is one for the session."""
    at = f"2024-06-{next(days):02}T08:00:00Z"
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


def sap(version: int) -> Any:
    """Orders of the server, and its books behind a login, in place of products."""

    def edit(streams: dict[str, dict[str, Any]], _: Any) -> None:
        since = "modifiedAt ge datetimeoffset'{start}'" if version == 2 else "modifiedAt ge {start}"
        form = {"$format": "json"} if version == 2 else {}
        streams["sales_orders"] |= {
            "path": f"/odata/v{version}/catalog/SalesOrders",
            "params": {"$filter": since, "$orderby": "ID", "$expand": "items", **form},
            "key": ["ID"],
            "cursor": {**streams["sales_orders"]["cursor"], "field": "modifiedAt"},
            "compute": {"lines": "items.results" if version == 2 else "items"},
        }
        streams["products"] |= {"path": f"/odata/v{version}/secured/Books", "params": {"$orderby": "ID", **form}, "key": ["ID"]}
        streams["products"]["cursor"] |= {"field": "modifiedAt"}

    return edit


@pytest.mark.parametrize("version", [2, 4])
def test_sap_reads_pages_to_the_end_and_then_only_changes(reading, cap, version) -> None:
    """Pages are shorter than they were asked for: 250 orders in place of 500. Of version 2 they are counted, and times are `/Date(…)/`."""
    alice = {"login": "alice", "password": "secret"}  # pragma: allowlist secret
    erp = reading("sap", cap, sap(2), **alice) if version == 2 else reading("sap_odata4", cap, sap(4), **alice)
    first = erp.sync("sales_orders", "products")
    assert {name: (result["rows"]) for name, result in first.items()} == {"sales_orders": ORDERS, "products": 3000}
    assert len(set(erp.keys("sales_orders"))) == ORDERS
    assert len(set(erp.keys("products"))) == 3000
    assert all(record["lines"] for record in erp.records("sales_orders"))
    assert erp.sync("sales_orders")["sales_orders"]["rows"] == 0
    order = erp.keys("sales_orders")[version]
    changed(cap, order)
    erp.sync("sales_orders")
    assert erp.keys("sales_orders", run=3) == [order]


def test_sap_refuses_a_wrong_password_as_credentials_are(reading, cap) -> None:
    with pytest.raises(AuthFailed):
        reading("sap", cap, sap(2), login="alice", password="x").sync("products")


def test_dynamics365_reads_pages_to_the_end_and_then_only_changes(reading, cap) -> None:
    crm = reading("dynamics365", cap, dynamics)
    first = crm.sync("orders")["orders"]
    assert (first["rows"], first["pages"]) == (ORDERS, 5)
    assert len(set(crm.keys("orders"))) == ORDERS
    assert all(isinstance(record["items"], list) for record in crm.records("orders"))
    assert crm.sync("orders")["orders"]["rows"] == 0
    order = crm.keys("orders")[7]
    changed(cap, order)
    assert crm.sync("orders")["orders"]["rows"] == 1
    assert crm.keys("orders", run=3) == [order]
