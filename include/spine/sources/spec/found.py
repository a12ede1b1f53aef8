"""Words for streams that nobody can list in a file, since each account has others: sheets, custom objects, tables."""

from __future__ import annotations

from pydantic import Field, model_validator

from spine.core.declarations import Strict, refuse
from spine.core.mapping import RowFilter
from spine.core.texts import FieldPath, Word


class Found(Strict):
    """The stream stands for many: one for each living record of another stream, which is asked at the beginning of each run.

    Requests and `compute` name that record's fields as `{found.title}`. Each has a table, a cursor and a drift of its own, and is named
    after the stream and what `name` says: a sheet `Sales 2026` is `sheet_sales_2026`. It keeps its name when it is renamed at the source,
    since it is known by the record's key. One that is there no more is told and no longer read; nothing of it is deleted.

    Example:
        stream: sheets
        name: title
        include: ["Sales*"]
        most: 50
    """

    stream: Word = Field(description="The stream whose records tell which there are")
    name: FieldPath = Field(description="The field of such a record that it is named after")
    include: tuple[str, ...] = Field(default=(), description="Patterns of names that are read, as `Sales*`; all if none is given")
    exclude: tuple[str, ...] = Field(default=(), description="Patterns of names that are not")
    variable: Word | None = Field(
        default=None, description="The variable of type `list` that has patterns in place of `include`; none is read where it has none"
    )
    filters: tuple[RowFilter, ...] = Field(default=(), description="For which records, by their fields; for all of them if not given")
    most: int = Field(default=100, ge=1, le=2000, description="How many there may be; what is beyond is told and not read")

    @model_validator(mode="after")
    def _one_choice(self) -> Found:
        if self.include and self.variable:
            refuse(type(self), [(("variable",), "its patterns stand in place of `include`: leave one of both out")])
        return self
