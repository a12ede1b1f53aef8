"""Options that several commands share, and how options that belong together become one object."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from enum import StrEnum
from functools import wraps
from typing import Annotated, Any, get_type_hints

import typer

from spine.core.names import DEFAULT_TENANT


class Relearn(StrEnum):
    """When weights are learned anew."""

    auto = "auto"
    always = "always"
    never = "never"


Source = Annotated[str, typer.Argument(help="Name of a source: its file in include/sources.", show_default=False)]
Entity = Annotated[str, typer.Argument(help="Name of an entity: its file in include/entities.", show_default=False)]
Tenant = Annotated[str, typer.Option("--tenant", "-t", help="Whose data.")]
Tenants = Annotated[list[str] | None, typer.Option("--tenant", "-t", help="Only this tenant; may be given again. [dim]Default: all.[/dim]")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
Relearning = Annotated[
    Relearn,
    typer.Option(
        "--relearn", help="auto: learn the weights anew once the records have outgrown them. always: now. never: stay with the former."
    ),
]

__all__ = ["DEFAULT_TENANT", "Entity", "Json", "Relearn", "Relearning", "Source", "Tenant", "Tenants", "grouped"]


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """The command for Typer: each parameter whose type is a dataclass stands for the options that are its fields."""
    hints = get_type_hints(command, include_extras=True)
    parameters: list[inspect.Parameter] = []
    groups: dict[str, Any] = {}
    for name, parameter in inspect.signature(command).parameters.items():
        kind = hints[name]
        if not is_dataclass(kind):
            parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=kind))
            continue
        groups[name] = kind
        own = get_type_hints(kind, include_extras=True)
        for field in fields(kind):
            default = inspect.Parameter.empty if field.default is MISSING else field.default
            parameters.append(inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=own[field.name]))

    @wraps(command)
    def call(**given: Any) -> None:
        made = {name: kind(**{field.name: given.pop(field.name) for field in fields(kind)}) for name, kind in groups.items()}
        command(**made, **given)

    call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # what Typer and inspect read
    call.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return call
