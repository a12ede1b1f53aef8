"""What was measured as tables to read, and as demands that hold or do not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

Result: TypeAlias = dict[str, Any]
FLOORS = {
    "febrl3": 0.999, "febrl4": 0.999, "historical_50k": 0.88, "chicago_early_childhood": 0.915, "fodors_zagats": 0.945, "inventors": 0.98,
}  # fmt: skip
PRECISION = 0.90
AHEAD = 0.03
SLOWEST, AIM, SLOWEST_50K = 1.5, 1.0, 2.5
GROWTH = 12.0
MEMORY_MB = 8 * 1024
INCREMENT = 0.10
SMALL, MIDDLE, LARGE = "world_person_50000", "world_person_100000", "world_person_1000000"
_COLUMNS = (
    ("precision", "P", ".4f"), ("recall", "R", ".4f"), ("f1", "F1", ".4f"), ("b3_precision", "B3 P", ".4f"), ("b3_recall", "B3 R", ".4f"),
    ("b3_f1", "B3 F1", ".4f"), ("lost_to_blocking", "not blocked", ".4f"), ("clusters", "clusters", ",.0f"), ("largest", "largest", ",.0f"),
    ("seconds", "seconds", ".1f"), ("cpu_seconds", "CPU s", ".1f"), ("peak_mb", "peak MB", ",.0f"),
)  # fmt: skip


@dataclass(frozen=True)
class Demand:
    """One line of what is demanded. `holds` is None if it was not measured."""

    text: str
    holds: bool | None


def head() -> str:
    """The first line of the table of results."""
    return f"{'data set':26}{'records':>10}{'true pairs':>12}  {'engine':8}" + "".join(f"{_wide(title)}" for _, title, _ in _COLUMNS)


def lines(result: Result) -> Iterator[str]:
    """The lines of one data set: an engine each, and the ratio of their times."""
    start = f"{result['name']:26}{result['records']:>10,}{result['true_pairs']:>12,}"
    for engine, figures in result["engines"].items():
        cells = [_wide(format(figures[name], form)) if figures.get(name) is not None else _wide("-") for name, _, form in _COLUMNS]
        yield f"{start}  {engine:8}" + "".join(cells)
        start = " " * 48
    if (ratio := time_ratio(result)) is not None:
        yield f"{start}  spine takes {ratio:.2f} times Splink's time, {_ratio(result, 'cpu_seconds'):.2f} times its CPU time"


def _wide(text: str) -> str:
    return f"{text:>12}"


def calibration_lines(result: Result) -> Iterator[str]:
    """Promised and observed precision per engine and band of probability."""
    for engine, figures in result["engines"].items():
        bands = (
            f"[{band['from']:.2f}, {band['to']:.2f}{']' if band['to'] == 1 else ')'} {band['promised']:.3f} → {band['observed']:.3f}"
            f" ({band['pairs']:,})"
            for band in figures["calibration"]
        )
        yield f"{result['name']:26}{engine:8}" + "   ".join(f"{band:36}" for band in bands).rstrip()


def time_ratio(result: Result) -> float | None:
    """Our seconds over Splink's, None if one of the two did not run."""
    return _ratio(result, "seconds") if {"spine", "splink"} <= set(result["engines"]) else None


def _ratio(result: Result, name: str) -> float:
    engines = result["engines"]
    return float(engines["spine"][name] / max(1e-9, engines["splink"][name]))


def demands(results: list[Result], increment: Result | None) -> list[Demand]:
    """Every line that is demanded of accuracy, speed and memory."""
    known = {result["name"]: result for result in results}
    found = [_least(known, name, "f1", floor) for name, floor in FLOORS.items()]
    found += [_least(known, name, "precision", PRECISION) for name in dict.fromkeys([*FLOORS, MIDDLE, LARGE, *known])]
    found += [_ahead(known, name) for name in (MIDDLE, LARGE)]
    found += [_time(known, LARGE, SLOWEST), _time(known, "historical_50k", SLOWEST_50K), _time(known, SMALL, SLOWEST_50K)]
    found += [_memory(known), _growth(known), _increment(increment)]
    return found


def _ours(known: dict[str, Result], name: str, figure: str) -> float | None:
    return known[name]["engines"]["spine"][figure] if name in known else None


def _least(known: dict[str, Result], name: str, figure: str, floor: float) -> Demand:
    value = _ours(known, name, figure)
    text = f"{name}: {'F1' if figure == 'f1' else figure} of at least {floor}"
    return Demand(text, None) if value is None else Demand(f"{text}: {value:.4f}", value >= floor)


def _ahead(known: dict[str, Result], name: str) -> Demand:
    text = f"{name}: F1 above Splink's by at least {AHEAD}"
    if name not in known or "splink" not in known[name]["engines"]:
        return Demand(text, None)
    ours, theirs = (known[name]["engines"][engine]["f1"] for engine in ("spine", "splink"))
    return Demand(f"{text}: {ours:.4f} against {theirs:.4f}", ours >= theirs + AHEAD)


def _time(known: dict[str, Result], name: str, most: float) -> Demand:
    text = f"{name}: at most {most} times Splink's time"
    ratio = time_ratio(known[name]) if name in known else None
    if ratio is None:
        return Demand(text, None)
    aim = f" (aim {AIM})" if name == LARGE else ""
    return Demand(f"{text}{aim}: {ratio:.2f}", ratio <= most)


def _memory(known: dict[str, Result]) -> Demand:
    text, value = f"{LARGE}: peak memory of at most {MEMORY_MB:,} MB", _ours(known, LARGE, "peak_mb")
    return Demand(text, None) if value is None else Demand(f"{text}: {value:,.0f}", value <= MEMORY_MB)


def _growth(known: dict[str, Result]) -> Demand:
    text, small, large = (
        f"from 100,000 to 1,000,000 records: at most {GROWTH} times the time",
        *(_ours(known, name, "seconds") for name in (MIDDLE, LARGE)),
    )
    if small is None or large is None:
        return Demand(text, None)
    return Demand(f"{text}: {large / small:.1f}", large <= GROWTH * small)


def _increment(increment: Result | None) -> Demand:
    text = f"1,000 changed of 1,000,000 records: at most {INCREMENT:.0%} of a full run beyond start-up"
    if increment is None or increment["records"] < 0.9 * 1_000_000:
        return Demand(text, None)
    holds = increment["share"] <= INCREMENT and increment["no_op"]
    return Demand(f"{text}, and nothing without a change: {increment['share']:.1%}", holds)
