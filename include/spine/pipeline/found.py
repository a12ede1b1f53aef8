"""A source with the streams that were found for it, as the lake's tables tell: for whoever reads tables and asks no account."""

from __future__ import annotations

from spine.core.names import bronze_table
from spine.lake.reading import table_names
from spine.sources.spec import Source, load_source


def with_found(name: str) -> Source:
    """A source with the streams that were ever found in place of their templates, as the lake's tables tell. Raises ConfigError."""
    source = load_source(name)
    templates = [stream for stream in source.streams if stream.found is not None]
    if not templates:
        return source
    tables = [table.removeprefix(bronze_table(name, "")) for table in table_names() if table.startswith(bronze_table(name, ""))]
    declared = {stream.name for stream in source.streams}
    found = [table for table in tables if table not in declared and any(table.startswith(f"{one.name}_") for one in templates)]
    there = {stream.template for stream in map(source.stream, found)}
    kept = [stream for stream in source.streams if stream.name not in there]
    return source.model_copy(update={"streams": (*kept, *map(source.stream, found))})
