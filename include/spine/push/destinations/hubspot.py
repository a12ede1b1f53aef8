"""HubSpot's CRM objects, a hundred in a call: upsert by a unique property, update and archive by id.

Facts: developers.hubspot.com/docs/api-reference/crm-contacts-v3/batch ("Upsert a batch", "Read a batch"). A batch answers in its own order,
and as a whole with 400 where one record of it is wrong; with 207 `errors` names those that were left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from spine.control.pushes import Change
from spine.core.errors import ConfigError, SourceRejected
from spine.core.placeholders import written
from spine.http.client import Client
from spine.http.transport import Request
from spine.push.destination import Held, Outcome, OverHttp, by_halves
from spine.push.ends import End
from spine.push.values import plain
from spine.sources.loader import reader_for
from spine.sources.reading import cursor_text

_MOST = 100
_AGAIN = ("RATE_LIMIT", "CONFLICT", "INTERNAL_ERROR", "TIMEOUT")


class HubSpot(OverHttp):
    """One type of object. Its properties are texts; an empty one clears."""

    most: int = _MOST
    folds: ClassVar[bool] = True

    def __init__(self, client: Client, end: End) -> None:
        assert end.source is not None
        if len(end.keys) != 1:
            raise ConfigError("HubSpot knows a record by one property", hint="Name one field in `match_key`", connector=end.connector)
        reader_for(end.source, client=client)  # what it says of its limits is understood as in reading
        self._client, self._key, self._names = client, end.keys[0], list(dict.fromkeys(end.names.values()))
        self._type = end.thing
        self._path = end.stream.path if end.stream else f"/crm/v3/objects/{end.thing}"
        self._cursor = end.stream.cursor.field if end.stream and end.stream.cursor else "hs_lastmodifieddate"
        self._is_unique: bool | None = None

    def path(self, name: str) -> str:
        """Properties stand in an object of their own."""
        return f"properties.{name}"

    @property
    def _unique(self) -> bool:
        """Whether no two records have the same value of the key, so that HubSpot itself finds the record by it."""
        if self._is_unique is None:
            if (self._type, self._key) == ("contacts", "email"):
                self._is_unique = True
            else:
                found = self._client.get(f"/crm/v3/properties/{self._type}/{self._key}").json()
                self._is_unique = isinstance(found, dict) and bool(found.get("hasUniqueValue"))
        return self._is_unique

    def look(self, changes: Sequence[Change]) -> dict[int, Held]:
        """Records by id where it is known, else by the key."""
        known = {change.id: change.number for change in changes if change.id}
        found = {known[row.id]: row for row in self._read(list(known)) if row.id in known}
        unknown = {str(change.match[self._key]).casefold(): change.number for change in changes if not change.id}
        for row in (self._read(list(unknown), self._key) if self._unique else self._search(list(unknown))) if unknown else ():
            number = unknown.get(str(row.fields.get(self._key)).casefold())
            if number is not None:
                found.setdefault(number, row)
        return found

    def _read(self, ids: list[str], by: str | None = None) -> list[Held]:
        if not ids:
            return []
        body = {"properties": [*self._names, self._cursor], "inputs": [{"id": one} for one in ids], **({"idProperty": by} if by else {})}
        return [self._held(row) for row in self._rows(self._post("batch/read", body, twice=True))]

    def _search(self, values: list[str]) -> list[Held]:
        body = {
            "filterGroups": [{"filters": [{"propertyName": self._key, "operator": "IN", "values": values}]}],
            "properties": [*self._names, self._cursor], "limit": _MOST,
        }  # fmt: skip
        return [self._held(row) for row in self._rows(self._client.search(f"{self._path}/search", body).json())]

    def _held(self, row: Mapping[str, Any]) -> Held:
        fields = row.get("properties") or {}
        return Held(str(row.get("id")), fields, cursor_text(fields.get(self._cursor) or row.get("updatedAt")))

    def send(self, changes: Sequence[Change]) -> list[Outcome]:
        """Write them; a batch that is refused for one record is divided until that one is alone."""
        refusals: list[SourceRejected] = []

        def attempt(part: Sequence[Change]) -> list[Outcome] | None:
            try:
                return self._together(part)
            except SourceRejected as error:
                refusals.append(error)
                return None

        return by_halves(changes, attempt, lambda _: Outcome(False, code=refusals[-1].code, message=refusals[-1].message))

    def _together(self, changes: Sequence[Change]) -> list[Outcome]:
        op = changes[0].op
        if op == "delete":
            self._post("batch/archive", {"inputs": [{"id": change.id} for change in changes]}, twice=True)
            return [Outcome(True, change.id) for change in changes]
        if op == "update" and all(change.id for change in changes):
            inputs = [{"id": change.id, "properties": _properties(change.fields)} for change in changes]
            return _outcomes(changes, self._post("batch/update", {"inputs": inputs}, twice=True), None)
        whole = [_properties({**change.match, **change.fields}) for change in changes]
        if not self._unique:
            return _outcomes(
                changes, self._post("batch/create", {"inputs": [{"properties": one} for one in whole]}, twice=False), self._key
            )
        inputs = [{"id": one[self._key], "idProperty": self._key, "properties": one} for one in whole]
        return _outcomes(changes, self._post("batch/upsert", {"inputs": inputs}, twice=True), self._key)

    def _post(self, word: str, body: Mapping[str, Any], *, twice: bool) -> Any:
        request = Request("POST", f"{self._path}/{word}", json=body, headers={"Content-Type": "application/json"}, idempotent=twice)
        return self._client.request(request).json()

    @staticmethod
    def _rows(answer: Any) -> list[Mapping[str, Any]]:
        rows = answer.get("results") if isinstance(answer, dict) else None
        return [row for row in rows or () if isinstance(row, dict)]


def _properties(fields: Mapping[str, Any]) -> dict[str, str]:
    return {name: "" if value is None else written(plain(value)) for name, value in fields.items()}


def _outcomes(changes: Sequence[Change], answer: Any, key: str | None) -> list[Outcome]:
    """An outcome for each record, by its id or its key: the answer has an order of its own."""
    rows = HubSpot._rows(answer)
    ids = {str(row.get("id")) for row in rows}
    keys = {str((row.get("properties") or {}).get(key or "")).casefold(): str(row.get("id")) for row in rows} if key else {}
    errors = [one for one in (answer.get("errors") if isinstance(answer, dict) else None) or () if isinstance(one, dict)]
    if not errors:
        return [Outcome(True, change.id or keys.get(str(change.match.get(key or "")).casefold(), "")) for change in changes]
    found = []
    for change in changes:
        value = str(change.match.get(key)).casefold() if key else ""
        record = change.id if change.id in ids else keys.get(value, "")
        found.append(Outcome(True, record) if record else _refused(change, value, errors))
    return found


def _refused(change: Change, value: str, errors: Sequence[Mapping[str, Any]]) -> Outcome:
    named = (one for one in errors if any(word and word in str(one.get("context")).casefold() for word in (change.id, value)))
    error = next(named, errors[0])
    code = str(error.get("category") or "REFUSED")
    return Outcome(False, code=code, message=str(error.get("message") or code), retryable=code in _AGAIN)
