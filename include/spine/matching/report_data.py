"""What a page about a matching run shows, cut out of the arrays of the run: counts, chosen pairs, chosen entities. Knows no HTML.

Only the few pairs and entities that are shown are ever looked at one by one; everything else is counted by array operations.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from spine.identity.blocking.keys import Heavy
from spine.identity.blocking.rules import make_rules
from spine.identity.comparing.plan import Plan
from spine.identity.explaining.waterfalls import waterfall
from spine.identity.learning.model import Model
from spine.identity.learning.odds import log_ratios
from spine.identity.matching import Matched, threshold_weight
from spine.identity.standardize.text import SEP
from spine.matching.calibration import Calibration, Labels, of_labels

Array: TypeAlias = Any  # numpy arrays of many element types
SHOWN = 10
RECORDS_SHOWN = 12
CONFLICTS_SHOWN = 20
RIVALS_SHOWN = 5
LONGEST = 160
LONGEST_PLAN = 50_000
NEAREST = 5_000
BINS = 48
BANDS = ((0.85, 0.95), (0.95, 0.99), (0.99, 1.0))


@dataclass(frozen=True)
class Pair:
    """Two records with the evidence for being one: `steps` as `waterfalls.waterfall` gives them."""

    left: str
    right: str
    probability: float
    weight: float
    joined: bool
    steps: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Member:
    """A record of an entity: its id, its best link's probability, its values as they were compared."""

    record: str
    confidence: float
    values: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Group:
    """An entity: `weakest` is the probability of the link that it could not do without; `members` are the first of its `size` records."""

    name: str
    size: int
    weakest: float
    members: Sequence[Member]


@dataclass(frozen=True)
class Level:
    """One level of a comparison: log2(m/u) and both probabilities."""

    label: str
    weight: float
    m: float
    u: float


@dataclass(frozen=True)
class RuleFacts:
    """What a blocking rule brought in: likely pairs found by it, and by it alone; keys split or dropped, and some of them."""

    name: str
    found: int
    alone: int | None
    split: int
    dropped: int
    keys: Sequence[str]


@dataclass(frozen=True)
class Reason:
    """Why strong pairs were left apart: how many, and the first records with whom else they fit and how many those are."""

    text: str
    pairs: int
    records: Sequence[tuple[Any, Sequence[Any], int]]


@dataclass(frozen=True)
class Facts:
    """Everything on the page. `histogram` is (lowest weight, bin width, pairs per bin); `sizes` is (records per entity, entities).

    `weights_of` tells what weights were learned from.
    """

    title: str
    threshold: float
    records: int
    entities: int
    several: int
    linked: int
    apart: int
    promised: float | None
    histogram: tuple[float, float, Sequence[int]]
    bands: Sequence[tuple[float, float, int, float | None]]
    sizes: Sequence[tuple[int, int]]
    compared: int | None
    prior: float
    weights: Sequence[tuple[str, Sequence[Level]]]
    rules: Sequence[RuleFacts]
    surest: Sequence[Pair]
    doubtful: Sequence[Pair]
    largest: Sequence[Group]
    conflict_count: int
    conflicts: Sequence[Reason]
    plan_text: str
    seconds: float | None
    calibration: Calibration | None = None
    could_not: Sequence[str] = ()
    weights_of: str = ""


def cut(text: str | None, most: int = LONGEST) -> str:
    """The text as one line of at most `most` letters, an ellipsis in place of the rest."""
    plain = (text or "")[: most + 1].replace(SEP, " ").replace("\x00", "").strip()
    return plain if len(plain) <= most else plain[: most - 1] + "…"


def of_matched(
    matched: Matched,
    ids: pa.Array,
    *,
    title: str,
    plan_text: str,
    clusters: pa.Array | None,
    seconds: float | None,
    threshold: float,
    labels: tuple[str, Labels] | None = None,
    could_not: Sequence[str] = (),
) -> Facts:
    """The page's facts of one matching run; the arguments are those of `report.write_report`."""
    view = _View(matched, ids, clusters, threshold_weight(threshold))
    scored, limit = matched.scored, view.limit
    counts = np.bincount(np.bincount(matched.label, minlength=1))
    above = scored.weight >= limit - 1e-9
    links = above & view.joined
    return Facts(
        title=title, threshold=threshold, records=matched.records.rows, entities=int(counts[1:].sum()), several=int(counts[2:].sum()),
        linked=int(links.sum()), apart=int((above & ~links).sum()),
        promised=float(scored.probability[links].mean()) if links.any() else None,
        histogram=histogram(scored.weight, limit), bands=bands(scored.probability),
        sizes=[(int(size), int(counts[size])) for size in np.flatnonzero(counts) if size],
        compared=matched.compared, prior=matched.model.prior, weights=learned(matched.records.plan, matched.model),
        rules=_rules(matched), surest=view.surest(), doubtful=view.doubtful(), largest=view.largest(),
        conflict_count=len(matched.conflicts), conflicts=view.conflicts(),
        plan_text=plan_text if len(plan_text) <= LONGEST_PLAN else plan_text[:LONGEST_PLAN] + "…", seconds=seconds,
        calibration=_calibration(matched, *labels) if labels else None, could_not=could_not,
        weights_of=weights_of(matched.model),
    )  # fmt: skip


def _calibration(matched: Matched, origin: str, labels: Labels) -> Calibration:
    found = matched.found
    return of_labels(origin, labels, found.left, found.right, matched.scored.probability, matched.label)


def weights_of(model: Model) -> str:
    """What a model was learned from, and why a former one would not do, in words."""
    basis = model.learned_from
    sources = f" of {len(basis.sources)} sources" if len(basis.sources) > 1 else ""
    learned = f"Weights were learned from {basis.records:,} records{sources}"
    if model.counted is not None:
        return f"{learned}, frequencies and heavy keys counted among {model.counted.records:,}: {model.why}"
    return f"{learned}: {model.why}" if model.why else learned


def histogram(weight: Array, limit: float) -> tuple[float, float, Sequence[int]]:
    """Pairs per bin of weight; one edge lies on `limit`, so that no bin holds pairs of both sides."""
    low, high = min(0.0, float(weight.min(initial=0.0))), max(limit + 1, float(weight.max(initial=0.0)))
    width = next(step for step in (0.5, 1.0, 2.0, 5.0, 10.0, 25.0) if (high - low) / step <= BINS or step == 25.0)
    below = int(np.ceil((limit - low) / width - 1e-9))
    start = limit - below * width
    places = np.clip(np.floor((weight - start) / width + 1e-9).astype(np.int64), 0, None)
    counts = np.bincount(places, minlength=int((high - start) // width) + 1)
    return start, width, counts.tolist()


def bands(probability: Array) -> Sequence[tuple[float, float, int, float | None]]:
    """Per band of probability its pairs and their mean probability, which is the precision that the model promises."""
    found = []
    for low, high in BANDS:
        inside = probability[(probability >= low) & ((probability < high) | (high == 1.0))]
        found.append((low, high, len(inside), float(inside.mean()) if len(inside) else None))
    return found


def learned(plan: Plan, model: Model) -> Sequence[tuple[str, Sequence[Level]]]:
    """Per comparison its levels, from agreement to disagreement."""
    found = []
    for comparison in plan.comparisons:
        ratios = log_ratios(model, "m", comparison.name)[1:].tolist()
        m, u = model.m[comparison.name], model.u[comparison.name]
        found.append((comparison.name, [Level(*level) for level in zip(comparison.labels, ratios, m, u, strict=True)]))
    return found


def choose(distance: Array, left: Array, right: Array) -> list[int]:
    """The pairs of least finite distance, one of each entity (`left` and `right` number those of a pair's records), SHOWN at most."""
    rows = np.flatnonzero(np.isfinite(distance))
    if len(rows) > NEAREST:
        rows = rows[np.argpartition(distance[rows], NEAREST)[:NEAREST]]
    rows = rows[np.lexsort((right[rows], left[rows], distance[rows]))]
    chosen: list[int] = []
    seen: set[int] = set()
    for row in rows.tolist():
        pair = {int(left[row]), int(right[row])}
        if not pair & seen:
            seen |= pair
            chosen.append(row)
        if len(chosen) == SHOWN:
            break
    return chosen


def reasons(conflicts: Iterable[tuple[str, Any, Sequence[Any]]]) -> Sequence[Reason]:
    """Conflicts (reason, record, rivals) by reason, the most frequent first."""
    grouped: dict[str, dict[Any, list[Any]]] = {}
    pairs: Counter[str] = Counter()
    for text, record, rivals in conflicts:
        pairs[text] += 1
        records = grouped.setdefault(text, {})
        if record in records or len(records) < CONFLICTS_SHOWN:
            records.setdefault(record, []).extend(rivals)
    return [
        Reason(cut(text, 300), count, [(record, rivals[:RIVALS_SHOWN], len(rivals)) for record, rivals in grouped[text].items()])
        for text, count in pairs.most_common(SHOWN)
    ]


def _rules(matched: Matched) -> Sequence[RuleFacts]:
    found, heavy = matched.found, matched.model.heavy
    bits = [np.int64(1) << np.int64(number) for number in range(len(heavy))]
    return rule_facts(
        matched.records.plan, heavy, [int((found.mask & bit != 0).sum()) for bit in bits], [int((found.mask == bit).sum()) for bit in bits]
    )


def rule_facts(plan: Plan, heavy: Sequence[Heavy], found: Sequence[int], alone: Sequence[int | None]) -> Sequence[RuleFacts]:
    """The plan's rules with the pairs that each found, and found alone (None: not known)."""
    facts = []
    for rule, keys, pairs, only in zip(make_rules(plan), heavy, found, alone, strict=True):
        # A rule without a second key cannot split: its keys with too many records are dropped.
        split, dropped = (len(keys.split), len(keys.dropped)) if rule.split else (0, len(keys.split))
        alike = dict.fromkeys(cut(text.removeprefix(f"{rule.name}: "), 200) for text in keys.names)
        facts.append(RuleFacts(
            rule.name, pairs, only, split, dropped, list(alike)
        ))  # fmt: skip
    return facts


class _View:
    """Chooses and words the few pairs and entities of a run that are shown."""

    def __init__(self, matched: Matched, ids: pa.Array, clusters: pa.Array | None, limit: float) -> None:
        self.matched, self.ids, self.clusters, self.limit = matched, ids, clusters, limit
        found = matched.found
        self.joined = matched.label[found.left] == matched.label[found.right]

    def name(self, row: int) -> str:
        return cut(str(self.ids[row].as_py()), 80)

    def surest(self) -> Sequence[Pair]:
        """The heaviest pairs, one of each entity: ten copies of one record would teach nothing."""
        return self._pairs(-self.matched.scored.weight, self.joined)

    def doubtful(self) -> Sequence[Pair]:
        """The pairs nearest the threshold on either side, one of each entity."""
        weight = self.matched.scored.weight
        return self._pairs(np.abs(weight - self.limit), np.ones(len(weight), dtype=bool))

    def _pairs(self, distance: Array, wanted: Array) -> Sequence[Pair]:
        found, label = self.matched.found, self.matched.label
        return [self._pair(row) for row in choose(np.where(wanted, distance, np.inf), label[found.left], label[found.right])]

    def _pair(self, row: int) -> Pair:
        matched, scored = self.matched, self.matched.scored
        left, right = int(matched.found.left[row]), int(matched.found.right[row])
        steps = waterfall(matched.records.plan, matched.model, matched.records.features, scored, row, left, right)
        return Pair(
            self.name(left), self.name(right), float(scored.probability[row]), float(scored.weight[row]), bool(self.joined[row]), steps
        )

    def largest(self) -> Sequence[Group]:
        label = self.matched.label
        sizes = np.bincount(label, minlength=1)
        several = np.flatnonzero(sizes > 1)
        chosen = several[np.lexsort((several, -sizes[several]))[:SHOWN]]
        return [self._group(int(first), np.flatnonzero(label == first)) for first in chosen]

    def _group(self, first: int, rows: Array) -> Group:
        name = self.name(first) if self.clusters is None else cut(str(self.clusters[first].as_py()), 80)
        weakest = self.matched.weakest.get(first, float(self.matched.confidence[rows].min()))
        return Group(name, len(rows), weakest, [self._member(int(row)) for row in rows[:RECORDS_SHOWN]])

    def _member(self, row: int) -> Member:
        values = []
        for feature in self.matched.records.plan.features:
            codes, texts = self.matched.records.features[feature.name]
            if codes[row] >= 0:
                values.append((feature.name, cut(str(texts[codes[row]]), 80)))
        return Member(self.name(row), float(self.matched.confidence[row]), values)

    def conflicts(self) -> Sequence[Reason]:
        """Strong pairs that were left apart, by reason."""
        found = []
        for reason in reasons((one.reason, one.row, one.rivals) for one in self.matched.conflicts):
            records = [(self.name(row), [self.name(rival) for rival in rivals], fits) for row, rivals, fits in reason.records]
            found.append(Reason(reason.text, reason.pairs, records))
        return found
