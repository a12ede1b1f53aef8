"""Words for records that are gone at the source."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from spine.core.declarations import Strict, refuse
from spine.core.texts import FieldPath


class Deletes(Strict):
    """How deletes are seen and what they do. `sweep`: a full read marks what it did not see, up to `max_share` of the stream.
    `reread` is for reports that are restated: what the cursor's `lookback` reads again and does not come any more is marked, up to that
    part of what is read again.

    Example:
        detect: flag
        field: deleted_at
    """

    mode: Literal["soft_delete", "hard_delete", "ignore"] = Field(
        default="soft_delete", description="What becomes of a deleted record in Silver: it is marked, it goes, or it stays"
    )
    detect: Literal["none", "flag", "archived", "sweep", "reread"] = Field(
        default="none",
        description="How a delete is seen: by a field, in a list of what is archived, or by absence from a full read or the look-back",
    )
    field: FieldPath | None = Field(default=None, description="The field of `detect: flag`: true, or a time")
    max_share: float = Field(default=0.2, gt=0, le=1, description="The part of a stream above which a sweep is not believed")

    @model_validator(mode="after")
    def _field_is_read(self) -> Deletes:
        if self.field is not None and self.detect != "flag":
            refuse(type(self), [(("field",), "only `detect: flag` reads it")])
        return self
