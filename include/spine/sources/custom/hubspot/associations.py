"""What the objects of a page are associated with: a record for each object, with all that it belongs to.

The whole list of an object replaces the one before, so that an association that was taken away is gone as well.

Facts: developers.hubspot.com, "CRM API | Associations v4" (1,000 objects a call, `after` of each object with more, objects without any are
left out or told among `errors`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from spine.core.errors import SchemaMismatch, SourceRejected
from spine.http.client import Client
from spine.http.transport import Request
from spine.sources.custom.hubspot.faults import absent
from spine.sources.reading import lookup

_INPUTS = 1000


class Associations:
    """From objects of one kind to those of another; `batches` is False where the account reads them of one object at a time."""

    def __init__(self, client: Client, source: str, target: str) -> None:
        self._client, self._source, self._target, self._batches = client, source, target, True

    def of(self, rows: Sequence[Any]) -> list[Any]:
        """The rows as their associations: id and times of the object, the ids that it belongs to, and the primary one."""
        names = [str(row["id"]) for row in rows if isinstance(row, dict) and row.get("id")]
        found = self._found(names)
        return [_record(row, found.get(str(row.get("id")), [])) if isinstance(row, dict) else row for row in rows]

    def _found(self, names: Sequence[str]) -> Mapping[str, list[Any]]:
        found: dict[str, list[Any]] = {}
        waiting = [{"id": name} for name in names]
        while waiting:
            asked, waiting = waiting[:_INPUTS], waiting[_INPUTS:]
            for name, target, after in self._answers(asked):
                found.setdefault(name, []).extend(target)
                waiting += [{"id": name, "after": after}] if after else []
        return found

    def _answers(self, asked: Sequence[Mapping[str, str]]) -> Iterator[tuple[str, list[Any], str]]:
        """Of each object what it belongs to, and where there is more."""
        if self._batches:
            try:
                path = f"/crm/v4/associations/{self._source}/{self._target}/batch/read"
                answer = self._client.request(Request("POST", path, json={"inputs": list(asked)}, idempotent=True)).json()
            except SourceRejected as error:
                if not absent(error):
                    raise
                self._batches = False
            else:
                yield from (self._told(str(lookup(one, "from.id")), one, "to") for one in _results(answer))
                return
        for one in asked:
            path = f"/crm/v4/objects/{self._source}/{one['id']}/associations/{self._target}"
            params = {"limit": "500"} | ({"after": one["after"]} if "after" in one else {})
            yield self._told(one["id"], self._client.get(path, params).json(), "results")

    @staticmethod
    def _told(name: str, answer: Any, where: str) -> tuple[str, list[Any], str]:
        target = lookup(answer, where)
        return name, target if isinstance(target, list) else [], str(lookup(answer, "paging.next.after") or "")


def _results(answer: Any) -> list[Any]:
    found = answer.get("results") if isinstance(answer, dict) else None
    if not isinstance(found, list):
        raise SchemaMismatch("the answer has no associations")
    return found


def _record(row: Mapping[str, Any], found: Sequence[Any]) -> dict[str, Any]:
    told = [one for one in found if isinstance(one, dict) and one.get("toObjectId") is not None]
    names = list(dict.fromkeys(str(one["toObjectId"]) for one in told))
    primary = next((str(one["toObjectId"]) for one in told if _primary(one)), names[0] if len(names) == 1 else None)
    return {
        "id": row.get("id"), "primary_id": primary, "to_ids": names, "associations": told,
        **{name: row[name] for name in ("properties", "createdAt", "updatedAt", "archived") if name in row},
    }  # fmt: skip


def _primary(one: Mapping[str, Any]) -> bool:
    types = one.get("associationTypes")
    return any(isinstance(kind, dict) and str(kind.get("label")).lower() == "primary" for kind in types or ())
