"""The command that finds out which records of a file are one: `spine match`."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spine.cli import show, world
from spine.cli.options import Json, Relearn, Relearning, grouped
from spine.core.errors import ConfigError, SpineError
from spine.core.screen import console, say

if TYPE_CHECKING:
    from spine.core.entities import MatchRules
    from spine.matching.records import Mapped


class Engine(StrEnum):
    """What makes and compares the pairs."""

    auto = "auto"
    local = "local"
    spark = "spark"


NO_BREAK = "\u00a0"
_NEXT = {
    "created": "new clusters", "joined": "records that joined a cluster", "merged": "clusters merged into another", "split": "splits",
    "left": "records that are gone", "retired": "clusters that are gone",
}  # fmt: skip


@dataclass(frozen=True)
class Inputs:
    """Records and what is known of their columns."""

    entity: Annotated[
        str,
        typer.Option(
            "--entity", "-e", help="A declared entity, such as person, or a file that says which column holds what.",
            metavar="ENTITY|RULES.yaml", show_default=False,
        ),
    ]  # fmt: skip
    records: Annotated[
        list[Path] | None,
        typer.Argument(
            help="CSV, JSON lines or Parquet, or the folder of a Delta table; CSV and JSON may be compressed. Of several each is a source.",
            metavar="RECORDS…", show_default=False,
        ),
    ] = None  # fmt: skip
    source: Annotated[list[str] | None, typer.Option(help="A file under a name of its own; may be given again.", metavar="NAME=FILE")] = (
        None
    )
    column: Annotated[
        list[str] | None,
        typer.Option(help="What holds an attribute, or record_id, where the guess is wrong; may be given again.",
                     metavar="[SOURCE.]ATTRIBUTE=COLUMN"),
    ] = None  # fmt: skip

    def found(self) -> tuple[Path | Mapped, Path | MatchRules]:
        """The records and their rules. Raises ConfigError."""
        from spine.matching.sources import Stated, asked

        return asked(self.records or (), self.entity, Stated(tuple(self.source or ()), tuple(self.column or ())))


@dataclass(frozen=True)
class Outputs:
    """Where results go."""

    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Gets record_id, cluster_id, confidence; .csv or .parquet.", metavar="CLUSTERS"),
    ] = None
    matches: Annotated[
        Path | None, typer.Option(help="Gets every pair of a probability of 0.5 and more; .csv or .parquet.", metavar="FILE")
    ] = None
    report: Annotated[Path | None, typer.Option(help="Gets the report, one page without a network.", metavar="FILE.html")] = None
    labels: Annotated[
        Path | None,
        typer.Option(help="Known answers, by which the report judges: left_id, right_id, same; or record_id, entity.", metavar="FILE"),
    ] = None
    state: Annotated[bool, typer.Option(help="Keep beside CLUSTERS what the next --previous run goes on from.")] = True


@dataclass(frozen=True)
class Way:
    """How to go about it."""

    threshold: Annotated[
        float | None, typer.Option(help="Pairs of at least this probability are one. [dim]Default: that of the rules, or 0.85.[/dim]")
    ] = None
    previous: Annotated[Path | None, typer.Option(help="Clusters of an earlier run: their ids live on.", metavar="CLUSTERS")] = None
    relearn: Relearning = Relearn.auto
    engine: Annotated[Engine, typer.Option(help="auto: this process, and Spark for many records. The clusters are the same.")] = Engine.auto


@grouped
def match(
    inputs: Inputs,
    outputs: Outputs,
    way: Way,
    explain_plan: Annotated[bool, typer.Option("--explain-plan", help="Print the rules and their numbers of pairs, and stop.")] = False,
    json: Json = False,
) -> None:
    """Find out which records of files are one. Needs no lake, no server, no label.

    spine match people.csv --entity person --output clusters.csv
    spine match crm.csv erp.parquet --entity person --output clusters.csv
    spine match --source crm=a/people.csv --source erp=b/people.csv -e person -o clusters.csv --column erp.email=Mail
    spine match people.csv --entity person.yaml --explain-plan
    spine match people.csv --entity person.yaml --output clusters.csv --previous clusters.csv
    spine match shops.parquet -e shop.yaml -o clusters.parquet --matches pairs.parquet --report report.html

    Of a declared entity, and of several files, columns are found by their names and values, and printed; --column corrects a guess. Each of
    several files is a source, named like the file: ids are unique within it, and the clusters have a column source.

    The smallest rules: entity, record_id, source (optional), and under attributes each column's kind, such as forename, surname,
    organization, date, email, phone, street, city or postcode; docs/reference.md lists all.

    It ends with what it could not do. Where no two records can be one, since columns are empty or too little is known to tell namesakes
    apart, nothing is written: an error says what would help (on stderr, with --json on stdout too), and the exit code is 5.
    """
    try:
        result = _planned(inputs) if explain_plan else _matched(inputs, outputs, way)
    except SpineError as error:
        if json:
            show.as_json({"error": error.as_dict()})
        raise
    for warning in result.get("warnings", ()):
        say(f"Warning: {warning}", err=True)
    if json:
        show.as_json(result)
    elif explain_plan:
        say(result["plan"], end="")
    else:
        _print(result)


def _planned(inputs: Inputs) -> dict[str, Any]:
    with _progress(inputs) as listen:
        from spine.matching import run as job

        records, rules = inputs.found()
        _tell_columns(records)
        return {"plan": job.explain_plan(records, rules, listen)}


def _matched(inputs: Inputs, outputs: Outputs, way: Way) -> dict[str, Any]:
    if outputs.output is None:
        raise ConfigError("--output is missing", hint="Name the file for the clusters, such as --output clusters.csv")
    with _progress(inputs) as listen:
        from spine.matching import run as job
        from spine.matching.request import MatchRequest

        records, rules = inputs.found()
        _tell_columns(records)
        request = MatchRequest(
            records, rules, outputs.output, matches=outputs.matches, report=outputs.report, labels=outputs.labels,
            threshold=way.threshold, previous=way.previous, engine=way.engine.value, relearn=way.relearn.value, keep_state=outputs.state,
        )  # fmt: skip
        return job.match_records(request, listen)


def _tell_columns(records: Path | Mapped) -> None:
    """Which column was taken for what, on stderr."""
    if isinstance(records, Path):
        return
    for source in records.sources:
        taken = {"record_id": source.record_id} | {name: column for name, column in source.columns.items() if not name.startswith("#")}
        more = f" and {len(source.unused) - 12} more" if len(source.unused) > 12 else ""
        unused = f"; not used: {', '.join(source.unused[:12])}{more}" if source.unused else ""
        pairs = ", ".join(f"{name} ← {column}".replace(" ", NO_BREAK) for name, column in taken.items())
        lines = wrap(f"{source.name}: {pairs}{unused}", 120, subsequent_indent="  ", break_on_hyphens=False)
        say("\n".join(lines).replace(NO_BREAK, " "), err=True)


@contextmanager
def _progress(inputs: Inputs) -> Iterator[Callable[[str, str, float | None], None]]:
    """Tells on stderr what is being done and, stage by stage, what it did and how long that took."""
    out = console(stderr=True, highlight=False)
    status = out.status("Start") if out.is_terminal else None
    if status is None:
        out.print(f"Match {', '.join([*map(str, inputs.records or ()), *(inputs.source or ())])} …", soft_wrap=True)

    def listen(stage: str, note: str, seconds: float | None) -> None:
        if seconds is not None:
            out.print(f"{stage:<28} {seconds:>7.1f} s   {note}")
        elif status:
            status.update(stage)

    with status or nullcontext(), _engine_is_quiet(), redirect_stdout(sys.stderr):  # what libraries print must not disturb scripts
        world.arrow_alone()
        yield listen


@contextmanager
def _engine_is_quiet() -> Iterator[None]:
    """Keeps the engine's log from repeating what is among the result's warnings."""
    log = logging.getLogger("spine.identity")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)


def _print(result: dict[str, Any]) -> None:
    if result["no_op"]:
        say(f"Nothing changed: the clusters of {result['records']:,} records stay as they are")
        return
    lines = [
        ("records", result["records"]), ("pairs compared", result["pairs"]),
        (f"pairs accepted, from {result['threshold']:g} on", result["accepted"]),
        (f"pairs for review, from {result['least']:g} on", result["review"]),
        ("pairs in conflict", result["conflicts"]), ("clusters", result["clusters"]),
        ("records in clusters of several", result["linked_records"]), ("largest cluster", result["largest"]),
        *((what, result[kind]) for kind, what in _NEXT.items() if kind in result), ("seconds", result["seconds"]),
        ("peak memory, MiB", result["peak_mb"]),
    ]  # fmt: skip
    show.as_table(
        f"{result['entity'].capitalize()} clusters in {result['output']}", [{"what": what, "number": number} for what, number in lines]
    )
    if result.get("relearned"):
        say(f"Weights are new: {result['relearned']}")
    if result.get("changes"):
        say(f"Merges and splits, the first of {result['merged'] + result['split']:,} (all are in {result['output']}.changes.csv)")
        for change in result["changes"]:
            how = "took in" if change["kind"] == "merged" else "lost to"
            say(f"  {change['cluster_id']} {how} {change['other_cluster_id']}: {change['reason']}")
    if result["could_not"]:
        say("What it could not do, and how rare a match is")
    for line in result["could_not"]:
        say(show.item(line))
