"""The command that finds out which records of a file are one: `spine match`."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from spine.cli import show, world
from spine.cli.options import Json
from spine.core.errors import ConfigError
from spine.core.screen import console, say


class Engine(StrEnum):
    """What makes and compares the pairs."""

    auto = "auto"
    local = "local"
    spark = "spark"


Records = Annotated[Path, typer.Argument(help="CSV, Parquet, or the folder of a Delta table.", metavar="RECORDS", show_default=False)]
Rules = Annotated[Path, typer.Option("--entity", "-e", help="Which column holds what, as YAML.", metavar="RULES.yaml", show_default=False)]
_NEXT = {
    "created": "new clusters", "joined": "records that joined a cluster", "merged": "clusters merged into another", "split": "splits",
    "left": "records that are gone", "retired": "clusters that are gone",
}  # fmt: skip


def match(
    records: Records,
    entity: Rules,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Gets record_id, cluster_id, confidence; .csv or .parquet.", metavar="CLUSTERS"),
    ] = None,
    matches: Annotated[Path | None, typer.Option(help="Gets every scored pair; .csv or .parquet.", metavar="FILE")] = None,
    report: Annotated[Path | None, typer.Option(help="Gets the report, one page without a network.", metavar="FILE.html")] = None,
    threshold: Annotated[
        float | None, typer.Option(help="Pairs of at least this probability are one. [dim]Default: that of the rules, or 0.85.[/dim]")
    ] = None,
    previous: Annotated[Path | None, typer.Option(help="Clusters of an earlier run: their ids live on.", metavar="CLUSTERS")] = None,
    explain_plan: Annotated[bool, typer.Option("--explain-plan", help="Print the rules and their numbers of pairs, and stop.")] = False,
    engine: Annotated[
        Engine, typer.Option(help="auto: this process, and Spark for many records. The clusters are the same.")
    ] = Engine.auto,
    relearn: Annotated[bool, typer.Option("--relearn", help="With --previous: learn the weights anew and match everything.")] = False,
    state: Annotated[bool, typer.Option(help="Keep beside CLUSTERS what the next --previous run goes on from.")] = True,
    json: Json = False,
) -> None:
    """Find out which records of a file are one. Needs no lake, no server, no label.

    spine match people.csv --entity person.yaml --output clusters.csv
    spine match people.csv --entity person.yaml --explain-plan
    spine match people.csv --entity person.yaml --output clusters.csv --previous clusters.csv
    spine match shops.parquet -e shop.yaml -o clusters.parquet --matches pairs.parquet --report report.html

    The smallest rules: entity, record_id, source (optional), and under attributes each column's kind, such as forename, surname,
    organization, date, email, phone, street, city or postcode; docs/reference.md lists all.
    """
    if explain_plan:
        with _progress(records) as listen:
            from spine.matching import run as job

            text = job.explain_plan(records, entity, listen)
        show.as_json({"plan": text}) if json else say(text, end="")
        return
    if output is None:
        raise ConfigError("--output is missing", hint="Name the file for the clusters, such as --output clusters.csv")
    with _progress(records) as listen:
        from spine.matching import run as job
        from spine.matching.request import MatchRequest

        request = MatchRequest(records, entity, output, matches, report, threshold, previous, engine.value, relearn, state)
        result = job.match_records(request, listen)
    for warning in result["warnings"]:
        say(f"Warning: {warning}", err=True)
    if json:
        show.as_json(result)
    else:
        _print(result)


@contextmanager
def _progress(records: Path) -> Iterator[Callable[[str, str, float | None], None]]:
    """Tells on stderr what is being done and, stage by stage, what it did and how long that took."""
    out = console(stderr=True, highlight=False)
    status = out.status("Start") if out.is_terminal else None
    if status is None:
        out.print(f"Match {records} …", soft_wrap=True)

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
        ("records", result["records"]), ("pairs compared", result["pairs"]), ("pairs accepted", result["accepted"]),
        ("pairs for review", result["review"]), ("pairs in conflict", result["conflicts"]), ("clusters", result["clusters"]),
        ("records in clusters of several", result["linked_records"]), ("largest cluster", result["largest"]),
        *((what, result[kind]) for kind, what in _NEXT.items() if kind in result), ("seconds", result["seconds"]),
        ("peak memory, MiB", result["peak_mb"]),
    ]  # fmt: skip
    show.as_table(
        f"{result['entity'].capitalize()} clusters in {result['output']}", [{"what": what, "number": number} for what, number in lines]
    )
    if result.get("changes"):
        say(f"Merges and splits, the first of {result['merged'] + result['split']:,} (all are in {result['output']}.changes.csv)")
        for change in result["changes"]:
            how = "took in" if change["kind"] == "merged" else "lost to"
            say(f"  {change['cluster_id']} {how} {change['other_cluster_id']}: {change['reason']}")
