"""Accuracy, speed and memory of identity resolution beside Splink, without a label and with default settings.

`python benchmarks/identity.py [--data FOLDER] [--only NAME ...] [--sizes N ...] [--no-splink] [--incremental] [--check] [--json FILE]`
`python benchmarks/identity.py --worlds [NAME ...] [--records N] [--split HALF] [--splink-worlds NAME ... | --no-splink] [--json FILE]`

Each engine is a process of its own that reads the same CSV: `spine match` with the smallest rules file (`benchmarks/rules/`), and Splink
as `identity_splink.py` sets it up. Neither sees the true entities. Printed are pairwise and B-cubed figures of the clusters, the share of
true pairs that blocking loses, time and memory of the whole process, and how far probabilities hold what they promise. With `--check` the
exit code says whether every demand holds; each that does not is named. Demands that `--only` leaves unmeasured count as neither.

`--worlds` measures the grid of `worlds/` instead: a line per world, then worst, median and best; Splink in the better of two set-ups.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
from pathlib import Path
from typing import Any, TypeAlias

import identity_data as data
import identity_measures as measures
import identity_report as report
import identity_worlds as grid
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from spine.core.entities import load_match_rules
from spine.identity import engine
from spine.identity.copies import Copies
from spine.identity.matching import Matched, match

Array: TypeAlias = Any  # numpy arrays of many element types
SPINE = Path(sys.executable).with_name("spine")
SPLINK = Path(__file__).resolve().with_name("identity_splink.py")
# Up to so many records the blocking is run once more to count the pairs it loses.
_BLOCKING_RECORDS = 120_000
_CHANGED, _FEW = 1_000, 10


def in_process(case: data.Case, threshold: float = 0.85) -> tuple[Array, Matched]:
    """The cluster label of each record as `spine match` would find it, in this process; for tests."""
    rules = load_match_rules(case.rules)
    order = pc.sort_indices(case.table.column("unique_id"))
    matched = match(engine.prepare(case.table.take(order), engine.make_plan(rules.matching()), rules.source), threshold)
    labels = np.empty(case.table.num_rows, dtype=np.int64)
    labels[np.asarray(order)] = matched.label
    return labels, matched


def measure(case: data.Case, folder: Path, splink: bool) -> report.Result:
    """Figures of one data set for each engine."""
    records = case.write(folder)
    engines = {"spine": _spine(case, records, folder)}
    if splink:
        engines["splink"] = _splink(case, records, folder)
    if case.table.num_rows <= _BLOCKING_RECORDS:
        engines["spine"]["lost_to_blocking"] = _lost_to_blocking(case)
        if splink:
            from identity_splink import RECIPES

            engines["splink"]["lost_to_blocking"] = _lost_by_splink(case, records, RECIPES[case.rules.stem]())
    records.unlink()
    return {"name": case.name, "records": case.table.num_rows, "true_pairs": data.true_pairs(case.truth), "engines": engines}


def _spine(case: data.Case, records: Path, folder: Path) -> report.Result:
    clusters, matches = folder / "spine.parquet", folder / "spine-matches.parquet"
    cost, told = measures.run(_match(records, case.rules, clusters, "--matches", str(matches)))
    return _figures(case, cost, clusters, matches) | {"told": json.loads(told)}


def _match(records: Path, rules: Path, clusters: Path, *more: str) -> list[str]:
    return [str(SPINE), "match", str(records), "--entity", str(rules), "--output", str(clusters), "--json", *more]


def _splink(case: data.Case, records: Path, folder: Path) -> report.Result:
    clusters, matches = folder / "splink.parquet", folder / "splink-matches.parquet"
    cost, _ = measures.run([sys.executable, str(SPLINK), case.rules.stem, str(records), str(clusters), str(matches)])
    return _figures(case, cost, clusters, matches)


def _figures(case: data.Case, cost: measures.Cost, clusters: Path, matches: Path) -> report.Result:
    ids = case.table.column("unique_id").combine_chunks()
    found = pq.read_table(clusters, columns=["record_id", "cluster_id"])
    place = pc.index_in(ids, found.column("record_id").combine_chunks())
    if place.null_count or found.num_rows != len(ids):
        raise RuntimeError(f"{clusters.name} of {case.name} does not hold every record once")
    labels = np.asarray(pc.rank(found.column("cluster_id").take(place), tiebreaker="dense"))
    pairs = pq.read_table(matches, columns=["left_id", "right_id", "probability"])
    left, right = (case.truth[np.asarray(pc.index_in(pairs.column(side), ids))] for side in ("left_id", "right_id"))
    probability = np.asarray(pairs.column("probability"))
    bands = measures.calibration(probability, left == right)
    error = measures.calibration_error(probability, left == right)
    spent = {"seconds": cost.seconds, "cpu_seconds": cost.cpu_seconds, "peak_mb": cost.peak_mb}
    return measures.quality(labels, case.truth) | spent | {"calibration": bands, "calibration_error": error}


def _lost_to_blocking(case: data.Case) -> float:
    """The share of true pairs that no blocking rule reaches. Under `across_sources` only pairs of different sources are true."""
    rules = load_match_rules(case.rules)
    prepared = engine.prepare(case.table, engine.make_plan(rules.matching()), rules.source)
    return max(0.0, 1 - _reached(prepared, case.truth) / max(1, data.true_pairs(case.truth)))


def _lost_by_splink(case: data.Case, records: Path, recipe: Any) -> float:
    from identity_splink import reached

    ids = case.table.column("unique_id").combine_chunks()
    left, right = (ids.take(pa.array(rows)) for rows in measures.entity_pairs(case.truth))
    return 1 - reached(recipe, records, pa.table({"left_id": left, "right_id": right})) / max(1, data.true_pairs(case.truth))


def measure_world(name: str, size: int, folder: Path, splink: bool) -> report.Result:
    """Figures of one world of the grid; Splink's are those of the set-up with the better F1."""
    case, about = grid.case(name, size, folder)
    records = case.write(folder)
    engines = {"spine": _spine(case, records, folder)}
    engines["spine"]["lost_to_blocking"] = _lost_to_blocking(case) if size <= _BLOCKING_RECORDS else None
    if splink:
        ended = [found for setup in grid.SETUPS if (found := _splink_world(case, records, folder, setup))]
        if ended:
            engines["splink"] = max(ended, key=lambda found: found["f1"])
    records.unlink()
    return about | {"name": name, "records": size, "true_pairs": data.true_pairs(case.truth), "engines": engines}


def _splink_world(case: data.Case, records: Path, folder: Path, setup: str) -> report.Result | None:
    """Splink's figures with that set-up; None where it did not come to an end within memory and disk, of which is said why."""
    from identity_splink_worlds import recipe

    clusters, matches = folder / "splink.parquet", folder / "splink-matches.parquet"
    try:
        cost, _ = measures.run([sys.executable, str(grid.SPLINK), setup, str(case.rules), *map(str, (records, clusters, matches))])
    except RuntimeError as error:
        print(f"Splink {setup} on {case.name} did not end: {str(error).strip().splitlines()[-1][:160]}", file=sys.stderr, flush=True)
        return None
    lost = _lost_by_splink(case, records, recipe(case.rules, setup)) if case.table.num_rows <= _BLOCKING_RECORDS else None
    return _figures(case, cost, clusters, matches) | {"setup": setup, "lost_to_blocking": lost}


def _reached(records: engine.Records, truth: Array) -> float:
    """The true pairs that blocking reaches, copies among them; copies of a record count as of its entity in pairs with other records."""
    copies = Copies.of(records)
    found = engine.fit(records.take(copies.distinct))[1].of_rows(copies.distinct)
    size = np.bincount(copies.first)
    between = (size[found.left] * size[found.right])[truth[found.left] == truth[found.right]].sum()
    return float(between) + measures.pairs_of(np.unique(np.stack([copies.first, truth]), axis=1, return_counts=True)[1])


def increment(size: int, folder: Path) -> report.Result:
    """What it costs to match again when 1,000 of `size` records changed, and when none did, beside the full run and the start-up."""
    case = data.world(data.PERSON, size)
    records, few = case.write(folder), case.table[:_FEW]
    (folder / "few").mkdir()
    start, _ = measures.run(
        _match(data.Case(case.name, case.rules, few, case.truth[:_FEW]).write(folder / "few"), case.rules, folder / "f.parquet")
    )
    clusters = folder / "clusters.parquet"
    full, _ = measures.run(_match(records, case.rules, clusters))
    same, told = measures.run(_match(records, case.rules, folder / "same.parquet", "--previous", str(clusters)))
    data.changed(case, _CHANGED).write(folder)
    again, news = measures.run(_match(records, case.rules, folder / "again.parquet", "--previous", str(clusters)))
    return {
        "records": case.table.num_rows, "changed": _CHANGED, "start_seconds": start.seconds, "full_seconds": full.seconds,
        "seconds": again.seconds, "peak_mb": again.peak_mb, "share": (again.seconds - start.seconds) / (full.seconds - start.seconds),
        "unchanged_seconds": same.seconds, "no_op": json.loads(told)["no_op"], "told": json.loads(news),
    }  # fmt: skip


def _increment_line(found: report.Result) -> str:
    return (
        f"{found['changed']:,} of {found['records']:,} records changed: {found['seconds']:.1f} s where a full run takes"
        f" {found['full_seconds']:.1f} s and the start-up {found['start_seconds']:.1f} s: {found['share']:.1%} of the work;"
        f" with no change {found['unchanged_seconds']:.1f} s, {'nothing done' if found['no_op'] else 'but the work was done again'}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=data.DATA, help="folder of the labelled CSV files (or SPINE_DATA)")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="data sets whose name begins so")
    parser.add_argument("--sizes", type=int, nargs="+", default=[50_000, 100_000, 1_000_000], help="records of the generated worlds")
    parser.add_argument("--no-splink", action="store_true", help="measure ours alone")
    parser.add_argument("--incremental", action="store_true", help="also match again after 1,000 records of the largest world changed")
    parser.add_argument("--check", action="store_true", help="exit with 1 unless every demand holds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument("--worlds", nargs="*", metavar="NAME", help="measure the grid of worlds, or these of it, and nothing else")
    parser.add_argument("--records", type=int, default=50_000, help="records of each world of the grid")
    parser.add_argument("--split", choices=("develop", "judge"), help="worlds of this half of the grid only")
    parser.add_argument("--splink-worlds", nargs="+", metavar="NAME", help="run Splink on these worlds only")
    arguments = parser.parse_args()
    logging.getLogger("spine.identity").setLevel(logging.ERROR)  # counting what blocking loses need not warn of large blocks
    if arguments.worlds is not None:
        return _worlds(arguments)
    results = []
    print(report.head(), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for case in data.cases(arguments.data, arguments.sizes, arguments.only):
            results.append(measure(case, Path(folder), not arguments.no_splink))
            print("\n".join(report.lines(results[-1])), flush=True)
        again = increment(max(arguments.sizes), Path(folder)) if arguments.incremental else None
    print("\nPrecision promised → observed, of pairs by probability (pairs)")
    for result in results:
        print("\n".join(report.calibration_lines(result)))
    if again:
        print(f"\n{_increment_line(again)}")
    if arguments.json:
        arguments.json.write_text(json.dumps({"results": results, "incremental": again}, indent=1) + "\n")
    return _verdict(report.demands(results, again), partial=bool(arguments.only)) if arguments.check else 0


def _worlds(arguments: argparse.Namespace) -> int:
    """Measures the grid and prints it."""
    results: list[report.Result] = []
    print(grid.head(), flush=True)
    for name in grid.chosen(arguments.worlds, arguments.split):
        splink = not arguments.no_splink and (arguments.splink_worlds is None or name in arguments.splink_worlds)
        with tempfile.TemporaryDirectory() as folder:
            results.append(measure_world(name, arguments.records, Path(folder), splink))
        print("\n".join(grid.lines(results[-1])), flush=True)
        if arguments.json:
            arguments.json.write_text(json.dumps(results, indent=1) + "\n")
    print("\n".join(grid.summary(results)))
    return 0


def _verdict(demands: list[report.Demand], partial: bool) -> int:
    """Prints each demand with its outcome; 1 if one does not hold, or was not measured although nothing was left out on purpose."""
    print()
    for demand in demands:
        print(f"{'not measured' if demand.holds is None else 'holds' if demand.holds else 'DOES NOT HOLD':14} {demand.text}")
    return int(any(demand.holds is False or (demand.holds is None and not partial) for demand in demands))


if __name__ == "__main__":
    sys.exit(main())
