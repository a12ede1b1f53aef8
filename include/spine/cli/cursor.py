"""Commands on cursors: how far each stream has been read."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spine.cli import show, world
from spine.cli.options import DEFAULT_TENANT, Json, Source, Tenant
from spine.core.screen import say

if TYPE_CHECKING:
    from spine.control.cursors import Scale
    from spine.pipeline.services import Services

app = typer.Typer(no_args_is_help=True, help="Look at cursors and move them, checked and audited.")
StreamName = Annotated[str, typer.Argument(help="Stream of the source.", show_default=False)]
Part = Annotated[str | None, typer.Option("--part", help="Only this partition: the parent's key, or values joined by |.")]
Parts = Annotated[bool, typer.Option("--parts", help="Also the cursors of partitions.")]
Value = Annotated[str, typer.Argument(help="A time such as 2026-01-31T08:15:00Z, or a number.", show_default=False)]


@app.command("show")
def show_cursors(source: Source, tenant: Tenant = DEFAULT_TENANT, parts: Parts = False, json: Json = False) -> None:
    """Each stream's cursor; empty before its first sync. With --parts also those of its partitions, one a line.

    spine cursor show salesforce
    """
    services = world.services()
    from spine.pipeline.found import with_found

    spec, cursors = with_found(source), _cursors(source, tenant, services)
    rows = []
    for stream in spec.streams:
        cursor = cursors.show(stream.name)
        rows.append({"stream": stream.name, **(vars(cursor) if cursor else {"value": None, "updated_at": None, "run_id": None})})
        if parts and cursor and not json:
            rows += [
                {"stream": f"{stream.name} {name}", "value": show.position(at), "updated_at": "", "run_id": ""}
                for name, at in (cursor.parts or {}).items()
            ]
    if json:
        show.as_json(rows)
        return
    readable = [{**row, "value": show.position(row["value"])} for row in rows]
    show.as_table(cursors.connection_id, readable, ("stream", "value", "updated_at", "run_id"))


@app.command("set")
def set_cursor(
    source: Source, stream: StreamName, value: Value, tenant: Tenant = DEFAULT_TENANT, part: Part = None, json: Json = False
) -> None:  # fmt: skip
    """Put a cursor anywhere up to now, of all partitions or one; what lies before it is not read any more.

    spine cursor set salesforce contacts 2026-01-31T00:00:00Z
    """
    _move("set", source, stream, value, tenant, part, json)


@app.command("rewind")
def rewind_cursor(
    source: Source, stream: StreamName, value: Value, tenant: Tenant = DEFAULT_TENANT, part: Part = None, json: Json = False
) -> None:  # fmt: skip
    """Put a cursor back, so that the next sync reads from there again. Nothing is doubled: Silver keeps one version of a record.

    spine cursor rewind salesforce contacts 2026-01-01T00:00:00Z
    """
    _move("rewind", source, stream, value, tenant, part, json)


def _move(how: str, source: str, stream: str, value: str, tenant: str, part: str | None, json: bool) -> None:
    services = world.services()
    from spine.control import locks
    from spine.core.errors import ConfigError, SyncInProgress
    from spine.sources.spec import load_source

    spec = load_source(source)
    declared = spec.stream(stream).cursor
    if spec.stream(stream).changes is not None:
        raise ConfigError(
            f"the changes of {stream} are told by a token of the source's, which has no order: it cannot be moved",
            hint=f"`spine sync {source} --stream {stream} --mode full` reads everything again, and takes a new one",
        )
    if spec.keeps_state:  # a list of files that were read, a tap's own state, a table's version
        raise ConfigError(f"{source} has no cursor that could be moved", hint=f"`spine sync {source} --mode full` reads all of them again")
    cursors = _cursors(source, tenant, services)
    lease = locks.held(cursors.database, cursors.connection_id)
    if lease is not None:  # it would write its own cursor over this one at its end
        raise SyncInProgress(f"Run {lease.holder} is reading this connection", hint="Wait for its end", connection=cursors.connection_id)
    scale: Scale = "number" if declared is not None and declared.type == "number" else "time"
    moved = getattr(cursors, how)(stream, _as_kept(value) if scale == "number" else value, by=getpass.getuser(), part=part, scale=scale)
    at = (moved.parts or {}).get(part or "", moved.value)
    show.as_json(vars(moved)) if json else say(f"{stream}: cursor is {show.position(at)}")


def _as_kept(value: str) -> str:
    """A number as cursors are kept, which are compared as texts. Raises ConfigError."""
    from spine.core.errors import ConfigError
    from spine.sources.reading import numbered

    found = numbered(value, "the value")
    if found.cursor is None:
        raise ConfigError(
            f"Cursor not moved: {value!r} is no whole number from 0 on", hint="Write it in digits: the stream's cursor counts"
        )
    return found.cursor


def _cursors(source: str, tenant: str, services: Services) -> Any:
    from spine.control.cursors import Cursors
    from spine.core.names import connection_id

    connection = connection_id(source, tenant)
    return Cursors(services.variables, services.database.of(tenant), connection)
