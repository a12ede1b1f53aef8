"""A tenant's records beside the Gold that the run before left: who is linked to what, who is gone, what changed. No I/O."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from spine.identity.comparing.plan import Plan
from spine.identity.golden.columns import MOMENT, places
from spine.identity.golden.overrides import Override
from spine.identity.learning.growth import Basis, Learning, Relearn, decide
from spine.identity.learning.model import Model
from spine.identity.learning.possible import fits
from spine.identity.learning.recounting import counting

Array: TypeAlias = Any  # numpy arrays of many element types
LINK = ("source", "stream", "record_id", "connection_id")


def _none(**columns: pa.DataType) -> pa.Table:
    return pa.schema(list(columns.items())).empty_table()


def _no_links() -> pa.Table:
    text = dict.fromkeys(("record_ref", "entity_id", *LINK, "method"), pa.string())
    return _none(**text, confidence=pa.float64(), linked_at=MOMENT)


def _no_matches() -> pa.Table:
    text = dict.fromkeys(("left_ref", "right_ref", "entity_id", "decision", "reason", "blocking_rule"), pa.string())
    return _none(**text, probability=pa.float64(), weight=pa.float64(), model_version=pa.int32())


def _no_frequencies() -> pa.Table:
    return _none(model_version=pa.int32(), comparison=pa.string(), level=pa.int32(), value=pa.string(), records=pa.float64())


def recalled(model: Model, frequencies: pa.Table) -> Model:
    """The model with the counts of values that have risen since it was learned."""
    counts: dict[tuple[str, int], dict[str, float]] = {}
    for row in frequencies.filter(pc.equal(frequencies.column("model_version"), model.version)).to_pylist():
        if str(row["level"]) in model.terms.get(row["comparison"], {}):
            counts.setdefault((row["comparison"], row["level"]), {})[row["value"]] = row["records"]
    return counting(model, counts) if counts else model


@dataclass(frozen=True)
class FormerGold:
    """A tenant's Gold as it is: links, matches (without their waterfall), golden records, overrides, and the newest model.

    The model holds the counts of values that have risen since it was learned, which `frequencies` lists.
    """

    links: pa.Table = field(default_factory=_no_links)
    matches: pa.Table = field(default_factory=_no_matches)
    golden: pa.Table = field(default_factory=lambda: _none(entity_id=pa.string(), first_seen_at=MOMENT))
    overrides: Sequence[Override] = ()
    model: Model | None = None
    frequencies: pa.Table = field(default_factory=_no_frequencies)

    def entity_of_refs(self) -> dict[str, str]:
        """The entity id of every linked reference."""
        return _by_ref(self.links)

    def links_after(self, changes: pa.Table | None) -> pa.Array:
        """The references that are linked once `changes` (rows with an `op`) are written."""
        now = self.links.column("record_ref")
        if changes is None:
            return now
        refs, gone = changes.column("record_ref"), pc.equal(changes.column("op"), "delete")
        kept = now.filter(pc.invert(pc.is_in(now, value_set=refs.filter(gone))))
        return pa.chunked_array([*kept.chunks, *refs.filter(pc.invert(gone)).chunks], pa.string())

    def decided(self, decision: str) -> pa.Table:
        """The matches of which this was decided."""
        decisions: Array = np.asarray(self.matches.column("decision").to_pylist(), dtype=object)
        return self.matches.filter(pa.array(decisions == decision, pa.bool_()))


@dataclass(frozen=True)
class Aligned:
    """A tenant's records and its former Gold by row. Row numbers are places in `table`, which is sorted by `record_ref`.

    `linked` is each row's place in the former links (-1: none), `was` its former entity id; `gone` are the places of the links whose record
    is no more; `left` and `right` are the rows of the former matches (-1: gone).
    """

    table: pa.Table
    refs: list[str]
    row: Mapping[str, int]
    former: FormerGold
    linked: Array
    was: Array
    gone: Array
    left: Array
    right: Array

    def rows_of(self, refs: Iterable[str]) -> list[int]:
        """The rows of those references that are there."""
        return [self.row[ref] for ref in refs if ref in self.row]

    def entity_of_gone(self) -> dict[str, str]:
        """The former entity id of every reference whose record is no more."""
        return _by_ref(self.former.links.take(pa.array(self.gone)))


@dataclass(frozen=True)
class News:
    """What is new since the former Gold: flags of new and changed rows; whether everything counts as such; how to come by the model.

    `basis` is what there is to learn from.
    """

    changed: Array
    everything: bool
    learning: Learning
    basis: Basis


def align(records: pa.Table, former: FormerGold) -> Aligned:
    """A tenant's live records beside its former Gold."""
    table = records.sort_by("record_ref")
    column = table.column("record_ref")
    refs: list[str] = column.to_pylist()
    linked = places(column, former.links.column("record_ref"))
    was: Array = np.asarray(former.links.column("entity_id").take(pa.array(linked, mask=linked < 0)).to_pylist(), dtype=object)
    gone = np.setdiff1d(np.arange(former.links.num_rows), linked)
    left, right = (_rows(former.matches.column(name), column) for name in ("left_ref", "right_ref"))
    return Aligned(table, refs, {ref: number for number, ref in enumerate(refs)}, former, linked, was, gone, left, right)


def find_news(aligned: Aligned, changed: Collection[str] | None, plan: Plan, wanted: Relearn, *, some: bool = False) -> News:
    """What is new, given the references that `changed` (None: all may have); everything is, unless the former model is kept.

    Of `some` of a tenant's records nothing can be learned that a model says.
    """
    model, basis = aligned.former.model, Basis.of(aligned.table, plan.matching, "source")
    known = np.asarray(aligned.rows_of(changed or ()), dtype=np.int64)
    altered = _by_source(aligned.table, known[aligned.linked[known] >= 0])
    then, counted = (None, None) if model is None else (model.learned_from, model.counted)
    usable = model is not None and fits(plan, model)
    learning = Learning("keep") if some and usable else decide(wanted, usable, then, counted, basis, altered)
    everything = learning.way != "keep" or changed is None
    flags = (aligned.linked < 0) | everything
    flags[known] = True
    return News(flags, everything, learning, basis)


def _by_source(table: pa.Table, rows: Array) -> dict[str, int]:
    """How many of some rows come from each source."""
    counts = pc.value_counts(table.column("source").take(pa.array(rows)))
    return dict(zip(counts.field("values").to_pylist(), counts.field("counts").to_pylist(), strict=True))


def _rows(refs: pa.ChunkedArray, known: pa.ChunkedArray) -> Array:
    return places(refs, known) if len(known) else np.full(len(refs), -1)


def _by_ref(links: pa.Table) -> dict[str, str]:
    return dict(zip(links.column("record_ref").to_pylist(), links.column("entity_id").to_pylist(), strict=True))
