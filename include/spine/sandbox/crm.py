"""A made-up CRM, `/mock_crm/v1/{contacts|accounts|products|orders}`: no vendor's, and odd in how it turns pages.

An answer names the next page by a bookmark, and whoever asks for it has to say too how many rows there were so far. Each page has at most
100 rows. `changed_since` asks for what has changed; removed rows stay with `state: removed`. The key travels in `X-Crm-Key`. POST changes a
row, or makes a new one.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from spine.sandbox.answers import json_answer

KEY = "mock-crm-key"
COUNTS = {"contacts": 312, "accounts": 60, "products": 25, "orders": 401}
_FIRST = datetime(2026, 1, 1, tzinfo=UTC)
_MOST = 100
_NAMES = ("Ada", "Berta", "Carla", "Dora", "Emil", "Fritz", "Gerda")
_SURNAMES = ("Lovelace", "von Suttner", "Bruni", "Maar", "Zola", "Lang", "Taro", "Curie", "Noether", "Franklin", "Meitner")


def _row(kind: str, number: int) -> dict[str, Any]:
    """A row as it was made; the same each time."""
    at = (_FIRST + timedelta(minutes=number)).isoformat().replace("+00:00", "Z")
    common = {"ref": f"{kind[0].upper()}{number:05}", "state": "active", "made": at, "changed": at}
    account = f"A{number % COUNTS['accounts']:05}"
    if kind == "contacts":
        first, last = _NAMES[number % len(_NAMES)], _SURNAMES[number % len(_SURNAMES)]
        mail = f"{first}.{last.replace(' ', '')}{number}@firm{number % 60}.example".lower()
        return {**common, "who": {"full": f"{first} {last}", "mail": mail}, "account": account}
    if kind == "accounts":
        return {
            **common,
            "title": f"Firm {number} Ltd",
            "site": f"https://www.firm{number}.example",
            "place": {"city": "Leeds", "land": "GB"},
        }
    if kind == "products":
        return {**common, "title": f"Thing {number}", "price": {"sum": f"{number + 1}.50", "unit": "EUR"}}
    lines = [{"product": f"P{number % COUNTS['products']:05}", "count": number % 5 + 1}]
    return {**common, "account": account, "total": {"sum": f"{10 * number}.00", "unit": "EUR"}, "lines": lines}


class Crm:
    """The rows, and the two requests that there are."""

    def __init__(self) -> None:
        self.rows = {kind: {row["ref"]: row for row in (_row(kind, number) for number in range(count))} for kind, count in COUNTS.items()}

    async def listing(self, request: Request) -> Response:
        """`GET /mock_crm/v1/{kind}`, a page."""
        kind, query = request.path_params["kind"], request.query_params
        if request.headers.get("X-Crm-Key") != KEY:
            return json_answer({"fault": "who are you?"}, 401)
        if kind not in self.rows:
            return json_answer({"fault": "no such kind"}, 404)
        since = query.get("changed_since", "")
        found = sorted((row for row in self.rows[kind].values() if row["changed"] >= since), key=lambda row: (row["changed"], row["ref"]))
        start = next((place + 1 for place, row in enumerate(found) if row["ref"] == query.get("bookmark")), 0)
        if str(start) != query.get("seen", "0"):
            return json_answer({"fault": f"the bookmark stands behind {start} rows"}, 409)
        page = found[start : start + min(int(query.get("limit", _MOST)), _MOST)]
        more = page[-1]["ref"] if start + len(page) < len(found) else None
        return json_answer({"rows": page, "page": {"bookmark": more}})

    async def change(self, request: Request) -> Response:
        """`POST /mock_crm/v1/{kind}`: the fields of one row, whose `ref` tells which."""
        rows, said = self.rows[request.path_params["kind"]], orjson.loads(await request.body())
        rows[said["ref"]] = {**rows.get(said["ref"], {"state": "active"}), **said}
        return json_answer(rows[said["ref"]])


def routes() -> list[Route]:
    """The routes of one CRM."""
    crm = Crm()
    return [Route("/mock_crm/v1/{kind}", crm.listing), Route("/mock_crm/v1/{kind}", crm.change, methods=["POST"])]
