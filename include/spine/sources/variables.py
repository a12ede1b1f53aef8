"""The values of a source's variables for one account: what its Connection's extra says, else their defaults. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from spine.core import clock
from spine.core.errors import ConfigError
from spine.sources.spec import Source


def typed_values(source: Source, extra: Mapping[str, Any], now: datetime | None = None) -> dict[str, Any]:
    """The values by name, times as times; None for an optional one that is not given. `now` is what `now` and `today` mean.

    Raises ConfigError that names every variable which is missing or not of its type.
    """
    found: dict[str, Any] = {}
    wrong: list[str] = []
    for name, variable in source.variables.items():
        given = extra.get(name)
        given = variable.default if given is None else given
        if given is None:
            found[name] = None
            if not variable.optional:
                wrong.append(f"`{name}` is missing" + (f" ({variable.description})" if variable.description else ""))
            continue
        try:
            found[name] = variable.value(given, now or clock.now())
        except ValueError as error:
            wrong.append(f"`{name}` {error}")
    if wrong:
        raise ConfigError(f"the Connection's extra does not fit: {'; '.join(wrong)}", hint='Write it there, as {"name": "value"}')
    return found


def values_of(source: Source, extra: Mapping[str, Any], now: datetime | None = None) -> dict[str, Any]:
    """The values as requests have them. Raises ConfigError."""
    typed = typed_values(source, extra, now)
    return {name: source.variables[name].written(value) for name, value in typed.items()}
