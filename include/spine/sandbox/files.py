"""The HR system's file drop: one people file a day in DIR/<tenant>/, as CSV, JSON Lines or Parquet in turn.

A file holds the people whose row changed that day and never changes once it is there; it appears whole, by rename. One CSV
has rows that cannot be read (BAD_LINES), one has its `email` column renamed to `email_address` and a new one, `cost_centre`.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from spine.core.errors import ConfigError
from spine.sandbox.tables import Table, from_millis, record_id, slot_of, stream_of, to_millis
from spine.sandbox.world import DAYS, World

COLUMNS = (
    "employee_id", "first_name", "last_name", "email", "phone", "street", "city", "postcode", "country", "date_of_birth",
    "employer", "updated_at",
)  # fmt: skip
BAD_DAY, CHANGED_DAY = 24, 27  # or, where nobody changed then, the next day on which somebody did
BAD_ROWS = 4
_FORMATS = ("csv", "jsonl", "parquet")
_STREAM = stream_of("people_files", "people")


def record(world: World, table: Table, slot: int) -> dict[str, Any]:
    """One row of a people file; None where the HR system knows nothing."""
    base = {
        "employee_id": record_id(_STREAM, slot),
        "updated_at": from_millis(table.modified[slot]).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    if slot in table.loaded:
        return dict.fromkeys(COLUMNS) | table.loaded[slot] | base
    person = world.person(table, slot)
    return {
        "employee_id": base["employee_id"],
        "first_name": person.given or None,
        "last_name": person.family,
        "email": person.email or None,
        "phone": person.phone or None,
        "street": person.street or None,
        "city": person.city or None,
        "postcode": person.postcode or None,
        "country": person.country or None,
        "date_of_birth": person.born or None,
        "employer": person.employer or None,
        "updated_at": base["updated_at"],
    }


def _bad_lines(day: date) -> list[str]:
    """Four lines nobody can load as they are: no id, a column too many, an impossible birth date, a line cut short."""
    stamp = f"{day.isoformat()}T12:00:00Z"
    return [
        f",,,nobody@example.com,,,,,,,,{stamp}",
        f"E900002,Ann,Commas,ann.commas@example.com,,12 Long Road,Flat 3,Springfield,12345,United States,1980-05-17,Acme,{stamp}",
        f"E900003,Max,Leap,max.leap@example.com,,1 Short Street,Springfield,12345,United States,1985-02-31,Acme,{stamp}",
        "E900004,Cut,Off,cut.off@exam",
    ]


def _as_csv(rows: Sequence[dict[str, Any]], extra: Sequence[str] = ()) -> bytes:
    text = io.StringIO(newline="")
    names = list(dict.fromkeys(name for row in rows for name in row)) or list(COLUMNS)
    writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return (text.getvalue() + "".join(f"{line}\n" for line in extra)).encode()


def _as_lines(rows: Sequence[dict[str, Any]]) -> bytes:
    return b"".join(orjson.dumps(row) + b"\n" for row in rows)


def _as_parquet(rows: Sequence[dict[str, Any]]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {"date_of_birth": pa.date32(), "updated_at": pa.timestamp("us", tz="UTC")}
    names = list(dict.fromkeys([*COLUMNS, *(name for row in rows for name in row)]))
    parse: dict[str, Callable[[str], Any]] = {"date_of_birth": date.fromisoformat, "updated_at": datetime.fromisoformat}
    arrays = []
    for name in names:
        values = [row.get(name) for row in rows]
        if name in parse:
            values = [parse[name](value) if value else None for value in values]
        arrays.append(pa.array(values, kinds.get(name, pa.string())))
    sink = io.BytesIO()
    pq.write_table(pa.table(dict(zip(names, arrays, strict=True))), sink)
    return sink.getvalue()


def _content(rows: Sequence[dict[str, Any]], suffix: str) -> bytes:
    writers = {"csv": _as_csv, "jsonl": _as_lines, "parquet": _as_parquet}
    return writers[suffix](rows)


def _publish(path: Path, content: bytes, moment: datetime) -> Path:
    """Write a file whole, with `moment` as its time of change; one that is there stays as it is."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.part")
        part.write_bytes(content)
        os.utime(part, (moment.timestamp(), moment.timestamp()))
        part.rename(path)
    return path


def drop_files(world: World, folder: Path, day: int) -> Path | None:
    """Write the file of day 0 … 30 of the world's last 30 days (day 30 is that of `now`); None if nobody changed then."""
    when, slots = _changes(world, day)
    if not len(slots):
        return None
    table = world.tables[_STREAM]
    rows = [record(world, table, slot) for slot in slots.tolist()]
    suffix = _FORMATS[day % len(_FORMATS)]
    path = folder / world.tenant / f"people_{when.isoformat()}.{suffix}"
    if day == changed_day(world):
        rows = [_changed(row, number) for number, row in enumerate(rows)]
        content = _content(rows, suffix)
    elif day == bad_day(world):
        path, content = path.with_suffix(".csv"), _as_csv(rows, _bad_lines(when))
    else:
        content = _content(rows, suffix)
    return _publish(path, content, from_millis(table.modified[slots].max()))


def _changes(world: World, day: int) -> tuple[date, Any]:
    """The date of a day, and the rows that changed on it, the earliest first."""
    when = (world.now - timedelta(days=DAYS)).astimezone(UTC).date() + timedelta(days=day)
    start = datetime(when.year, when.month, when.day, tzinfo=UTC)
    table = world.tables[_STREAM]
    low, high = to_millis(start), to_millis(start + timedelta(days=1))
    slots = np.flatnonzero((table.modified >= low) & (table.modified < high) & ~table.deleted)
    return when, slots[np.argsort(table.modified[slots], kind="stable")]


def bad_day(world: World) -> int:
    """The day whose file has lines that cannot be read."""
    return next((day for day in range(BAD_DAY, CHANGED_DAY) if len(_changes(world, day)[1])), BAD_DAY)


def changed_day(world: World) -> int:
    """The day whose file has other columns: the first from CHANGED_DAY on that tells of an address."""
    table = world.tables[_STREAM]
    for day in range(CHANGED_DAY, DAYS + 1):
        if any(record(world, table, slot)["email"] for slot in _changes(world, day)[1].tolist()):
            return day
    return CHANGED_DAY


def _changed(row: dict[str, Any], number: int) -> dict[str, Any]:
    renamed = {("email_address" if name == "email" else name): value for name, value in row.items()}
    return renamed | {"cost_centre": f"CC{number % 7}"}


def drop_all(world: World, folder: Path, held_back: int = 0) -> list[Path]:
    """Write the files of all days but the last `held_back`; those that are there stay."""
    paths = [drop_files(world, folder, day) for day in range(DAYS + 1 - held_back)]
    return [path for path in paths if path]


def require_name(name: str | None) -> None:
    """Raise ConfigError for a name that would lead out of a tenant's folder."""
    if name is not None and (Path(name).name != name or name.startswith(".")):
        raise ConfigError(f"{name!r} is no name of a file in the drop", hint="Write a plain name, as people_x.csv")


def drop_rows(world: World, folder: Path, ids: Sequence[str], moment: datetime, name: str | None = None) -> Path:
    """Write the rows with these ids to one more file; its ending (csv, jsonl, parquet) decides the format."""
    table = world.tables[_STREAM]
    rows = [record(world, table, slot_of(_STREAM, identifier)) for identifier in ids]
    stamp = moment.astimezone(UTC).strftime("%Y-%m-%dT%H%M%S")
    path = folder / world.tenant / (name or f"people_{stamp}_{table.version}.csv")
    return _publish(path, _content(rows, path.suffix.removeprefix(".")), moment)


def clear(world: World, folder: Path) -> None:
    """Remove the tenant's files, so that a stream can be replaced as a whole."""
    for path in (folder / world.tenant).glob("people_*"):
        path.unlink()
