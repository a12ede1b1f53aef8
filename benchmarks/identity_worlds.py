"""The grid of generated worlds as cases to measure, and its figures as tables: each world, then the worst, the median, the best."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import identity_data as data
import pyarrow as pa
from worlds import making, shares

SPLINK = Path(__file__).resolve().with_name("identity_splink_worlds.py")
SETUPS = ("joined", "apart")
_COLUMNS = (
    ("precision", "P"), ("recall", "R"), ("f1", "F1"), ("calibration_error", "ECE"), ("lost_to_blocking", "not blocked"),
)  # fmt: skip
# Of these the least is best.
_ERRORS = ("calibration_error", "lost_to_blocking")


def chosen(names: list[str], split: str | None) -> list[str]:
    """Worlds of the grid by name (all if none is given) and by half, those to develop on first. Raises ConfigError for an unknown name."""
    worlds = [shares.load(name) for name in names or shares.names()]
    return [world.world for world in sorted(worlds, key=lambda world: world.split) if split in (None, world.split)]


def case(name: str, records: int, folder: Path) -> tuple[data.Case, dict[str, Any]]:
    """A world as records that engines read, its smallest rules file in `folder`; and what a table says of it: split, entity, best F1."""
    world = shares.load(name)
    made = making.generate(world, records)
    rules = folder / f"{name}.yaml"
    rules.write_text(making.rules(world), encoding="utf-8")
    table = made.table.to_arrow()
    table = table.cast(pa.schema([(column, pa.string()) for column in table.column_names]))
    return data.Case(name, rules, table, made.truth), {"split": world.split, "entity": world.entity, "ceiling": making.ceiling(made)["f1"]}


def head() -> str:
    """The first line of the table."""
    titles = "".join(f"{title:>13}" for _, title in _COLUMNS)
    return f"{'world':24}{'split':9}{'records':>10}{'F1 at most':>12}  {'engine':14}{titles}{'largest':>10}{'seconds':>10}"


def lines(result: dict[str, Any]) -> Iterator[str]:
    """The lines of one world, an engine each."""
    start = f"{result['name']:24}{result['split']:9}{result['records']:>10,}{result['ceiling']:>12.4f}"
    for engine, figures in result["engines"].items():
        cells = "".join(f"{_cell(figures.get(name)):>13}" for name, _ in _COLUMNS)
        name = f"{engine} {figures['setup']}" if "setup" in figures else engine
        yield f"{start}  {name:14}{cells}{figures['largest']:>10,}{figures['seconds']:>10.1f}"
        start = " " * 55


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def summary(results: list[dict[str, Any]]) -> Iterator[str]:
    """Worst, median and best of each figure with the world's name: of each half, of all; of Splink and of ours where Splink ran."""
    halves = {half: [one for one in results if one["split"] == half] for half in ("develop", "judge")}
    for title, some in {"all worlds": results, **(halves if all(halves.values()) else {})}.items():
        for engine in ("spine", "splink"):
            if there := [one for one in some if engine in one["engines"]]:
                yield f"\n{title}, {engine} ({len(there)})"
                yield from _extremes(there, engine)
    both = [one["engines"] for one in results if "splink" in one["engines"]]
    if both:
        ahead = sum(one["spine"]["f1"] > one["splink"]["f1"] for one in both)
        yield f"\nF1 above Splink's on {ahead} of {len(both)} worlds"


def _extremes(results: list[dict[str, Any]], engine: str) -> Iterator[str]:
    for column, title in _COLUMNS:
        known = sorted((one["engines"][engine][column], one["name"]) for one in results if one["engines"][engine].get(column) is not None)
        if not known:
            continue
        (worst, where), (best, there) = (known[-1], known[0]) if column in _ERRORS else (known[0], known[-1])
        middle = median(value for value, _ in known)
        yield f"  {title:12} worst {worst:.4f} ({where}), median {middle:.4f}, best {best:.4f} ({there})"
