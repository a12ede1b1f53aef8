"""Small sources of protocols that are no HTTP, for what the shipped files do not say."""

from __future__ import annotations

from typing import Any

from spine.sources.spec import Source

_KEY = ["id"]


def _source(kind: str, stream: dict[str, Any], **words: Any) -> Source:
    said = {"name": "people", "key": _KEY, **stream}
    return Source(source=f"small_{kind}", label="Small", domain="revops", kind=kind, streams=[said], **words)  # type: ignore[arg-type]


SMALL_PROTOCOLS: dict[str, Source] = {
    "sqlite": _source(
        "database",
        {"cursor": {"field": "at", "reads": "%Y-%m-%d %H:%M:%S"}, "deletes": {"detect": "flag", "field": "gone"}},
        reader="sqlite",
    ),
    "numbered": _source("database", {"cursor": {"field": "seen", "type": "number"}, "rename": {"no": "id"}}, reader="sqlite"),
    "tap": _source("singer", {"cursor": {"field": "at"}, "deletes": {"detect": "sweep"}}, tap={"executable": "tap-small"}),
    "csv": _source("files", {"path": "people*.csv", "cursor": {"field": "at"}}),
    "mail": _source(
        "imap",
        {"key": ["folder", "uidvalidity", "uid"], "cursor": {"field": "received_at"}, "deletes": {"detect": "sweep"}},
        auth={"type": "database"},
    ),
}
