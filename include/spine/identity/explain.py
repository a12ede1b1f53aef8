"""What a plan will do before it does it: features, comparisons, and how many pairs every blocking rule makes.

The pairs are counted from the sizes of the blocks; none is made.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from textwrap import shorten, wrap
from typing import Any, TypeAlias

import numpy as np

from spine.identity import blocking, keys
from spine.identity.comparisons import Comparison
from spine.identity.engine import Records

Array: TypeAlias = Any  # numpy arrays of many element types
WIDTH = 120


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
    key: str
    wanted: int
    kept: int
    split: int
    dropped: int
    worst: tuple[str, ...]


@dataclass(frozen=True)
class PlanReport:
    """Everything that was chosen or stated. Rules overlap: the sum of their pairs is an upper bound of the pairs compared."""

    records: int
    link: str
    threshold: float
    features: tuple[FeaturePlan, ...]
    comparisons: tuple[Comparison, ...]
    rules: tuple[RulePlan, ...]

    @property
    def possible(self) -> int:
        """Pairs of any two records."""
        return self.records * (self.records - 1) // 2

    @property
    def kept(self) -> int:
        """Upper bound of the pairs that will be compared."""
        return sum(rule.kept for rule in self.rules)


def explain(records: Records) -> PlanReport:
    """The plan of `records` with the number of pairs of every rule; no pair is made."""
    plan = records.plan
    rules = blocking.make_rules(plan)
    heavy = keys.find_heavy(rules, records.features)
    plain, light = keys.rule_keys(rules, records.features, None), keys.rule_keys(rules, records.features, heavy)
    source = records.source if plan.matching.link == "across_sources" else None
    return PlanReport(
        records.rows, plan.matching.link, plan.matching.threshold,
        tuple(_feature(records, number) for number in range(len(plan.features))), plan.comparisons,
        tuple(
            RulePlan(
                rule.name, " + ".join(dict.fromkeys(part.name for part in rule.parts)), pairs_of(wanted, source), pairs_of(kept, source),
                len(found.split), len(found.dropped) if rule.split else len(found.split), tuple(found.names),
            )
            for rule, wanted, kept, found in zip(rules, plain, light, heavy, strict=True)
        ),
    )  # fmt: skip


def _feature(records: Records, number: int) -> FeaturePlan:
    feature = records.plan.features[number]
    codes, values = records.features[feature.name]
    return FeaturePlan(feature.name, feature.kind, feature.attributes, int((codes >= 0).sum()), len(values))


def pairs_of(matrix: Array, source: Array | None = None) -> int:
    """Pairs of records that share a key (once per shared key); with `source`, pairs within one source do not count."""
    rows, columns = np.nonzero(matrix)
    table = np.unique(np.stack([matrix[rows, columns], rows]), axis=1)
    if source is None:
        return _block_pairs(table[:1])
    return _block_pairs(table[:1]) - _block_pairs(np.stack([table[0], source[table[1]]]))


def _block_pairs(blocks: Array) -> int:
    _, sizes = np.unique(blocks, axis=1, return_counts=True)
    return int((sizes.astype(np.int64) * (sizes - 1) // 2).sum())


def plan_text(records: Records) -> str:
    """The plan of `records` in plain text, at most WIDTH columns wide."""
    report = explain(records)
    head = [
        f"{report.records:,} records, {report.possible:,} possible pairs; link {report.link}, threshold {report.threshold:g}",
        f"At most {report.kept:,} pairs will be compared ({_share(report.kept, report.possible)} of the possible ones)",
    ]
    parts = [head, list(_features(report)), list(_comparisons(report)), list(_rules(report)), list(_worst(report))]
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
        yield from ("", "Values with too many records, left to the other rules")
        yield from (f"  {shorten(name, WIDTH - 2, placeholder=' …')}" for name in named)


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
