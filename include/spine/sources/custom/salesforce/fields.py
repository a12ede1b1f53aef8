"""What the connected user may read of an object, by its describe: names, types, and parents.

Facts: developer.salesforce.com, REST API Developer Guide ("sObject Describe"), Object Reference ("Field Types", "Compound Fields").
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spine.core.errors import SchemaMismatch, SourceRejected
from spine.sources.custom.salesforce.service import Service
from spine.sources.custom.salesforce.soql import NAME

_COMPOUND = frozenset({"address", "location"})  # their parts are fields of their own
_UNREAD = _COMPOUND | {"base64"}  # documents, which a query gives of one record only
_WHOLE, _BROKEN = frozenset({"int", "integer", "long"}), frozenset({"double", "currency", "percent"})


@dataclass(frozen=True)
class ObjectField:
    """One field: its vendor's type, and for a reference the name of the relationship and the object behind it, if it is one alone."""

    name: str
    type: str
    relationship: str = ""
    parent: str = ""


class Fields:
    """The fields of objects, each asked for once; in lower case, since names differ in nothing else."""

    def __init__(self, service: Service) -> None:
        self._service, self._known = service, dict[str, Mapping[str, ObjectField] | None]()

    def of(self, name: str) -> Mapping[str, ObjectField] | None:
        """What an object has by name; None where the account describes nothing."""
        if name not in self._known:
            self._known[name] = self._described(name)
        return self._known[name]

    def readable(self, name: str) -> list[str]:
        """All fields that a query may ask for. Raises SchemaMismatch where the account does not say which."""
        found = self.of(name)
        if not found:
            raise SchemaMismatch(f"{name} has no describe that says its fields", hint="List them as `fields` in the source's file")
        return [one.name for one in found.values() if one.type not in _UNREAD]

    def absent(self, name: str, asked: Sequence[str]) -> list[str]:
        """Those of the asked names that the describe does not have; none where there is no describe."""
        found = self.of(name)
        if not found:
            return []
        relations = {one.relationship.lower() for one in found.values()}
        return [item for item in asked if (relations if "." in item else found) and item.partition(".")[0].lower() not in
                (relations if "." in item else found)]  # fmt: skip

    def compound(self, name: str, asked: Sequence[str]) -> bool:
        """Whether a compound field is among the asked ones."""
        found = self.of(name) or {}
        return any(item.lower() in found and found[item.lower()].type in _COMPOUND for item in asked)

    def reader(self, name: str, path: str) -> Callable[[str], Any]:
        """What makes of a text of CSV the value that JSON would have at a path; parents are looked into."""
        head, _, rest = path.lower().partition(".")
        found = self.of(name) or {}
        if rest:
            parent = next((one.parent for one in found.values() if one.relationship.lower() == head), "")
            return self.reader(parent, rest) if parent else _text
        kind = found[head].type if head in found else ""
        return _READ.get(kind, _text)

    def _described(self, name: str) -> Mapping[str, ObjectField] | None:
        try:
            told = self._service.get(f"sobjects/{name}/describe")
        except (SourceRejected, SchemaMismatch):
            return None
        fields = told.get("fields") if isinstance(told, dict) else None
        found = [_field(item) for item in fields if isinstance(item, dict)] if isinstance(fields, list) else []
        return {one.name.lower(): one for one in found if NAME.fullmatch(one.name)} or None


def _field(told: Mapping[str, Any]) -> ObjectField:
    parents = told.get("referenceTo")
    parent = str(parents[0]) if isinstance(parents, list) and len(parents) == 1 else ""
    return ObjectField(
        str(told.get("name") or ""), str(told.get("type") or "").lower(), str(told.get("relationshipName") or ""),
        parent if NAME.fullmatch(parent) else "",
    )  # fmt: skip


def _text(value: str) -> str:
    return value


def _boolean(value: str) -> Any:
    return {"true": True, "false": False}.get(value.lower(), value)


def _integer(value: str) -> Any:
    return int(value) if value.lstrip("-").isdecimal() else _number(value)


def _number(value: str) -> Any:
    try:
        return float(value)
    except ValueError:
        return value


def _moment(value: str) -> str:
    """As the REST API writes it: jobs write `Z` where that writes `+0000`."""
    return f"{value[:-1]}+0000" if value.endswith("Z") else value


_READ: dict[str, Callable[[str], Any]] = {
    "boolean": _boolean, "datetime": _moment, **dict.fromkeys(_WHOLE, _integer), **dict.fromkeys(_BROKEN, _number),
}  # fmt: skip
