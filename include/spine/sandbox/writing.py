"""What both CRMs take: HubSpot's batches and Salesforce's collections, each with its errors as documented.

Written after developers.hubspot.com/docs/api-reference/crm-contacts-v3/batch and "REST API Developer Guide" (sObject Collections).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from starlette.responses import Response

from spine.core import clock
from spine.sandbox import hubspot, salesforce
from spine.sandbox.answers import json_answer
from spine.sandbox.state import Sandbox
from spine.sandbox.tables import Table, record_id, slot_of, stream_of
from spine.sandbox.world import World

_HUBSPOT_MOST, _SALESFORCE_MOST = 100, 200
_SYSTEM = ("LastModifiedDate", "SystemModstamp", "IsDeleted")


class HubSpotWrites:
    """`POST /crm/v3/objects/{type}/batch/{read|create|update|upsert|archive}` of one tenant."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox

    def batch(self, name: str, word: str, tenant: str, body: Any) -> Response:
        """The answer to a batch; one wrong record refuses all of it."""
        inputs = body.get("inputs") if isinstance(body, dict) else None
        if not isinstance(inputs, list) or not inputs or len(inputs) > _HUBSPOT_MOST:
            return hubspot.error(400, "VALIDATION_ERROR", f"inputs must have 1 to {_HUBSPOT_MOST} records")
        with self.sandbox.lock:
            world = self.sandbox.worlds[tenant]
            table = world.tables[stream_of("hubspot", name)]
            by = str(body.get("idProperty") or inputs[0].get("idProperty") or "")
            if word == "read":
                return self._read(world, table, body, by)
            for one in inputs:
                mail = (one.get("properties") or {}).get("email")
                if mail and "@" not in str(mail):
                    return hubspot.error(400, "VALIDATION_ERROR", f"Property values were not valid: Email address {mail} is invalid")
            if word == "archive":
                self._write(
                    tenant, name, [{**self._whole(world, table, self._slot(world, table, one, "")), "archived": True} for one in inputs]
                )
                return Response(status_code=204)
            return self._put(world, table, inputs, by, word, tenant)

    def _read(self, world: World, table: Table, body: Mapping[str, Any], by: str) -> Response:
        found, missing = [], []
        for one in body["inputs"]:
            slot = self._slot(world, table, one, by)
            if slot < 0 or table.deleted[slot]:
                missing.append(str(one["id"]))
            else:
                found.append(self._row(world, table, slot, body.get("properties") or []))
        answer: dict[str, Any] = {"status": "COMPLETE", "results": found[::-1]}  # in an order of its own
        if missing:
            error = {
                "status": "error",
                "category": "OBJECT_NOT_FOUND",
                "message": "Could not get some objects",
                "context": {"ids": missing},
            }
            answer |= {"numErrors": 1, "errors": [error]}
        return json_answer(answer, 207 if missing else 200)

    def _put(self, world: World, table: Table, inputs: list[Any], by: str, word: str, tenant: str) -> Response:
        records, missing = [], []
        for one in inputs:
            slot = -1 if word == "create" else self._slot(world, table, one, by)
            if slot < 0 and word == "update":
                missing.append(str(one.get("id")))
                continue
            given = {name: None if value == "" else value for name, value in (one.get("properties") or {}).items()}
            if given.get("email"):
                given["email"] = str(given["email"]).lower()
            records.append({**(self._whole(world, table, slot) if slot >= 0 else {}), **given})
        ids = self._write(tenant, table.stream.name, records)
        newer = world.tables[table.stream]
        rows = [self._row(world, newer, slot_of(table.stream, one), []) for one in ids]
        answer: dict[str, Any] = {"status": "COMPLETE", "results": rows[::-1]}
        if missing:
            answer |= _missing(missing)
        return json_answer(answer, 207 if missing else 201 if word == "create" else 200)

    def _slot(self, world: World, table: Table, one: Mapping[str, Any], by: str) -> int:
        if not by:
            slot = slot_of(table.stream, str(one.get("id")))
            return slot if 0 <= slot < len(table) and not table.deleted[slot] else -1
        wanted = str(one.get("id")).lower()
        for slot in range(len(table)):
            if not table.deleted[slot] and str(hubspot.properties(world, table, slot).get(by)).lower() == wanted:
                return slot
        return -1

    @staticmethod
    def _whole(world: World, table: Table, slot: int) -> dict[str, Any]:
        whole = hubspot.properties(world, table, slot)
        keep = {name: value for name, value in whole.items() if name not in ("hs_object_id", "lastmodifieddate", "hs_lastmodifieddate")}
        return {"id": record_id(table.stream, slot), **keep}

    def _row(self, world: World, table: Table, slot: int, asked: list[str]) -> dict[str, Any]:
        whole = hubspot.properties(world, table, slot)
        shown = {name: whole.get(name) for name in (*asked, "hs_object_id")} if asked else dict(whole)
        changed = whole.get("lastmodifieddate") or whole.get("hs_lastmodifieddate")
        return {"id": whole["hs_object_id"], "properties": shown, "createdAt": whole["createdate"], "updatedAt": changed, "archived": False}

    def _write(self, tenant: str, name: str, records: list[dict[str, Any]]) -> list[str]:
        ids: list[str] = self.sandbox.load(
            source="hubspot", stream=name, tenant=tenant, records=records, at=clock.to_text(clock.now())
        )["ids"]  # fmt: skip
        return ids


def _missing(ids: list[str]) -> dict[str, Any]:
    error = {"status": "error", "category": "OBJECT_NOT_FOUND", "message": "Could not get some objects", "context": {"ids": ids}}
    return {"numErrors": 1, "errors": [error]}


class SalesforceWrites:
    """`/composite/sobjects` of one tenant: each record has a result of its own, in the order of the request."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox

    def write(self, method: str, thing: str, field: str, tenant: str, body: Any, ids: list[str]) -> Response:
        """The answer to a collection."""
        records = ids if method == "DELETE" else (body.get("records") if isinstance(body, dict) else None)
        if not isinstance(records, list) or not records or len(records) > _SALESFORCE_MOST:
            return salesforce.error(400, "EXCEEDED_MAX_SIZE_REQUEST", f"record limit reached: 1 to {_SALESFORCE_MOST}")
        one: Callable[..., dict[str, Any]] = (
            self._delete if method == "DELETE" else self._update if method == "PATCH" and not field else self._put
        )
        with self.sandbox.lock:
            return json_answer([one(record, tenant, field) for record in records])

    def _table(self, record: Mapping[str, Any]) -> str:
        return str((record.get("attributes") or {}).get("type"))

    def _put(self, record: dict[str, Any], tenant: str, field: str) -> dict[str, Any]:
        world, name = self.sandbox.worlds[tenant], self._table(record)
        table = world.tables[stream_of("salesforce", name)]
        for slot in range(len(table)) if field else ():
            if not table.deleted[slot] and salesforce.record(world, table, slot).get(field) == record.get(field):
                return self._save(world, table, slot, record, tenant) | {"created": False}
        return self._save(world, table, -1, record, tenant) | {"created": True}

    def _update(self, record: dict[str, Any], tenant: str, _: str) -> dict[str, Any]:
        world = self.sandbox.worlds[tenant]
        table = world.tables[stream_of("salesforce", self._table(record))]
        slot = slot_of(table.stream, str(record.get("Id") or record.get("id")))
        if not 0 <= slot < len(table) or table.deleted[slot]:
            return _refused("ENTITY_IS_DELETED", "entity is deleted")
        return self._save(world, table, slot, record, tenant)

    def _delete(self, record: str, tenant: str, _: str) -> dict[str, Any]:
        world = self.sandbox.worlds[tenant]
        table = next(
            (one for stream, one in world.tables.items() if stream.source == "salesforce" and record.startswith(stream.prefix)), None
        )
        slot = slot_of(table.stream, record) if table is not None else -1
        if table is None or not 0 <= slot < len(table) or table.deleted[slot]:
            return _refused("ENTITY_IS_DELETED", "entity is deleted")
        return self._save(world, table, slot, {}, tenant, deleted=True)

    def _save(
        self, world: World, table: Table, slot: int, given: Mapping[str, Any], tenant: str, *, deleted: bool = False
    ) -> dict[str, Any]:
        if given.get("Email") and "@" not in str(given["Email"]):
            return _refused("INVALID_EMAIL_ADDRESS", f"Email: invalid email address: {given['Email']}")
        if slot < 0 and table.stream.object == "Contact" and not given.get("LastName"):
            return _refused("REQUIRED_FIELD_MISSING", "Required fields are missing: [LastName]")
        before = salesforce.record(world, table, slot) if slot >= 0 else {}
        kept = {name: value for name, value in before.items() if name not in _SYSTEM}
        own = {name: value for name, value in given.items() if name not in ("attributes", "id", "Id")}
        record = {**kept, **own, **({"IsDeleted": True} if deleted else {})}
        ids = self.sandbox.load(
            source="salesforce", stream=table.stream.name, tenant=tenant, records=[record], at=clock.to_text(clock.now())
        )["ids"]  # fmt: skip
        return {"id": ids[0], "success": True, "errors": []}


def _refused(code: str, message: str) -> dict[str, Any]:
    return {"success": False, "errors": [{"statusCode": code, "message": message, "fields": []}]}
