"""JSON of `spine match`: an object per line, or one array of objects. Objects inside are columns as `address.city`, lists are texts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa

from spine.core import jsontext
from spine.core.dialect import encoding_of
from spine.core.errors import ConfigError
from spine.matching.compressed import opened
from spine.matching.csv import require_columns

SUFFIXES = (".jsonl", ".ndjson", ".json")


def read(path: Path, wanted: Sequence[str]) -> pa.Table:
    """The wanted columns as texts. Raises ConfigError for a line that is no object (by its number), and columns that no row has."""
    columns: dict[str, list[str | None]] = {name: [] for name in wanted}
    seen: dict[str, None] = {}
    rows = 0
    for row in _rows(path):
        seen.update(dict.fromkeys(row))
        rows += 1
        for name, values in columns.items():
            values.append(row.get(name))
    if rows:
        require_columns(path, wanted, list(seen))
    return pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})


def sample(path: Path, most: int) -> pa.Table:
    """The first rows with all columns that they have. Raises as `read`."""
    rows = list(islice(_rows(path), most))
    names = list(dict.fromkeys(name for row in rows for name in row))
    return pa.table({name: pa.array([row.get(name) for row in rows], pa.string()) for name in names})


def _rows(path: Path) -> Iterator[dict[str, str | None]]:
    with opened(path) as file:
        head = file.read(4)
        if encoding_of(head) not in ("utf-8", "utf-8-sig"):
            raise ConfigError(f"{path.name} is not UTF-8 text", hint="JSON is UTF-8: convert it")
    with opened(path) as file:
        first = True
        for number, line in enumerate(file, 1):
            text = line.removeprefix(b"\xef\xbb\xbf").strip() if first else line.strip()
            if not text:
                continue
            if first and text.startswith(b"["):
                yield from _array(path, text + file.read())
                return
            first = False
            yield _row(path, _parsed(path, text, f"line {number:,}"), f"line {number:,}")


def _array(path: Path, body: bytes) -> Iterator[dict[str, str | None]]:
    for number, value in enumerate(_parsed(path, body, "the array"), 1):
        yield _row(path, value, f"entry {number:,} of its array")


def _parsed(path: Path, body: bytes, place: str) -> Any:
    try:
        return jsontext.parse(body)
    except ValueError:
        raise ConfigError(
            f"{path.name} is not JSON ({place})", hint="Write one object per line, or one array of objects; it may have been cut off"
        ) from None


def _row(path: Path, value: Any, place: str) -> dict[str, str | None]:
    if not isinstance(value, dict):
        raise ConfigError(f"{path.name} has no object there ({place})", hint="Write one object per line, or one array of objects")
    return dict(_flat(value, ""))


def _flat(value: dict[str, Any], before: str) -> Iterator[tuple[str, str | None]]:
    for name, inner in value.items():
        if isinstance(inner, dict):
            yield from _flat(inner, f"{before}{name}.")
        else:
            yield f"{before}{name}", _text(inner)


def _text(value: Any) -> str | None:
    if value is None or value == "":
        return None
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    return orjson.dumps(value, default=str).decode()
