"""What each mechanism of identity resolution is worth: the grid of worlds and the real sets once more, without one of them at a time.

`python benchmarks/identity_ablation.py [--records N] [--data FOLDER] [--json FILE]`

A mechanism is taken out by putting what it replaced in its place, in this process; nothing in the engine knows of it. Printed are, per
mechanism, the median F1 and the lowest precision of the worlds, the greatest calibration error, and the sets that lose most by its absence.
That counts of values follow the data shows only over several runs and has no line here.
"""

from __future__ import annotations

import argparse
import gc
import json
import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from functools import _lru_cache_wrapper
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

import identity
import identity_data as data
import identity_measures as measures
import identity_worlds as grid
import numpy as np

from spine.identity.copies import Copies
from spine.identity.standardize.text import tokens

_LEARN = "spine.identity.learning.learn"
_NAME = "spine.identity.composites.person_name"
REAL = ("historical", "chicago", "inventors", "fodors")
WHOLE = "nothing"
LOST = 0.003
# What stands in the place of a mechanism, by the names that the modules which use it know it by.
WITHOUT: dict[str, dict[str, Any]] = {
    WHOLE: {},
    "what follows from another attribute counts once": {f"{_LEARN}.learn_follows": lambda *_: None},
    "attributes judged on pairs that are sure without them": {f"{_LEARN}.ENOUGH": float("inf")},
    "a floor under the prior and under sameness": {f"{_LEARN}.LEAST_MATCHES": 0.0, f"{_LEARN}._trust_sameness": lambda *_: None},
    "identical records computed once": {"spine.identity.copies.Copies.of": lambda records: Copies(np.arange(records.rows))},
    "partial dates": {"spine.identity.kinds.date._partial": lambda _: None},
    "beliefs of levels that can occur": {f"{_LEARN}.adapt": lambda *_: None, f"{_LEARN}.rescale": lambda *_: None},
    "vocabularies (legal forms, pet forms, generations)": {
        "spine.identity.kinds.organization.without_forms": tokens,
        "spine.identity.composites.names.NICKNAMES": {},
        f"{_NAME}.NICKNAMES": {},
        f"{_NAME}.generation": lambda words, _: (list(words), ""),
    },
    "relatives told by sources": {f"{_LEARN}.told_by_sources": lambda *_: {}},
}  # fmt: skip


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=10_000, help="records of each world")
    parser.add_argument("--data", type=Path, default=os.environ.get("SPINE_DATA"), help="folder of the labelled CSV files (or SPINE_DATA)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    found: dict[str, dict[str, dict[str, float]]] = {mechanism: {} for mechanism in WITHOUT}
    with tempfile.TemporaryDirectory() as folder:
        for case, world in _cases(args.records, args.data, Path(folder)):
            for mechanism, instead in WITHOUT.items():
                name = case.name if world else f"{case.name} (real)"
                found[mechanism][name] = figures(case, instead) | {"world": world}
            print(name, f"{found[WHOLE][name]['f1']:.4f}", file=sys.stderr)
    for line in lines(found):
        print(line)
    if args.json:
        args.json.write_text(json.dumps(found, indent=1), encoding="utf-8")


def _cases(records: int, real: Path | None, folder: Path) -> Iterator[tuple[data.Case, bool]]:
    """Worlds, then real sets if there are any; whether it is a world."""
    for name in grid.chosen([], None):
        yield grid.case(name, records, folder)[0], True
    for case in data.cases(real, [], list(REAL)) if real else ():
        yield case, False


def figures(case: data.Case, instead: dict[str, Any]) -> dict[str, float]:
    """Accuracy and calibration on a data set with `instead` in the place of what it names."""
    with ExitStack() as stack:
        for name, value in instead.items():
            stack.enter_context(patch(name, value))
        _forget()
        labels, matched = identity.in_process(case)
    _forget()
    order = np.argsort(np.asarray(case.table.column("unique_id")), kind="stable")
    truth = case.truth[order]
    same = truth[matched.found.left] == truth[matched.found.right]
    quality = measures.quality(labels, case.truth)
    error = measures.calibration_error(matched.scored.probability, same)
    return {name: quality[name] for name in ("precision", "recall", "f1")} | {"calibration_error": error or 0.0}


def _forget() -> None:
    """Empties every cache of standardised values, which were made with or without a mechanism."""
    for cached in (one for one in gc.get_objects() if isinstance(one, _lru_cache_wrapper)):
        cached.cache_clear()


def lines(found: dict[str, dict[str, dict[str, float]]]) -> Iterator[str]:
    """A Markdown table, a line per mechanism."""
    yield "| without | median F1 | lowest P | calibration error at most | sets that lose most F1 |"
    yield "| --- | --- | --- | --- | --- |"
    for mechanism, measured in found.items():
        worlds = [one for one in measured.values() if one["world"]]
        lost = sorted((one["f1"] - found[WHOLE][name]["f1"], name) for name, one in measured.items())
        worst = ", ".join(f"{name} {change:+.3f}" for change, name in lost[:4] if change <= -LOST) or "none"
        gained = [f"{name} {change:+.3f}" for change, name in lost[:-3:-1] if change >= LOST]
        middle, least, error = (
            median(one["f1"] for one in worlds), min(one["precision"] for one in worlds), max(one["calibration_error"] for one in worlds)
        )  # fmt: skip
        more = f"; better without: {', '.join(gained)}" if gained else ""
        yield f"| {mechanism} | {middle:.3f} | {least:.3f} | {error:.3f} | {worst}{more} |"


if __name__ == "__main__":
    main()
