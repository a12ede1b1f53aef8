"""Salesforce's REST API as far as an extractor uses it: token endpoint, query, queryAll, next records, deleted records.

Written after "REST API Developer Guide" (developer.salesforce.com/docs/atlas.en-us.api_rest.meta): Query, QueryAll, Query
More Results, Get Deleted, Query Options Header, Limit Info Header, Status Codes and Error Responses; fields after "Object Reference".
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import Response

from spine.core import clock
from spine.core.errors import SpineError
from spine.sandbox import soql
from spine.sandbox.answers import json_answer, page_answer
from spine.sandbox.faults import Fault, change_shape
from spine.sandbox.names import dice
from spine.sandbox.objects import FIELDS, MAKERS, SYSTEM, describe
from spine.sandbox.selection import Columns, Rows
from spine.sandbox.state import Sandbox
from spine.sandbox.tables import STREAMS, Stream, Table, from_millis, record_id, slot_of, to_millis
from spine.sandbox.world import World

VERSION = "v61.0"
_BATCH = 2000
_LOCATORS = 50
VERSIONS = [f"{number}.0" for number in range(50, 62)]
_FIELDS = FIELDS | {
    "Contact": f"{SYSTEM} AccountId LastName FirstName Name Email Phone Title Birthdate HasOptedOutOfEmail "
    "MailingStreet MailingCity MailingState MailingPostalCode MailingCountry",
    "Account": f"{SYSTEM} Name Phone Website Industry AnnualRevenue BillingStreet BillingCity BillingState "
    "BillingPostalCode BillingCountry",
    "Opportunity": f"{SYSTEM} AccountId Name Amount StageName Probability CloseDate IsClosed IsWon",
}
_STAGES = (("Prospecting", 10), ("Qualification", 20), ("Proposal/Price Quote", 75), ("Closed Won", 100), ("Closed Lost", 0))
_PRODUCTS = ("Subscription", "Renewal", "Pilot", "Upgrade", "Support", "Licences")
_BY_OBJECT = {stream.object: stream for stream in STREAMS if stream.source == "salesforce"}


def error(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> Response:
    """An error answer: a JSON array with one entry."""
    return json_answer([{"message": message, "errorCode": code}], status, headers)


def fault_answer(fault: Fault) -> Response:
    """What Salesforce would say to a request that this fault hits."""
    headers = {"Retry-After": f"{fault.retry_after:g}"} if fault.retry_after is not None else {}
    if fault.kind == "unauthorized":
        return error(401, "INVALID_SESSION_ID", "Session expired or invalid")
    if fault.kind == "request_limit":
        return error(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")
    if fault.kind == "concurrent_limit":
        return error(403, "REQUEST_LIMIT_EXCEEDED", "ConcurrentPerOrgLongTxn Limit exceeded.")
    if fault.kind == "query_timeout":
        return error(400, "QUERY_TIMEOUT", "Your query request was running for too long.")
    if fault.kind == "page":
        return page_answer()
    if fault.kind == "rate_limit":
        return error(429, "REQUEST_LIMIT_EXCEEDED", "ConcurrentRequests (Concurrent API Requests) Limit exceeded.", headers)
    code = "SERVER_UNAVAILABLE" if fault.status == 503 else "UNKNOWN_EXCEPTION"
    return error(fault.status, code, "An unexpected error occurred.", headers)


def _moment(millis: int) -> str:
    return from_millis(millis).strftime("%Y-%m-%dT%H:%M:%S.000+0000")


def record(world: World, table: Table, slot: int) -> dict[str, Any]:
    """One row with all its fields, as the API names and types them."""
    stream = table.stream
    if slot in table.loaded:
        values = dict.fromkeys(_FIELDS[stream.object].split()) | table.loaded[slot]
    elif stream.object == "Contact":
        values = _contact(world, table, slot)
    elif stream.object == "Account":
        values = _account(world, table, slot)
    elif stream.object in MAKERS:
        values = MAKERS[stream.object](world, table, slot)
    else:
        values = _opportunity(world, table, slot)
    changed = _moment(table.modified[slot])
    told = _moment(table.audited.get(slot, int(table.modified[slot])))
    system = {"Id": record_id(stream, slot), "IsDeleted": bool(table.deleted[slot]), "CreatedDate": _moment(table.created[slot])}
    return values | system | {"LastModifiedDate": told, "SystemModstamp": changed}


def _contact(world: World, table: Table, slot: int) -> dict[str, Any]:
    person = world.person(table, slot)
    account = int(world.account_of[person.company]) if person.company >= 0 else -1
    return {
        "AccountId": record_id(_BY_OBJECT["Account"], account) if account >= 0 else None,
        "FirstName": person.given or None,
        "LastName": person.family,
        "Name": f"{person.given} {person.family}".strip(),
        "Email": person.email.lower() or None,
        "Phone": person.phone or None,
        "Title": person.title or None,
        "Birthdate": person.born or None,
        "HasOptedOutOfEmail": slot % 23 == 0,
        "MailingStreet": person.street or None,
        "MailingCity": person.city or None,
        "MailingState": person.state or None,
        "MailingPostalCode": person.postcode or None,
        "MailingCountry": person.country or None,
    }


def _account(world: World, table: Table, slot: int) -> dict[str, Any]:
    company = world.company(table, slot)
    return {
        "Name": company.name,
        "Phone": company.phone or None,
        "Website": ("http://www." if slot % 3 else "") + company.domain if company.domain else None,
        "Industry": company.industry,
        "AnnualRevenue": float(company.revenue) if company.revenue is not None else None,
        "BillingStreet": company.street or None,
        "BillingCity": company.city or None,
        "BillingState": company.state or None,
        "BillingPostalCode": company.postcode or None,
        "BillingCountry": company.country or None,
    }


def _opportunity(world: World, table: Table, slot: int) -> dict[str, Any]:
    rng = dice(world.key, table.stream.tag, slot, int(table.revision[slot]))
    stage, probability = rng.choice(_STAGES)
    account = int(table.subject[slot])
    accounts = world.table("salesforce", "accounts")
    known = account < len(accounts)
    name = record(world, accounts, account)["Name"] if known else "Unknown"
    return {
        "AccountId": record_id(accounts.stream, account) if known else None,
        "Name": f"{name} - {rng.choice(_PRODUCTS)}",
        "Amount": round(rng.uniform(500, 90_000), 2) if rng.random() < 0.95 else None,
        "StageName": stage,
        "Probability": float(probability),
        "CloseDate": (from_millis(table.created[slot]) + timedelta(days=rng.randrange(10, 120))).date().isoformat(),
        "IsClosed": probability in (0, 100),
        "IsWon": probability == 100,
    }


def columns(world: World, table: Table) -> Columns:
    """The stream's fields as a query compares them."""
    everything: Rows = np.arange(len(table), dtype=np.int64)
    times = {"CreatedDate": table.created, "LastModifiedDate": table.told, "SystemModstamp": table.modified}

    def encode(name: str, value: Any) -> Any:
        if name == "Id":
            return slot_of(table.stream, str(value))
        if name == "IsDeleted":
            return bool(value)
        if not hasattr(value, "timestamp"):
            raise soql.SoqlError("INVALID_FIELD", f"value of filter criterion for field '{name}' must be of type dateTime")
        return to_millis(value)

    return Columns({**times, "IsDeleted": table.deleted, "Id": everything}, encode, lambda slot, name: record(world, table, slot)[name])


@dataclass(frozen=True)
class _Cursor:
    tenant: str
    table: Table
    fields: tuple[str, ...]
    rows: Rows
    total: int


class Salesforce:
    """Answers queries; keeps the query locators, each a snapshot of what its query found."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.cursors: OrderedDict[str, _Cursor] = OrderedDict()

    def stream_of(self, request: Request) -> str | None:
        """Our name of the stream that a request reads, for counting and for faults."""
        locator = request.path_params.get("locator", "").rpartition("-")[0]
        if locator in self.cursors:
            return self.cursors[locator].table.stream.name
        if "object" in request.path_params:
            return next((stream.name for name, stream in _BY_OBJECT.items() if name == request.path_params["object"]), None)
        return stream_named(request.query_params.get("q", "").upper().partition(" FROM ")[2].split(" ")[0])

    def query(self, request: Request, tenant: str, faults: list[Fault]) -> Response:
        """`query`, `queryAll` and next records."""
        batch = _batch_size(request.headers.get("Sforce-Query-Options", ""))
        try:
            if "locator" in request.path_params:
                return self._page(request, tenant, request.path_params["locator"], batch, faults)
            query = soql.parse(request.query_params.get("q", ""))
            cursor = self.run(query, tenant, request.url.path.endswith("/queryAll"), faults)
        except soql.SoqlError as refusal:
            return error(400, refusal.code, refusal.message)
        if query.counts:
            return json_answer({"totalSize": cursor.total, "done": True, "records": []})
        key = f"01gSb{next(self.sandbox.numbers):013d}"
        self.cursors[key] = cursor
        if len(self.cursors) > _LOCATORS:
            self.cursors.popitem(last=False)
        return self._page(request, tenant, f"{key}-0", batch, faults)

    def deleted(self, request: Request, tenant: str, faults: list[Fault]) -> Response:
        """`GET …/sobjects/{object}/deleted/`: by the minute, those that have left the recycle bin too, over at most 30 days."""
        stream = _BY_OBJECT.get(request.path_params["object"])
        if stream is None:
            return error(404, "NOT_FOUND", "The requested resource does not exist")
        try:
            start, end = (clock.parse(request.query_params.get(name, "")).replace(second=0, microsecond=0) for name in ("start", "end"))
        except SpineError:
            return error(400, "INVALID_REPLICATION_DATE", "start and end must be times")
        if start >= end:
            return error(400, "INVALID_REPLICATION_DATE", "endDate must be at least one minute greater than startDate")
        if start < clock.now() - timedelta(days=30):
            return error(400, "INVALID_REPLICATION_DATE", "startDate cannot be more than 30 days ago")
        table = self.sandbox.worlds[tenant].tables[stream]
        rows = np.flatnonzero(table.deleted & (table.modified >= to_millis(start)) & (table.modified <= to_millis(end)))
        gone = [{"id": record_id(stream, slot), "deletedDate": _moment(table.modified[slot])} for slot in rows.tolist()]
        covered = end.strftime("%Y-%m-%dT%H:%M:00.000+0000")
        return json_answer({"deletedRecords": gone, "earliestDateAvailable": _moment(to_millis(start)), "latestDateCovered": covered})

    def describe(self, request: Request, tenant: str, faults: list[Fault]) -> Response:
        """`GET …/sobjects/{object}/describe`: the fields that the user may read."""
        stream = _BY_OBJECT.get(request.path_params["object"])
        if stream is None:
            return error(404, "NOT_FOUND", "The requested resource does not exist")
        gone, table = _gone(faults), self.sandbox.worlds[tenant].tables[stream]
        return json_answer(describe(stream.object, [name for name in _known_fields(stream, table) if name not in gone]))

    @staticmethod
    def objects() -> Response:
        """`GET …/sobjects/`: what there is."""
        told = [{"name": name, "label": name, "custom": name.endswith("__c"), "queryable": True} for name in _BY_OBJECT]
        return json_answer({"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": [*told, {"name": "LoginGeo__x", "queryable": False}]})

    def run(self, query: soql.Query, tenant: str, deleted: bool, faults: list[Fault]) -> _Cursor:
        """What a query finds. Raises SoqlError."""
        stream = next((one for name, one in _BY_OBJECT.items() if name.upper() == query.object.upper()), None)
        if stream is None:
            raise soql.SoqlError("INVALID_TYPE", f"sObject type '{query.object}' is not supported.")
        world = self.sandbox.worlds[tenant]
        table = world.tables[stream]
        _check_fields(soql.names_in(query), stream, table, _gone(faults))
        view = columns(world, table)
        rows = np.flatnonzero(table.there) if deleted else np.flatnonzero(~table.deleted)
        rows = view.select(query.where, rows)
        if query.order:
            rows = view.order(rows, query.order)
        rows = rows[query.offset :][: query.limit]
        return _Cursor(tenant, table, tuple(query.fields), rows.astype(np.int32), len(rows))

    def _page(self, request: Request, tenant: str, locator: str, batch: int, faults: list[Fault]) -> Response:
        key, _, start = locator.rpartition("-")
        cursor = self.cursors.get(key)
        if cursor is None or cursor.tenant != tenant or not start.isdecimal():
            raise soql.SoqlError("INVALID_QUERY_LOCATOR", "invalid query locator")
        first = int(start)
        records = self.selected(cursor, first, batch, faults)
        answer: dict[str, Any] = {"totalSize": cursor.total, "done": first + batch >= cursor.total}
        if not answer["done"]:
            answer["nextRecordsUrl"] = f"/services/data/{request.path_params['version']}/query/{key}-{first + batch}"
        return json_answer(answer | {"records": records})

    def selected(self, found: _Cursor, first: int, count: int, faults: list[Fault]) -> list[dict[str, Any]]:
        """So many of the rows that a query has found, from one on, with what it asked for."""
        world = self.sandbox.worlds[found.tenant]
        return [change_shape(_select(world, found, slot), faults) for slot in found.rows[first : first + count].tolist()]


def stream_named(object: str) -> str | None:
    """Our name of the stream of an object, in any case."""
    return next((stream.name for name, stream in _BY_OBJECT.items() if name.upper() == object), None)


def _gone(faults: list[Fault]) -> set[str | None]:
    return {fault.field for fault in faults if fault.kind == "schema_change" and fault.change != "type"}


def _known_fields(stream: Stream, table: Table) -> list[str]:
    return list(dict.fromkeys([*_FIELDS[stream.object].split(), *(name for row in table.loaded.values() for name in row)]))


def _check_fields(names: list[str], stream: Stream, table: Table, gone: set[str | None]) -> None:
    known = set(_known_fields(stream, table))
    if "AccountId" in known:
        known |= {f"Account.{name}" for name in _FIELDS["Account"].split()}
    for name in names:
        if name not in known or name in gone:
            raise soql.SoqlError("INVALID_FIELD", f"No such column '{name}' on entity '{stream.object}'.")


def _select(world: World, cursor: _Cursor, slot: int) -> dict[str, Any]:
    stream = cursor.table.stream
    whole = record(world, cursor.table, slot)
    row: dict[str, Any] = {"attributes": _attributes(stream.object, whole["Id"])}
    parents = [name.partition(".")[2] for name in cursor.fields if name.startswith("Account.")]
    for name in cursor.fields:
        if not name.startswith("Account."):
            row[name] = whole.get(name)
    if parents:
        row["Account"] = _parent(world, whole.get("AccountId"), parents)
    return row


def _parent(world: World, account: str | None, names: list[str]) -> dict[str, Any] | None:
    table = world.table("salesforce", "accounts")
    slot = slot_of(table.stream, account) if account else -1
    if not 0 <= slot < len(table):
        return None
    whole = record(world, table, slot)
    return {"attributes": _attributes("Account", whole["Id"])} | {name: whole.get(name) for name in names}


def _attributes(name: str, identifier: str) -> dict[str, str]:
    return {"type": name, "url": f"/services/data/{VERSION}/sobjects/{name}/{identifier}"}


def _batch_size(header: str) -> int:
    """The batch that `Sforce-Query-Options: batchSize=n` asks for; the service keeps it within 200 to 2000."""
    name, _, value = header.replace(" ", "").partition("=")
    return min(_BATCH, max(200, int(value))) if name == "batchSize" and value.isdecimal() else _BATCH
