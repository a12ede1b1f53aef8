"""Any API over HTTP, by the `write:` block of its source's file: a request for each operation, and what its answer tells of each record."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import jmespath

from spine.control.pushes import Change, Op
from spine.core import jsontext
from spine.core.errors import ConfigError, SourceRejected
from spine.core.placeholders import fill_all
from spine.http.client import Client
from spine.http.transport import Response
from spine.push.destination import Held, Outcome, OverHttp, by_halves
from spine.push.ends import End
from spine.push.values import same
from spine.sources.rest.requester import request_of
from spine.sources.spec.requests import Body
from spine.sources.spec.writes import WriteCall, WriteLook
from spine.sources.variables import values_of

_METHODS = {"create": "POST", "upsert": "POST", "update": "PATCH", "delete": "DELETE"}
_LOOKED_AT = 20  # records that are looked at between two entries in the journal
_ABSENT = ("answered 404", "answered 410")


class Rest(OverHttp):
    """One object of a source. `token` makes the keys by which the vendor knows a request again."""

    def __init__(self, client: Client, end: End, extra: Mapping[str, Any], token: str) -> None:
        assert end.source is not None
        if end.thing not in end.source.write:
            raise ConfigError(
                f"source {end.connector!r} has no `write.{end.thing}`", hint=f"It has {sorted(end.source.write) or 'nothing to write'}"
            )
        self._client, self._end, self._token = client, end, token
        self._write = end.source.write[end.thing]
        self._values = values_of(end.source, extra)
        self.looks = self._write.find is not None or self._write.read is not None
        self.most = _LOOKED_AT

    def size(self, op: Op) -> int:
        """As many as one request takes, so that the journal knows of each request."""
        _, call = self._call(op, by_id=True)
        return call.batch if call else _LOOKED_AT

    def look(self, changes: Sequence[Change]) -> dict[int, Held]:
        """The records as the source shows them, one by one: by id where it is known, else by key."""
        found = {change.number: self._shown(change) for change in changes}
        return {number: held for number, held in found.items() if held is not None}

    def _shown(self, change: Change) -> Held | None:
        look = self._write.read if change.id and self._write.read else self._write.find
        if look is None:
            return Held(change.id, change.fields) if change.op != "create" else None
        try:
            answer = self._client.request(request_of(look, {**self._values, "id": change.id or None, "record": dict(change.match)})).json()
        except SourceRejected as error:
            if any(word in error.message for word in _ABSENT):
                return None
            raise
        record = jmespath.search(look.records, answer)
        if isinstance(record, list):
            record = self._of_key(record, look, change)
        if not isinstance(record, dict) or not record:
            return None
        fields = jmespath.search(look.fields, record)
        return Held(_text(jmespath.search(look.id, record)), fields if isinstance(fields, dict) else {})

    def _of_key(self, records: Sequence[Any], look: WriteLook, change: Change) -> Any:
        """The record of a list that has the key: a search may find others that are only like it."""
        for record in records:
            fields = jmespath.search(look.fields, record) if isinstance(record, dict) else None
            if isinstance(fields, dict) and all(same(fields.get(name), value) for name, value in change.match.items() if name in fields):
                return record
        return None

    def send(self, changes: Sequence[Change]) -> list[Outcome]:
        """Write them, as many in a request as the file says; a batch that is refused as a whole is divided."""
        name, call = self._call(changes[0].op, by_id=all(change.id for change in changes))
        if call is None:
            return [Outcome(False, code="NOT_DECLARED", message=f"the source's file says nothing of `{changes[0].op}`") for _ in changes]
        found: list[Outcome] = []
        for at in range(0, len(changes), call.batch):
            refusals: list[SourceRejected] = []

            def attempt(part: Sequence[Change], refusals: list[SourceRejected] = refusals) -> list[Outcome] | None:
                try:
                    return self._asked(name, call, part)
                except SourceRejected as error:
                    refusals.append(error)
                    return None

            found += by_halves(changes[at : at + call.batch], attempt, lambda change, seen=refusals: _refused(change, seen[-1]))  # type: ignore[misc]
        return found

    def _call(self, op: Op, *, by_id: bool) -> tuple[str, WriteCall | None]:
        """What writes an operation: `upsert` where there is nothing of its own, or no id by which `update` would know the record."""
        write = self._write
        if op == "delete":
            return "delete", write.delete
        if op == "create":
            return ("create", write.create) if write.create else ("upsert", write.upsert)
        if write.update and (by_id or not write.upsert):
            return "update", write.update
        return "upsert", write.upsert

    def _asked(self, name: str, call: WriteCall, changes: Sequence[Change]) -> list[Outcome]:
        items = [self._item(name, call, change) for change in changes]
        values = {**self._values, "records": items, **(self._of_one(name, changes[0]) if call.batch == 1 else {})}
        values["idempotency_key"] = self._key([change.number for change in changes])
        said = call.model_copy(update={
            "method": call.method or _METHODS[name], "body": self._body(name, call), "idempotent": self._twice(name, call),
        })  # fmt: skip
        answer = self._client.request(replace(request_of(said, values), answer="bytes"))
        return self._outcomes(call, changes, answer)

    @staticmethod
    def _body(name: str, call: WriteCall) -> Body | None:
        if call.body is not None or name == "delete":
            return call.body
        return Body(json_="{record}" if call.batch == 1 else "{records}")

    @staticmethod
    def _twice(name: str, call: WriteCall) -> bool:
        """Whether the same request may be sent again: all but one that makes a record and carries no key."""
        return call.idempotent if call.idempotent is not None else (name != "create" or call.keyed)

    def _item(self, name: str, call: WriteCall, change: Change) -> Any:
        mine = self._of_one(name, change)
        if call.item is None:
            return mine["record"]
        return fill_all(call.item, {**self._values, **mine, "idempotency_key": self._key([change.number])})

    def _of_one(self, name: str, change: Change) -> dict[str, Any]:
        whole = {**change.match, **change.fields} if name in ("upsert", "create") else dict(change.fields)
        return {"id": change.id or None, "record": whole}

    def _key(self, numbers: Sequence[int]) -> str:
        return hashlib.sha256(f"{self._token} {list(numbers)}".encode()).hexdigest()[:32]

    def _outcomes(self, call: WriteCall, changes: Sequence[Change], answer: Response) -> list[Outcome]:
        body = _json(answer)
        if call.results is None:
            if call.batch == 1:
                return [self._outcome(call, body)]
            return [Outcome(True) for _ in changes]
        results = jmespath.search(call.results, body)
        if not isinstance(results, list) or len(results) != len(changes):
            # Taken, and nobody knows what became of which record: what is there tells.
            return [Outcome(True) for _ in changes] if self.looks else [_unknown(call) for _ in changes]
        return [self._outcome(call, result) for result in results]

    @staticmethod
    def _outcome(call: WriteCall, result: Any) -> Outcome:
        if call.failed is not None and jmespath.search(call.failed, result):
            code = _text(jmespath.search(call.code, result)) if call.code else ""
            words = _text(jmespath.search(call.message, result)) if call.message else _text(jmespath.search(call.failed, result))
            return Outcome(False, code=code or "REFUSED", message=words, retryable=code in call.retried)
        return Outcome(True, _text(jmespath.search(call.id, result)) if isinstance(result, dict) else "")


def _json(answer: Response) -> Any:
    """What an answer says; nothing where it says none in JSON, as many do of what they have deleted."""
    try:
        return jsontext.parse(answer.body) if answer.body else None
    except ValueError:
        return None


def _unknown(call: WriteCall) -> Outcome:
    return Outcome(False, code="UNTOLD", message=f"the answer has no list at {call.results!r} with a result for each record")


def _refused(change: Change, error: SourceRejected) -> Outcome:
    return Outcome(False, code=error.code, message=error.message)


def _text(value: Any) -> str:
    return "" if value is None or isinstance(value, dict | list) else str(value)
