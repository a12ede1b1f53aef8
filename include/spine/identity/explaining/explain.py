"""What a plan will do before it does it: features, comparisons, and how many pairs every blocking rule makes.

The pairs are counted from the sizes of the blocks; none is made. Which attributes follow from one another only pairs can tell: for that a
sample of the records is learned from.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from textwrap import shorten, wrap
from typing import Any, TypeAlias

import numpy as np

from spine.identity.blocking import blocks
from spine.identity.blocking import rules as blocking
from spine.identity.blocking.blocks import Blocks
from spine.identity.blocking.cuttings import Part, Rule
from spine.identity.blocking.keys import Coded, Keys
from spine.identity.comparing.plan import Comparison
from spine.identity.copies import Copies
from spine.identity.engine import Records, fit
from spine.identity.learning import learn
from spine.identity.learning.model import Model
from spine.identity.standardize.text import SEP

Array: TypeAlias = Any  # numpy arrays of many element types
WIDTH = 120
WORST = 3
SAMPLE = 25
LEARNED_FROM = 50_000


@dataclass(frozen=True)
class FeaturePlan:
    """A standardised column: the attributes it is made of, records that have a value, and distinct values."""

    name: str
    kind: str
    attributes: tuple[str, ...]
    filled: int
    distinct: int


@dataclass(frozen=True)
class RulePlan:
    """A blocking rule: pairs its keys make without and within the budget, keys split and dropped, and the worst values by name."""

    name: str
    wanted: int
    kept: int
    split: int
    dropped: int
    worst: tuple[str, ...]


@dataclass(frozen=True)
class PlanReport:
    """Everything that was chosen or stated. Rules overlap: the sum of their pairs is an upper bound of the pairs compared.

    `records` are the distinct ones, which are compared; `copies` have the values of one of them.
    """

    records: int
    copies: int
    link: str
    threshold: float
    features: tuple[FeaturePlan, ...]
    comparisons: tuple[Comparison, ...]
    rules: tuple[RulePlan, ...]

    @property
    def possible(self) -> int:
        """Pairs of any two distinct records."""
        return self.records * (self.records - 1) // 2

    @property
    def kept(self) -> int:
        """Upper bound of the pairs that will be compared."""
        return sum(rule.kept for rule in self.rules)


def explain(records: Records) -> PlanReport:
    """The plan of `records` with the number of pairs of every rule; no pair is made."""
    every, copies = records.rows, Copies.of(records)
    records = records.take(copies.distinct)
    plan, coded = records.plan, records.features
    rules = blocking.make_rules(plan)
    rarity = learn.rarities(learn.tallies(plan, coded))
    source = records.source if plan.matching.link == "across_sources" else None
    keys = Keys(coded, rarity)
    told = []
    names = Counter(rule.name for rule in rules)
    for rule, (heavy, kept) in zip(rules, blocks.learn_blocks(rules, keys), strict=True):
        plain = blocks.blocks_of(keys.plain(rule))
        dropped = heavy.dropped if rule.split else heavy.split
        worst = _names(rule, plain.where(np.isin(plain.key, [*heavy.split, *heavy.dropped])), coded)
        told.append(RulePlan(_named(rule, names), pairs_of(plain, source), pairs_of(kept, source), len(heavy.split), len(dropped), worst))
    features = tuple(_feature(records, number) for number in range(len(plan.features)))
    return PlanReport(
        records.rows, every - records.rows, plan.matching.link, plan.matching.threshold, features, plan.comparisons, tuple(told)
    )


def _named(rule: Rule, names: Counter[str]) -> str:
    """The rule's name, with its feature where two rules have the same one."""
    return f"{rule.name} of {rule.parts[0].feature}" if names[rule.name] > 1 else rule.name


def _names(rule: Rule, found: Blocks, coded: Coded) -> tuple[str, ...]:
    """How the keys of the largest blocks read: the texts that their records have in common."""
    ends = np.cumsum(found.size)
    named = []
    for number in np.argsort(-found.size, kind="stable")[:WORST].tolist():
        rows = found.rows[ends[number] - found.size[number] : ends[number]]
        texts = [_common(part, coded, rows[:: max(1, len(rows) // SAMPLE)]) for part in rule.parts]
        named.append(f"{rule.name}: {', '.join(text for text in texts if text)} ({len(rows):,} records)")
    return tuple(named)


def _common(part: Part, coded: Coded, rows: Array) -> str:
    """What the records' values contribute to a key alike; nicknames of one name by that of the first record."""
    codes, values = coded[part.feature]
    found = [values[code] for code in np.unique(codes[rows]).tolist()]
    texts = [list(part.cutting.texts(value)) for value in found]
    shared = [text for text in texts[0] if all(text in others for others in texts)]
    words = [text.replace(SEP, " ").strip() for text in shared if not text.startswith("#")]
    return " ".join(words) if words or not shared else f"forms of {found[0].split(SEP)[0].split(' ')[0]}"


def _feature(records: Records, number: int) -> FeaturePlan:
    feature = records.plan.features[number]
    codes, values = records.features[feature.name]
    return FeaturePlan(feature.name, feature.kind.name, feature.attributes, int((codes >= 0).sum()), len(values))


def pairs_of(found: Blocks, source: Array | None = None) -> int:
    """Pairs of records that share a block (once per shared block); with `source`, pairs within one source do not count."""
    pairs = _pairs(found.size)
    if source is None or not pairs:
        return pairs
    block: Array = np.repeat(np.arange(len(found.size)), found.size)
    _, within = np.unique(block * (source.max() + 1) + source[found.rows], return_counts=True)
    return pairs - _pairs(within)


def _pairs(sizes: Array) -> int:
    return int((sizes.astype(np.int64) * (sizes - 1) // 2).sum())


def plan_text(records: Records, model: Model | None = None) -> str:
    """The plan of `records` in plain text, at most WIDTH columns wide. Without their `model` one of a sample tells of dependence."""
    report = explain(records)
    head = [
        f"{report.records:,} {'distinct ' * bool(report.copies)}records, {report.possible:,} possible pairs; link {report.link},"
        f" threshold {report.threshold:g}",
        *([f"{report.copies:,} more have the same values as one of them"] if report.copies else []),
        f"At most {report.kept:,} pairs will be compared ({_share(report.kept, report.possible)} of the possible ones)",
    ]
    parts = [
        head,
        list(_features(report)),
        list(_comparisons(report)),
        list(_rules(report)),
        list(_worst(report)),
        _dependent(records, model),
    ]
    return "\n".join("\n".join(part) for part in parts if part) + "\n"


def _features(report: PlanReport) -> Iterator[str]:
    rows = [
        (
            shorten(feature.name, 30, placeholder=" …"), shorten(" + ".join(feature.attributes), 40, placeholder=" …"),
            _share(feature.filled, report.records), f"{feature.distinct:,}", _remark(feature, report.records),
        )
        for feature in report.features
    ]  # fmt: skip
    yield from _table(("Features", "of attributes", "filled", "distinct", ""), rows, "llrrl")


def _remark(feature: FeaturePlan, records: int) -> str:
    if feature.filled == 0:
        return "always empty: says nothing"
    return "one value only: says nothing" if feature.distinct == 1 and records > 1 else ""


def _comparisons(report: PlanReport) -> Iterator[str]:
    yield from ("", "Comparisons (levels from agreement to disagreement)")
    width = max(len(comparison.name) for comparison in report.comparisons)
    for comparison in report.comparisons:
        levels = " | ".join(comparison.labels)
        marks = [
            *(["values weigh by their rarity"] if comparison.terms else []),
            *(["a clear difference excludes the pair"] if comparison.exclusive else []),
        ]
        text = f"{levels}  ({'; '.join(marks)})" if marks else levels
        for at, line in enumerate(wrap(text, WIDTH - width - 4)):
            yield f"  {comparison.name if at == 0 else '':{width}}  {line}"


def _rules(report: PlanReport) -> Iterator[str]:
    rows = [
        (
            rule.name, f"{rule.wanted:,}", f"{rule.kept:,}", _share(rule.kept, rule.wanted), f"{rule.split:,}", f"{rule.dropped:,}"
        )
        for rule in report.rules
    ]  # fmt: skip
    yield from _table(
        ("Blocking rules (records that share the key are compared)", "pairs", "in budget", "kept", "split", "dropped"), rows, "lrrrrr"
    )


def _worst(report: PlanReport) -> Iterator[str]:
    named = [name for rule in report.rules for name in rule.worst]
    if named:
        yield from ("", "Values with too many records: split by a second key if the rule has one, otherwise left to the other rules")
        yield from (f"  {shorten(name, WIDTH - 2, placeholder=' …')}" for name in named)


def _dependent(records: Records, model: Model | None) -> list[str]:
    """Which attributes follow from others, so that what both say counts once, and which are unreliable."""
    if records.rows < 2:
        return []
    told = ""
    if model is None:
        copies = Copies.of(records)
        chosen = copies.distinct
        if len(chosen) > LEARNED_FROM:
            chosen = np.sort(np.random.default_rng(1).choice(chosen, LEARNED_FROM, replace=False))
            told = f" (learned from {LEARNED_FROM:,} of the records)"
        model = fit(records.take(chosen), repeated=copies.repeated(records, chosen))[0]
    rows = [f"  {name}  partly follows from {listed(sorted(parents))}" for name, parents in sorted(model.follows.items())]
    rows += [f"  {name}  is unreliable: a difference excludes nothing" for name in model.unreliable]
    return ["", f"Dependence{told}: what an attribute says that others have said already counts once", *(rows or ["  none was found"])]


def listed(names: Sequence[str]) -> str:
    """`a, b and c`."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _share(part: int, whole: int) -> str:
    if not whole:
        return "-"
    share = 100 * part / whole
    return f"{share:.0f} %" if share >= 10 or part == 0 else f"{share:.1g} %"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], align: str) -> Iterator[str]:
    """Aligned lines under an empty one; the first column stands at the margin, the others under their heads."""
    body = [(f"  {row[0]}", *row[1:]) for row in rows]
    widths = [max(len(row[place]) for row in [head, *body]) for place in range(len(head))]
    yield ""
    for row in [tuple(head), *body]:
        cells = [f"{cell:<{width}}" if side == "l" else f"{cell:>{width}}" for cell, width, side in zip(row, widths, align, strict=True)]
        yield "  ".join(cells).rstrip()
