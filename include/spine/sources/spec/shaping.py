"""Words for what becomes of a record before its key and cursor are read, and which records are kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import jmespath
from pydantic import Field, model_validator

from spine.core.declarations import Place, Strict, refuse
from spine.core.mapping import RowFilter
from spine.core.placeholders import names_in, written
from spine.core.texts import FieldPath, Word

Personal = Literal["hash", "mask"]


class StreamFilter(RowFilter):
    """Keeps records whose field is (or is not) one of the values, or one of those that a variable has.

    Example:
        field: status
        none_of: [draft]
    """

    variable: Word | None = Field(
        default=None, description="The variable of type `list` that has the values of records that are kept; all are where it has none"
    )

    def _says_nothing(self) -> bool:
        return super()._says_nothing() and self.variable is None

    def of(self, values: Mapping[str, Any]) -> RowFilter | None:
        """The filter with the variable's values; None where it keeps every record."""
        if self.variable is None:
            return self
        listed = tuple(map(written, values.get(self.variable) or ()))
        if not listed and not self.none_of:
            return None
        return RowFilter(field=self.field, one_of=listed, none_of=self.none_of)


class Shaping(Strict):
    """Steps for each record: `filters`, `case`, `flatten`, `rename`, `compute`, `personal`, `drop`; then key and cursor are read."""

    filters: tuple[StreamFilter, ...] = Field(
        default=(), description="Which records are kept, by what the source sends; one that passes no more is marked as deleted"
    )
    case: Literal["as_sent", "lower", "snake"] = Field(
        default="as_sent", description="How names of fields are written, inside objects too: `snake` makes first_name of firstName"
    )
    flatten: dict[FieldPath, str] = Field(
        default_factory=dict, description="Objects whose fields come up into the record, with what is put before their names"
    )
    rename: dict[str, str] = Field(default_factory=dict, description="Fields by their former names, with their new ones")
    compute: dict[str, str] = Field(
        default_factory=dict,
        description="Fields to be set: by a JMESPath over the record, or by placeholders as {parent.id} or a variable",
    )
    personal: dict[FieldPath, Personal] = Field(
        default_factory=dict, description="Fields that are not kept as they are: `hash` by the tenant's key, `mask` as ***"
    )

    drop: tuple[FieldPath, ...] = Field(default=(), description="Fields that are not kept at all")

    @model_validator(mode="after")
    def _can_be_computed(self) -> Shaping:
        found: list[tuple[Place, str]] = []
        for name, said in self.compute.items():
            if any(names_in(said)):
                continue
            try:
                jmespath.compile(said)
            except ValueError:
                found.append(
                    (("compute", name), f"{said!r} is neither a JMESPath nor a text with placeholders; a text alone is \"'text'\"")
                )
        targets = list(self.rename.values())
        found += [
            (("rename", name), f"another becomes {to!r} too") for at, (name, to) in enumerate(self.rename.items()) if to in targets[:at]
        ]
        refuse(type(self), found)
        return self
