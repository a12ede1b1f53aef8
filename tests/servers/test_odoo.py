"""Odoo against a small server of our own, written from its documentation of the external API."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from spine.core.errors import AuthFailed, SourceRejected
from tests.http.conftest import Seen, make_vendor  # noqa: F401  # a fixture
from tests.servers.test_own_vendors import served  # noqa: F401  # a fixture

PROVES = "a server of ours"

ANN: dict[str, Any] = {"login": "ann", "password": "key", "extra": {"database": "acme"}}  # pragma: allowlist secret


def partner(number: int, at: str = "2026-01-31 08:15:00", **fields: Any) -> dict[str, Any]:
    return {"id": number, "name": f"Ann Lee{number}", "is_company": False, "email": False, "write_date": at, **fields}


class Odoo:
    """JSON-RPC with logins and search_read: domains of `=` and `>=`, order, limit and offset. Errors come with status 200."""

    def __init__(self) -> None:
        self.models = {"res.partner": [partner(number) for number in range(1, 8)], "helpdesk.ticket": [{"id": 1, "name": "Help"}]}
        self.logins = 0

    def __call__(self, seen: Seen) -> Any:
        params = orjson.loads(seen.body)["params"]
        if params["service"] == "common":
            self.logins += 1
            return self.told(2 if params["args"] == ["acme", "ann", "key"] else False)
        database, number, key, model, method, arguments, words = params["args"]
        if (database, number, key) != ("acme", 2, "key"):
            return self.error("odoo.exceptions.AccessDenied", "Access Denied")
        if model not in self.models:
            return self.error("builtins.KeyError", model)
        assert (method, arguments) == ("search_read", [])
        found = [row for row in self.models[model] if all(self.fits(row, *term) for term in words["domain"])]
        ordered = sorted(found, key=lambda row: [row[name.strip()] for name in words["order"].split(",")])
        return self.told(ordered[words.get("offset", 0) :][: words["limit"]])

    @staticmethod
    def fits(row: dict[str, Any], field: str, operator: str, value: Any) -> bool:
        return bool(row[field] == value if operator == "=" else row[field] >= value)

    @staticmethod
    def told(result: Any) -> dict[str, Any]:
        return {"jsonrpc": "2.0", "id": 1, "result": result}

    @staticmethod
    def error(name: str, message: str) -> dict[str, Any]:
        return {
            "jsonrpc": "2.0",
            "id": 1,
            "error": {"code": 200, "message": "Odoo Server Error", "data": {"name": name, "message": message}},
        }


def three(streams: dict[str, dict[str, Any]], _: Any) -> None:
    """Three records a page."""
    streams["persons"]["paging"]["size"] = 3


def test_partners_are_read_page_by_page_and_then_only_changes(reading, served) -> None:  # noqa: F811
    server = Odoo()
    erp = reading("odoo", served(server), three, **ANN)
    first = erp.sync("persons")["persons"]
    assert (first["rows"], first["pages"]) == (7, 3)
    assert server.logins == 1
    assert {record["email"] for record in erp.records("persons")} == {""}, "`false` is nothing"
    server.models["res.partner"][2] = partner(3, "2026-02-01 00:00:00", name="Ann New")
    server.models["res.partner"].append(partner(9, "2026-02-01 00:00:00", is_company=True))
    erp.sync("persons")
    assert [record["name"] for record in erp.records("persons", run=2)] == ["Ann New"]
    del server.models["res.partner"][0]
    erp.sync("persons", mode="full")
    assert [record["_key"] for record in erp.records("persons", run=3) if record["_op"] == "delete"] == ["1"]


def test_any_model_is_read_by_its_name(reading, served) -> None:  # noqa: F811
    account = {**ANN, "extra": {**ANN["extra"], "models": "helpdesk.ticket"}}
    erp = reading("odoo", served(Odoo()), **account)
    assert erp.sync("any_model")["any_model"]["rows"] == 1
    assert erp.keys("any_model") == ["helpdesk.ticket|1"]


def test_an_error_that_is_told_with_200_is_one(reading, served) -> None:  # noqa: F811
    url = served(Odoo())
    with pytest.raises(SourceRejected):
        reading("odoo", url, **ANN).sync("sale_orders")
    with pytest.raises(AuthFailed):
        reading("odoo", url, **{**ANN, "password": "x"}).sync("persons")
