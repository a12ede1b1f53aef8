"""What happens to a world over time: rows change, appear, vanish, are committed late, or are given from outside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spine.core import clock
from spine.core.errors import ConfigError
from spine.sandbox.names import mix
from spine.sandbox.records import BASE, COPY
from spine.sandbox.tables import ORGANIZATION, Stream, Table, record_id, slot_of, to_millis
from spine.sandbox.world import PARENTS, World

_TIME_FIELDS = {
    "salesforce": ("CreatedDate", "LastModifiedDate"),
    "hubspot": ("createdate", "lastmodifieddate"),
    "people_files": ("created_at", "updated_at"),
}


@dataclass(frozen=True)
class Change:
    """The record ids that one mutation touched."""

    changed: list[str]
    created: list[str]
    deleted: list[str]


def _moments(rng: np.random.Generator, stream: Stream, count: int, at: datetime, spread: float) -> NDArray[np.int64]:
    grain = 1 if stream.source == "hubspot" else 1000
    moments = to_millis(at) - (rng.random(count) * spread * 1000).astype(np.int64)
    return moments // grain * grain


def advance(
    world: World,
    stream: Stream,
    at: datetime,
    *,
    changed: int = 0,
    created: int = 0,
    deleted: int = 0,
    purged: int = 0,
    stamped: int = 0,
    spread: float = 0.0,
) -> Change:
    """Change, add and delete that many rows at `at`, or over the `spread` seconds before it. Deterministic.

    New rows are new persons or organisations, every third one a copy of a known one. Of the deleted and changed rows, `purged` more are
    deleted for good, and `stamped` more changed by the system, whose audit fields stay. Raises ConfigError when there are fewer living rows
    than are to be changed and deleted.
    """
    changed, deleted = changed + stamped, deleted + purged
    table = world.tables[stream]
    rng = np.random.default_rng(mix(world.key, stream.tag, table.version, 77))
    living = np.flatnonzero(~table.deleted)
    if changed + deleted > len(living):
        raise ConfigError(f"{stream.source}.{stream.name} has {len(living)} living rows, {changed + deleted} asked for")
    chosen = rng.permutation(living)[: changed + deleted]
    modified, revision, gone = table.modified.copy(), table.revision.copy(), table.deleted.copy()
    modified[chosen] = _moments(rng, stream, len(chosen), at, spread)
    revision[chosen[:changed]] += 1
    gone[chosen[changed:]] = True
    first = len(table)
    told = table.told
    audited = {slot: time for slot, time in table.audited.items() if slot not in set(chosen.tolist())}
    audited |= {slot: int(told[slot]) for slot in chosen[changed - stamped : changed].tolist()}
    lost = table.purged | frozenset(chosen[changed : changed + purged].tolist())
    newer = table.newer(modified=modified, revision=revision, deleted=gone, purged=lost, audited=audited)
    if created:
        subject, kind = _newcomers(world, table, rng, created)
        newer = newer.append(subject, kind, _moments(rng, stream, created, at, spread))
    world.tables[stream] = newer
    return Change(
        [record_id(stream, slot) for slot in chosen[:changed].tolist()],
        [record_id(stream, slot) for slot in range(first, first + created)],
        [record_id(stream, slot) for slot in chosen[changed:].tolist()],
    )


def _newcomers(world: World, table: Table, rng: np.random.Generator, count: int) -> tuple[NDArray[np.int32], NDArray[np.int8]]:
    name = f"{table.stream.source}.{table.stream.name}"
    if name in PARENTS:
        parent, _ = PARENTS[name]
        return rng.integers(0, len(world.table(table.stream.source, parent)), count).astype(np.int32), np.zeros(count, np.int8)
    known = world.companies if table.stream.entity == ORGANIZATION else world.scale
    highest = max(known - 1, int(table.subject.max(initial=-1)))
    copies = np.arange(count) % 3 == 2
    subject = np.where(copies, rng.integers(0, known, count), highest + 1 + np.arange(count))
    return subject.astype(np.int32), np.where(copies, COPY, BASE).astype(np.int8)


def commit_late(world: World, stream: Stream, rows: int = 1, lag: float = 60.0) -> Change:
    """Add rows whose times lie `lag` seconds before the newest row, as a long transaction does when it commits at last."""
    table = world.tables[stream]
    newest = int(table.modified.max()) if len(table) else to_millis(world.now)
    return advance(world, stream, datetime.fromtimestamp(newest / 1000 - lag, tz=world.now.tzinfo), created=rows)


def merge(world: World, stream: Stream, keep: str, gone: str, at: datetime) -> None:
    """Merge one row into another: it is in no list any more, and the one that is left names it. Raises ConfigError for an unknown id."""
    table = world.tables[stream]
    left, lost = (slot_of(stream, name) for name in (keep, gone))
    if not (0 <= left < len(table) and 0 <= lost < len(table)) or left == lost:
        raise ConfigError(f"{stream.source}.{stream.name} has no two rows {keep} and {gone}")
    modified, deleted = table.modified.copy(), table.deleted.copy()
    modified[[left, lost]], deleted[lost] = to_millis(at), True
    names = (*table.merged.get(left, ()), *table.merged.get(lost, ()), gone)
    world.tables[stream] = table.newer(
        modified=modified, deleted=deleted, purged=table.purged | {lost}, merged={**table.merged, left: names}
    )


def load(
    world: World,
    stream: Stream,
    records: Sequence[Mapping[str, Any]],
    *,
    truth: Sequence[str] = (),
    replace: bool = False,
    at: datetime | None = None,
) -> list[str]:
    """Put given records, in the vendor's own field names, into a stream; returns their ids in order.

    A record may bring its id (of a row that exists, which it then overwrites), and its time of creation and modification;
    what is missing is filled in with new ids and `at` (default: the world's now). `truth` holds each record's true id.
    Raises ConfigError for an id that no row has.
    """
    table = world.tables[stream]
    if replace:
        table = table.newer(**{name: getattr(table, name)[:0] for name in _ARRAYS}, loaded={}, truth={}, purged=frozenset(), audited={})
    loaded, labels = dict(table.loaded), dict(table.truth)
    start, when = len(table), to_millis(at or world.now)
    slots, fresh, times = [], 0, []
    for record in records:
        slot = _known_slot(stream, record, start)
        if slot < 0:
            slot, fresh = start + fresh, fresh + 1
        slots.append(slot)
        times.append(_times(stream, record, when))
        loaded[slot] = dict(record)
    labels.update(zip(slots, truth, strict=False))
    newer = table.append(np.full(fresh, -1, np.int32), np.zeros(fresh, np.int8), np.full(fresh, when))
    created, modified, gone = newer.created.copy(), newer.modified.copy(), newer.deleted.copy()
    audited = {slot: time for slot, time in newer.audited.items() if slot not in set(slots)}
    for slot, record, (born, changed) in zip(slots, records, times, strict=True):
        created[slot], modified[slot] = born, changed
        gone[slot] = bool(record.get("IsDeleted") or record.get("archived"))
        if record.get("SystemModstamp"):
            audited[slot], modified[slot] = changed, to_millis(clock.parse(str(record["SystemModstamp"])))
    world.tables[stream] = newer.newer(created=created, modified=modified, deleted=gone, loaded=loaded, truth=labels, audited=audited)
    world.__dict__.pop("account_of", None)
    world.__dict__.pop("company_of", None)
    return [record_id(stream, slot) for slot in slots]


_ARRAYS = ("subject", "kind", "revision", "created", "modified", "deleted")


def _known_slot(stream: Stream, record: Mapping[str, Any], rows: int) -> int:
    given = record.get("Id") or record.get("id") or record.get("employee_id")
    if not given:
        return -1
    slot = slot_of(stream, str(given))
    if not 0 <= slot < rows:
        raise ConfigError(f"no row of {stream.source}.{stream.name} has the id {given}", hint="Leave the id out to add a row")
    return slot


def _times(stream: Stream, record: Mapping[str, Any], when: int) -> tuple[int, int]:
    created_name, modified_name = _TIME_FIELDS[stream.source]
    created, modified = record.get(created_name), record.get(modified_name) or record.get("hs_lastmodifieddate")
    changed = to_millis(clock.parse(str(modified))) if modified else when
    return (to_millis(clock.parse(str(created))) if created else min(when, changed)), changed
