"""Commands on Bronze: archived days and back."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated

import typer

from spine.cli import show, world
from spine.cli.options import Json, Source, Tenants

app = typer.Typer(no_args_is_help=True, help="Bring archived days of Bronze back.")
Day = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="A day in UTC. [dim]Default: no bound.[/dim]")]


@app.callback()
def _bronze() -> None:
    """A group, so that the name of the command is needed though it is the only one."""


@app.command("restore")
def restore(
    source: Source,
    stream: Annotated[list[str] | None, typer.Option(help="Only this stream; may be given again. [dim]Default: all.[/dim]")] = None,
    since: Day = None,
    until: Day = None,
    tenant: Tenants = None,
    json: Json = False,
) -> None:
    """Bring archived days of a source back into Bronze, so that a renormalization reads them. What is there already stays as it is.

    spine bronze restore hubspot && spine normalize hubspot --renormalize
    spine bronze restore hubspot --stream contacts --since 2026-01-01 --until 2026-01-31
    """
    rows = []
    with show.working(f"Restore Bronze of {source}"):
        world.lake()
        from spine.core.names import bronze_table
        from spine.lake.restoring import Days, restore_bronze
        from spine.pipeline.found import with_found

        spec = with_found(source)
        days = Days(_day(since), _day(until), tenant)
        for one in [spec.stream(name) for name in stream] if stream else spec.streams:
            with show.working(f"Restore {one.name}"):
                rows.append({"stream": one.name, **restore_bronze(bronze_table(source, one.name), days)})
    show.as_json(rows) if json else show.as_table(f"Restored to Bronze of {source}", rows, ("stream", "rows", "days"))


def _day(moment: datetime | None) -> date | None:
    return moment.date() if moment else None
