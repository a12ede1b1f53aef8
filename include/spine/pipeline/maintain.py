"""Nightly care of the lake: compaction, retention by layer with archive, vacuum, old validation pages and logs.

Bronze is archived as Parquet after its days (`SPINE_RETENTION`). Of Silver, rows go that the source deleted long ago, current ones never.
Gold is never deleted. One table's failure does not stop the others; every step may be repeated. No Spark.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from spine.core import clock
from spine.core.errors import LakeError, SpineError, as_ours
from spine.core.names import bronze_table, history_table, silver_table
from spine.core.settings import Retention, settings
from spine.gold.schema import LINKS
from spine.lake import care
from spine.lake.gold import JOURNAL
from spine.lake.reading import open_table, table_names
from spine.lake.silver import Position, position_of
from spine.pipeline.found import with_found
from spine.sources.spec import Source, source_names


@dataclass(frozen=True)
class _Declared:
    """What the declarations say about the lake's tables: Bronze table -> its stream and Silver table; all Silver tables; histories."""

    bronze: dict[str, tuple[str, str]]
    silver: frozenset[str]
    histories: frozenset[str] = frozenset()


def maintain(*, dry_run: bool = False, moment: datetime | None = None) -> dict[str, Any]:
    """Care for every table of the lake; a dry run says what would be done and does nothing.

    Returns totals of `tables`, `archived_rows`, `held_rows` (old, but still needed), `pruned_rows`, `files_compacted`, `files_vacuumed`,
    `pages_removed`, and `by_table`. Raises LakeError at the end, naming the tables that failed.
    """
    keep, current = settings().retention, moment or clock.now()
    declared = _declared()
    by_table: dict[str, dict[str, Any]] = {}
    failed: dict[str, SpineError] = {}
    for name in [*table_names(), *([JOURNAL] if open_table(JOURNAL) else [])]:
        try:
            by_table[name] = _care(name, declared, keep, current, dry_run)
        except Exception as error:  # a damaged file, a lost folder: of one table, often of one tenant
            failed[name] = as_ours(error, table=name)
    pages = sum(_prune_files(folder, current - timedelta(days=keep.pages), dry_run) for folder in _folders())
    if failed:
        first = next(iter(failed.values()))
        raise LakeError(
            f"{len(failed)} of {len(failed) + len(by_table)} tables were not maintained, first: {first.message}",
            hint="The others were; a retry is safe",
            tables=", ".join(failed),
        )
    totals = {
        word: sum(int(done.get(word, 0)) for done in by_table.values())
        for word in ("archived_rows", "held_rows", "pruned_rows", "files_compacted", "files_vacuumed")
    }
    return {"dry_run": dry_run, "tables": len(by_table), **totals, "pages_removed": pages, "by_table": by_table}


def _declared() -> _Declared:
    bronze, silver, histories = {}, set(), set()
    for name in source_names():
        source = _load(name)
        for stream in source.streams if source else ():
            bronze[bronze_table(name, stream.name)] = (stream.name, silver_table(name, stream.silver))
            silver.add(silver_table(name, stream.silver))
            histories.add(history_table(name, stream.name))
    return _Declared(bronze, frozenset(silver), frozenset(histories))


def _load(name: str) -> Source | None:
    """A source whose declaration is broken breaks its own DAG; its tables keep all their rows meanwhile."""
    try:
        return with_found(name)
    except SpineError:
        return None


def _care(name: str, declared: _Declared, keep: Retention, moment: datetime, dry_run: bool) -> dict[str, Any]:
    """Retention first, then compaction, then vacuum, so that nothing is rewritten that goes anyway."""
    done: dict[str, Any] = {}
    if name in declared.bronze:
        before = (moment - timedelta(days=keep.bronze)).date()
        done |= care.retire_bronze(name, before, _read_by_silver(*declared.bronze[name]), dry_run=dry_run)
    elif name in declared.silver:
        done |= care.prune_tombstones(name, moment - timedelta(days=keep.silver), LINKS.delta, dry_run=dry_run)
    compacted = care.compact(name, dry_run=dry_run)
    days = keep.history if name in declared.silver | declared.histories or name.startswith(("gold_", JOURNAL)) else keep.files
    removed = care.vacuum(name, days * 24, dry_run=dry_run)
    return {**done, "files_compacted": compacted["files_removed"], "files_vacuumed": removed}


def _read_by_silver(stream: str, silver: str) -> Position | None:
    """Up to where Silver has read a stream's Bronze table for every tenant; None if it never has for one of them."""
    found = position_of(open_table(silver)).everywhere(stream)
    known = [position for position in found if position is not None]
    newest = found[0]
    if newest is None or len(known) < len(found) or {position.table_id for position in known} != {newest.table_id}:
        return None
    return min(known, key=lambda position: position.version)


def _folders() -> list[Path]:
    return [settings().validations, settings().home / "logs"]


def _prune_files(folder: Path, before: datetime, dry_run: bool) -> int:
    """Remove files that nobody has written to since `before`; returns their number."""
    files = [path for path in folder.rglob("*") if path.is_file()] if folder.is_dir() else []
    found = [path for path in files if path.stat().st_mtime < before.timestamp()]
    if not dry_run:
        for path in found:
            path.unlink(missing_ok=True)
    return len(found)
