"""Commands on the way back: what would be sent, send it, look at it, take it back."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from spine.cli import show, world
from spine.cli.options import DEFAULT_TENANT, Json, Tenant, Tenants
from spine.cli.run import run_id
from spine.core.errors import ConfigError, SpineError
from spine.core.screen import say

app = typer.Typer(no_args_is_help=True, help="The way back: send what differs to a system, as a file of include/syncs says.")
Name = Annotated[str, typer.Argument(help="Name of a way back: its file in include/syncs.", show_default=False)]
Run = Annotated[str, typer.Argument(help="Id of a run, as `spine push runs` shows it.", show_default=False)]
Approve = Annotated[bool, typer.Option("--approve", help="Let it pass though it changes more than it may without a person's word.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be sent; send and write nothing.")]


@app.command("plan")
def plan_push(name: Name, tenant: Tenants = None, json: Json = False) -> None:
    """Compare both sides and show what would be sent. Sends and writes nothing.

    spine push plan customer_360
    """
    _dry(name, tenant, json)


@app.command("run")
def run(name: Name, tenant: Tenants = None, dry_run: DryRun = False, approve: Approve = False, json: Json = False) -> None:
    """Send what differs. One that died goes on where it was: nothing is sent twice.

    spine push run customer_360
    spine push run leads_to_hubspot --dry-run
    spine push run leads_to_hubspot --approve
    """
    if dry_run:
        _dry(name, tenant, json)
        return
    services = world.services()
    from spine.push import running

    works = running.plan(name, run_id(), services, tenants=tenant, by="cli")
    _run_all(works, services, approve, json)


def _run_all(works: Any, services: Any, approve: bool, json: bool) -> None:
    """Each tenant's part; one that fails does not stop the others, and the first failure is the command's own."""
    from spine.push import running

    rows: list[dict[str, Any]] = []
    failures: list[SpineError] = []
    for work in works:
        with show.working(f"Push {work.push}, {work.tenant}"):
            try:
                found = running.run_push(work, services, approved_by="cli" if approve else "")
                rows.append(found.to_json())
                running.require_well(found, work.push)
            except SpineError as error:
                if failures:
                    say(f"{work.tenant}: {error.line()}", err=True)
                failures.append(error)
    show.as_json(rows) if json else _print(rows)
    if failures:
        raise failures[0]


def _print(rows: list[dict[str, Any]]) -> None:
    shown = ("changes", "creates", "updates", "deletes", "confirmed", "failed", "unchanged", "conflicts")
    table = [{"tenant": row["tenant"], "status": row["status"], **{name: row["counts"].get(name, 0) for name in shown}} for row in rows]
    show.as_table("Sent", table)
    failed = [failure for row in rows for failure in row["failures"]]
    if failed:
        show.as_table("Refused, in the system's words", failed)


def _dry(name: str, tenants: list[str] | None, json: bool) -> None:
    services = world.services()
    from spine.push import running
    from spine.push.spec import load_push

    found = []
    for tenant in tenants or services.tenants(load_push(name).destination.connector):
        with show.working(f"Compare {name}, {tenant}"):
            found.append(running.compare(running.PushWork(name, tenant, run_id()), services, dry=True).to_json())
    if json:
        show.as_json(found)
        return
    for one in found:
        show.as_table(
            f"{name}, {one['tenant']}", [{"what": key.replace("_", " "), "number": value} for key, value in one["counts"].items()]
        )
        if one["changes"]:
            show.as_table(
                "First changes", [{**change, "fields": str(change["fields"])} for change in one["changes"]], ("op", "record_key", "fields")
            )
        for reason in one["reasons"]:
            say(f"It would need a person's word: {reason}")


@app.command("undo")
def undo(
    name: Name, run: Run, tenant: Tenant = DEFAULT_TENANT, dry_run: DryRun = False, approve: Approve = False, json: Json = False
) -> None:
    """Take a run back: send what stood there before. What somebody has changed since stays. The next run does not send it again.

    spine push undo customer_360 cli__2026-01-31T08:15:00.000000Z
    """
    services = world.services()
    from spine.push import running
    from spine.push.spec import load_push

    work = running.PushWork(name, tenant, f"undo__{run_id()}", undoes=run, triggered_by="cli")
    if dry_run:
        found = running.compare(work, services, dry=True).to_json()
        show.as_json(found) if json else show.as_table("Would be taken back", [dict(found["counts"])])
        return
    running.begin(work, load_push(name), services)
    _run_all([work], services, approve, json)


@app.command("runs")
def list_runs(name: Name, tenant: Tenant = DEFAULT_TENANT, json: Json = False) -> None:
    """Runs of a push, newest first.

    spine push runs customer_360
    """
    services = world.services()
    from spine.control import pushes

    rows = [{**vars(one), "changes": one.counts.get("changes", 0)} for one in pushes.runs(services.database.of(tenant), name)]
    show.as_json(rows) if json else show.as_table(
        f"Runs of {name}", rows, ("run_id", "status", "changes", "undoes", "approved_by", "started_at")
    )


@app.command("show")
def show_run(name: Name, run: Run, tenant: Tenant = DEFAULT_TENANT, failed: Annotated[
    bool, typer.Option("--failed", help="Only what the system refused.")] = False, json: Json = False) -> None:  # fmt: skip
    """The changes of a run, with what stood there before and what the system said.

    spine push show customer_360 cli__2026-01-31T08:15:00.000000Z --failed
    """
    services = world.services()
    from spine.control import pushes

    database = services.database.of(tenant)
    if pushes.run(database, name, run) is None:
        raise ConfigError(f"push {name!r} has no run {run!r}", hint="`spine push runs` lists them")
    found = pushes.changes(database, name, run, pushes.Wanted(("failed",) if failed else (), limit=1000))
    rows = [vars(one) for one in found]
    columns = ("number", "side", "op", "record_key", "state", "error_code", "error_message")
    show.as_json(rows) if json else show.as_table(f"Changes of {run}", rows, columns)


@app.command("conflicts")
def conflicts(name: Name, tenant: Tenant = DEFAULT_TENANT, json: Json = False) -> None:
    """Fields that both sides have changed, and that wait for a person.

    spine push conflicts contacts_two_way
    """
    services = world.services()
    from spine.control import push_conflicts

    rows = [dict(one) for one in push_conflicts.waiting(services.database.of(tenant), name)]
    show.as_json(rows) if json else show.as_table(f"Conflicts of {name}", rows, ("record_key", "field", "ours", "theirs", "found_at"))


@app.command("decide")
def decide(
    name: Name,
    key: Annotated[str, typer.Argument(help="The record's key.", show_default=False)],
    field: Annotated[str, typer.Argument(help="The field.", show_default=False)],
    take: Annotated[str, typer.Option(help="Whose value counts: source or target.")],
    tenant: Tenant = DEFAULT_TENANT,
) -> None:
    """Say whose value counts where both sides have changed a field. The next run sends it.

    spine push decide contacts_two_way ada@example.com phone --take target
    """
    if take not in ("source", "target"):
        raise ConfigError(f"--take {take!r} is neither source nor target", hint="Write --take source or --take target")
    services = world.services()
    from spine.control import push_conflicts

    push_conflicts.decide(services.database.of(tenant), name, key, field, take, by="cli")
    say(f"{field} of {key}: the {take}'s value counts")
