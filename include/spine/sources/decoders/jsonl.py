"""JSON Lines: a record on each line."""

from __future__ import annotations

from typing import ClassVar, Literal

from spine.sources.decoders.decoding import RowDecoder


class JsonLines(RowDecoder):
    """An object of JSON on each line, read line by line: an answer may be longer than memory.

    Example:
        type: jsonl
    """

    type: Literal["jsonl"] = "jsonl"
    accepts: ClassVar[str] = "application/x-ndjson, application/jsonl, */*;q=0.1"
    named: ClassVar[str] = "answer.jsonl"
