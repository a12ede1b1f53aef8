"""Commands on tenants."""

from __future__ import annotations

import getpass
from typing import Annotated

import typer

from spine.cli import show, world
from spine.cli.options import Json
from spine.core.screen import say

app = typer.Typer(no_args_is_help=True, help="Tenants: whose data the spine keeps apart.")


@app.callback()
def tenants() -> None:
    """Keeps `add` a word of its own."""


@app.command("add")
def add(
    name: Annotated[str, typer.Argument(help="A slug such as acme.", show_default=False)],
    source: Annotated[
        list[str] | None, typer.Option("--source", "-s", help="A source that it has; may be given again. [dim]Default: all.[/dim]")
    ] = None,
    anyway: Annotated[bool, typer.Option("--anyway", help="Also where 80 % or less of its connections are healthy.")] = False,
    json: Json = False,
) -> None:
    """Everything that a new tenant needs but its Connections: Variable, control rows, key, analysts' login. Doing it twice changes nothing.

    The login is made where SPINE_ADMIN_URL names an administrator, otherwise on the embedded PostgreSQL. Its password is
    SPINE_ANALYST_PASSWORD; without that the embedded one makes a password and keeps it in a file.

      spine tenant add acme
      spine tenant add acme --source hubspot --source salesforce
    """
    services = world.services()
    from spine.control.onboarding import add_tenant
    from spine.sources.spec import load_source, source_names
    from spine.stack.analysts import TRUST, login_of

    sources = [load_source(one).source for one in source or source_names()]
    found = add_tenant(
        name,
        sources,
        database=services.database,
        variables=services.variables,
        find=services.connections,
        actor=getpass.getuser(),
        anyway=anyway,
    )
    login = login_of(name)
    if json:
        show.as_json({**vars(found), "analyst": login.role if login else None, "gold": login.url if login else None})
        return
    say(f"{found.tenant} has {', '.join(found.sources)}, and a key of its own")
    if login and login.url:
        say(f"its analysts log in to PostgreSQL as {login.role}: {login.command}")
        say(TRUST)
    elif login:
        say(f"its analysts log in to PostgreSQL as {login.role}")
    else:
        say("no login for its analysts: set SPINE_ADMIN_URL to an administrator's URL of database spine, and run this again")
    for missing in found.missing:
        say(f"still to make: the Connection {missing} (in the UI, or `spine airflow connections add {missing} …`)")
