"""Words for what becomes of a record before its key and cursor are read, and which records are kept."""

from __future__ import annotations

from typing import Literal

import jmespath
from pydantic import Field, model_validator

from spine.core.declarations import Place, Strict, refuse
from spine.core.mapping import RowFilter
from spine.core.placeholders import names_in
from spine.core.texts import FieldPath

Personal = Literal["hash", "mask"]


class Shaping(Strict):
    """Steps for each record, in this order: `filters`, `flatten`, `rename`, `compute`, `personal`; then key and cursor are read."""

    filters: tuple[RowFilter, ...] = Field(
        default=(), description="Which records are kept, by what the source sends; one that passes no more is marked as deleted"
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
