"""Reads any object of Salesforce: by pages of a query, or by a bulk job where that needs fewer calls.

The cursor is SystemModstamp, which every change moves; LastModifiedDate stays where it was when the system changes a record (a formula's
inputs move neither), and comes along with migrated ones.

Facts: developer.salesforce.com, REST API Developer Guide ("Query", "Describe Global").
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from spine.core import declarations
from spine.core.placeholders import needed
from spine.core.texts import nearest
from spine.sources.custom.salesforce.account import Account
from spine.sources.custom.salesforce.soql import NAME, object_of
from spine.sources.custom.salesforce.walk import Walk
from spine.sources.reading import Page, State, Window, lookup, require_fields
from spine.sources.recording import Recorder
from spine.sources.rest import records_of, said_empty
from spine.sources.spec import Stream

READS = frozenset({"path", "object", "found", "fields", "required_fields", "cursor.field", "paging.size", "deletes.field"})
DETECTS = frozenset({"flag", "sweep"})
LIST = "sobjects"  # the path of the stream of all objects
NAMED = "objects"  # the variable that names those that are read


def mistakes(stream: Stream) -> Iterator[tuple[declarations.Place, str]]:
    """What is wrong with a stream of objects: places inside it, and why. SOQL sends the `fields` that are asked for and nothing else.

    A stream without `fields` asks for all that the connected user may read. One whose path is `sobjects` lists the objects.
    """
    named = stream.object or stream.name if stream.found is None else "Found"
    if stream.found is not None and not stream.object:
        yield ("object",), "is missing: say which of the object's fields has its name, as {found.name}"
    for place, text in ((("object",), named), *((("fields", at), item) for at, item in enumerate(stream.fields))):
        if not NAME.fullmatch(text):
            yield place, f"{text!r} is no name of an object or field"
    if not stream.fields:
        return
    keys = stream.key_fields if "Id" in stream.key_fields else (*stream.key_fields, "Id")
    asked: list[tuple[declarations.Place, str]] = [(("key", at), item) for at, item in enumerate(keys)]
    asked += [(("required_fields", at), item) for at, item in enumerate(stream.required_fields)]
    asked += [(("cursor", "field"), stream.cursor.field)] if stream.cursor else []
    asked += [(("deletes", "field"), stream.deletes.field or "IsDeleted")] if stream.deletes.detect == "flag" else []
    asked += [(("mapping", "fields", name, "from"), path) for name, field in stream.mapped.items() for path in field.source]
    for place, item in asked:
        if not any(item == known or item.startswith(f"{known}.") for known in stream.fields):
            yield place, f"{item!r} is not in `fields`, so that it is never read{nearest(item, stream.fields)}"


class Reader(Account):
    """Reads objects by SOQL."""

    def read(self, stream: Stream, state: State, window: Window) -> Iterator[Page]:
        """Pages of the stream, each record at most once unless it changes meanwhile; deleted records of the window last."""
        if stream.path == LIST:
            return iter([self._listed(stream, window)])
        return Walk(self, self._fitted(stream), window, state).pages()

    def _listed(self, stream: Stream, window: Window) -> Page:
        """All objects of the account ("Describe Global"), custom ones too; none where the Connection names none to be read."""
        if not self.values.get(NAMED):
            return Page([], None, None)
        told = self.service.described(stream.path)
        rows = records_of(stream, lookup(told, "sobjects"), empty=said_empty(told, "sobjects"))
        require_fields(stream, rows)
        return Page(Recorder(stream, window).records(rows), None, None)

    def _fitted(self, stream: Stream) -> Stream:
        """The stream of an object that was found, whose name it has then; without cursor and flag where the object has no such fields."""
        if stream.found is not None:
            stream = stream.model_copy(update={"object": needed(stream.object or "", stream.named)})
        if stream.fields:
            return stream
        there = {item.lower() for item in self.fields.readable(object_of(stream))}
        without: dict[str, Any] = {}
        if stream.cursor is not None and stream.cursor.field.lower() not in there:
            without["cursor"] = None
        if stream.deletes.detect == "flag" and (stream.deletes.field or "IsDeleted").lower() not in there:
            without["deletes"] = stream.deletes.model_copy(update={"detect": "none", "field": None})
        return stream.model_copy(update=without) if without else stream
