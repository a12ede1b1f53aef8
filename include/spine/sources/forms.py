"""Words for files whose form their name does not tell whole."""

from __future__ import annotations

from pydantic import Field, model_validator

from spine.core.declarations import Strict, refuse
from spine.core.texts import JmesPath


class Form(Strict):
    """What a file's name does not say of its form: where a spreadsheet's header is, what columns a text of fixed width has, where a
    document's records are.

    A text of fixed width (`.txt`, `.dat`, `.fwf`) is read where `layout` says what stands in it. Without `records` the records of a
    document of JSON or XML are its list, or the one list of objects inside it. Records of several sheets say in `_sheet` which they are of.

    Example:
        sheets: [People]
        skip: 2
        header: 2
    """

    sheets: tuple[str, ...] = Field(default=(), description="Sheets of a spreadsheet that are read; else all that can be seen")
    skip: int = Field(default=0, ge=0, le=1000, description="Lines before the header, or before the first row of fixed width")
    header: int = Field(
        default=1, ge=1, le=10, description="Lines of a spreadsheet's header, whose words are joined; merged cells stand for all"
    )
    layout: dict[str, int] = Field(default_factory=dict, description="Names of columns of fixed width with their letters, in their order")
    records: JmesPath | None = Field(default=None, description="JMESPath of the records of a document of JSON or XML")

    @model_validator(mode="after")
    def _fits(self) -> Form:
        narrow = [(("layout", name), "is no number of letters above 0") for name, width in self.layout.items() if width < 1]
        refuse(type(self), [(tuple(place), why) for place, why in narrow])
        return self


PLAIN = Form()
