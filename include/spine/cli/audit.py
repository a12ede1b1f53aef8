"""Commands on the audit log."""

from __future__ import annotations

import getpass
from typing import Annotated

import typer

from spine.cli import show, world
from spine.cli.options import Json, Tenants
from spine.core.screen import say

app = typer.Typer(no_args_is_help=True, help="The audit log: is it what was written?")


@app.command("verify")
def verify(tenant: Tenants = None, json: Json = False) -> None:
    """Recompute each tenant's chain, and compare it with the head that is kept outside PostgreSQL. maintain_lake does it every night.

    spine audit verify
    spine audit verify --tenant acme --json
    """
    services = world.services()
    from spine.core.names import require_tenant
    from spine.pipeline.auditing import require_sound, verify

    found = verify(services, [require_tenant(name) for name in tenant or ()])
    rows = [{**vars(checked), "sound": not checked.wrong} for checked in found]
    if json:
        show.as_json(rows)
    else:
        show.as_table("Audit logs", rows, ("tenant", "sound", "rows", "head", "wrong"))
    require_sound(found)


@app.command("accept")
def accept(
    tenant: Annotated[str, typer.Argument(help="Whose log.", show_default=False)],
    reason: Annotated[str, typer.Option("--reason", "-r", help="Why; kept in the log.", show_default=False)],
    json: Json = False,
) -> None:
    """Take a tenant's log as it is for right, as after PostgreSQL was restored from a backup. Its newest row says who did and why.

    spine audit accept acme --reason "restored from the backup of 26 November"
    """
    services = world.services()
    from spine.control import audit_heads

    found = audit_heads.accept(services.database.of(tenant), services.variables, by=getpass.getuser(), reason=reason)
    if json:
        show.as_json(vars(found))
    else:
        say(f"the audit log of {tenant} has {found.rows} rows, and is taken for right from here on")
