"""Words for records that are gone at the source."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from spine.core.declarations import Strict, refuse
from spine.core.texts import FieldPath


class Deletes(Strict):
    """How deletes are seen and what they do. `sweep`: a full read marks what it did not see, up to `max_share` of the stream."""

    mode: Literal["soft_delete", "hard_delete", "ignore"] = "soft_delete"
    detect: Literal["none", "flag", "archived", "sweep"] = "none"
    field: FieldPath | None = None
    max_share: float = Field(default=0.2, gt=0, le=1)

    @model_validator(mode="after")
    def _field_is_read(self) -> Deletes:
        if self.field is not None and self.detect != "flag":
            refuse(type(self), [(("field",), "only `detect: flag` reads it")])
        return self
