"""Commands on sources as files: make one, look at what its vendor answers, tell what all of them can do."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from spine.cli import show
from spine.cli.options import DEFAULT_TENANT, Json, Source, Tenant
from spine.core.errors import SpineError
from spine.core.screen import say

app = typer.Typer(no_args_is_help=True, help="Sources as files: make one, see what its vendor answers, tell what each can do.")
NewName = Annotated[str, typer.Argument(help="Its name: small letters, digits, single underscores.", metavar="NAME", show_default=False)]


@app.command("new")
def new(
    name: NewName,
    openapi: Annotated[Path | None, typer.Option(help="A description in OpenAPI 3.0 or 3.1, YAML or JSON.", metavar="FILE")] = None,
    manifest: Annotated[Path | None, typer.Option(help="A low-code manifest, as Airbyte's builder exports it.", metavar="FILE")] = None,
    like: Annotated[str | None, typer.Option("--from", help="A source of ours to begin with.", metavar="SOURCE")] = None,
    domain: Annotated[str | None, typer.Option(help="Who asks for it: revops, finops, …")] = None,
    stream: Annotated[
        list[str] | None, typer.Option("--stream", "-s", help="Only this stream, and its parents; may be given again.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
    json: Json = False,
) -> None:
    """Write a source's file and its test: from a description, from another source, or as a beginning. Asks nobody, runs nothing of it.

    What is guessed is marked in the file by `# ?`; what did not convert is listed, by line.

      spine sources new acme --openapi acme.json --stream customers --stream orders
      spine sources new shop --manifest manifest.yaml
      spine sources new hubspot_eu --from hubspot
    """
    from spine.sources.tools.making import make_source

    with show.working(f"Make {name}"):
        made = make_source(name, openapi=openapi, manifest=manifest, like=like, domain=domain, only=stream or (), force=force)
    lost = [remark for remark in made.remarks if remark.lost]
    if json:
        remarks = [vars(remark) for remark in made.remarks]
        facts = {"path": str(made.path), "test": str(made.test) if made.test else None, "streams": made.streams, "found": made.found}
        show.as_json({**facts, "guesses": made.doubts, "not_converted": remarks})
        return
    say(f"{made.path} reads {len(made.streams)} streams" + (f" of {made.found}" if made.found else ""))
    if made.test:
        say(f"{made.test} tests it")
    if made.doubts:
        say(f"{made.doubts} guesses are marked by `# ?`: look at each")
    _not_converted(f"Not converted: {len({remark.stream for remark in lost})} streams", lost)
    _not_converted("Converted without this", [remark for remark in made.remarks if not remark.lost])
    say(
        f"Next: `spine connector fields {name}` says what its Connection has to hold, `spine sources read {name}` shows a page of it",
        err=True,
    )


def _not_converted(title: str, remarks: list[Any]) -> None:
    if remarks:
        rows = [{"line": str(remark.line or ""), "stream": remark.stream, "why": remark.what} for remark in remarks]
        say(title)
        show.as_table("", rows, ("line", "stream", "why"))


ConnectionFile = Annotated[
    Path | None, typer.Option("--connection", help="A file with the Connection, as JSON or as a URI; else AIRFLOW_CONN_…", metavar="FILE")
]
StreamName = Annotated[str | None, typer.Argument(help="Only this stream.", metavar="STREAM")]
_ROWS = 5


@app.command("check")
def check(source: Source, tenant: Tenant = DEFAULT_TENANT, connection: ConnectionFile = None, json: Json = False) -> None:
    """Look whether the file is sound, the Connection complete, and each stream that has no parent answers. Needs no Airflow.

    The Connection is that of AIRFLOW_CONN_IPAI_CONNECTOR_<SOURCE>, or of a file.

      spine sources check acme
      spine sources check acme --connection acme.json
    """
    trial = _trial(source, tenant, connection)
    with show.working(f"Ask {source}"):
        looks = [trial.look(stream) for stream in trial.source.streams if stream.parent is None]
    rows = [{"stream": look.stream, "answers": look.error is None, "records": len(look.records), "more": look.more} for look in looks]
    errors = [look.error for look in looks if look.error is not None]
    if json:
        facts = [{**row, "error": look.error.as_dict() if look.error else None} for row, look in zip(rows, looks, strict=True)]
        show.as_json({"source": source, "connection": trial.info.conn_id, "ok": not errors, "streams": facts})
    else:
        say(f"{source} is sound, {trial.info.conn_id} is complete")
        show.as_table("", rows, ("stream", "answers", "records", "more"))
        for error in errors:
            say(error.line(), err=True)
    if errors:
        raise errors[0]


@app.command("discover")
def discover(
    source: Source, stream: StreamName = None, tenant: Tenant = DEFAULT_TENANT, connection: ConnectionFile = None, json: Json = False
) -> None:
    """The fields of each stream as one page has them: their types, and which of them the mapping does not use. Needs no Airflow.

    spine sources discover acme customers
    """
    trial = _trial(source, tenant, connection)
    wanted = [trial.source.stream(stream)] if stream else list(trial.source.streams)
    with show.working(f"Ask {source}"):
        looks = [trial.look(one) for one in wanted]
    rows = [
        {"stream": look.stream, "field": name, "type": kind, "used": used, "entity": trial.source.stream(look.stream).entity or ""}
        for look in looks for name, kind, used in look.fields
    ]  # fmt: skip
    if json:
        errors = {look.stream: look.error.as_dict() for look in looks if look.error}
        show.as_json({"source": source, "streams": [one.name for one in wanted], "fields": rows, "errors": errors})
    else:
        show.as_table("", rows, ("stream", "field", "type", "used", "entity"))
    _fail([look.error for look in looks])


@app.command("read")
def read(
    source: Source, stream: StreamName = None, tenant: Tenant = DEFAULT_TENANT, connection: ConnectionFile = None,
    mapped: Annotated[bool, typer.Option("--mapped/--as-sent", help="Rows of their entity, which starts Spark, or as sent.")] = True,
    json: Json = False,
) -> None:  # fmt: skip
    """One page of a stream: the request, the answer, and its rows as they would be mapped. Secrets are masked, nothing is kept.

    Without a stream it is the source's first one. Needs no Airflow.

      spine sources read acme customers
      spine sources read acme customers --as-sent --json
    """
    trial = _trial(source, tenant, connection)
    wanted = trial.source.stream(stream) if stream else trial.source.streams[0]
    with show.working(f"Ask {source} for {wanted.name}"):
        look = trial.look(wanted)
    rows = _rows(wanted, list(look.payloads[:_ROWS]), mapped=mapped)
    if json:
        error = look.error.as_dict() if look.error else None
        facts = {"stream": wanted.name, "records": len(look.records), "more": look.more, "entity": wanted.entity}
        show.as_json({**facts, "exchanges": [vars(one) for one in look.exchanges], "rows": rows, "notes": look.notes, "error": error})
    else:
        _show(look, rows, wanted.entity if mapped else None)
    _fail([look.error])


def _trial(source: str, tenant: str, connection: Path | None) -> Any:
    from spine.pipeline.trying import Trial, connection_of
    from spine.sources.check import sound_source

    return Trial(sound_source(source), connection_of(source, tenant, connection), tenant)


def _rows(stream: Any, payloads: list[str], *, mapped: bool) -> list[dict[str, Any]]:
    """The first rows: mapped to the entity where there is one, else as they were sent."""
    import orjson

    if not (mapped and stream.entity and payloads):
        return [orjson.loads(payload) for payload in payloads]
    from spine.cli import world
    from spine.core.entities import load_entity
    from spine.normalize.preview import mapped_rows

    with show.working(f"Map {len(payloads)} rows to {stream.entity}"):
        spark = world.spark(f"preview {stream.name}")
        return mapped_rows(spark, payloads, stream.mapping, load_entity(stream.entity))


def _show(look: Any, rows: list[dict[str, Any]], entity: str | None) -> None:
    """An exchange after the other, then the rows under each other, since a record has more fields than a screen is wide."""
    for number, one in enumerate(look.exchanges):
        if number >= _ROWS:
            say(f"… and {len(look.exchanges) - number} more requests\n")
            break
        say(f"→ {one.method} {one.url}")
        for name, value in one.headers.items():
            say(f"  {name}: {value}")
        if one.body:
            say(f"  {one.body}")
        say(f"← {one.status}")
        for name, value in one.answer_headers.items():
            say(f"  {name}: {value}")
        say(f"  {one.answer[:1500]}{'…' if len(one.answer) > 1500 else ''}\n")
    for note in look.notes:
        say(note, err=True)
    for number, row in enumerate(rows, 1):
        fields = [
            {"field": name, "value": value if isinstance(value, str | int | float | None) else _json(value)} for name, value in row.items()
        ]
        say(f"Row {number} of {look.stream}" + (f", as {entity}" if entity else ""))
        show.as_table("", fields, ("field", "value"), longest=200)
    say(f"{len(look.records)} records{', and more pages' if look.more else ''}")


def _json(value: Any) -> str:
    import orjson

    return orjson.dumps(value, default=str).decode()


def _fail(errors: list[SpineError | None]) -> None:
    for error in errors:
        if error is not None:
            raise error


@app.command("matrix")
def matrix(json: Json = False) -> None:
    """What each source is made of, computed from the files: how many of its streams read only changes, and its lines.

    `--json` tells its authentication, paging, deletes and entities too, as docs/connectors.md does. Touches no network and no database.

    spine sources matrix
    """
    from spine.sources.tools.catalog import all_facts
    from spine.sources.tools.catalog import matrix as groups

    facts = [vars(one) for one in all_facts()]
    if json:
        show.as_json({"sources": facts, "groups": groups()})
        return
    rows = [
        {**one, "changes": f"{one['incremental']} of {one['streams']}", "YAML": one["config_lines"], "code": one["code_lines"]}
        for one in facts
    ]
    show.as_table("", rows, ("source", "approach", "streams", "changes", "YAML", "code"))
    found = [{**one, "sources": len(one["sources"]), "YAML": one["config_lines"], "code": one["code_lines"]} for one in groups()]
    show.as_table("", found, ("approach", "sources", "YAML", "code", "dev_effort"))


@app.command("estimate")
def estimate(name: Annotated[str, typer.Argument(help="A source, there or not.", metavar="NAME")], json: Json = False) -> None:
    """What a source costs in lines and time: one that is there as it is, any other as those that are like it.

    spine sources estimate pipedrive
    """
    from spine.sources.tools.catalog import estimate as job

    found = job(name)
    if json:
        show.as_json(found)
    else:
        show.as_table("", [{"": word.replace("_", " "), " ": value} for word, value in found.items()])


class Need(StrEnum):
    """What an integration has to do."""

    JOINS = "joins"
    AGGREGATION = "aggregation"
    SEVERAL_SOURCES = "several_sources"
    WAREHOUSE = "warehouse"
    TRANSFORMS = "transforms"
    WEBHOOKS = "webhooks"
    ADVANCED_AUTH = "advanced_auth"
    LIMITS = "limits"
    ENTERPRISE = "enterprise"
    POINT_TO_POINT = "point_to_point"
    NO_CODE = "no_code"


@app.command("level")
def level(
    need: Annotated[list[Need] | None, typer.Argument(help="What it has to do; all of it.", metavar="NEED…")] = None, json: Json = False
) -> None:
    """Which level of integration a need asks for: L1 carries fields, L2 joins and aggregates, L3 is a connector to a system.

    spine sources level webhooks joins
    """
    from spine.sources.tools.levels import levels_for

    found = [vars(one) for one in levels_for({one.value for one in need or ()})]
    if json:
        show.as_json(found)
        return
    for one in found:
        say(f"{one['level']}, for {one['audience']}: {one['means']}")
        for reason in one["reasons"]:
            say(f"  because {reason}")


@app.command("upgrade")
def upgrade(
    source: Annotated[list[str] | None, typer.Argument(help="Only these sources.", metavar="SOURCE…")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would change and write nothing.")] = False,
    json: Json = False,
) -> None:
    """Rewrite files with words of the first version in today's words, and say of the others that they are current.

    spine sources upgrade --dry-run
    """
    from spine.sources.spec import source_names
    from spine.sources.tools.upgrading import upgrade as job

    found = {name: [vars(change) for change in job(name, write=not dry_run)] for name in source or source_names()}
    if json:
        show.as_json(found)
        return
    for name, changes in found.items():
        for change in changes:
            say(f"{name}, line {change['line']}: {change['before']} → {change['after']}")
    current = [name for name, changes in found.items() if not changes]
    if current:
        say(f"{len(current)} {'file is' if len(current) == 1 else 'files are'} current")
