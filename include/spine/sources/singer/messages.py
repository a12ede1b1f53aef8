"""The messages of a tap, one a line, and the catalog in which a stream is selected. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from spine.core import jsontext
from spine.core.errors import SchemaMismatch
from spine.sources.spec import Stream

DELETED = "_sdc_deleted_at"


@dataclass(frozen=True)
class Message:
    """What a line says: its type, and its content."""

    type: str
    content: Mapping[str, Any]

    def of(self, name: str) -> bool:
        """Whether it is about a stream."""
        return self.content.get("stream") == name

    @property
    def version(self) -> int | None:
        """The version of the stream that it is of."""
        found = self.content.get("version")
        return found if isinstance(found, int) else None


def message_of(line: bytes) -> Message | None:
    """The message of a line, None of an empty one. Raises SchemaMismatch for what is none."""
    if not line.strip():
        return None
    try:
        found = jsontext.parse(line)
    except ValueError:
        found = None
    if not isinstance(found, dict) or not isinstance(found.get("type"), str):
        raise SchemaMismatch(
            "the tap wrote a line that is no Singer message", hint="A tap writes its log to the other stream: look at its settings"
        )
    kind = found["type"].upper()
    if kind == "RECORD" and "record" not in found:
        raise SchemaMismatch("the tap wrote a RECORD without a record", hint="Look for a newer version of the tap")
    return Message(kind, found)


def selected(catalog: Any, stream: Stream) -> dict[str, Any]:
    """The catalog with this stream alone selected, and its fields if it names some. Raises SchemaMismatch if it has no such stream."""
    streams = catalog.get("streams") if isinstance(catalog, dict) else None
    if not isinstance(streams, list):
        raise SchemaMismatch("the tap's catalog has no streams", hint="Write `discover: false` if it has none")
    wanted = stream.object or stream.name
    named = [one for one in streams if isinstance(one, dict) and wanted in (one.get("tap_stream_id"), one.get("stream"))]
    if not named:
        known = ", ".join(str(one.get("tap_stream_id")) for one in streams[:20] if isinstance(one, dict))
        raise SchemaMismatch(f"the tap has no stream {wanted!r}; it has {known}", hint="Name it by `object`", stream=stream.name)
    return {"streams": [_chosen(one, stream) for one in named[:1]]}


def _chosen(found: dict[str, Any], stream: Stream) -> dict[str, Any]:
    schema = found.get("schema") if isinstance(found.get("schema"), dict) else {}
    kept = [one for one in found.get("metadata") or [] if isinstance(one, dict)]
    whole = next((one.get("metadata") or {} for one in kept if not one.get("breadcrumb")), {})
    whole = {**whole, "selected": True}
    if stream.cursor is not None and "forced-replication-method" not in whole:
        whole |= {"replication-method": "INCREMENTAL", "replication-key": stream.cursor.field}
    parts = {tuple(one["breadcrumb"]): dict(one.get("metadata") or {}) for one in kept if one.get("breadcrumb")}
    for name in (schema or {}).get("properties") or {}:
        meant = not stream.fields or name in (*stream.fields, *stream.key_fields)
        said = parts.setdefault(("properties", name), {})
        if said.get("inclusion") != "automatic":
            said["selected"] = meant
    metadata = [{"breadcrumb": [], "metadata": whole}, *({"breadcrumb": list(at), "metadata": said} for at, said in parts.items())]
    return {**found, "schema": {**(schema or {}), "selected": True}, "metadata": metadata}
