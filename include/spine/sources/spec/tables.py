"""Words for a table of a database."""

from __future__ import annotations

from pydantic import Field

from spine.core.declarations import Strict
from spine.core.mapping import RowFilter


class Table(Strict):
    """What a source of kind `database` reads: a table or view, all of it or some columns and rows. No SQL is written here.

    Rows are read in the order of the key, of changes in that of the cursor, and a reading that was stopped goes on behind its last
    row. That is quick where an index has these columns. One statement reads everything, and so sees one moment of the database;
    with `chunk` it is several, each short, for servers that end long ones, as replicas do.

    Example:
        schema: crm
        name: customers
        columns: [id, email, updated_at]
        filters: [{field: region, one_of: [eu, us]}]
    """

    schema_: str | None = Field(default=None, alias="schema", description="Its schema; where names without one are looked up by default")
    name: str | None = Field(default=None, description="Its name, where that is not the stream's")
    columns: tuple[str, ...] = Field(default=(), description="The columns that are read; all of them if not given")
    filters: tuple[RowFilter, ...] = Field(
        default=(), description="Which rows are asked for; one that is no longer among them is missed by a sweep only"
    )
    chunk: int | None = Field(default=None, ge=1000, description="How many rows one statement reads; all of them if not given")
