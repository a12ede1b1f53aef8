"""The page that shows what a matching run did and why: one HTML file that loads nothing and needs no script.

Charts are laid out here, in shares of their width, so that one page serves a phone and a desktop; the template only writes them down.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
from jinja2 import Environment, PackageLoader, StrictUndefined

from spine.identity.matching import Matched, threshold_weight
from spine.matching.calibration import FROM, Calibration, Labels
from spine.matching.report_data import CONFLICTS_SHOWN, Facts, Level, Pair, cut, of_matched

_MOST_TICKS = 7
_BUCKETS = (1, 2, 3, 4, 5, 10, 20, 50, 100, 1_000)


def write_report(
    path: Path,
    matched: Matched,
    ids: pa.Array | pa.ChunkedArray,
    *,
    title: str,
    plan_text: str = "",
    clusters: pa.Array | pa.ChunkedArray | None = None,
    seconds: float | None = None,
    threshold: float | None = None,
    labels: tuple[str, Labels] | None = None,
    could_not: Sequence[str] = (),
) -> None:
    """Writes the report of a matching run to `path`, whole or not at all.

    `ids` holds the record id of each row, `clusters` the entity id of each row (None: an entity is named after its first record),
    `seconds` the wall time, `plan_text` what `--explain-plan` prints, `threshold` the probability that was linked at (None: the plan's),
    `labels` what is known and from where, `could_not` what the run could not do, in words.
    """
    limit = matched.records.plan.matching.threshold if threshold is None else threshold
    facts = of_matched(
        matched, ids, title=title, plan_text=plan_text, clusters=clusters, seconds=seconds, threshold=limit, labels=labels,
        could_not=could_not,
    )  # fmt: skip
    write_page(path, facts)


def write_page(path: Path, facts: Facts) -> None:
    """Writes a page about these facts to `path`, whole or not at all."""
    limit = threshold_weight(facts.threshold)
    content = _template().render(
        facts=facts,
        shown=CONFLICTS_SHOWN,
        weights=_weight_rows(facts.weights),
        scores=_scores(facts.histogram, limit),
        sizes=_size_rows(facts.sizes),
        rules=sorted((rule for rule in facts.rules if rule.found or rule.split or rule.dropped), key=lambda rule: -rule.found),
        surest=[_pair_chart(pair, limit) for pair in facts.surest],
        doubtful=[_pair_chart(pair, limit) for pair in facts.doubtful],
        reliability=_reliability(facts.calibration) if facts.calibration else None,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(content, encoding="utf-8", errors="replace")
    partial.replace(path)


def percent(share: float) -> str:
    """A share as a percentage that keeps two digits of what is small and never rounds up to certainty."""
    if 0 < share < 1 and 1 - share < 5e-4:
        return "> 99.9\u202f%"
    value = share * 100
    digits = 1 if value >= 10 or value == 0 else min(7, 1 - math.floor(math.log10(value)))
    return f"{value:.{digits}f}".rstrip("0").rstrip(".") + "\u202f%"


def signed(weight: float) -> str:
    """A weight with its sign and one decimal."""
    return f"{weight:+.1f}".replace("-", "\u2212").replace("+0.0", "0").replace("\u22120.0", "0")


def _weight_rows(weights: Sequence[tuple[str, Sequence[Level]]]) -> Sequence[tuple[str, Sequence[dict[str, Any]]]]:
    """Per comparison a bar for each level, all on one scale with zero at the same place."""
    every = [level.weight for _, levels in weights for level in levels]
    axis = _Axis(min([0.0, *every]), max([0.0, *every]))
    return [
        (name, [{"label": level.label, "m": level.m, "u": level.u, "weight": level.weight, "zero": axis.at(0)} | axis.bar(0, level.weight)
                for level in levels])
        for name, levels in weights
    ]  # fmt: skip


class _Axis:
    """Places on a chart's width, in percent."""

    def __init__(self, low: float, high: float) -> None:
        self.low, self.span = low, max(high - low, 1e-9)

    def at(self, value: float) -> float:
        return round(100 * (value - self.low) / self.span, 2)

    def bar(self, start: float, end: float) -> dict[str, Any]:
        """A bar between two values; `up` says whether it speaks for a match."""
        left, right = sorted((self.at(start), self.at(end)))
        return {"x": left, "width": round(max(right - left, 0.3), 2), "up": end >= start}


def _pair_chart(pair: Pair, limit: float) -> dict[str, Any]:
    """The waterfall: every step begins where the one before ended; what could not be compared is only named."""
    told = [step for step in pair.steps if step["weight"] or step["tf_adjustment"] or (step["left"] and step["right"])]
    rest = [step["attribute"] for step in pair.steps if step not in told]
    at, places, path = 0.0, [], [0.0, limit, pair.weight]
    for step in told:
        middle = at + step["weight"]
        end = middle + step["tf_adjustment"]
        places.append((at, middle, end))
        path += [middle, end]
        at = end
    axis = _Axis(min(path), max(path))
    return {
        "pair": pair, "rest": rest, "zero": axis.at(0), "limit": axis.at(limit), "total": axis.bar(0, pair.weight),
        "first": _told_apart_by(told),
        "rows": [_step_row(step, place, axis) for step, place in zip(told, places, strict=True)],
    }  # fmt: skip


def _told_apart_by(steps: Sequence[Mapping[str, Any]]) -> tuple[str, str] | None:
    """The values that name both records best: those compared first, but an address only if there is nothing else."""
    known = [step for step in steps if step["left"] and step["right"]]
    best = min(known, key=lambda step: step["attribute"] == "address", default=None)
    return (cut(best["left"], 60), cut(best["right"], 60)) if best else None


def _step_row(step: Mapping[str, Any], place: tuple[float, float, float], axis: _Axis) -> dict[str, Any]:
    start, middle, end = place
    known = step["left"] is not None and step["right"] is not None
    return {
        "name": step["attribute"], "label": step["label"], "weight": step["weight"], "rarity": step["tf_adjustment"],
        "values": (cut(step["left"]), cut(step["right"])) if known else None,
        "bar": axis.bar(start, middle), "extra": axis.bar(middle, end) if step["tf_adjustment"] else None,
    }  # fmt: skip


def _scores(histogram: tuple[float, float, Sequence[int]], limit: float) -> dict[str, Any]:
    """The histogram of weights, counts on a logarithmic scale."""
    start, width, counts = histogram
    most = max([1, *counts])
    top = math.log10(1 + most)
    axis = _Axis(start, start + width * len(counts))
    bars = []
    for place, count in enumerate(counts):
        low = start + place * width
        height = round(100 * math.log10(1 + count) / top, 2)
        bars.append(
            axis.bar(low, low + width)
            | {"height": height, "count": count, "low": low, "high": low + width, "linked": low >= limit - 1e-6}
        )  # fmt: skip
    step = next(step for step in (2, 5, 10, 20, 50, 100, 250) if width * len(counts) / step <= _MOST_TICKS or step == 250)
    ticks = range(math.ceil(start / step) * step, math.floor(start + width * len(counts)) + 1, step)
    lines = [10**power for power in range(int(math.log10(most)) + 1)]
    return {
        "bars": bars, "limit": axis.at(limit), "pairs": sum(counts),
        "ticks": [{"at": axis.at(tick), "weight": tick, "probability": _odds_text(tick)} for tick in ticks],
        "lines": [{"at": round(100 - 100 * math.log10(1 + line) / top, 2), "count": line} for line in lines],
    }  # fmt: skip


def _reliability(calibration: Calibration) -> dict[str, Any]:
    """The reliability diagram: per bin a point at what was promised and what was right, with the range in which the share lies."""
    across, up = _Axis(FROM, 1), _Axis(0, 1)
    return {
        "points": [
            {"x": across.at(one.promised), "y": 100 - up.at(one.right), "top": 100 - up.at(one.most), "bottom": 100 - up.at(one.least),
             "bin": one}
            for one in calibration.bins
        ],
        "start": 100 - up.at(FROM),
        "across": [{"at": across.at(tick / 10), "share": tick / 10} for tick in range(5, 11)],
        "up": [{"at": 100 - up.at(tick / 4), "share": tick / 4} for tick in range(5)],
    }  # fmt: skip


def _odds_text(weight: float) -> str:
    return percent(1 / (1 + 2.0**-weight)) if abs(weight) <= 10 else ""


def _size_rows(sizes: Sequence[tuple[int, int]]) -> Sequence[dict[str, Any]]:
    """Entities by size, in buckets; bars are logarithmic, since singles outnumber everything else."""
    buckets: list[tuple[str, int, int]] = []
    for low, following in zip(_BUCKETS, (*_BUCKETS[1:], math.inf), strict=True):
        inside = [(size, count) for size, count in sizes if low <= size < following]
        if inside:
            label = str(low) if following == low + 1 else f"{low:,} to {following - 1:,}" if following < math.inf else f"{low:,} and more"
            buckets.append((label, sum(count for _, count in inside), sum(size * count for size, count in inside)))
    top = math.log10(1 + max((entities for _, entities, _ in buckets), default=1))
    return [
        {"label": label, "entities": entities, "records": records, "width": round(100 * math.log10(1 + entities) / top, 2)}
        for label, entities, records in buckets
    ]


@cache
def _template() -> Any:
    environment = Environment(loader=PackageLoader("spine.matching"), autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.filters |= {"percent": percent, "signed": signed}
    return environment.get_template("match.html.j2")
