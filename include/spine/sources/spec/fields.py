"""Words for the fields that a source is asked for: a list in the file, or one that the source itself has."""

from __future__ import annotations

from pydantic import Field, model_validator

from spine.core.declarations import refuse
from spine.core.texts import JmesPath
from spine.sources.spec.requests import Asking


class FieldList(Asking):
    """The names that `{fields}` stands for, where the source has a list of them. It is asked once before each reading.

    With `chunk` a page is asked for several times, for so many fields each, and its records are put together by their key.

    Example:
        path: /schema/contacts
        names: results[].name
        always: [id, updated_at]
        chunk: 200
    """

    names: JmesPath | None = Field(
        default=None, description="JMESPath of the names in the answer; without it the stream's `fields` are meant"
    )
    always: tuple[str, ...] = Field(default=(), description="Fields that every request asks for: the key and the cursor")
    chunk: int | None = Field(default=None, ge=1, description="How many fields one request may ask for")

    @model_validator(mode="after")
    def _asks_something(self) -> FieldList:
        if self.path and self.names is None:
            refuse(type(self), [(("names",), "the answer of `path` has names somewhere: say where")])
        return self
