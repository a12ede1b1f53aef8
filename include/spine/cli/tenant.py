"""Commands on tenants."""

from __future__ import annotations

import getpass
from typing import Annotated

import typer

from spine.cli import show, world
from spine.cli.options import Json
from spine.core.settings import settings

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
    json: Json = False,
) -> None:
    """Everything that a new tenant needs but its Connections: Variable, control rows, key, analysts' login. Doing it twice changes nothing.

    The login is made on the embedded PostgreSQL, or where SPINE_ADMIN_URL names an administrator; SPINE_ANALYST_PASSWORD is its password.

      spine tenant add acme
      spine tenant add acme --source hubspot --source salesforce
    """
    from spine.control.onboarding import add_tenant
    from spine.sources.spec import load_source, source_names

    sources = [load_source(one).source for one in source or source_names()]
    services = world.services()
    found = add_tenant(
        name, sources, database=services.database, variables=services.variables, find=services.connections, actor=getpass.getuser(),
        admin_url=_admin_url(), password=settings().analyst_password or None,
    )  # fmt: skip
    if json:
        show.as_json(vars(found))
        return
    typer.echo(f"{found.tenant} has {', '.join(found.sources)}, and a key of its own")
    if found.analyst:
        typer.echo(f"its analysts log in to PostgreSQL as {found.analyst}")
    else:
        typer.echo("no login for its analysts: set SPINE_ADMIN_URL to an administrator's URL of database spine, and run this again")
    for missing in found.missing:
        typer.echo(f"still to make: the Connection {missing} (in the UI, or `spine airflow connections add {missing} …`)")


def _admin_url() -> str | None:
    """Who may make logins: as the deployment says, otherwise the embedded server's administrator if it runs."""
    if settings().admin_url:
        return settings().admin_url
    from spine.control import embedded

    server = embedded.running(settings().home)
    return server.uri_admin if server else None
