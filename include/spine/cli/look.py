"""Commands that only look: status, query, validate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from spine.cli import show, world
from spine.cli.options import DEFAULT_TENANT, Entity, Json, Tenant
from spine.core.errors import ConfigError
from spine.core.screen import say


def status(
    source: Annotated[str | None, typer.Argument(help="Only this source.")] = None, tenant: Tenant = DEFAULT_TENANT, json: Json = False
) -> None:
    """Where everything stands: last run, cursors, rows per layer, quarantine, golden records, publication.

    spine status
    spine status salesforce --tenant acme --json
    """
    services = world.services()
    with show.working("Count rows"):
        from spine.pipeline.status import status as job

        result = job(services, tenant, source)
    if json:
        show.as_json(result)
        return
    used = [item for item in result["sources"] if source or item["last_run"] or any(stream["rows"] for stream in item["streams"])]
    runs = [{"source": item["source"], "paused": item["paused"], **(item["last_run"] or {})} for item in used]
    show.as_table(f"Tenant {tenant}: last runs", runs, ("source", "status", "mode", "started_at", "rows", "paused", "error"))
    streams = [{"source": item["source"], **stream} for item in used for stream in item["streams"]]
    streams = [{**row, "cursor": show.position(row["cursor"])} for row in streams]
    show.as_table("Bronze", streams, ("source", "stream", "rows", "cursor", "cursor_moved_at"))
    entities = [{"source": item["source"], **entity} for item in used for entity in item["entities"]]
    show.as_table("Silver", entities, ("source", "entity", "rows", "quarantined"))
    show.as_table("Gold", result["gold"], ("entity", "rows", "linked_records", "published_rows", "published_at", "run_id"))
    if unused := [item["source"] for item in result["sources"] if item not in used]:
        say(f"never read: {', '.join(unused)}", err=True)


def report(
    entity: Entity,
    output: Annotated[Path, typer.Option("--output", "-o", help="Gets the page.", metavar="FILE.html", show_default=False)],
    tenant: Tenant = DEFAULT_TENANT,
) -> None:
    """One page on how an entity was matched: scores, weights, sizes, blocking rules, and why the surest and most doubtful pairs are so.

    spine report person --output person.html
    """
    from spine.core.names import require_tenant

    with show.working(f"Write {output}"):
        world.lake()
        from spine.gold.report import gold_report

        gold_report(output, entity, require_tenant(tenant))
    say(f"{output} written")


_CELL = 80  # characters; documents such as a provenance would fill the screen


def query(
    sql: Annotated[str, typer.Argument(help="One SELECT in DuckDB's SQL; every table of the lake is a view.", show_default=False)],
    tenant: Tenant = DEFAULT_TENANT,
    limit: Annotated[int, typer.Option(help="Rows to print at most; 0 prints all.", min=0)] = 100,
    json: Json = False,
) -> None:
    """Ask the lake in SQL, read-only, one tenant at a time.

    Tables: raw_<source>_<stream>, <source>_<entity>, quarantine_<source>_<entity>, gold_<domain>_<entity>, gold_identity_links, …

    Cells longer than 80 characters are cut; --json gives them whole.

      spine query "SHOW TABLES"
      spine query "SELECT stream, count(*) FROM raw_salesforce_contacts GROUP BY ALL"
      spine query "FROM gold_party_person WHERE record_count > 2" --json --limit 0
    """
    world.lake()
    columns, rows, more = _ask(sql, tenant, limit)
    found = [dict(zip(columns, row, strict=True)) for row in rows]
    if json:
        show.as_json(found)
    else:
        show.as_table("", found, columns, longest=_CELL)
    if more:
        say(f"Only the first {limit:,} rows; --limit 0 shows all", err=True)


def _ask(sql: str, tenant: str, limit: int) -> tuple[list[str], list[tuple[Any, ...]], bool]:
    import duckdb

    from spine.core.names import require_tenant
    from spine.lake.reading import query_engine

    engine = query_engine(require_tenant(tenant))
    try:
        engine.execute(sql)
        rows = engine.fetchmany(limit + 1) if limit else engine.fetchall()
        columns = [item[0] for item in engine.description or ()]
    except duckdb.Error as error:
        lines = [line for line in str(error).splitlines() if line.strip()]
        raise ConfigError(" ".join(lines[:2]), hint="`spine query 'SHOW TABLES'` lists the tables") from None
    finally:
        engine.close()
    return _distinct(columns), rows[:limit] if limit else rows, bool(limit) and len(rows) > limit


def _distinct(names: list[str]) -> list[str]:
    """Names of columns, the second of its name with a number, so that none is lost."""
    return [name if name not in names[:n] else f"{name}_{names[:n].count(name) + 1}" for n, name in enumerate(names)]


def validate(json: Json = False) -> None:
    """Check every source, entity and way back; each mistake with file, line, field and the nearest right word. Touches no network.

    spine validate && git commit
    """
    from spine.push.check import broken_pushes
    from spine.push.spec import push_names
    from spine.sources.check import broken_declarations, entity_names, lines_of
    from spine.sources.spec import source_names

    broken = [*broken_declarations(), *broken_pushes()]
    if json:
        show.as_json({"ok": not broken, "mistakes": [error.as_dict() for error in broken]})
    for error in broken if not json else ():
        for line in lines_of(error):
            say(line)
    if broken:
        raise ConfigError(f"{len(broken)} broken declaration(s)", hint="Only their own DAGs are missing; correct the files")
    if not json:
        say(f"{len(source_names())} sources, {len(entity_names())} entities and {len(push_names())} ways back are valid")
