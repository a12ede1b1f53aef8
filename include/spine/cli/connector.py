"""Commands on connections: one tenant's account at one source."""

from __future__ import annotations

import getpass
from typing import Annotated, Any

import typer

from spine.cli import show, world
from spine.cli.options import DEFAULT_TENANT, Json, Source, Tenant, Tenants
from spine.core.errors import ConfigError
from spine.core.screen import say

app = typer.Typer(no_args_is_help=True, help="Connections to sources: list them, test them, pause and resume them.")
Reason = Annotated[str, typer.Option("--reason", "-r", help="Why; shown to whoever starts a sync.", show_default=False)]


@app.command("list")
def list_connections(
    source: Annotated[str | None, typer.Argument(help="Only this source.")] = None, tenant: Tenants = None, json: Json = False
) -> None:
    """Every connection with its state: active or paused and why, its error if it has not worked since, its last success.

    spine connector list
    spine connector list hubspot --tenant acme --json
    """
    services, rows = world.services(), []
    from spine.control import connections
    from spine.core.names import connection_id, require_tenant
    from spine.sources.spec import load_source, source_names

    wanted = {require_tenant(name) for name in tenant or ()}
    for name in [load_source(source).source] if source else source_names():
        for owner in services.tenants(name):
            if wanted and owner not in wanted:
                continue
            found = connections.state(services.database.of(owner), connection_id(name, owner))
            facts = {key: value for key, value in vars(found).items() if key != "refused_fingerprint"}
            state = "active" if found.active else "paused"
            rows.append({"source": name, "tenant": owner, "state": state, "standing_error": found.standing_error, **facts})
    if json:
        show.as_json(rows)
        return
    readable = [{**row, "why": _why(row)} for row in rows]
    show.as_table("Connections", readable, ("source", "tenant", "connection_id", "state", "why", "standing_error", "last_success_at"))


@app.command("pause")
def pause_connection(source: Source, reason: Reason, tenant: Tenant = DEFAULT_TENANT, json: Json = False) -> None:
    """Let no sync of this connection start until somebody resumes it. What is running goes on to its end.

    spine connector pause hubspot --tenant acme --reason "contract ended"
    """
    database, connection = _database(source, tenant)
    from spine.control import connections

    connections.pause(database, connection, reason=reason, by=getpass.getuser())
    _say(connections.state(database, connection), json)


@app.command("resume")
def resume_connection(source: Source, tenant: Tenant = DEFAULT_TENANT, json: Json = False) -> None:
    """Let syncs of this connection start again, as it is. `spine connector test` tries it first.

    spine connector resume hubspot --tenant acme
    """
    database, connection = _database(source, tenant)
    from spine.control import connections

    done = connections.resume(database, connection, by=getpass.getuser())
    if not done and not json:
        say(f"{connection} was not paused", err=True)
    _say(connections.state(database, connection), json)


@app.command("fields")
def fields(source: Source, auth: Annotated[str, typer.Option(help="One of the source's `other_auths`.")] = "", json: Json = False) -> None:
    """What the Airflow Connection of a source has to hold, each field with the vendor's own name for it. Shows no value.

    spine connector fields salesforce
    """
    from spine.core.names import connection_id
    from spine.sources.spec import load_source

    spec = load_source(source)
    known = spec.auth_of(None, {"auth": auth} if auth else {}).asked_for
    rows = [
        {"field": "host", "label": "Address", "default": spec.host or ""},
        *({"field": name, "label": known[name], "default": ""} for name in known),
    ]
    rows += [
        {"field": f"extra.{name}", "label": one.description, "default": "" if one.default is None else str(one.default)}
        for name, one in spec.variables.items()
    ]
    if json:
        show.as_json(
            {"connection": connection_id(spec.source), "auth": spec.auth.type, "other_auths": list(spec.other_auths), "fields": rows}
        )
        return
    show.as_table(f"{connection_id(spec.source)}, or {connection_id(spec.source, 'tenant')}", rows, ("field", "label", "default"))


@app.command("test")
def try_connection(
    source: Source,
    stream: Annotated[list[str] | None, typer.Option("--stream", "-s", help="Only this stream; may be given again.")] = None,
    tenant: Tenant = DEFAULT_TENANT,
    json: Json = False,
) -> None:
    """Ask the source for a page of every stream, and say which answer, with which fields. Keeps nothing, moves nothing.

    Works while the connection is paused; one that was paused for refused credentials runs again once the source takes them.

      spine connector test hubspot
      spine connector test salesforce --tenant acme --stream contacts
    """
    from spine.cli.run import run_id

    services = world.services()
    with show.working(f"Test {source} of tenant {tenant}"):
        from spine.pipeline.probe import probe

        found = probe(source, tenant, services, run_id(), stream)
    rows = [{**vars(one), "error": one.error.describe() if one.error else None} for one in found.streams]
    if json:
        show.as_json(
            {
                "connection": found.connection_id,
                "ok": found.error is None,
                "resumed": found.resumed,
                "streams": rows,
                "remarks": found.remarks,
            }
        )
    else:
        readable = [{**row, "answers": row["error"] is None, "fields": ", ".join(row["fields"])} for row in rows]
        show.as_table(found.connection_id, readable, ("stream", "answers", "records", "fields"))
    for remark in found.remarks:
        say(remark, err=True)
    if found.resumed:
        say(f"{found.connection_id} was paused for its credentials and runs again", err=True)
    if found.error is not None:
        raise found.error


def _database(source: str, tenant: str) -> tuple[Any, str]:
    """The tenant's control plane and the id of its connection. Raises ConfigError if it has none to this source."""
    services = world.services()
    from spine.core.names import connection_id
    from spine.sources.spec import load_source

    connection = connection_id(load_source(source).source, tenant)
    if tenant not in services.tenants(source):
        hint = f"`spine connector list` shows those that are there; `spine tenant add {tenant} --source {source}` adds one"
        raise ConfigError(f"Tenant {tenant} has no connection to {source}", hint=hint)
    return services.database.of(tenant), connection


def _say(state: Any, json: bool) -> None:
    if json:
        show.as_json({key: value for key, value in vars(state).items() if key != "refused_fingerprint"})
    else:
        say(f"{state.connection_id} is {'active' if state.active else f'paused by {state.paused_by}: {state.pause_reason}'}")


def _why(row: dict[str, Any]) -> str:
    return f"{row['pause_reason']}, by {row['paused_by']} since {show.text(row['paused_at'])}" if row["paused_at"] else ""
