"""Writes an answer in the format that a stream reads."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import orjson

from spine.core.placeholders import written
from spine.sandbox.vendor.calls import Answer, NotCovered
from spine.sandbox.vendor.writing import names_at, put
from spine.sources.decoders.csv import CsvDecoder
from spine.sources.decoders.json import JsonDecoder
from spine.sources.decoders.jsonl import JsonLines
from spine.sources.decoders.xml import XmlDecoder
from spine.sources.spec import Reading

COVERED = (JsonDecoder, JsonLines, CsvDecoder, XmlDecoder)


def encoded(asking: Reading, records: Sequence[Any], says: Mapping[str, Any], headers: dict[str, str]) -> Answer:
    """The answer with these records in their place and what it says besides. Raises NotCovered."""
    kind = asking.response
    if isinstance(kind, JsonLines):
        return Answer(
            200, b"".join(orjson.dumps(record) + b"\n" for record in records), {"Content-Type": "application/x-ndjson", **headers}
        )
    if isinstance(kind, CsvDecoder):
        return Answer(200, _csv(records), {"Content-Type": "text/csv", **headers})
    if isinstance(kind, XmlDecoder):
        return Answer(200, _xml(document(asking, records, says)), {"Content-Type": "application/xml", **headers})
    if not isinstance(kind, JsonDecoder):
        raise NotCovered(f"nobody has said how a server writes {kind.type!r}")
    body = orjson.dumps(document(asking, records, says))
    return Answer(200, gzip.compress(body, 1) if kind.packed else body, {"Content-Type": "application/json", **headers})


def document(asking: Reading, records: Sequence[Any], says: Mapping[str, Any]) -> Any:
    """The answer as a value of JSON."""
    found: Any = None
    only = names_at(asking.records)
    placed: Any = list(records) if only is None else [{name: record.get(name) for name in only} for record in records]
    if asking.map_key is not None:
        placed = {written(record.get(asking.map_key)): _without(record, asking.map_key) for record in records}
    elif asking.columns is not None:
        names = list(dict.fromkeys(name for record in records for name in record)) or ["id"]
        found = put(asking.columns, found, names)
        placed = [[record.get(name) for name in names] for record in records]
    xml_empty = isinstance(asking.response, XmlDecoder) and not records
    path = asking.records.rpartition(".")[0] if xml_empty else asking.records
    found = put(path, found, None if xml_empty else placed)
    for where, value in says.items():
        found = put(where, found, value)
    return found


def _without(record: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key != name}


def _csv(records: Sequence[Any]) -> bytes:
    """A table; an object in a record is told by columns with dots."""
    flat = [dict(_flat(record)) for record in records]
    names = list(dict.fromkeys(name for record in flat for name in record)) or ["id"]
    text = io.StringIO()
    writer = csv.DictWriter(text, names)
    writer.writeheader()
    writer.writerows(flat)
    return text.getvalue().encode()


def _flat(record: Mapping[str, Any], before: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, value in record.items():
        found += _flat(value, f"{before}{name}.") if isinstance(value, dict) else [(f"{before}{name}", value)]
    return found


def _xml(content: Any) -> bytes:
    if not isinstance(content, dict) or len(content) != 1:
        raise NotCovered("a document of XML has one root element")
    ((name, value),) = content.items()
    return _element(name, value).encode()


def _element(name: str, value: Any) -> str:
    if isinstance(value, list):
        return "".join(_element(name, one) for one in value)
    if not isinstance(value, dict):
        return f"<{name}>{escape(written(value)) if value is not None else ''}</{name}>"
    attributes = "".join(f" {key[1:]}={quoteattr(written(one))}" for key, one in value.items() if key.startswith("@"))
    inner = "".join(_element(key, one) for key, one in value.items() if key[0] not in "@#")
    return f"<{name}{attributes}>{escape(written(value.get('#text', '')))}{inner}</{name}>"
