"""Whether weights still suit the data: what a model was learned from, beside what there is now.

A model that was learned from a handful of records, or from one source of several, stays worse than one of everything. So weights are
learned anew once the records are half as many again: all such runs together cost less than three times the last one, and in between no
chance that is learned (the prior) is further than 0.6 bits from what it would be. At twice as many, batches ended up to 0.012 F1 below a
full load, at half as many again within 0.01.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from spine.core.entities import Matching

Relearn: TypeAlias = Literal["auto", "always", "never"]
GROWN = 1.5
NEW = 10.0  # a source or attribute of which there was less than a tenth is one that is new
WORTH = 0.01  # of the records: less of a new kind changes no weight
ALTERED = 0.5  # of a source's records at once: that is another mapping, not news
MANY = 50  # records at least, in all or of a new kind: fewer teach less than what is believed before any data
MOST_SOURCES = 1_000
_NOT_WEIGHED = {"threshold"}


@dataclass(frozen=True)
class Basis:
    """What a model was learned from: how many records, of which sources, with how many values of each attribute, declared how."""

    records: int = 0
    sources: dict[str, int] = field(default_factory=dict)
    filled: dict[str, int] = field(default_factory=dict)
    declared: str = ""

    @classmethod
    def of(cls, table: pa.Table, matching: Matching, source: str | None = None) -> Basis:
        """The basis that raw records would be; `source` names the column that tells where a record is from."""
        names = [name for name, kind in matching.attributes.items() if kind != "ignore"]
        filled = {name: table.num_rows - table.column(name).null_count for name in names}
        return cls(table.num_rows, _counted(table, source), filled, _declared(matching))


@dataclass(frozen=True)
class Learning:
    """How a run comes by its model.

    `keep`: as it is. `recount`: with its weights, but heavy keys and frequencies of values from the records at hand. `learn`: anew. `why`
    is said in words, empty if it is the first model; `asked` if a person wants it.
    """

    way: Literal["keep", "recount", "learn"]
    why: str = ""
    asked: bool = False


def decide(wanted: Relearn, usable: bool, then: Basis | None, counted: Basis | None, now: Basis, altered: Mapping[str, int]) -> Learning:
    """How to come by a model of records that are `now`, if a former one was learned from `then` (None: there is none).

    A former model is `usable` if it weighs what is compared today. Its heavy keys may be those of later records (`counted`). `altered`
    records of each source are others than in the run before.
    """
    if then is None:
        return Learning("learn")
    if wanted == "always":
        return Learning("learn", "it was asked for", asked=True)
    if not usable:
        return Learning("learn", "the engine compares otherwise than it did when the weights were learned")
    why = outgrown((counted or then) if wanted == "never" else then, now, altered)
    return Learning("recount" if wanted == "never" else "learn", why) if why else Learning("keep")


def outgrown(then: Basis, now: Basis, altered: Mapping[str, int]) -> str:
    """Why what was learned from `then` does not suit what is `now`, in words; empty if it does."""
    if then.declared and then.declared != now.declared:
        return "what is compared, or how, is declared otherwise than it was when the weights were learned"
    if now.records >= max(MANY, GROWN * then.records):
        return f"there are {now.records:,} records, {then.records:,} when the weights were learned"
    if not then.declared:
        return ""  # a model of a former version, which knows no more than its number of records
    if (source := _new(then.sources, now.sources, now.records)) is not None:
        return f"source {source or '(none)'} is new"
    if (attribute := _new(then.filled, now.filled, now.records)) is not None:
        return f"attribute {attribute} is filled now"
    for source, count in altered.items():
        if count >= max(ALTERED * now.sources.get(source, 0), WORTH * now.records, MANY):
            return f"{count:,} records of source {source or '(none)'} changed at once"
    return ""


def _new(then: Mapping[str, int], now: Mapping[str, int], records: int) -> str | None:
    """The largest source or attribute that was not there, or hardly."""
    found = [name for name, count in now.items() if count >= max(MANY, WORTH * records, NEW * then.get(name, 0))]
    return max(found, key=now.__getitem__, default=None)


def _counted(table: pa.Table, source: str | None) -> dict[str, int]:
    if source is None:
        return {}
    counts = pc.value_counts(table.column(source))
    found = pa.table({"source": counts.field("values").fill_null(""), "count": counts.field("counts")})
    found = found.sort_by([("count", "descending"), ("source", "ascending")]).slice(0, MOST_SOURCES)
    return dict(zip(found.column("source").to_pylist(), found.column("count").to_pylist(), strict=True))


def _declared(matching: Matching) -> str:
    return hashlib.sha256(matching.model_dump_json(exclude=_NOT_WEIGHED).encode()).hexdigest()[:16]
