"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

from spine.core.names import DEFAULT_TENANT

Source = Annotated[str, typer.Argument(help="Name of a source: its file in include/sources.", show_default=False)]
Entity = Annotated[str, typer.Argument(help="Name of an entity: its file in include/entities.", show_default=False)]
Tenant = Annotated[str, typer.Option("--tenant", "-t", help="Whose data.")]
Tenants = Annotated[list[str] | None, typer.Option("--tenant", "-t", help="Only this tenant; may be given again. [dim]Default: all.[/dim]")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]

__all__ = ["DEFAULT_TENANT", "Entity", "Json", "Source", "Tenant", "Tenants"]
