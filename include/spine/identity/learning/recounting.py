"""How frequent values are follows the data, also while weights stay as they were learned.

A value that the model never saw would count as the rarest of all: a new company's domain, switchboard and house would make one person of
its staff. So whenever records come, their values are counted among all records, and where a value is clearly more common than the model has
it, the model takes that over. As many records more of everything make no value more common: counts are brought to the number of records
that weights were learned from. They only rise until weights are learned anew: a pair that was not worth keeping stays so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np

from spine.identity.blocking.cuttings import hashes
from spine.identity.comparing.plan import Comparison, Plan
from spine.identity.comparing.texts import Texts, derive
from spine.identity.learning.model import Model, Terms
from spine.identity.learning.score import chance_of

Array: TypeAlias = Any  # numpy arrays of many element types
Coded: TypeAlias = Mapping[str, tuple[Array, list[str]]]
Term: TypeAlias = tuple[str, int]  # a comparison and a level whose rarity counts
Named: TypeAlias = Callable[[Term, Array], Sequence[str]]
RISEN = 0.25  # bits
_BITS = 20


def terms_of(plan: Plan) -> list[tuple[Term, Comparison]]:
    """Every level whose rarity counts, in a lasting order."""
    return [((one.name, level), one) for one in plan.comparisons for level in sorted(one.terms)]


def texts_of(comparison: Comparison, level: int, values: Sequence[str]) -> Texts:
    """What the values share on a level, derived once."""
    return derive(values, comparison.terms[level])


def numbered(plan: Plan, coded: Coded) -> tuple[dict[Term, Array], Named]:
    """Per level a number for the text of each record (0: none), and a function that gives the texts of numbers."""
    found: dict[Term, Array] = {}
    texts: dict[Term, Texts] = {}
    for (name, level), comparison in terms_of(plan):
        codes, values = coded[comparison.feature]
        texts[name, level] = texts_of(comparison, level, values)
        found[name, level] = np.r_[texts[name, level].codes, 0][codes]  # code -1 takes the last, which is no text
    return found, lambda term, numbers: [str(text) for text in texts[term].values[numbers].tolist()]


def hashed(plan: Plan, coded: Coded) -> tuple[dict[Term, Array], Named]:
    """`numbered`, with numbers of 32 bits that a text has wherever it is met; of a million a few share one and are counted together."""
    found: dict[Term, Array] = {}
    named: dict[Term, dict[int, str]] = {}
    for (name, level), comparison in terms_of(plan):
        codes, values = coded[comparison.feature]
        texts = texts_of(comparison, level, values)
        known = np.maximum(hashes(texts.values) & 0xFFFFFFFF, 1).astype(np.uint32)
        known[0] = 0
        found[name, level] = known[np.r_[texts.codes, 0][codes]]
        named[name, level] = dict(zip(known.tolist(), texts.values.tolist(), strict=True))
    return found, lambda term, numbers: [named[term][number] for number in numbers.tolist()]


def follow(plan: Plan, model: Model, numbers: Mapping[Term, Array], named: Named, news: Array) -> tuple[Model, Array]:
    """The model with the counts of the values of records with `news` (a flag per row), where they have risen; itself if none has.

    `numbers` has per level a number for the text of each distinct record (0 for copies). Also flags the rows that carry a text whose
    count has risen: their pairs weigh less than they did.
    """
    risen: dict[Term, dict[str, float]] = {}
    then = model.counted or model.learned_from
    share = min(1.0, then.records / max(1, len(news)))
    rows: Array = np.zeros(len(news), dtype=bool)
    for term, comparison in terms_of(plan):
        terms, column = model.terms.get(term[0], {}).get(str(term[1])), numbers[term]
        fresh = np.unique(column[news])
        fresh = fresh[fresh != 0]
        if terms is None or not len(fresh):
            continue
        held = _held_by(column, fresh)
        place = np.searchsorted(fresh, column[held])
        count, texts = _as_then(np.bincount(place, minlength=len(fresh)), share, model), named(term, fresh)
        up = _risen(comparison, terms, model, term, texts, count)
        if up.any():
            risen[term] = {texts[at]: round(float(count[at]), 3) for at in np.flatnonzero(up).tolist()}
            rows[held[up[place]]] = True
    return (counting(model, risen), rows) if risen else (model, rows)


def counting(model: Model, counts: Mapping[Term, dict[str, float]]) -> Model:
    """The model with other counts of some texts; the given one is not changed."""
    tables = dict(model.terms)
    for (name, level), by_text in counts.items():
        terms = tables[name][str(level)]
        tables[name] = tables[name] | {str(level): replace(terms, counts=terms.counts | by_text)}
    return replace(model, terms=tables)


def _as_then(count: Array, share: float, model: Model) -> Array:
    """Counts as if there were but a `share` of the records. Those of one entity, of which there are the more now, make no value common."""
    own, now = (1 + partners**0.75 for partners in (model.partners, model.partners / share))
    return np.where(count > now, own + (count - now) * share, np.minimum(count, own))


def _held_by(column: Array, some: Array) -> Array:
    """The rows whose number is among `some` (sorted); most are told by a part of their bits."""
    seen: Array = np.zeros(1 << _BITS, dtype=bool)
    mask = (1 << _BITS) - 1
    seen[some & mask] = True
    rows = np.flatnonzero(seen[column & mask])
    place = np.minimum(np.searchsorted(some, column[rows]), len(some) - 1)
    return rows[some[place] == column[rows]]


def _risen(comparison: Comparison, terms: Terms, model: Model, term: Term, texts: Sequence[str], count: Array) -> Array:
    """Flags of the counts by which a value says clearly less than by what the model has, or has more owners than one person has."""
    known = np.asarray([terms.counts.get(text, terms.rest) for text in texts], dtype=float)
    usual = model.u[term[0]][term[1] - 1]
    bits = np.log2(chance_of(count, usual, terms.total, model.partners) / chance_of(known, usual, terms.total, model.partners))
    owned = term[1] == 1 and comparison.owners > 0
    return (count > known) & ((bits >= RISEN) | (owned & (known <= comparison.owners) & (count > comparison.owners)))
