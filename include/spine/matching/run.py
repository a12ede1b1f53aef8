"""Records of a file -> clusters in a file: `spine match` and the Spark job of the same arguments.

Needs no lake, no PostgreSQL and no Airflow. CLUSTERS is replaced in one step at the end: a run that dies leaves the former one whole.
Beside it lie `<CLUSTERS>.run.json` (which inputs it was made from, the number of the run) and `<CLUSTERS>.changes.csv` (what the last
incremental run changed), and `<CLUSTERS>.state/` (what the next incremental run goes on from).
"""

from __future__ import annotations

import gc
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from spine.core.entities import MatchRules
from spine.core.errors import ConfigError
from spine.core.failpoints import failpoint
from spine.identity import engine
from spine.identity.clustering.incremental import Kept, kept_of, rematch
from spine.identity.explaining.shortfalls import Shortfalls, in_words, of_model, shortfalls
from spine.identity.matching import REVIEW, Matched, match
from spine.matching import checks as match_checks
from spine.matching import files as match_files
from spine.matching import ids as match_ids
from spine.matching import learning as match_learning
from spine.matching import note as match_note
from spine.matching import state as match_state
from spine.matching.calibration import Labels, read_labels
from spine.matching.pairs import Found
from spine.matching.records import Mapped, OneFile, content, divided, joined
from spine.matching.request import MatchRequest

if TYPE_CHECKING:
    from spine.identity.engine import Records

Array: TypeAlias = Any  # numpy arrays of many element types
Listener = Callable[[str, str, "float | None"], None]
# Up to this many records one process does it all, above it Spark does; the clusters are the same either way.
LOCAL_RECORDS = 2_000_000
_SHOWN_CHANGES = 10
_CLUSTERS = ("record_id", "cluster_id", "confidence")


@dataclass
class _Stages:
    """Seconds of each stage, told to a listener as they pass: once at its beginning, once at its end with what it did."""

    listen: Listener
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def __call__(self, name: str) -> Iterator[Callable[[str], None]]:
        done: list[str] = []
        self.listen(name, "", None)
        started = time.perf_counter()
        yield done.append
        self.seconds[name] = round(time.perf_counter() - started, 3)
        self.listen(name, ", ".join(done), self.seconds[name])


def quiet(stage: str, note: str, seconds: float | None) -> None:
    """A listener for those who do not want to hear."""


@contextmanager
def _without_collector() -> Iterator[None]:
    """Millions of small lists, none of them in a cycle: looking for cycles would take a fifth of the time and find nothing."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


@_without_collector()
def match_records(request: MatchRequest, listen: Listener = quiet) -> dict[str, Any]:
    """Write the clusters (and pairs and report, if asked for); returns counts, seconds per stage, warnings and files.

    Raises ConfigError for mistakes in arguments, rules or records, NothingToMatch for records of which no two can be one, LakeError when
    an output cannot be written.
    """
    started = time.perf_counter()
    request.check()
    rules = request.declared()
    stages = _Stages(listen)
    former, note = _former(request, rules, stages)
    if former is not None and request.relearn != "always" and note.unchanged(request):
        return _nothing_to_do(request, former, note)
    by_spark = _wants_spark(request)
    found, step, warnings = _matched_on_spark(request, rules, stages) if by_spark else _matched_here(request, rules, note, stages)
    lacks = of_model(found.model) if step is None else step.lacks
    warnings += [note.doubt] if note.doubt else []
    warnings += match_checks.none_found(len(found.ids), found.counts["accepted"])
    labels = _labels(request, found.ids)  # before anything is written: they may be none
    with stages("Name clusters") as say:
        named = _named(rules, found, step, former, note)
        summary = _summary(rules, request.limit(rules), found, named, former is not None)
        say(f"{summary['clusters']:,} clusters")
    with stages("Write") as say:
        _write(request, found, named)
        say(request.output.name)
    written = content(request.output)
    if request.keep_state:
        with stages("Keep state"):
            _keep_state(request, step, _state_key(note.inputs, written))
    if request.report and step is not None:
        with stages("Write report") as say:
            _report(request, rules, step, named, labels, time.perf_counter() - started)
            say(request.report.name)
    note.write(request, written)
    if step is not None and step.relearned:
        summary["relearned"] = step.relearned
    return summary | {
        "run": note.run, "seconds": round(time.perf_counter() - started, 3), "stages": stages.seconds, "peak_mb": _peak_mb(),
        "warnings": warnings, "output": str(request.output), "no_op": False,
        "could_not": in_words(lacks), "shortfalls": asdict(lacks), **_told_sources(request),
    }  # fmt: skip


def explain_plan(records: Path | Mapped, rules: Path | MatchRules, listen: Listener = quiet) -> str:
    """The rules that would be used and the number of pairs each will make, without making them. Raises ConfigError."""
    from spine.identity.explaining.explain import plan_text

    request, stages = MatchRequest(records, rules, Path()), _Stages(listen)
    declared = request.declared()
    _, table = _read(request, declared, stages)
    return plan_text(_prepared(declared, table, stages))


def _told_sources(request: MatchRequest) -> dict[str, Any]:
    return {"sources": [source.told() for source in request.records.sources]} if isinstance(request.records, Mapped) else {}


def _former(request: MatchRequest, rules: MatchRules, stages: _Stages) -> tuple[pa.Table | None, match_note.Note]:
    """The clusters to go on from, and the note on this run."""
    if request.previous is None:
        return None, match_note.Note.first(match_note.inputs(request.source, request.rules, request.limit(rules)))
    with stages("Read previous clusters") as say, ThreadPoolExecutor(1) as pool:
        inputs = pool.submit(match_note.inputs, request.source, request.rules, request.limit(rules))
        former = _clusters_before(request.previous, request.source.apart)
        for name in former.column_names:
            match_checks.require_filled(former.column(name).null_count, former.num_rows, name, request.previous)
        ids = match_files.flat(former.column("record_id"))
        ids = ids if match_files.in_order(ids) else ids.take(pc.sort_indices(ids))
        match_checks.require_distinct(match_files.duplicates(ids), "record_id", request.previous)
        say(f"{former.num_rows:,} records")
    return former, match_note.Note.after(request.previous, inputs.result())


def _clusters_before(previous: Path, apart: bool) -> pa.Table:
    """Record and cluster ids of an earlier run; `source:id` where records are told apart by their source."""
    if not apart:
        return match_files.read_columns(previous, _CLUSTERS[:2])
    table = match_files.read_columns(previous, ["source", *_CLUSTERS[:2]])
    return pa.table([joined(table, "source", "record_id"), table.column("cluster_id")], names=list(_CLUSTERS[:2]))


def _nothing_to_do(request: MatchRequest, former: pa.Table, note: match_note.Note) -> dict[str, Any]:
    """The same records, rules and threshold as the run that made the previous clusters: they are the result."""
    assert request.previous is not None
    if request.output.resolve() != request.previous.resolve():
        confidence = match_files.read_columns(request.previous, _CLUSTERS[2:]).column(0).cast(pa.float64())
        table = former.append_column("confidence", confidence)
        match_files.write_table(divided(table, _CLUSTERS[:1]) if request.source.apart else table, request.output)
        note.write(request, content(request.output))
    return {
        "no_op": True, "records": former.num_rows, "run": note.run, "output": str(request.output), "warnings": [], **_told_sources(request),
    }  # fmt: skip


def _read(request: MatchRequest, rules: MatchRules, stages: _Stages) -> tuple[pa.Array, pa.Table]:
    """Record ids and the columns of the attributes and the source, sorted by id so that nothing depends on the order of arrival."""
    with stages("Read records") as say:
        read = request.source.read(rules)
        say(f"{len(read.ids):,} records{match_checks.skipped(read.blank)}")
    return read.ids, read.table


def _doubts(table: pa.Table, rules: MatchRules) -> list[str]:
    """What a person should know about the records before trusting the result. Raises NothingToMatch if none has anything to match by."""
    names = match_checks.attributes(rules)
    filled = {name: table.num_rows - table.column(name).null_count for name in names}
    full = [name for name in names if table.num_rows and filled[name] == table.num_rows]
    constant = {name for name in full if pc.all(pc.equal(table.column(name), table.column(name)[0])).as_py()}
    match_checks.require_values(rules, table.num_rows, filled, constant)
    return match_checks.doubts(table.num_rows, filled, constant)


def _prepared(rules: MatchRules, table: pa.Table, stages: _Stages) -> Records:
    with stages("Standardise") as say:
        records = engine.prepare(table, engine.make_plan(rules.matching()), rules.source)
        say(f"{len(records.plan.comparisons)} comparisons")
    return records


@dataclass(frozen=True)
class _Step:
    """What matching in this process gave: the entities, the rows that it looked at (None: all), and what the next run can go on from.

    `lacks` is what it could not do.
    """

    ids: pa.Array
    table: pa.Table
    matched: Matched
    touched: Array | None
    kept: Kept
    lacks: Shortfalls
    doubts: tuple[str, ...] = ()
    relearned: str = ""


def _wants_spark(request: MatchRequest) -> bool:
    """Whether Spark is asked for, or there are too many records. Raises ConfigError if it shall do what it cannot."""
    wanted = request.engine == "spark" or (request.engine == "auto" and request.source.has_more_rows(LOCAL_RECORDS))
    if wanted and request.report:
        raise ConfigError(
            "a report needs all pairs in one process, but Spark is to match these records",
            hint="Leave out --report (--matches tells the weights of every pair), or choose --engine local if the memory suffices",
        )
    return wanted


def _matched_on_spark(request: MatchRequest, rules: MatchRules, stages: _Stages) -> tuple[Found, None, list[str]]:
    from spine.matching import spark as match_spark

    with _for_spark(request, rules, stages) as (path, own):
        found, warnings = match_spark.matched(path, own, request.limit(rules), stages, pairs=request.matches is not None)
    return found, None, warnings


@contextmanager
def _for_spark(request: MatchRequest, rules: MatchRules, stages: _Stages) -> Iterator[tuple[Path, MatchRules]]:
    """A file that Spark can read, and the rules for it: what is mapped, or of a format of our own, is written anew beside the clusters."""
    source = request.source
    if isinstance(source, OneFile) and (match_files.kind_of(source.path) != "json" and source.path.suffix.lower() not in (".xz", ".zst")):
        yield source.path, rules
        return
    ids, table = _read(request, rules, stages)
    name = rules.record_id
    whole = table if name in table.column_names else table.append_column(name, ids)
    with tempfile.TemporaryDirectory(prefix=f".{request.output.name}.", dir=request.output.parent.resolve()) as folder:
        path = Path(folder) / "records.parquet"
        match_files.write_table(whole, path)
        yield path, rules


def _matched_here(request: MatchRequest, rules: MatchRules, note: match_note.Note, stages: _Stages) -> tuple[Found, _Step, list[str]]:
    ids, table = _read(request, rules, stages)
    doubts = _doubts(table, rules)
    step = _matched(request, rules, ids, table, note, stages)
    return Found.of(step.matched, ids, request.limit(rules)), step, [*step.doubts, *doubts]


def _matched(request: MatchRequest, rules: MatchRules, ids: pa.Array, table: pa.Table, note: match_note.Note, stages: _Stages) -> _Step:
    """The entities of all records; where an earlier run left its state, only what changed since then is matched."""
    plan, limit = engine.make_plan(rules.matching()), request.limit(rules)
    state, doubt = None, None
    if request.previous is not None and note.known is not None and request.relearn != "always":
        key = _state_key(note.inputs, note.known["clusters"])
        state, doubt = match_state.load(request.previous, key, plan, ids, table, rules.source), match_state.doubt(request.previous, key)
    model, how, basis = match_learning.going_on(request, rules, plan, table, state)
    if state is None or how.way != "keep":
        records = _prepared(rules, table, stages)
        with stages("Learn, compare and cluster") as say:
            pairing = engine.LocalPairing()
            matched = match(records, limit, pairing=pairing, model=model, learning=how, basis=basis)
            say(f"{matched.compared:,} pairs compared")
        assert pairing.keys is not None  # it has paired
        doubts = [*match_checks.reach(matched, limit), *match_checks.alone(matched), *([doubt] if doubt else [])]
        if model is None and request.relearn == "never":
            doubts.append("no former weights that suit these rules are at hand: they were learned")
        with stages("Look for what is missing"):
            lacks = shortfalls(matched, limit, _names_of(table, rules), pairing.keys)
        told = how.why if model is not None and not how.asked else ""
        return _Step(ids, table, matched, None, kept_of(matched, pairing.keys), lacks, tuple(doubts), told)
    with stages("Compare what changed") as say:
        matched, touched, kept = rematch(plan, state.changed, state.former(), state.records_of, limit)
        if request.report:
            matched = replace(matched, records=state.records_of(np.arange(len(ids))))
        say(f"{int(state.changed.sum()) + len(state.gone):,} records, {matched.compared:,} pairs compared")
    return _Step(ids, table, matched, touched, kept, of_model(matched.model))


def _names_of(table: pa.Table, rules: MatchRules) -> list[str]:
    """The sources in the order of their codes, none if they are not told apart."""
    return engine.source_names(table.column(rules.source)) if rules.source else []


def _state_key(inputs: Mapping[str, Any], clusters: str) -> dict[str, Any]:
    return {"rules": inputs["rules"], "threshold": inputs["threshold"], "engine": inputs["engine"], "clusters": clusters}


def _keep_state(request: MatchRequest, step: _Step | None, key: Mapping[str, Any]) -> None:
    if step is None:  # Spark keeps nothing to go on from
        match_state.forget(request.output)
        return
    match_state.save(request.output, key, step.ids, step.table, step.matched, step.kept)


def _named(rules: MatchRules, found: Found, step: _Step | None, former: pa.Table | None, note: match_note.Note) -> match_ids.Named:
    ids, label = found.ids, found.label
    if former is None:
        return match_ids.first_ids(rules.entity, note.run, ids, label)
    if step is None or step.touched is None:
        return match_ids.next_ids(rules.entity, note.run, ids, label, former)
    return match_ids.touched_ids(rules.entity, note.run, ids, label, former, step.touched)


def _write(request: MatchRequest, found: Found, named: match_ids.Named) -> None:
    """CLUSTERS last, so that whoever sees it new sees the rest new as well."""
    apart = request.source.apart
    if request.matches:
        pairs = found.pairs()
        match_files.write_table(divided(pairs, ("left_id", "right_id")) if apart else pairs, request.matches)
    changes = match_note.beside(request.output, "changes.csv")
    failpoint("match.before_clusters")
    if request.previous:
        match_files.write_table(divided(named.changes, ("record_id",)) if apart else named.changes, changes)
    clusters = pa.table([found.ids, named.ids, pa.array(np.round(found.confidence, 6))], names=list(_CLUSTERS))
    match_files.write_table(divided(clusters, _CLUSTERS[:1]) if apart else clusters, request.output)
    if not request.previous:
        changes.unlink(missing_ok=True)  # they spoke of clusters that are no more
    failpoint("match.after_clusters")


def _labels(request: MatchRequest, ids: pa.Array) -> tuple[str, Labels] | None:
    """What is known about the records, and who says so. Raises ConfigError for a file that holds no labels."""
    if request.labels is None:
        return None
    return request.labels.name, read_labels(request.labels, ids, apart=request.source.apart)


def _report(
    request: MatchRequest, rules: MatchRules, step: _Step, named: match_ids.Named, labels: tuple[str, Labels] | None, seconds: float
) -> None:
    from spine.identity.explaining.explain import plan_text
    from spine.matching.report import write_report

    assert request.report is not None
    title, limit = f"{rules.entity.capitalize()} records of {request.source.name}", request.limit(rules)
    matched = step.matched
    text = plan_text(matched.records, matched.model) if matched.records.rows else ""
    write_report(
        request.report, matched, step.ids, title=title, plan_text=text, clusters=named.ids, seconds=seconds, threshold=limit,
        labels=labels, could_not=in_words(step.lacks),
    )  # fmt: skip


def _summary(rules: MatchRules, limit: float, result: Found, named: match_ids.Named, goes_on: bool) -> dict[str, Any]:
    sizes = np.bincount(result.label)
    sizes = sizes[sizes > 0]
    found = {
        "entity": rules.entity, "threshold": limit, "least": REVIEW, "records": len(result.label), "pairs": result.compared,
        **result.counts, "clusters": len(sizes), "linked_records": int(sizes[sizes > 1].sum()), "largest": int(sizes.max(initial=0)),
    }  # fmt: skip
    if goes_on:
        changes = named.changes.filter(pc.is_in(named.changes.column("kind"), pa.array(["merged", "split"])))
        found |= {kind: named.count(kind) for kind in ("created", "joined", "merged", "split", "left", "retired")}
        found["changes"] = changes.slice(0, _SHOWN_CHANGES).to_pylist()
    return found


def _peak_mb() -> int:
    """The most memory that this process has held, in MiB; that of a JVM is not in it."""
    status = Path("/proc/self/status")
    if status.is_file():  # what getrusage tells starts with the peak of the process that made this one
        return next(int(line.split()[1]) // 1024 for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(size // (1024 * 1024 if sys.platform == "darwin" else 1024))
