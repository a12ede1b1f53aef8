"""`python -m spine.stack up|down|status`: what `make up` and `make down` call."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape

from spine.core.errors import SpineError
from spine.core.screen import console
from spine.core.settings import settings
from spine.stack import airflow, keeper, supervisor
from spine.stack.analysts import TRUST

app = typer.Typer(add_completion=False, no_args_is_help=True, help="The embedded stack: PostgreSQL, Spark Connect, sandbox, Airflow.")
_out = console(highlight=False, markup=True)


def _say(line: str) -> None:
    _out.print(f"  [green]✓[/] {line}")


@app.command()
def up(
    scale: Annotated[int, typer.Option(help="real persons in each tenant's sandbox world")] = 1000,
    sandbox: Annotated[bool, typer.Option(help="start the sandbox vendors as well")] = True,
) -> None:
    """Start everything that does not run yet and leave it running."""
    stack = supervisor.up(_say, sandbox=sandbox, scale=scale)
    _out.print(f"\nAirflow   {stack.airflow_url}   user admin, password {airflow.password()}")
    _out.print(f"Sandbox   {stack.sandbox_url or '(not started)'}")
    _out.print(f"Spark     {stack.spark_url}")
    _out.print(f"Gold      {stack.gold.command}", soft_wrap=True)
    _out.print(f"          {TRUST}", soft_wrap=True)
    _out.print(f"Logs      {settings().home / 'logs'}\n\nStop it with `make down`.")


@app.command()
def down() -> None:
    """Stop everything that `up` or the demo started."""
    supervisor.down(_say)


@app.command(hidden=True)
def keep(
    scale: Annotated[int, typer.Option()] = 1000,
    tenants: Annotated[str, typer.Option()] = "default,acme",
    sandbox: Annotated[bool, typer.Option()] = True,
) -> None:
    """Start again what dies, until `down`."""
    wanted = {name for name in supervisor.status() if sandbox or name != supervisor.SANDBOX}

    def states() -> dict[str, str]:
        return {name: state for name, state in supervisor.status().items() if name in wanted}

    keeper.keep(states, lambda: supervisor.up(keeper.say, sandbox=sandbox, scale=scale, tenants=tenants), keeper.say)


@app.command()
def status() -> None:
    """Say what runs; exit code 1 unless everything does."""
    states = supervisor.status()
    for name, state in states.items():
        _out.print(f"{name:24} {state}")
    raise typer.Exit(int(set(states.values()) != {"running"}))


def main() -> None:
    """Run the command line; our own errors are one line and exit code 1."""
    try:
        app()
    except SpineError as error:
        console(stderr=True, highlight=False, markup=True).print(f"[red]{escape(error.describe())}[/]", soft_wrap=True)
        raise SystemExit(1) from error
