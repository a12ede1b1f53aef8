"""What a run of matching could not do: attributes that told nothing, records that can match nothing, pairs that were never compared.

Everything is counted, or estimated from samples; the records of a run stay as they are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from spine.identity import engine
from spine.identity.blocking.keys import Keys
from spine.identity.engine import Records
from spine.identity.explaining.dropped import Dropped, dropped
from spine.identity.explaining.explain import listed
from spine.identity.explaining.reach import SAMPLED, own_weight, sample
from spine.identity.learning.model import Model
from spine.identity.matching import Matched, threshold_weight

Array: TypeAlias = Any  # numpy arrays of many element types
LEAST = 0.5
FAR = 3.0  # times as many matches expected as were found
SELDOM = 0.001  # of random pairs


@dataclass(frozen=True)
class Rarity:
    """How rare a match is: two random records are one entity once in `one_in` pairs, which makes `expected` pairs of all.

    A record with copies counts as two, as in learning. `together` are the pairs of one entity that were found (None: not counted).
    """

    one_in: float
    expected: float
    together: int | None = None


@dataclass(frozen=True)
class Mute:
    """The share of records (of a sample) that could match nothing, even a copy of themselves, and what most of those have (features)."""

    share: float
    having: tuple[str, ...]


@dataclass(frozen=True)
class Shortfalls:
    """What could not be done. `seldom` names comparisons that say something about fewer than one in a thousand pairs, and why.

    `unreliable` ones differ often even where all else agrees, `follows` gives for each comparison the features that it partly follows
    from. `too_common` counts the blocking keys with too many records. `mute` and `dropped` are None if there is nothing to tell, or it was
    not looked for (only what changed was matched, or Spark did).
    """

    rarity: Rarity
    seldom: Mapping[str, str]
    unreliable: Sequence[str]
    follows: Mapping[str, Sequence[str]]
    too_common: int = 0
    mute: Mute | None = None
    dropped: Dropped | None = None


def of_model(model: Model) -> Shortfalls:
    """What a model alone tells."""
    pairs = model.records * (model.records - 1) / 2
    chance = 1 / (1 + 2.0**-model.prior)
    follows = {name: sorted(parents) for name, parents in sorted(model.follows.items())}
    count = sum(len(heavy.dropped) or len(heavy.split) for heavy in model.heavy)
    return Shortfalls(Rarity(1 / chance, chance * pairs), {}, list(model.unreliable), follows, count)


def shortfalls(matched: Matched, threshold: float, sources: Sequence[str] = (), keys: Keys | None = None) -> Shortfalls:
    """What a run that matched all records could not do.

    `sources` are the names behind the codes of the records' sources; `keys` those of the distinct records, if they are at hand.
    """
    told, records, limit = of_model(matched.model), matched.records, threshold_weight(threshold)
    lost = dropped(matched, limit, keys)
    rarity = replace(told.rarity, together=_together(matched))
    return replace(told, rarity=rarity, seldom=dict(_seldom(matched, sources)), mute=_mute(records, matched.model, limit), dropped=lost)


def _together(matched: Matched) -> int:
    """Pairs of one entity, a record with copies counted as two."""
    copies = matched.copies
    twice = copies.distinct[copies.several[copies.distinct]]
    sizes = np.bincount(np.concatenate([matched.label[copies.distinct], matched.label[twice]])).astype(np.int64)
    return int((sizes * (sizes - 1) // 2).sum())


def _mute(records: Records, model: Model, limit: float) -> Mute | None:
    rows = sample(records.rows)
    mute = rows[own_weight(records, model, rows) < limit - 1e-9]
    if not len(mute):
        return None
    names = [feature.name for feature in records.plan.features if not feature.partial]
    has = np.stack([records.features[name][0][mute] >= 0 for name in names], axis=1)
    usual = Counter(map(tuple, has.tolist())).most_common(1)[0][0]
    return Mute(len(mute) / len(rows), tuple(name for name, there in zip(names, usual, strict=True) if there))


def _seldom(matched: Matched, sources: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Comparisons that say something about next to no pair, and why."""
    records, random = matched.records, np.random.default_rng(1)
    if records.rows < 2:
        return
    left, right = random.integers(0, records.rows, SAMPLED), random.integers(0, records.rows, SAMPLED)
    left, right = left[left != right], right[left != right]
    if records.plan.matching.link == "across_sources":
        across = records.source[left] != records.source[right]
        left, right = left[across], right[across]
    if not len(left):
        return
    said = records.plan.digits(engine.patterns(records, left, right, matched.model.rarity)) > 0
    likely = matched.scored.levels > 0
    for place, one in enumerate(records.plan.comparisons):
        if one.silent or not one.weighs or said[:, place].mean() >= SELDOM or likely[:, place].mean() >= SELDOM:
            continue
        codes = records.features[one.feature][0]
        yield one.name, _why(codes >= 0, records, sources)


def _why(has: Array, records: Records, sources: Sequence[str]) -> str:
    count = int(has.sum())
    if count < 2:
        return "no record has a value" if not count else "only one record has a value"
    where = np.unique(records.source[has])
    if len(sources) > 1 and len(where) == 1:
        return f"only {sources[where[0]]} has values"
    return (
        f"only {count:,} of {records.rows:,} records have a value"
        if count < records.rows / 2
        else "no two records have the same part of it"
    )


def in_words(found: Shortfalls) -> list[str]:
    """A line for each thing that could not be done, and last how many matches there should be."""
    lines = [f"{name} was hardly ever comparable: {why}" for name, why in found.seldom.items()]
    lines += [
        f"{name} is unreliable here: it differs in too many pairs that are sure without it, so a difference excludes nothing"
        for name in found.unreliable
    ]
    lines += [f"{name} partly follows from {listed(parents)}: what both say counts once" for name, parents in found.follows.items()]
    if found.mute:
        having = f"have {listed(found.mute.having)} alone" if found.mute.having else "have no value at all"
        lines.append(f"{share(found.mute.share)} of the records can match no other, whatever they agree on: most of these {having}")
    if found.dropped:
        lines.append(_lost(found.dropped))
    elif found.too_common:
        lines.append(f"{_count(found.too_common)} too common to find pairs by; what that costs was not estimated")
    if found.rarity.expected < LEAST:  # of a handful of records only what is believed is known
        return lines
    return [*lines, _expected(found.rarity)]


def _expected(rarity: Rarity) -> str:
    found = ""
    if rarity.together is not None:
        far = rarity.expected > FAR * max(1, rarity.together)
        found = f"; {rarity.together:,} were found" + (", so few that neither can be trusted: hold them against known answers" * far)
    return f"By the weights 1 of {_round(rarity.one_in)} pairs of records is a match, about {_round(rarity.expected)} in all{found}"


def _count(keys: int) -> str:
    return f"{keys:,} {'values were' if keys != 1 else 'value was'}"


def _lost(cost: Dropped) -> str:
    head = f"{_count(cost.keys)} too common to find pairs by ({_round(cost.pairs)} pairs, --explain-plan names the worst)"
    if not cost.lost:
        return f"{head}: none of {cost.drawn:,} drawn pairs is a match that was missed; at most {share(cost.most)} of all matches are"
    lost = f"about {_round(cost.lost)} matches, {share(cost.recall)} of all (at most {share(cost.most)})"
    return f"{head}: by {cost.drawn:,} drawn pairs that cost {lost}"


def share(part: float) -> str:
    """A share as a percentage of two digits."""
    return f"{100 * part:.0f} %" if part >= 0.0995 or not part else f"{max(100 * part, 0.01):.1g} %"


def _round(number: float) -> str:
    """A number of which two or three digits are known."""
    if number < 100:
        return f"{number:.0f}"
    scale = 10 ** (len(str(int(number))) - 2)
    return f"{round(number / scale) * scale:,}"
