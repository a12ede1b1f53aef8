"""What a run of `spine match` leaves beside its clusters (`<CLUSTERS>.state/`), so that the next run compares only what changed.

Plain Arrow files and numpy arrays that are mapped, not read: raw values, blocking keys, kept pairs, the model. A state
speaks of one content of CLUSTERS and of one set of rules; otherwise it counts as absent, and everything is matched anew.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from spine.identity import engine
from spine.identity.blocking.cuttings import Part
from spine.identity.clustering.incremental import Former, Kept, blocking_parts
from spine.identity.comparing.plan import Plan
from spine.identity.engine import Candidates, Records
from spine.identity.learning.model import Model
from spine.identity.learning.recounting import Term, terms_of
from spine.identity.learning.score import Scored
from spine.identity.matching import Matched
from spine.matching import files as match_files

Array: TypeAlias = Any  # numpy arrays of many element types
_KEY = "key.json"
_MODEL = "model.json"
FORM = 2  # of the files; one that a former version left is not gone on from
_PAIR = ("left", "right", "pattern", "rule", "mask")


def folder(clusters: Path) -> Path:
    """Where the state of a CLUSTERS file lies."""
    return clusters.with_name(f"{clusters.name}.state")


def save(
    clusters: Path,
    key: Mapping[str, Any],
    ids: pa.Array,
    table: pa.Table,
    matched: Matched,
    kept: Kept,
) -> None:
    """Put the state beside `clusters`, whole or not at all; `key` says what it belongs to (`load` wants the same).

    `table` has the raw columns, a row per id.
    """
    target, partial = folder(clusters), clusters.with_name(f"{clusters.name}.state.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    weakest = {"row": pa.array(matched.weakest.keys(), pa.int64()), "weakest": pa.array(matched.weakest.values(), pa.float64())}
    pairs = {name: getattr(matched.found, name) for name in _PAIR}
    pairs |= {name: getattr(matched.scored, name) for name in ("weight", "related", "lifted")}
    pairs |= {f"rarity_{place}": matched.scored.rarity[:, place] for place in range(matched.scored.rarity.shape[1])}
    tables = {
        "records": table.append_column("#id", ids), "pairs": pa.table(pairs), "weakest": pa.table(weakest),
        "rows": pa.table({"label": matched.label, "confidence": matched.confidence, "first": matched.copies.first}),
    }  # fmt: skip
    with ThreadPoolExecutor() as pool:
        written = [pool.submit(_write, partial / f"{name}.arrow", one) for name, one in tables.items()]
        for number, part in enumerate(blocking_parts(matched.records.plan)):
            written.append(pool.submit(np.save, partial / f"part-{number}.npy", kept.parts[part]))
        for number, (term, _) in enumerate(terms_of(matched.records.plan)):
            written.append(pool.submit(np.save, partial / f"text-{number}.npy", kept.texts[term]))
        for done in written:
            done.result()
    (partial / _MODEL).write_text(matched.model.to_json())
    sizes = {file.name: file.stat().st_size for file in partial.iterdir()}
    (partial / _KEY).write_bytes(orjson.dumps({"key": key, "sizes": sizes, "form": FORM}))
    shutil.rmtree(target, ignore_errors=True)
    partial.rename(target)


def forget(clusters: Path) -> None:
    """Remove the state of clusters that are no more."""
    shutil.rmtree(folder(clusters), ignore_errors=True)


def _write(path: Path, table: pa.Table) -> None:
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table.combine_chunks())


def _read(path: Path) -> pa.Table:
    return pa.ipc.open_file(pa.memory_map(str(path))).read_all()


def load(clusters: Path, key: Mapping[str, Any], plan: Plan, ids: pa.Array, table: pa.Table, source: str | None) -> State | None:
    """The state of `clusters` beside the present records, None if there is none that belongs to `key` and has these columns."""
    place = folder(clusters)
    if doubt(clusters, key):
        return None
    try:
        if orjson.loads((place / _KEY).read_bytes())["key"] != key:
            return None
        former = _read(place / "records.arrow")
        if former.drop_columns(["#id"]).schema.names != table.schema.names:
            return None
        return State(place, plan, ids, table, former, source)
    except (OSError, ValueError, pa.ArrowInvalid):
        return None


def doubt(clusters: Path, key: Mapping[str, Any]) -> str | None:
    """Why the state that lies beside `clusters` can be gone on from by nobody: what it lacks, or who left it. None without a state."""
    place = folder(clusters)
    if not place.is_dir():
        return None
    try:
        told = orjson.loads((place / _KEY).read_bytes())
        if told.get("key", told).get("engine") != key.get("engine") or told.get("form") != FORM:
            return f"{place.name} was left by another version: everything is matched anew"
        torn = [name for name, size in told["sizes"].items() if not (place / name).is_file() or (place / name).stat().st_size != size]
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        torn = [_KEY]
    return f"{place.name} is not whole ({', '.join(sorted(torn))}): everything is matched anew" if torn else None


def pinned(clusters: Path, engine: int) -> Model | None:
    """The model that lies beside `clusters`, whatever rules and records it is of; None if there is none of this engine."""
    try:
        model = Model.from_json((folder(clusters) / _MODEL).read_text())
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return model if model.engine == engine else None


class State:
    """A former run's state, aligned to the present records."""

    def __init__(self, place: Path, plan: Plan, ids: pa.Array, table: pa.Table, former: pa.Table, source: str | None) -> None:
        self.place, self.plan, self.table, self.source = place, plan, table, source
        old_ids = former.column("#id").combine_chunks()
        self.old = match_files.places(ids, old_ids)  # of each present row
        self.present: Array = np.full(len(old_ids), -1, dtype=np.int64)  # of each former row
        known = np.flatnonzero(self.old >= 0)
        self.present[self.old[known]] = known
        self.in_place = len(known) == len(ids) == len(old_ids)
        self.changed = self.old < 0
        same = pa.array(self.old[known])
        for name in table.column_names:
            now, then = table.column(name).combine_chunks(), former.column(name).combine_chunks()
            now, then = (now, then) if self.in_place else (now.take(pa.array(known)), then.take(same))
            equal = pc.or_(pc.fill_null(pc.equal(now, then), False), pc.and_(pc.is_null(now), pc.is_null(then)))
            self.changed[known] |= ~np.asarray(equal, dtype=bool)
        self.gone = np.flatnonzero(self.present < 0)

    @cached_property
    def model(self) -> Model:
        """The model of the run before."""
        return Model.from_json((self.place / _MODEL).read_text())

    def altered(self) -> dict[str, int]:
        """How many records of each source are others than they were, new ones apart."""
        rows = np.flatnonzero(self.changed & (self.old >= 0))
        if self.source is None:
            return {"": len(rows)}
        counts = pc.value_counts(self.table.column(self.source).take(pa.array(rows)))
        return dict(zip(counts.field("values").to_pylist(), counts.field("counts").to_pylist(), strict=True))

    def former(self) -> Former:
        """What the run before knew, by present row numbers."""
        model = self.model
        rows = _read(self.place / "rows.arrow")
        label, confidence = np.asarray(rows.column("label")), np.asarray(rows.column("confidence"))
        away: Array = np.zeros(len(label), dtype=bool)  # former rows that are gone or other than they were
        away[self.gone] = True
        away[self.old[(self.old >= 0) & self.changed]] = True
        torn: Array = np.zeros(len(label), dtype=bool)
        torn[label[away]] = True
        bereft = torn[label]
        found, scored = self._pairs(model)
        broken = away[found.left] | away[found.right]
        bereft[found.left[broken]] = bereft[found.right[broken]] = True
        whole = np.flatnonzero(~broken)
        found, scored = found.take(whole), scored.take(whole)
        found = Candidates(self.present[found.left], self.present[found.right], found.pattern, found.rule, found.mask)
        new_label = np.arange(len(self.old))
        known = np.flatnonzero(self.old >= 0)
        mapped = self.present[label[self.old[known]]]
        new_label[known] = np.where(mapped >= 0, mapped, known)
        first, widowed = self._copies(np.asarray(rows.column("first")), away)
        new_confidence: Array = np.ones(len(self.old))
        now_bereft: Array = np.zeros(len(self.old), dtype=bool)
        new_confidence[known], now_bereft[known] = confidence[self.old[known]], bereft[self.old[known]]
        weakest = _read(self.place / "weakest.arrow")
        row = self.present[np.asarray(weakest.column("row"))]
        links = dict(zip(row[row >= 0].tolist(), np.asarray(weakest.column("weakest"))[row >= 0].tolist(), strict=True))
        return Former(model, self._parts(), self._texts(), first, widowed, found, scored, new_label, new_confidence, links, now_bereft)

    def _copies(self, first: Array, away: Array) -> tuple[Array, Array]:
        """Per present row the first of its unchanged copies, and whether one of them is `away` (a flag per former row)."""
        torn: Array = np.zeros(len(first), dtype=bool)
        torn[first[away]] = True
        rows: Array = np.arange(len(self.old))
        stayed = np.flatnonzero((self.old >= 0) & ~self.changed)
        least: Array = np.full(len(first), len(rows))
        np.minimum.at(least, first[self.old[stayed]], stayed)
        now = rows.copy()
        widowed: Array = np.zeros(len(rows), dtype=bool)
        now[stayed], widowed[stayed] = least[first[self.old[stayed]]], torn[first[self.old[stayed]]]
        return now, widowed

    def _pairs(self, model: Model) -> tuple[Candidates, Scored]:
        pairs = _read(self.place / "pairs.arrow")
        found = Candidates(*(np.asarray(pairs.column(name)) for name in _PAIR))
        rarity = np.stack([np.asarray(pairs.column(f"rarity_{place}")) for place in range(len(self.plan.comparisons))], axis=1)
        weight, related, lifted = (np.asarray(pairs.column(name)) for name in ("weight", "related", "lifted"))
        return found, Scored(self.plan, model, found.pattern, weight, rarity, related, lifted)

    def _parts(self) -> dict[Part, Array]:
        """What each present record contributes to keys, 0 for new records."""
        return {part: self._rows(f"part-{number}.npy") for number, part in enumerate(blocking_parts(self.plan))}

    def _texts(self) -> dict[Term, Array]:
        """The number of what each present record shares on each level whose rarity counts, 0 for new records."""
        return {term: self._rows(f"text-{number}.npy") for number, (term, _) in enumerate(terms_of(self.plan))}

    def _rows(self, name: str) -> Array:
        # Private to this process: where the rows are those of before, only the pages that are written to become memory.
        then = np.load(self.place / name, mmap_mode="c", allow_pickle=False)
        if self.in_place:
            return then
        now = then[np.maximum(self.old, 0)]
        now[self.old < 0] = 0
        return now

    def records_of(self, rows: Array) -> Records:
        """Standardised records of some present rows."""
        return engine.prepare(self.table.take(pa.array(rows)), self.plan, self.source)
