"""HubSpot's CRM v3 objects API as far as an extractor uses it: list, search, private-app token.

Written after developers.hubspot.com/docs: "CRM API | Contacts", "| Companies", "| Deals", "CRM API | Search" (limits: 200 a
page, 10,000 results a query, no rate-limit headers), "API usage guidelines and limits" (429 body and headers), "Error handling".
"""

from __future__ import annotations

import json
import uuid
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import Response

from spine.core import clock
from spine.core.errors import SpineError
from spine.sandbox.answers import json_answer, page_answer
from spine.sandbox.crm_objects import CARS, car, companies_of, owner, ticket
from spine.sandbox.faults import Fault, change_shape
from spine.sandbox.names import dice
from spine.sandbox.selection import Columns, Rows
from spine.sandbox.soql import Compare, Condition, Logic
from spine.sandbox.state import Sandbox
from spine.sandbox.tables import Table, from_millis, record_id, slots_before, stream_of, to_millis
from spine.sandbox.world import World

OBJECTS = ("contacts", "companies", "deals", "tickets", CARS)
CEILING = 10_000
_LIST_MAX, _SEARCH_MAX, _OWNERS_MAX, _ASSOCIATED_MAX = 100, 200, 500, 1000
_LONGEST = 8000  # letters of a query
_DEFAULTS = {
    "contacts": ("email", "firstname", "lastname"),
    "companies": ("domain", "name"),
    "deals": ("amount", "closedate", "dealname", "dealstage", "pipeline"),
    "tickets": ("subject", "content", "hs_pipeline", "hs_pipeline_stage", "hs_ticket_priority", "hs_ticket_category"),
    "cars": ("model",),
}
_NUMBERS = ("amount", "hs_object_id", "annualrevenue")
_STAGES = ("appointmentscheduled", "qualifiedtobuy", "presentationscheduled", "contractsent", "closedwon", "closedlost")
_POLICIES = {"rate_limit": "TEN_SECONDLY_ROLLING", "request_limit": "DAILY", "concurrent_limit": "SECONDLY"}
_OPERATORS = {"EQ": "=", "NEQ": "!=", "LT": "<", "LTE": "<=", "GT": ">", "GTE": ">="}


class Refused(Exception):
    """A request that HubSpot answers with 400."""


def error(status: int, category: str, message: str, headers: dict[str, str] | None = None) -> Response:
    """An error answer in HubSpot's shape."""
    body = {"status": "error", "message": message, "correlationId": str(uuid.uuid4()), "category": category}
    return json_answer(body, status, headers)


def fault_answer(fault: Fault) -> Response:
    """What HubSpot would say to a request that this fault hits."""
    headers = {"Retry-After": f"{fault.retry_after:g}"} if fault.retry_after is not None else {}
    if fault.kind == "unauthorized":
        return unauthorized()
    if fault.kind in _POLICIES:
        policy = _POLICIES[fault.kind]
        body = {
            "status": "error",
            "message": f"You have reached your {policy.lower()} limit.",
            "errorType": "RATE_LIMIT",
            "correlationId": str(uuid.uuid4()),
            "policyName": policy,
            "requestId": str(uuid.uuid4()),
        }
        return json_answer(body, 429, headers | _limits(0))
    if fault.kind == "page":
        return page_answer()
    return error(fault.status, "INTERNAL_ERROR", "internal error", headers)


def unauthorized() -> Response:
    """401 for a token that is unknown."""
    return error(401, "INVALID_AUTHENTICATION", "Authentication credentials not found.")


def _limits(remaining: int, used: int = 0) -> dict[str, str]:
    return {
        "X-HubSpot-RateLimit-Daily": "250000",
        "X-HubSpot-RateLimit-Daily-Remaining": str(250_000 - used),
        "X-HubSpot-RateLimit-Interval-Milliseconds": "10000",
        "X-HubSpot-RateLimit-Max": "100",
        "X-HubSpot-RateLimit-Remaining": str(remaining),
    }


def _moment(millis: int) -> str:
    return from_millis(millis).strftime("%Y-%m-%dT%H:%M:%S.") + f"{int(millis) % 1000:03d}Z"


def _modified_name(name: str) -> str:
    return "lastmodifieddate" if name == "contacts" else "hs_lastmodifieddate"


def properties(world: World, table: Table, slot: int) -> dict[str, str | None]:
    """All properties of one row; values are texts, None where empty."""
    name = table.stream.name
    if slot in table.loaded:
        values = {key: None if value in (None, "") else str(value) for key, value in table.loaded[slot].items() if key != "id"}
    elif name == "contacts":
        values = _contact(world, table, slot)
    else:
        makers = {"companies": _company, "deals": _deal, "tickets": ticket, "cars": car}
        values = makers[name](world, table, slot)
    if table.merged:
        values = values | {"hs_merged_object_ids": ";".join(table.merged.get(slot, ())) or None}
    return values | {
        "hs_object_id": record_id(table.stream, slot),
        "createdate": _moment(table.created[slot]),
        _modified_name(name): _moment(table.modified[slot]),
    }


def _contact(world: World, table: Table, slot: int) -> dict[str, str | None]:
    person = world.person(table, slot)
    values = {
        "firstname": person.given, "lastname": person.family, "email": person.email.lower(), "phone": person.phone,
        "address": person.street, "city": person.city, "state": person.state, "zip": person.postcode,
        "country": person.country, "company": person.employer, "jobtitle": person.title, "date_of_birth": person.born,
    }  # fmt: skip
    return {key: value or None for key, value in values.items()}


def _company(world: World, table: Table, slot: int) -> dict[str, str | None]:
    company = world.company(table, slot)
    values = {
        "name": company.name, "domain": company.domain, "phone": company.phone, "address": company.street,
        "city": company.city, "state": company.state, "zip": company.postcode, "country": company.country,
        "industry": company.industry.upper().replace(" & ", "_").replace(" ", "_"),
        "annualrevenue": str(company.revenue) if company.revenue is not None else "",
    }  # fmt: skip
    return {key: value or None for key, value in values.items()}


def _deal(world: World, table: Table, slot: int) -> dict[str, str | None]:
    rng = dice(world.key, table.stream.tag, slot, int(table.revision[slot]))
    companies, number = world.table("hubspot", "companies"), int(table.subject[slot])
    name = properties(world, companies, number).get("name") if number < len(companies) else "Unknown"
    closes = from_millis(table.created[slot]) + timedelta(days=rng.randrange(10, 120))
    return {
        "dealname": f"{name} - {rng.choice(('New business', 'Renewal', 'Expansion', 'Pilot'))}",
        "amount": f"{rng.uniform(500, 90_000):.2f}" if rng.random() < 0.95 else None,
        "dealstage": rng.choice(_STAGES),
        "pipeline": "default",
        "closedate": closes.strftime("%Y-%m-%dT00:00:00Z"),
    }


class HubSpot:
    """Answers list and search requests of one object type."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self._found: tuple[Any, Rows] = (None, np.empty(0, np.int64))

    def listing(self, request: Request, tenant: str, faults: list[Fault]) -> Response:
        """`GET /crm/v3/objects/{type}`: by id, `after` is the id of the last row seen."""
        world, table = self._table(request, tenant)
        params = request.query_params
        try:
            limit = _number(params.get("limit"), 10, _LIST_MAX, "limit")
            after = _number(params.get("after"), 0, 1 << 60, "after")
        except Refused as refusal:
            return error(400, "VALIDATION_ERROR", str(refusal))
        if len(request.url.query) > _LONGEST:
            return error(414, "URI_TOO_LONG", "The request line is too long")
        asked = [name for text in params.getlist("properties") for name in text.split(",") if name]
        start = min(len(table), slots_before(after))
        archived = params.get("archived", "false").lower() == "true"
        rows: Rows = start + np.flatnonzero((table.deleted[start:] == archived) & table.there[start:])[: limit + 1]
        results = [self._row(world, table, slot, asked, faults) for slot in rows[:limit].tolist()]
        answer: dict[str, Any] = {"results": results}
        if len(rows) > limit:
            token = results[-1]["id"]
            link = str(request.url.include_query_params(after=token))
            answer["paging"] = {"next": {"after": token, "link": link}}
        return json_answer(answer, headers=_limits(99, self.sandbox.counted.get("hubspot", 0)))

    def search(self, request: Request, tenant: str, body: Any, faults: list[Fault]) -> Response:
        """`POST /crm/v3/objects/{type}/search`: `after` is an offset, and nothing beyond CEILING can be reached."""
        world, table = self._table(request, tenant)
        try:
            if not isinstance(body, dict):
                raise Refused("Invalid input JSON")
            limit = _number(body.get("limit"), 10, _SEARCH_MAX, "limit")
            after = _number(body.get("after"), 0, 1 << 60, "after")
            if after + limit > CEILING:
                raise Refused(f"The search endpoints are limited to {CEILING} total results for any given query.")
            rows = self._search(world, table, body)
        except Refused as refusal:
            return error(400, "VALIDATION_ERROR", str(refusal))
        asked = [str(name) for name in body.get("properties") or []]
        page = rows[after : after + limit].tolist()
        answer: dict[str, Any] = {
            "total": len(rows),
            "results": [self._row(world, table, slot, asked, faults) for slot in page],
        }
        if after + limit < len(rows):
            answer["paging"] = {"next": {"after": str(after + limit)}}
        return json_answer(answer)

    def owners(self, request: Request, tenant: str) -> Response:
        """`GET /crm/v3/owners`: by id, archived ones apart."""
        world = self.sandbox.worlds[tenant]
        table, params = world.table("hubspot", "owners"), request.query_params
        try:
            limit = _number(params.get("limit"), 100, _OWNERS_MAX, "limit")
            start = slots_before(_number(params.get("after"), 0, 1 << 60, "after"))
        except Refused as refusal:
            return error(400, "VALIDATION_ERROR", str(refusal))
        archived = params.get("archived", "false").lower() == "true"
        rows: list[int] = (start + np.flatnonzero((table.deleted[start:] == archived) & table.there[start:])).tolist()
        found = [owner(world, table, slot, _moment) for slot in rows[:limit]]
        more = {"paging": {"next": {"after": found[-1]["id"]}}} if len(rows) > limit else {}
        return json_answer({"results": found} | more)

    def kinds(self, request: Request, tenant: str) -> Response:
        """`GET /crm/v3/properties/{type}` and `GET /crm/v3/schemas`: what kinds of objects have."""
        world = self.sandbox.worlds[tenant]
        if request.url.path.endswith("/schemas"):
            cars = [{"name": name} for name in self._names(world, CARS)]
            return json_answer({"results": [{"objectTypeId": CARS, "name": "cars", "fullyQualifiedName": "p1_cars", "properties": cars}]})
        kind = request.path_params["kind"]
        if kind not in OBJECTS:
            return error(404, "OBJECT_NOT_FOUND", "Unable to infer object type")
        return json_answer({"results": [{"name": name, "label": name, "type": "string"} for name in self._names(world, kind)]})

    @staticmethod
    def _names(world: World, kind: str) -> list[str]:
        table = world.tables[stream_of("hubspot", kind)]
        loaded = {name: None for row in table.loaded.values() for name in row if name != "id"}
        return sorted({**properties(world, table, 0), **loaded}) if len(table) else []

    def associations(self, request: Request, tenant: str, body: Any) -> Response:
        """`POST /crm/v4/associations/contacts/companies/batch/read`: those of contacts that have some, two at a time for each."""
        inputs = body.get("inputs") if isinstance(body, dict) else None
        if not isinstance(inputs, list) or len(inputs) > _ASSOCIATED_MAX:
            return error(400, "VALIDATION_ERROR", f"Between 1 and {_ASSOCIATED_MAX} inputs are needed")
        world, results, missing = self.sandbox.worlds[tenant], [], []
        for one in inputs:
            links = self.sandbox.links.get((tenant, one["id"]))
            found = companies_of(world, slots_before(int(one["id"])) - 1) if links is None else links
            first = int(one.get("after", 0))
            told = [_association(name, primary=number == 0) for number, name in enumerate(found)][first : first + self.most_associated]
            if not told:
                missing.append(one["id"])
                continue
            more = {"paging": {"next": {"after": str(first + len(told))}}} if first + len(told) < len(found) else {}
            results.append({"from": {"id": one["id"]}, "to": told} | more)
        errors = [{"status": "error", "category": "OBJECT_NOT_FOUND", "context": {"fromObjectId": missing}}] if missing else []
        answer = {"status": "COMPLETE", "results": results} | ({"numErrors": len(errors), "errors": errors} if errors else {})
        return json_answer(answer, 207 if errors else 200)

    most_associated = 500

    def _table(self, request: Request, tenant: str) -> tuple[World, Table]:
        world = self.sandbox.worlds[tenant]
        return world, world.tables[stream_of("hubspot", request.url.path.split("/")[4])]

    def _search(self, world: World, table: Table, body: dict[str, Any]) -> Rows:
        """The rows that match, in order; the last search is remembered, since paging repeats it."""
        shape = json.dumps([body.get("filterGroups"), body.get("sorts")], sort_keys=True)
        key = (world.tenant, table.stream, table.version, shape)
        if self._found[0] != key:
            view = _columns(world, table)
            rows = view.select(_condition(body.get("filterGroups") or []), np.flatnonzero(~table.deleted))
            order = _order(body.get("sorts") or [])
            self._found = (key, view.order(rows, order) if order else rows)
        return self._found[1]

    def _row(self, world: World, table: Table, slot: int, asked: list[str], faults: list[Fault]) -> dict[str, Any]:
        name = table.stream.name
        whole = properties(world, table, slot)
        system = ("createdate", _modified_name(name), "hs_object_id")
        wanted = dict.fromkeys([*(asked or _DEFAULTS[name]), *system])
        shown = {key: whole.get(key) for key in wanted if key in whole or table.loaded}
        row = {
            "id": whole["hs_object_id"],
            "properties": change_shape(shown, faults),
            "createdAt": whole["createdate"],
            "updatedAt": whole[_modified_name(name)],
            "archived": bool(table.deleted[slot]),
        }
        return row | {"archivedAt": row["updatedAt"]} if row["archived"] else row


def _association(name: str, *, primary: bool) -> dict[str, Any]:
    kinds = [{"category": "HUBSPOT_DEFINED", "typeId": 279, "label": None}]
    return {"toObjectId": int(name), "associationTypes": [*kinds, *([{**kinds[0], "typeId": 1, "label": "Primary"}] if primary else [])]}


def _number(value: Any, default: int, most: int, name: str) -> int:
    if value in (None, ""):
        return default
    if not str(value).isdecimal() or int(value) > most:
        raise Refused(f"Invalid value for {name}: expected a number up to {most}")
    return int(value)


def _columns(world: World, table: Table) -> Columns:
    def encode(name: str, value: Any) -> Any:
        if name == "hs_object_id":
            # Compared as slots: the number of ids up to this one, less one, keeps <, = and > right for existing ids.
            return slots_before(int(value)) - 1
        return _millis(value)

    def value(slot: int, name: str) -> Any:
        text = properties(world, table, slot).get(name)
        return float(text) if text and name in _NUMBERS else text

    arrays = {"hs_object_id": np.arange(len(table)), "createdate": table.created, _modified_name(table.stream.name): table.modified}
    return Columns(arrays, encode, value)


def _millis(value: Any) -> int:
    if str(value).isdecimal():
        return int(value)
    try:
        return to_millis(clock.parse(str(value)))
    except SpineError as refusal:
        raise Refused(f"{value} is not a timestamp") from refusal


def _condition(groups: list[dict[str, Any]]) -> Condition | None:
    """Groups are OR, filters within a group AND; five groups, six filters each, as documented."""
    if len(groups) > 5 or any(len(group.get("filters", [])) > 6 for group in groups):
        raise Refused("Too many filters: use up to 5 filterGroups of up to 6 filters")
    parts = [Logic("AND", tuple(_filter(one) for one in group["filters"])) for group in groups if group.get("filters")]
    return Logic("OR", tuple(parts)) if parts else None


def _filter(one: dict[str, Any]) -> Condition:
    name, op, value = one.get("propertyName"), one.get("operator"), one.get("value")
    if not isinstance(name, str):
        raise Refused("A filter needs a propertyName")
    if op in _OPERATORS:
        return Compare(name, _OPERATORS[op], _typed(name, value))
    if op == "BETWEEN":
        return Logic("AND", (Compare(name, ">=", _typed(name, value)), Compare(name, "<=", _typed(name, one.get("highValue")))))
    if op in ("IN", "NOT_IN"):
        return Compare(name, op.replace("_", ""), tuple(_typed(name, entry) for entry in one.get("values") or []))
    if op in ("HAS_PROPERTY", "NOT_HAS_PROPERTY"):
        return Compare(name, "!=" if op == "HAS_PROPERTY" else "=", None)
    raise Refused(f"Unknown operator {op}")


def _typed(name: str, value: Any) -> Any:
    if isinstance(value, datetime) or value is None:
        raise Refused(f"A filter on {name} needs a value")
    try:
        return float(value) if name in _NUMBERS and name != "hs_object_id" else str(value)
    except ValueError as refusal:
        raise Refused(f"{value} is not a number") from refusal


def _order(sorts: list[Any]) -> list[tuple[str, bool]]:
    """One sort rule, as the service allows; given as text or as propertyName and direction."""
    if len(sorts) > 1:
        raise Refused("Only one sort can be given")
    rules = [{"propertyName": one} if isinstance(one, str) else one for one in sorts]
    return [(str(one.get("propertyName")).lstrip("-"), one.get("direction") == "DESCENDING") for one in rules]
