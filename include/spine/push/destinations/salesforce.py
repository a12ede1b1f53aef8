"""Salesforce's objects, two hundred in a call: upsert by an external id, create, update and delete by Id.

Facts: developer.salesforce.com, REST API Developer Guide ("Upsert", "Create", "Update" and "Delete Records Using sObject Collections"): at
most 200 records, results in the order of the request, one record's error leaves the others alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from spine.control.pushes import Change
from spine.core.errors import ConfigError, SchemaMismatch
from spine.http.client import Client
from spine.http.transport import Request
from spine.push.destination import Held, Outcome, OverHttp
from spine.push.ends import End
from spine.push.values import plain
from spine.sources.custom.salesforce import name as checked
from spine.sources.custom.salesforce import text_literal
from spine.sources.loader import reader_for
from spine.sources.reading import cursor_text, lookup

_MOST = 200
_ASKED = 100  # keys in one query, whose text is part of the address
_DATA = "/services/data/v61.0"
_CURSOR = "SystemModstamp"
_AGAIN = frozenset(
    {"UNABLE_TO_LOCK_ROW", "SERVER_UNAVAILABLE", "REQUEST_RUNNING_TOO_LONG", "TRANSACTION_ROLLED_BACK_BY_ANOTHER_TRANSACTION"}
)


class Salesforce(OverHttp):
    """One object. A key that is a custom field (`…__c`) is taken for an external id, by which Salesforce itself finds the record."""

    most: int = _MOST
    folds: ClassVar[bool] = True

    def __init__(self, client: Client, end: End) -> None:
        assert end.source is not None
        if len(end.keys) != 1:
            raise ConfigError("Salesforce knows a record by one field", hint="Name one field in `match_key`", connector=end.connector)
        reader_for(end.source, client=client)  # what it says of its limits is understood as in reading
        self._client, self._key = client, checked(end.keys[0])
        self._object = checked((end.stream.object if end.stream else None) or end.thing)
        self._names = [checked(one) for one in dict.fromkeys(end.names.values())]

    def look(self, changes: Sequence[Change]) -> dict[int, Held]:
        """Records by Id where it is known, else by the key."""
        found: dict[int, Held] = {}
        known = {change.id: change.number for change in changes if change.id}
        for row in self._rows("Id", list(known)):
            found[known[str(row["Id"])]] = self._held(row)
        unknown = {str(change.match[self._key]).casefold(): change.number for change in changes if not change.id}
        for row in self._rows(self._key, list(unknown)):
            number = unknown.get(str(lookup(row, self._key)).casefold())
            if number is not None:
                found.setdefault(number, self._held(row))
        return found

    def _rows(self, field: str, values: list[str]) -> list[Mapping[str, Any]]:
        found: list[Mapping[str, Any]] = []
        columns = ", ".join(dict.fromkeys(["Id", _CURSOR, self._key, *self._names]))
        for at in range(0, len(values), _ASKED):
            listed = ", ".join(map(text_literal, values[at : at + _ASKED]))
            # Every part is a checked name or an escaped literal.
            asked = f"SELECT {columns} FROM {self._object} WHERE {field} IN ({listed}) ORDER BY Id"  # noqa: S608
            answer = self._client.get(f"{_DATA}/query", {"q": asked}).json()
            found += self._of(answer)
            while isinstance(answer, dict) and answer.get("nextRecordsUrl"):
                answer = self._client.get(str(answer["nextRecordsUrl"])).json()
                found += self._of(answer)
        return found

    @staticmethod
    def _of(answer: Any) -> list[Mapping[str, Any]]:
        rows = answer.get("records") if isinstance(answer, dict) else None
        if not isinstance(rows, list):
            raise SchemaMismatch("the answer is no query result")
        return [row for row in rows if isinstance(row, dict) and row.get("Id")]

    def _held(self, row: Mapping[str, Any]) -> Held:
        return Held(str(row["Id"]), {name: lookup(row, name) for name in self._names}, cursor_text(row.get(_CURSOR)))

    def send(self, changes: Sequence[Change]) -> list[Outcome]:
        """Write them in one call; each has a result of its own."""
        op, path = changes[0].op, f"{_DATA}/composite/sobjects"
        if op == "delete":
            params = {"ids": ",".join(change.id for change in changes), "allOrNone": "false"}
            return self._outcomes(changes, Request("DELETE", path, params=params, idempotent=True))
        if op == "update" and all(change.id for change in changes):
            records = [{**self._record(change.fields), "Id": change.id} for change in changes]
            return self._outcomes(changes, self._request("PATCH", path, records, twice=True))
        records = [self._record({**change.match, **change.fields}) for change in changes]
        if self._key.endswith("__c"):
            return self._outcomes(changes, self._request("PATCH", f"{path}/{self._object}/{self._key}", records, twice=True))
        return self._outcomes(changes, self._request("POST", path, records, twice=False))

    def _record(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        return {"attributes": {"type": self._object}, **{name: plain(value) for name, value in fields.items()}}

    @staticmethod
    def _request(method: str, path: str, records: list[dict[str, Any]], *, twice: bool) -> Request:
        body = {"allOrNone": False, "records": records}
        return Request(method, path, json=body, headers={"Content-Type": "application/json"}, idempotent=twice)

    def _outcomes(self, changes: Sequence[Change], request: Request) -> list[Outcome]:
        results = self._client.request(request).json()
        if not isinstance(results, list) or len(results) != len(changes):
            return [Outcome(True, change.id) for change in changes]  # nobody knows of each: what is there tells
        return [_outcome(change, result) for change, result in zip(changes, results, strict=True)]


def _outcome(change: Change, result: Any) -> Outcome:
    if not isinstance(result, dict) or result.get("success"):
        return Outcome(True, str(result.get("id") or change.id) if isinstance(result, dict) else change.id)
    errors = [error for error in result.get("errors") or () if isinstance(error, dict)]
    codes = [str(error.get("statusCode") or error.get("errorCode") or "REFUSED") for error in errors] or ["REFUSED"]
    if change.op == "delete" and codes == ["ENTITY_IS_DELETED"]:
        return Outcome(True, change.id)
    words = "; ".join(str(error.get("message") or "") for error in errors)
    return Outcome(False, code=codes[0], message=words, retryable=set(codes) <= _AGAIN)
