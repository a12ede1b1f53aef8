"""Commands of a steward: which records are one and which are not, and what golden records are and were."""

from __future__ import annotations

import getpass
from typing import Annotated, Any

import typer

from spine.cli import show, world
from spine.cli.options import DEFAULT_TENANT, Json, Tenant
from spine.core.screen import say

Ref = Annotated[str, typer.Argument(help="Reference of a record: source:stream:record_id.", show_default=False)]
EntityId = Annotated[str, typer.Argument(help="Id of a golden record, also a former one.", show_default=False)]
Reason = Annotated[str, typer.Option("--reason", "-r", help="Why; kept with every change that follows.", show_default=False)]
Actor = Annotated[str | None, typer.Option("--actor", help="Who decides. [dim]Default: the user of this command.[/dim]")]
EntityName = Annotated[str | None, typer.Option("--entity", "-e", help="person, organization, … where the ids do not tell.")]


def link(
    left: Ref,
    right: Ref,
    reason: Reason,
    actor: Actor = None,
    entity: EntityName = None,
    tenant: Tenant = DEFAULT_TENANT,
    json: Json = False,
) -> None:
    """Two records are one: joins them now and for good, whatever the weights say.

    spine link salesforce:contacts:003A hubspot:contacts:51 --reason "same badge number"
    """
    _order("link", reason, actor, tenant, json, entity=entity, records=[left, right])


def unlink(
    left: Ref,
    right: Ref,
    reason: Reason,
    actor: Actor = None,
    entity: EntityName = None,
    tenant: Tenant = DEFAULT_TENANT,
    json: Json = False,
) -> None:
    """Two records are never one: keeps them apart now and for good.

    spine unlink salesforce:contacts:003A hubspot:contacts:51 --reason "father and son"
    """
    _order("unlink", reason, actor, tenant, json, entity=entity, records=[left, right])


def merge(
    one: EntityId,
    other: EntityId,
    reason: Reason,
    actor: Actor = None,
    entity: EntityName = None,
    tenant: Tenant = DEFAULT_TENANT,
    json: Json = False,
) -> None:
    """Two golden records are one: ties all their records. The id that goes leads to the one that stays.

    spine merge per_4q3v8c0m2k5w7x9z1b3d5f7h9k per_7h9k4q3v8c0m2k5w7x9z1b3d5f --reason "called her"
    """
    _order("merge", reason, actor, tenant, json, entity=entity, entities=[one, other])


def split(
    entity_id: EntityId,
    records: Annotated[list[str], typer.Argument(help="References of the records that leave, together.", show_default=False)],
    reason: Reason,
    actor: Actor = None,
    entity: EntityName = None,
    tenant: Tenant = DEFAULT_TENANT,
    json: Json = False,
) -> None:
    """Records of a golden record are somebody else: they leave it together and never come back to those that stay.

    spine split per_4q3v8c0m2k5w7x9z1b3d5f7h9k hubspot:contacts:51 --reason "her sister"
    """
    _order("split", reason, actor, tenant, json, entity=entity, entities=[entity_id], records=records)


def undo(
    change: Annotated[str, typer.Argument(help="Id of a change, or enough of its first letters.", show_default=False)],
    reason: Reason,
    actor: Actor = None,
    tenant: Tenant = DEFAULT_TENANT,
    json: Json = False,
) -> None:
    """Reverse a change, by a steward or by the engine. Golden records that it ended come back under their own ids.

    spine undo 3f9a77c1 --reason "the wrong Smith"
    """
    from spine.cli.run import run_id

    with show.working(f"Undo {change}"):
        world.lake()
        from spine.gold import stewardship as overrides

        result = overrides.undo(change, tenant=tenant, actor=actor or getpass.getuser(), reason=reason, run_id=run_id())
    _print(result, json)


def _order(act: Any, reason: str, actor: str | None, tenant: str, json: bool, **what: Any) -> None:
    from spine.cli.run import run_id

    with show.working(act.capitalize()):
        world.lake()
        from spine.gold import stewardship as overrides

        result = overrides.order(act, tenant=tenant, actor=actor or getpass.getuser(), reason=reason, run_id=run_id(), **what)
    _print(result, json)


def _print(result: dict[str, Any], json: bool) -> None:
    if json:
        show.as_json(result)
        return
    for when in ("before", "now"):
        rows = [{"golden record": row["entity_id"], "name": row["name"], "source records": row["records"]} for row in result[when]]
        show.as_table(when.capitalize(), rows)
    columns = ("kind", "entity_id", "other_entity_id", "record_ref", "reason")
    show.as_table(f"What changed for tenant {result['tenant']}", result["changes"], columns)
    say(f'To take it back: spine undo {result["change_id"][:12]} --reason "…"', err=True)
    say(f"Analysts see it after: spine publish {result['entity']}", err=True)


def overrides(
    entity: Annotated[str | None, typer.Argument(help="Only this kind of entity.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Those that were undone as well.")] = False,
    tenant: Tenant = DEFAULT_TENANT,
    json: Json = False,
) -> None:
    """What stewards decided: records that are one, and records that never are.

    spine overrides person
    """
    world.lake()
    from spine.gold.stewardship import list_overrides

    rows = list_overrides(tenant, entity, every=every)
    if json:
        show.as_json(rows)
        return
    readable = [{**row, "undo": row["change_id"][:12], "kind": row["kind"].replace("_", " ")} for row in rows]
    columns = ("kind", "left_ref", "right_ref", "actor", "reason", "made_at", "undo", *(("undone_at",) if every else ()))
    show.as_table(f"Overrides of tenant {tenant}", readable, columns)


def review(
    entity: Annotated[str, typer.Argument(help="Kind of entity: person, organization, …")] = "person",
    limit: Annotated[int, typer.Option(help="Pairs at most.", min=1)] = 50,
    tenant: Tenant = DEFAULT_TENANT,
    json: Json = False,
) -> None:
    """Pairs that wait for a person's word, most valuable first: probable ones below the threshold, and conflicts.

    Decide by `spine link` or `spine unlink`; `spine why` shows the evidence.

      spine review organization --limit 10
    """
    with show.working("Read what waits"):
        world.lake()
        from spine.gold.stewardship import review as job

        rows = job(tenant, entity, limit=limit)
    if json:
        show.as_json(rows)
        return
    if not rows:
        say(f"Nothing waits for a steward of tenant {tenant}")
        return
    readable = [{**row, "probability": f"{row['probability']:.3f}", "value": f"{row['value']:.1f}"} for row in rows]
    columns = ("decision", "left_ref", "right_ref", "probability", "value", "pairs", "reason")
    show.as_table(f"Waiting for a steward of tenant {tenant}", readable, columns)


def entity(
    entity_id: EntityId,
    as_of: Annotated[str | None, typer.Option("--as-of", help="As it was at this time, such as 2026-01-31T00:00Z.")] = None,
    name: EntityName = None,
    tenant: Tenant = DEFAULT_TENANT,
    json: Json = False,
) -> None:
    """A golden record: its values, where each came from, its records; now or as it was.

    spine entity per_4q3v8c0m2k5w7x9z1b3d5f7h9k --as-of 2026-01-31T00:00Z
    """
    from spine.core import clock

    world.lake()
    from spine.gold.history import golden_record

    found = golden_record(entity_id, tenant=tenant, entity=name, moment=clock.parse(as_of) if as_of else None)
    if json:
        show.as_json(found)
        return
    rows = [{"field": name, **what} for name, what in found["values"].items() if what["value"] is not None]
    when = f" as of {found['as_of']}" if found["as_of"] else ""
    show.as_table(f"{found['entity_id']}{when}", rows, ("field", "value", "source", "record", "strategy"))
    if found["asked"] != found["entity_id"]:
        say(f"{found['asked']} was merged into it", err=True)
    confidence = f"{found['confidence']:.3f}".rstrip("0").rstrip(".")
    many = "1 record" if len(found["records"]) == 1 else f"{len(found['records'])} records, weakest link {confidence}"
    say(f"{many}: {', '.join(found['records'])}")
