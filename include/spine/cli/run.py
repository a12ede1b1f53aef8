"""Commands that move data: sync, normalize, resolve, publish, maintain; and Airflow's own."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spine.cli import show, world
from spine.cli.options import Entity, Json, Relearn, Relearning, Source, Tenants
from spine.core import clock
from spine.core.errors import SpineError, error_from_dict, together
from spine.core.screen import say

if TYPE_CHECKING:
    from spine.control.database import Database
    from spine.pipeline.work import StreamRead, StreamWork


class Mode(StrEnum):
    """What a sync reads."""

    incremental = "incremental"
    full = "full"
    resync = "resync"
    renormalize = "renormalize"


def run_id() -> str:
    """An id for a run from the command line."""
    return f"cli__{clock.to_text(clock.now())}"


def sync(
    source: Source,
    tenant: Tenants = None,
    stream: Annotated[list[str] | None, typer.Option("--stream", "-s", help="Only this stream; may be given again.")] = None,
    mode: Annotated[
        Mode, typer.Option(help="full reads all again; resync too, to replace what is there; renormalize reads Bronze.")
    ] = Mode.incremental,
    since: Annotated[str | None, typer.Option(help="Backfill from this time (needs --until); the cursor stays where it is.")] = None,
    until: Annotated[str | None, typer.Option(help="Backfill up to this time.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show how rows would be mapped; write and move nothing.")] = False,
    json: Json = False,
) -> None:
    """Read a source into Bronze, then bring its Silver tables up to date.

    Goes on from the saved cursor. One failing stream does not stop the others; what failed decides the exit code.

      spine sync salesforce
      spine sync hubspot --stream contacts --mode full
      spine sync salesforce --since 2026-01-01 --until 2026-01-02
      spine sync people_files --dry-run --json
    """
    services, run = world.services(), run_id()
    from spine.pipeline.closing import finish
    from spine.pipeline.planning import plan
    from spine.pipeline.work import Sync

    interval = _interval(since, until)
    works = plan(Sync(source, run, tenant, stream, mode.value, *interval, dry_run, "cli"), services)
    rows: list[dict[str, Any]] = []
    failures: list[SpineError] = []
    late: list[SpineError] = []  # after extraction, whose own failures are in the run log
    try:
        rows, failures = _extract_all(works, services)
        normalized = {} if dry_run or (works and not rows) else _normalize(source, run, tenant, mode is Mode.renormalize, services.database)
        late += [error_from_dict(found) for found in normalized.pop("failures", [])]
    except SpineError as error:
        late.append(error)
        raise
    except BaseException:
        late.append(SpineError("The sync was stopped", hint="Start it again; it goes on from the last committed page"))
        raise
    finally:
        tenants = sorted({work.tenant for work in works})
        status = finish(source, run, tenants, services, errors=late).status if tenants else "success"
    _print_sync({"run_id": run, "status": status, "streams": rows, **normalized}, json)
    if failures + late:
        raise (failures + late)[0]


def _interval(since: str | None, until: str | None) -> tuple[datetime | None, datetime | None]:
    return clock.parse(since) if since else None, clock.parse(until) if until else None


def _extract_all(works: Sequence[StreamWork], services: Any) -> tuple[list[dict[str, Any]], list[SpineError]]:
    from spine.pipeline.extract import extract

    rows: list[dict[str, Any]] = []
    failures: list[SpineError] = []
    for number, work in enumerate(works, 1):
        with show.working(f"[{number}/{len(works)}] {work.label}"):
            try:
                done = extract(work, services)
                rows.append({"tenant": work.tenant, "stream": work.stream, **done.to_json(), **_preview(done)})
            except SpineError as error:
                if failures:  # the first one is the command's own error, told at its end
                    say(f"{work.label}: {error.line()}", err=True)
                failures.append(error)
    return rows, failures


def _preview(done: StreamRead) -> dict[str, Any]:
    """The first rows of a dry run as they would be mapped; nothing for an ordinary run."""
    if not done.work.dry_run or done.coverage is None or not done.coverage.sample:
        return {}
    from spine.core.entities import load_entity
    from spine.normalize.preview import mapped_rows
    from spine.sources.spec import load_source

    stream = load_source(done.work.source).stream(done.work.stream)
    if stream.entity is None or stream.mapping is None:
        return {}  # its rows are what it sends
    spark = world.spark(f"preview {done.work.label}")
    return {"mapped_rows": mapped_rows(spark, done.coverage.sample, stream.mapping, load_entity(stream.entity))}


def _normalize(source: str, run: str, tenants: Sequence[str] | None, again: bool, database: Database) -> dict[str, Any]:
    with show.working(f"Silver of {source}"):
        from spine.pipeline.due import is_large
        from spine.pipeline.normalize import normalize_each as job

        spark = world.spark(f"normalize {source}", large=is_large(source, renormalize=again))
        done = job(spark, source, run, tenants=tenants, renormalize=again, database=database)
        return done.to_json()


def _print_sync(result: dict[str, Any], json: bool) -> None:
    if json:
        show.as_json(result)
        return
    columns = ("tenant", "stream", "status", "rows", "deletes", "pages", "cursor_to")
    if result["streams"]:
        show.as_table(f"Bronze, run {result['run_id']}", result["streams"], columns)
    for stream in result["streams"]:
        for note in stream["notes"]:
            say(f"{stream['stream']}: {note}")
        _print_coverage(stream)
    if "entities" in result:
        _print_silver(result["entities"])


def _print_coverage(stream: dict[str, Any]) -> None:
    """What a stream's mapping reached, and a warning for what no record has."""
    label = f"{stream['tenant']} · {stream['stream']}"
    if stream.get("mapped_rows"):
        show.as_table(f"{label}: first rows as they would be mapped", stream["mapped_rows"])
    if stream.get("null_shares"):
        shares = [{"field": name, "empty": f"{share:.1%}"} for name, share in stream["null_shares"].items()]
        show.as_table(f"{label}: mapped fields", shares)
        say(f"{label}: kept in custom_fields, since nothing maps them: {', '.join(stream['unmapped_fields']) or 'none'}")
    if stream.get("empty_fields"):
        names = ", ".join(stream["empty_fields"])
        say(f"Warning: {label}: no record has anything for {names}; check the paths in the source's file", err=True)


def _print_silver(entities: dict[str, dict[str, Any]]) -> None:
    columns = ("entity", "rows_in", "published", "unchanged", "quarantined", "superseded", "filtered", "deleted")
    show.as_table("Silver", [{"entity": entity, **counts} for entity, counts in entities.items()], columns)


def normalize(
    source: Source,
    tenant: Tenants = None,
    renormalize: Annotated[bool, typer.Option("--renormalize", help="Read all of Bronze again, through the present mapping.")] = False,
    json: Json = False,
) -> None:
    """Bring a source's Silver tables up to date with Bronze. Reads no source.

    spine normalize hubspot
    spine normalize hubspot --renormalize     after its mapping changed
    """
    with show.working("Open the control plane"):
        from spine.control.database import Database

        database = Database(world.control_url())
    world.lake()
    result = _normalize(source, run_id(), tenant, renormalize, database)
    failures = result.pop("failures", [])
    show.as_json(result) if json else _print_silver(result["entities"])
    if failures:
        raise together([error_from_dict(found) for found in failures])


def resolve(
    entity: Entity,
    relearn: Relearning = Relearn.auto,
    json: Json = False,
) -> None:
    """Find out which source records are one, and write golden records. Without changes in Silver it does nothing.

    spine resolve person
    spine resolve organization --relearn always
    """
    with show.working(f"Resolve {entity}"):
        database = world.services().database
        from spine.pipeline.resolve import resolve as job

        result = job(world.spark(f"resolve {entity}"), entity, run_id(), relearn=relearn.value, database=database)
    numbers = [{"what": key.replace("_", " "), "number": value} for key, value in result.items() if isinstance(value, int | float)]
    show.as_json(result) if json else show.as_table(f"Golden {entity} records", numbers)
    for facts in () if json else result["relearned"]:
        say(f"Weights of {facts['tenant']} are {'counted' if facts['way'] == 'recount' else 'learned'} anew: {facts['reason']}")
    for facts in () if json else result["could_not"]:
        say(f"What the new weights of {facts['tenant']} cannot do, and how rare a match is")
        for line in [facts["out_of_reach"], *facts["lines"]]:
            say(show.item(line)) if line else None


def unite(
    entity: Annotated[str | None, typer.Argument(help="Only this entity. [dim]Default: all without identity that have rows.[/dim]")] = None,
    json: Json = False,
) -> None:
    """Bring the Gold of entities without identity up to date: the union of their sources. Without changes in Silver it does nothing.

    spine unite
    spine unite opportunity --json
    """
    run, results = run_id(), []
    with show.working("Open the control plane"):
        from spine.control.database import Database

        database = Database(world.control_url())
    world.lake()
    from spine.gold.records import silver_tables
    from spine.pipeline.unite import unite as job
    from spine.sources.check import united_entities

    for name in [entity] if entity else [one.entity for one in united_entities() if silver_tables(one.entity)]:
        with show.working(f"Unite {name}"):
            results.append(job(name, run, database=database))
    if json:
        show.as_json(results)
    else:
        show.as_table("Gold without identity", results, ("entity", "records", "new", "changed", "removed", "version"))


def publish(
    entity: Annotated[str | None, typer.Argument(help="Only this entity. [dim]Default: all that have Gold.[/dim]")] = None,
    json: Json = False,
) -> None:
    """Copy Gold to PostgreSQL, schema gold, in one transaction. Writes only rows that differ.

    spine publish
    spine publish person --json
    """
    run, results = run_id(), []
    with show.working("Open Gold"):
        world.lake()
        from spine.gold.publish import publish as job
        from spine.lake.reading import open_table
        from spine.sources.check import readable_entities

        url = world.control_url()
        for name in [entity] if entity else [one.entity for one in readable_entities() if one.matching or open_table(one.gold_table)]:
            with show.working(f"Publish {name}"):
                results.append(job(name, run, url=url))
    if json:
        show.as_json(results)
    else:
        show.as_table("Published to PostgreSQL, schema gold", results, ("entity", "published", "inserted", "updated", "deleted"))


def maintain(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done and do nothing.")] = False, json: Json = False
) -> None:
    """Care for the lake: compact, archive Bronze older than 30 days, prune, vacuum. The DAG maintain_lake does it every night.

    spine maintain --dry-run
    """
    with show.working("Maintain the lake"):
        world.lake()
        from spine.pipeline.maintain import maintain as job

        result = job(dry_run=dry_run)
    if json:
        show.as_json(result)
    else:
        totals = [{"what": key.replace("_", " "), "number": value} for key, value in result.items() if isinstance(value, int)]
        show.as_table("Would be done" if dry_run else "Done", totals)


def airflow(context: typer.Context) -> None:
    """Run Airflow's own command on the running stack, or on the deployment that the environment names.

    spine airflow dags list
    spine airflow backfill create --help
    """
    from spine.stack.connect import bin_folder

    environment = dict(os.environ)
    if "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN" not in environment:
        from spine.stack.supervisor import running_environment

        environment = running_environment()
    program = str(bin_folder() / "airflow")
    os.execve(program, [program, *context.args], environment)
