"""Commands on quarantined rows: those that failed a rule, with every reason."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from spine.cli import show, world
from spine.cli.options import DEFAULT_TENANT, Entity, Json, Source, Tenant
from spine.core.errors import ConfigError
from spine.core.screen import say

app = typer.Typer(no_args_is_help=True, help="Rows that failed a rule: look at them, replay them through the present mapping.")
RowId = Annotated[str, typer.Argument(help="A row's id, or enough of its first letters.", show_default=False)]


@app.command("list")
def list_rows(
    source: Source,
    entity: Entity,
    tenant: Tenant = DEFAULT_TENANT,
    every: Annotated[bool, typer.Option("--all", help="Rows that were replayed as well.")] = False,
    limit: Annotated[int, typer.Option(help="Rows at most, newest first.", min=1)] = 100,
    json: Json = False,
) -> None:
    """Quarantined rows and why they are there.

    spine quarantine list hubspot person
    """
    world.lake()
    from spine.pipeline import quarantine

    found = quarantine.list_rows(source, entity, tenant=tenant, status=None if every else "open", limit=limit)
    if json:
        show.as_json(found)
        return
    rows = [{**row, "id": row["quarantine_id"][:12], "why": _why(row)} for row in found]
    show.as_table(f"Quarantine of {source}, {entity}", rows, ("id", "record_ref", "status", "why", "quarantined_at"))


@app.command("show")
def show_row(source: Source, entity: Entity, row_id: RowId, tenant: Tenant = DEFAULT_TENANT, json: Json = False) -> None:
    """One row with its payload as the source sent it.

    spine quarantine show hubspot person 3f9a
    """
    world.lake()
    from spine.pipeline import quarantine

    row = quarantine.show(source, entity, row_id)
    if row["tenant_id"] != tenant:
        raise ConfigError(f"Tenant {tenant} has no quarantined row {row_id}", hint="Name its tenant with --tenant")
    if json:
        show.as_json(row)
    else:
        show.as_table("", [{"field": key, "value": _why(row) if key == "reasons" else value} for key, value in row.items()])


@app.command("replay")
def replay(
    source: Source,
    entity: Entity,
    row_id: Annotated[list[str] | None, typer.Argument(help="Ids of rows. [dim]Default: all open ones.[/dim]", show_default=False)] = None,
    tenant: Tenant = DEFAULT_TENANT,
    json: Json = False,
) -> None:
    """Put rows through the present mapping and rules once more; those that pass now go to Silver. Twice does no harm.

    spine quarantine replay hubspot person
    spine quarantine replay hubspot person 3f9a 77c1
    """
    from spine.cli.run import run_id

    result: dict[str, Any] = {"replayed": 0, "still_open": 0}
    with show.working(f"Replay quarantined rows of {source}"):
        world.lake()
        from spine.pipeline import quarantine

        limit = 1_000_000
        mine = [row["quarantine_id"] for row in quarantine.list_rows(source, entity, tenant=tenant, limit=limit)]
        if ids := mine if not row_id else [_full_id(part, mine) for part in row_id]:
            result = quarantine.replay(world.spark(f"replay {source}"), source, entity, ids, run_id()).to_json()
    show.as_json(result) if json else say(f"{result['replayed']} replayed, {result['still_open']} still open")


def _full_id(part: str, known: list[str]) -> str:
    found = [row for row in known if row.startswith(part)]
    if len(found) != 1:
        raise ConfigError(f"{len(found)} open rows have an id that starts with {part!r}", hint="`spine quarantine list` shows the ids")
    return found[0]


def _why(row: dict[str, Any]) -> str:
    return "; ".join(reason["reason"] for reason in row["reasons"] or ())
